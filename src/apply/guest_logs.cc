// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/guest_logs.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "hive/key_path.h"
#include "hive/log_file.h"
#include "src/support/refusal.h"

namespace kvmnet {
namespace {

using guestfs::GuestFiles;

constexpr std::size_t header_size = 512;  // the part of a log that makes it valid

}  // namespace

std::vector<GuestLog> find_logs(GuestFiles& guest, const std::string& hive_path) {
  const std::string directory = hive_path.substr(0, hive_path.rfind('/'));
  const std::string name = hive_path.substr(directory.size() + 1);
  const std::vector<guestfs::DirectoryEntry> entries = guest.list(directory);
  std::vector<GuestLog> logs;
  for (const std::string_view ending : hive::log_endings) {
    const auto entry = std::find_if(entries.begin(), entries.end(), [&](const auto& e) {
      return hive::same_name(e.name, name + std::string(ending));
    });
    if (entry == entries.end()) continue;
    const std::string path = directory + "/" + entry->name;
    if (entry->type != guestfs::FileType::regular)
      throw Refused{{Reason::damaged_hive, path + ": a log of the hive is no plain file"}};
    const std::uint64_t size = guest.size(path);
    if (size > hive::largest_log)
      throw Refused{{Reason::damaged_hive, path + ": is larger than any log of a hive"}};
    logs.push_back({std::string(ending), path, size});
  }
  return logs;
}

std::size_t count_in_use(const std::vector<GuestLog>& logs) {
  std::vector<std::string> paths;
  for (const GuestLog& log : logs) paths.push_back(log.path);
  return hive::count_in_use(paths);
}

void neutralise(GuestFiles& guest, const std::vector<GuestLog>& logs) {
  const std::array<std::byte, header_size> zeros{};
  for (const GuestLog& log : logs)
    if (!is_neutral(guest, log))
      guest.write_at(log.path, 0,
                     std::span(zeros).first(std::min<std::uint64_t>(header_size, log.size)));
}

bool is_neutral(GuestFiles& guest, const GuestLog& log) {
  if (log.size == 0) return true;
  const auto header = guest.read_at(log.path, 0, header_size);
  return std::all_of(header.begin(), header.end(), [](std::byte b) { return b == std::byte{}; });
}

}  // namespace kvmnet

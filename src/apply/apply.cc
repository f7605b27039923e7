// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/apply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "hive/base_block.h"
#include "src/support/error.h"
#include "src/support/overloaded.h"

namespace kvmnet {
namespace {

using guestfs::GuestFiles;

// The parent directory of `path` in the guest; what is missing of it is made.
std::string parent_in_guest(GuestFiles& guest, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = path.substr(0, slash);
  if (parent.empty()) return parent;
  if (const auto found = guest.resolve(parent)) return *found;
  const std::string made = parent_in_guest(guest, parent) + parent.substr(parent.rfind('/'));
  guest.make_directory(made);
  return made;
}

void write_file(GuestFiles& guest, const std::string& root, const WriteFile& edit) {
  const std::string path = root + "/" + edit.path;
  const std::string name = path.substr(path.rfind('/'));
  const std::string parent = parent_in_guest(guest, path);
  guest.write(guest.resolve(path).value_or(parent + name), edit.content);
}

void remove_file(GuestFiles& guest, const std::string& root, const RemoveFile& edit) {
  if (const auto path = guest.resolve(root + "/" + edit.path)) guest.remove(*path);
}

}  // namespace

void update_hive(GuestFiles& guest, const std::string& path, std::span<const std::byte> before,
                 std::span<const std::byte> after) {
  if (after.size() < before.size()) throw Error("the edited hive is shorter than before");
  constexpr std::size_t page = hive::base_block_size;
  const auto differs = [&](std::size_t offset) {
    const std::size_t end = std::min(offset + page, after.size());
    return end > before.size() ||
           std::memcmp(before.data() + offset, after.data() + offset, end - offset) != 0;
  };
  for (std::size_t start = 0; start < after.size(); start += page) {
    if (!differs(start)) continue;
    std::size_t end = start;
    while (end < after.size() && differs(end)) end = std::min(end + page, after.size());
    guest.write_at(path, start, after.subspan(start, end - start));
    start = end;
  }
}

void apply_files(GuestFiles& guest, const std::string& root, const std::vector<Edit>& edits) {
  for (const Edit& edit : edits)
    std::visit(Overloaded{[&](const WriteFile& e) { write_file(guest, root, e); },
                          [&](const RemoveFile& e) { remove_file(guest, root, e); },
                          [](const SetValue&) {}},
               edit);
}

}  // namespace kvmnet

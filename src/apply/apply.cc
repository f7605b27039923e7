// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/apply.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "hive/base_block.h"
#include "hive/key_path.h"
#include "src/plan/firstboot.h"
#include "src/support/error.h"
#include "src/support/overloaded.h"

namespace kvmnet {
namespace {

using guestfs::FilePart;
using guestfs::FileType;
using guestfs::GuestFiles;

bool is_in_our_directory(const std::string& path) {
  return path.starts_with(std::string(firstboot::directory) + "/");
}

// The parent directory of `path` in the guest; what is missing of it is made.
std::string parent_in_guest(GuestFiles& guest, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = path.substr(0, slash);
  if (parent.empty()) return parent;
  if (const auto found = guest.resolve(parent)) return *found;
  const std::string made = parent_in_guest(guest, parent) + parent.substr(parent.rfind('/'));
  guest.make_directory(made);
  guest.set_private(made, FileType::directory);
  return made;
}

void write_file(GuestFiles& guest, const std::string& root, const WriteFile& edit) {
  const std::string path = root + "/" + edit.path;
  const std::string name = path.substr(path.rfind('/'));
  const std::string parent = parent_in_guest(guest, path);
  const auto there = guest.resolve(path);
  const std::string file = there.value_or(parent + name);
  // Under another name (a hard link) it may be something that is not ours.
  if (there && edit.make_private) guest.remove(file);
  guest.write(file, edit.content);
  if (edit.make_private) guest.set_private(file, FileType::regular);
}

bool writes_to_our_directory(const std::vector<Edit>& edits) {
  return std::any_of(edits.begin(), edits.end(), [](const Edit& edit) {
    const auto* written = std::get_if<WriteFile>(&edit);
    return written != nullptr && is_in_our_directory(written->path);
  });
}

// Also if it was there: whoever may change what is in it could become SYSTEM.
void make_our_directory(GuestFiles& guest, const std::string& root) {
  const std::string wanted = root + "/" + std::string(firstboot::directory);
  const auto there = guest.resolve(wanted);
  if (!there) guest.make_directory(wanted);
  guest.set_private(there.value_or(wanted), FileType::directory);
}

bool is_open(GuestFiles& guest, const std::string& path, FileType type) {
  const auto found = guest.resolve(path);
  return !found || !guest.is_private(*found, type);
}

void remove_file(GuestFiles& guest, const std::string& root, const RemoveFile& edit) {
  const std::string wanted = root + "/" + edit.path;
  // An NTFS may have a name in several letter cases.
  for (auto path = guest.resolve(wanted); path; path = guest.resolve(wanted)) guest.remove(*path);
}

void remove_directory(GuestFiles& guest, const std::string& root, const RemoveDirectory& edit) {
  if (const auto path = guest.resolve(root + "/" + edit.path)) guest.remove_directory(*path);
}

std::vector<guestfs::DirectoryEntry> find_entries(GuestFiles& guest, const std::string& directory,
                                                  std::string_view name) {
  std::vector<guestfs::DirectoryEntry> entries = guest.list(directory);
  std::erase_if(entries, [name](const guestfs::DirectoryEntry& entry) {
    return !hive::same_name(entry.name, name);
  });
  return entries;
}

// Of a junction or a link, too, which may lead anywhere.
std::optional<Refusal> check_place(GuestFiles& guest, std::string directory,
                                   std::string_view path) {
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const bool is_last = slash == std::string_view::npos;
    const auto entries = find_entries(guest, directory, path.substr(0, slash));
    if (entries.empty()) return std::nullopt;
    if (entries.size() > 1)
      return Refusal{Reason::path_blocked,
                     fmt::format("{} in the guest has both {} and {}, one of which is needed there",
                                 directory, entries[0].name, entries[1].name)};
    directory += "/" + entries.front().name;
    if (entries.front().type != (is_last ? FileType::regular : FileType::directory))
      return Refusal{Reason::path_blocked,
                     fmt::format("{} in the guest is no {}, which is needed there", directory,
                                 is_last ? "file" : "directory")};
    path.remove_prefix(is_last ? path.size() : slash + 1);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> check_places(GuestFiles& guest, const std::string& root,
                                    const std::vector<Edit>& edits) {
  for (const Edit& edit : edits)
    if (const auto* written = std::get_if<WriteFile>(&edit))
      if (auto refusal = check_place(guest, root, written->path)) return refusal;
  return std::nullopt;
}

std::vector<FilePart> update_hive(GuestFiles& guest, const std::string& path,
                                  std::span<const std::byte> before,
                                  std::span<const std::byte> after) {
  if (after.size() < before.size()) throw Error("the edited hive is shorter than before");
  constexpr std::size_t page = hive::base_block_size;
  const auto differs = [&](std::size_t offset) {
    const std::size_t end = std::min(offset + page, after.size());
    return end > before.size() ||
           std::memcmp(before.data() + offset, after.data() + offset, end - offset) != 0;
  };
  std::vector<FilePart> written;
  for (std::size_t start = 0; start < after.size(); start += page) {
    if (!differs(start)) continue;
    std::size_t end = start;
    while (end < after.size() && differs(end)) end = std::min(end + page, after.size());
    guest.write_at(path, start, after.subspan(start, end - start));
    written.push_back({start, end - start});
    start = end;
  }
  return written;
}

std::vector<std::string> find_open_files(GuestFiles& guest, const std::string& root,
                                         const std::vector<Edit>& edits) {
  std::vector<std::string> open;
  const auto look = [&](const std::string& path, FileType type) {
    if (is_open(guest, path, type)) open.push_back(path);
  };
  if (writes_to_our_directory(edits))
    look(root + "/" + std::string(firstboot::directory), FileType::directory);
  for (const Edit& edit : edits)
    if (const auto* written = std::get_if<WriteFile>(&edit))
      if (written->make_private) look(root + "/" + written->path, FileType::regular);
  return open;
}

void apply_files(GuestFiles& guest, const std::string& root, const std::vector<Edit>& edits) {
  if (writes_to_our_directory(edits)) make_our_directory(guest, root);
  for (const Edit& edit : edits)
    std::visit(Overloaded{[&](const WriteFile& e) { write_file(guest, root, e); },
                          [&](const RemoveFile& e) { remove_file(guest, root, e); },
                          [&](const RemoveDirectory& e) { remove_directory(guest, root, e); },
                          [](const auto&) {}},
               edit);
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/support/fake_guest.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace kvmnet::test {
namespace {

using guestfs::Access;
using guestfs::Error;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_path(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

// "/" for "/a".
std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

FakeGuest::Volume& FakeGuest::add(const std::string& device) {
  order_.push_back(device);
  return volumes_[device];
}

FakeGuest::Volume& FakeGuest::volume(const std::string& device) {
  return volumes_.at(device);
}

FakeGuest::Volume& FakeGuest::add_encrypted(const std::string& outer, guestfs::Content content,
                                            const std::string& key, const std::string& device) {
  Volume& volume = add(outer);
  volume.content = content;
  volume.key = key;
  volume.contains = device;
  return volumes_[device];
}

void FakeGuest::forget_calls() {
  calls_.clear();
  changes_.clear();
}

void FakeGuest::begin(const std::string& call) {
  const bool fails = fail_at_ == calls_.size();
  calls_.push_back(call);
  if (fails) throw Error("fake: failed: " + call);
}

void FakeGuest::begin_change(const std::string& call) {
  begin(call);
  mounted();
  changes_.push_back(call);
  if (!writable_) throw Error("fake: read-only file system: " + call);
}

// Calling without a mount is a mistake of the caller, not something that disks do.
const FakeGuest::Volume& FakeGuest::mounted() const {
  if (mounted_ == nullptr) throw std::logic_error("fake: nothing is mounted");
  return *mounted_;
}

std::set<std::string> FakeGuest::paths() const {
  std::set<std::string> paths = {"/"};
  const auto add_with_parents = [&paths](std::string path) {
    for (; path != "/"; path = parent_of(path)) paths.insert(path);
  };
  for (const auto& [path, content] : mounted().files) add_with_parents(path);
  for (const std::string& path : mounted().directories) add_with_parents(path);
  for (const std::string& path : mounted().others) add_with_parents(path);
  return paths;
}

bool FakeGuest::is_directory(const std::string& path) const {
  return paths().contains(path) && !mounted().files.contains(path) &&
         !mounted().others.contains(path);
}

std::string& FakeGuest::content(const std::string& path) {
  mounted();
  const auto found = mounted_->files.find(path);
  if (found == mounted_->files.end()) throw Error("fake: no such file: " + path);
  return found->second;
}

std::vector<guestfs::Volume> FakeGuest::volumes() {
  begin("volumes");
  std::vector<guestfs::Volume> volumes;
  for (const std::string& device : order_) volumes.push_back({device, volumes_.at(device).content});
  return volumes;
}

std::string FakeGuest::uuid(const std::string& device) {
  begin("uuid " + device);
  return volumes_.at(device).uuid;
}

std::optional<guestfs::Volume> FakeGuest::unlock(const std::string& device,
                                                 const std::string& key) {
  begin("unlock " + device);
  const Volume& volume = volumes_.at(device);
  if (volume.contains.empty() || volume.key != key) return std::nullopt;
  return guestfs::Volume{volume.contains, volumes_.at(volume.contains).content};
}

guestfs::NtfsState FakeGuest::ntfs_state(const std::string& device) {
  begin("ntfs_state " + device);
  return volumes_.at(device).state;
}

void FakeGuest::mount(const std::string& device, Access access) {
  const bool writing = access != Access::read_only;
  const std::string call = (writing ? "mount-rw " : "mount-ro ") + device;
  if (mounted_ != nullptr) throw std::logic_error("fake: something is mounted: " + call);
  begin(call);
  if (writing) changes_.push_back(call);
  Volume& volume = volumes_.at(device);
  if (access == Access::read_write && volume.state == guestfs::NtfsState::unclean)
    throw Error("fake: not cleanly unmounted: " + device);
  if (access == Access::read_write_unclean) volume.state = guestfs::NtfsState::clean;
  if (!volume.mountable) throw Error("fake: wrong fs type, bad superblock: " + device);
  mounted_ = &volume;
  writable_ = writing && !volume.read_only;
  before_ = volume;
}

void FakeGuest::unmount() {
  begin("unmount");
  mounted();
  if (before_.lose_writes) *mounted_ = before_;
  mounted_ = nullptr;
}

std::optional<std::string> FakeGuest::resolve(const std::string& path) {
  begin("resolve " + path);
  const std::set<std::string> all = paths();
  if (all.contains(path)) return path;
  for (const std::string& there : all)
    if (same_path(there, path)) return there;
  return std::nullopt;
}

std::vector<guestfs::DirectoryEntry> FakeGuest::list(const std::string& directory) {
  begin("list " + directory);
  if (!is_directory(directory)) throw Error("fake: not a directory: " + directory);
  std::vector<guestfs::DirectoryEntry> entries;
  for (const std::string& path : paths()) {
    if (path == "/" || parent_of(path) != directory) continue;
    using guestfs::FileType;
    entries.push_back({path.substr(path.rfind('/') + 1),
                       mounted_->files.contains(path)    ? FileType::regular
                       : mounted_->others.contains(path) ? FileType::other
                                                         : FileType::directory});
  }
  return entries;
}

std::uint64_t FakeGuest::size(const std::string& path) {
  begin("size " + path);
  return content(path).size();
}

std::vector<std::byte> FakeGuest::read_at(const std::string& path, std::uint64_t offset,
                                          std::size_t size) {
  begin("read_at " + path);
  const auto bytes = std::as_bytes(std::span(content(path)));
  const std::size_t start = std::min<std::uint64_t>(offset, bytes.size());
  const auto part = bytes.subspan(start, std::min(size, bytes.size() - start));
  return {part.begin(), part.end()};
}

void FakeGuest::download(const std::string& path, int fd) {
  begin("download " + path);
  const std::string& text = content(path);
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    throw Error("fake: cannot write to the host's file: " + path);
}

bool FakeGuest::has_content(const std::string& path, std::span<const std::byte> bytes,
                            const std::vector<guestfs::FilePart>& /*changed*/) {
  begin("has_content " + path);
  return content(path) == std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::uint64_t FakeGuest::free_space() {
  begin("free_space");
  return mounted().free_space;
}

bool FakeGuest::is_writable(const std::string& directory) {
  begin("is_writable " + directory);
  if (!is_directory(directory)) throw Error("fake: not a directory: " + directory);
  if (mounted().free_space == 0) throw Error("fake: no space left: " + directory);
  return writable_;
}

void FakeGuest::write_at(const std::string& path, std::uint64_t offset,
                         std::span<const std::byte> bytes) {
  begin_change("write_at " + path);
  std::string& text = content(path);
  text.resize(std::max<std::size_t>(text.size(), offset + bytes.size()));
  std::transform(bytes.begin(), bytes.end(), text.begin() + static_cast<std::ptrdiff_t>(offset),
                 [](std::byte b) { return static_cast<char>(b); });
  if (mounted_->garble_writes) text[offset + bytes.size() - 1] ^= 1;
}

void FakeGuest::write(const std::string& path, std::string_view content) {
  begin_change("write " + path);
  if (!is_directory(parent_of(path))) throw Error("fake: no such directory: " + parent_of(path));
  if (is_directory(path)) throw Error("fake: is a directory: " + path);
  mounted_->files[path] = content;
}

void FakeGuest::make_directory(const std::string& path) {
  begin_change("make_directory " + path);
  if (!is_directory(parent_of(path))) throw Error("fake: no such directory: " + parent_of(path));
  if (paths().contains(path)) throw Error("fake: exists: " + path);
  mounted_->directories.insert(path);
}

void FakeGuest::remove(const std::string& path) {
  begin_change("remove " + path);
  content(path);
  const std::string parent = parent_of(path);
  mounted_->files.erase(path);
  mounted_->private_paths.erase(path);
  mounted_->directories.insert(parent);  // which does not go with its last file
}

void FakeGuest::remove_directory(const std::string& path) {
  begin_change("remove_directory " + path);
  if (!is_directory(path)) throw Error("fake: no such directory: " + path);
  const std::set<std::string> all = paths();
  if (std::any_of(all.begin(), all.end(),
                  [&path](const std::string& p) { return parent_of(p) == path; }))
    throw Error("fake: not empty: " + path);
  mounted_->directories.erase(path);
  mounted_->private_paths.erase(path);
  mounted_->directories.insert(parent_of(path));
}

void FakeGuest::set_private(const std::string& path, guestfs::FileType type) {
  begin_change("set_private " + path);
  const bool is_of_type =
      type == guestfs::FileType::directory ? is_directory(path) : mounted_->files.contains(path);
  if (!is_of_type) throw Error("fake: not of that type: " + path);
  if (!mounted_->forget_privacy) mounted_->private_paths.insert(path);
}

bool FakeGuest::is_private(const std::string& path, guestfs::FileType /*type*/) {
  begin("is_private " + path);
  return mounted().private_paths.contains(path);
}

}  // namespace kvmnet::test

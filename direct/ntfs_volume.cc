// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/ntfs_volume.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>  // the headers of libntfs-3g need it
#include <system_error>
#include <utility>

extern "C" {
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/device.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/layout.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/security.h>
#include <ntfs-3g/unistr.h>
#include <ntfs-3g/volume.h>
}
#undef min
#undef max

#include "direct/error.h"
#include "direct/ntfs_device.h"

namespace kvmnet::direct {
namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};

// libntfs-3g leaves errno alone where it finds a volume damaged without being told by the system.
[[noreturn]] void fail(std::string_view what, int error = errno) {
  throw Error(std::string(what) + ": " + std::generic_category().message(error == 0 ? EIO : error));
}

void check(bool good, std::string_view what) {
  if (!good) fail(what);
}

// A new volume, or null: errno says why.
ntfs_volume* mount(const BlockDevice& block, Access access) {
  ntfs_log_set_handler(ntfs_log_handler_null);  // else it talks to standard error
  ntfs_device* device = make_ntfs_device(block);
  errno = 0;
  // Never with NTFS_MNT_RECOVER or NTFS_MNT_IGNORE_HIBERFILE.
  ntfs_volume* volume = ntfs_device_mount(
      device, access == Access::read_only ? NTFS_MNT_RDONLY | NTFS_MNT_FORENSIC : NTFS_MNT_NONE);
  if (volume == nullptr) {
    const int error = errno;
    ntfs_device_free(device);
    errno = error;
  }
  return volume;
}

// Of a volume that cannot be opened for writing.
NtfsState state_of(int error) {
  if (error == EPERM) return NtfsState::hibernated;
  return error == EOPNOTSUPP ? NtfsState::unclean : NtfsState::damaged;
}

// libntfs-3g does not look at this flag: Windows is to check the volume at its next start.
bool is_dirty(const ntfs_volume& volume) {
  return (le16_to_cpu(volume.flags) & le16_to_cpu(VOLUME_IS_DIRTY)) != 0;
}

FileType type_of(unsigned type) {
  if (type == NTFS_DT_DIR) return FileType::directory;
  return type == NTFS_DT_REG ? FileType::regular : FileType::other;
}

// Windows has more of them than the library has in its enumeration, which is as much as C++ lets
// that hold.
std::uint32_t attributes_of(const ntfs_inode* inode) {
  std::uint32_t attributes = 0;
  static_assert(sizeof attributes == sizeof inode->flags);
  std::memcpy(&attributes, &inode->flags, sizeof attributes);
  return attributes;
}

void set_attributes(ntfs_inode* inode, std::uint32_t attributes) {
  std::memcpy(&inode->flags, &attributes, sizeof attributes);
}

FileType type_of(ntfs_inode* inode) {
  if ((attributes_of(inode) & FILE_ATTR_REPARSE_POINT) != 0) return FileType::other;
  if ((inode->mrec->flags & MFT_RECORD_IS_DIRECTORY) != 0) return FileType::directory;
  // Links and devices of POSIX are files whose content says so.
  return (attributes_of(inode) & FILE_ATTR_SYSTEM) != 0 ? type_of(ntfs_interix_types(inode))
                                                        : FileType::regular;
}

// Its macro for this is no clean C++.
constexpr auto changed_content =
    static_cast<ntfs_time_update_flags>(NTFS_UPDATE_MTIME | NTFS_UPDATE_CTIME);

// A name as it is stored: it need not lie where a number of 16 bits should.
std::vector<ntfschar> units_of(const void* stored, std::size_t length) {
  std::vector<ntfschar> units(length);
  if (length > 0) std::memcpy(units.data(), stored, length * sizeof(ntfschar));
  return units;
}

// Nobody may take another file for the one that has such a name.
void require_name(const std::vector<ntfschar>& units) {
  const auto is_no_part_of_one = [](ntfschar unit) {
    return unit == const_cpu_to_le16(0) || unit == const_cpu_to_le16('/');
  };
  if (units.empty()) throw Error("a name is empty");
  if (std::any_of(units.begin(), units.end(), is_no_part_of_one))
    throw Error("a name has a slash or a NUL in it");
}

std::string to_utf8(const std::vector<ntfschar>& units) {
  require_name(units);
  char* text = nullptr;
  check(ntfs_ucstombs(units.data(), static_cast<int>(units.size()), &text, 0) >= 0,
        "reading a name");
  const std::unique_ptr<char, Free> owned(text);
  return text;
}

// The data of a file, or another attribute without a name.
class Attribute {
 public:
  Attribute(ntfs_inode* inode, ATTR_TYPES type, const std::string& path)
      : attribute_(ntfs_attr_open(inode, type, AT_UNNAMED, 0)) {
    check(attribute_ != nullptr, path);
  }
  ntfs_attr* operator->() const { return attribute_.get(); }
  ntfs_attr* get() const { return attribute_.get(); }

 private:
  struct Close {
    void operator()(ntfs_attr* attribute) const { ntfs_attr_close(attribute); }
  };
  std::unique_ptr<ntfs_attr, Close> attribute_;
};

// A damaged volume may say anything.
std::uint64_t size_of(const Attribute& data, const std::string& path) {
  if (data->data_size < 0) fail(path, EIO);
  return static_cast<std::uint64_t>(data->data_size);
}

void write_all(const Attribute& data, std::uint64_t offset, std::span<const std::byte> bytes,
               const std::string& path) {
  while (!bytes.empty()) {
    const s64 n = ntfs_attr_pwrite(data.get(), static_cast<s64>(offset),
                                   static_cast<s64>(bytes.size()), bytes.data());
    if (n <= 0) fail(path);
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

// As if a user whom the volume does not know had asked: then what is new belongs to Administrators.
struct SecurityContext {
  explicit SecurityContext(ntfs_volume* volume) { context.vol = volume, context.pseccache = &none; }
  PERMISSIONS_CACHE* none = nullptr;
  SECURITY_CONTEXT context{};
};

}  // namespace

// libntfs-3g does not see that an inode is open twice: none may be open while a path is followed.
class NtfsVolume::Inode {
 public:
  Inode(ntfs_volume* volume, MFT_REF reference, const std::string& path)
      : inode_(ntfs_inode_open(volume, reference)) {
    check(inode_ != nullptr, path);
  }
  ntfs_inode* operator->() const { return inode_.get(); }
  ntfs_inode* get() const { return inode_.get(); }
  ntfs_inode* release() { return inode_.release(); }

  // Writes what has changed of it.
  void close(const std::string& path) {
    check(ntfs_inode_close(inode_.release()) == 0, "closing " + path);
  }

 private:
  struct Close {
    void operator()(ntfs_inode* inode) const { ntfs_inode_close(inode); }
  };
  std::unique_ptr<ntfs_inode, Close> inode_;
};

// One element of a path, as NTFS has names.
struct NtfsVolume::Name {
  explicit Name(const std::string& text) {
    constexpr int longest = 255;
    ntfschar* converted = nullptr;
    length = ntfs_mbstoucs(text.c_str(), &converted);
    units.reset(converted);
    check(length >= 0, text);
    if (length == 0 || length > longest) fail(text, ENAMETOOLONG);
  }
  std::unique_ptr<ntfschar, Free> units;
  int length = 0;
};

struct NtfsVolume::Found {
  MFT_REF reference = 0;
  std::string path;  // in the volume's letter case
};

namespace {

// A path is gone through element by element.
class Elements {
 public:
  explicit Elements(std::string_view path) : rest_(path) { skip_slashes(); }
  bool empty() const { return rest_.empty(); }
  std::string next() {
    const std::size_t end = std::min(rest_.find('/'), rest_.size());
    std::string element(rest_.substr(0, end));
    rest_.remove_prefix(end);
    skip_slashes();
    return element;
  }

 private:
  void skip_slashes() { rest_.remove_prefix(std::min(rest_.find_first_not_of('/'), rest_.size())); }
  std::string_view rest_;
};

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1);
}

std::string last_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// The name under which `inode` is in `directory`, as the volume has it: the one that matches `name`
// but for the letter case, else any.
std::string stored_name(ntfs_inode* inode, ntfs_inode* directory, const ntfschar* name,
                        int length) {
  struct Close {
    void operator()(ntfs_attr_search_ctx* search) const { ntfs_attr_put_search_ctx(search); }
  };
  const std::unique_ptr<ntfs_attr_search_ctx, Close> search(
      ntfs_attr_get_search_ctx(inode, nullptr));
  check(search != nullptr, "reading a name");
  std::string found;
  while (ntfs_attr_lookup(AT_FILE_NAME, AT_UNNAMED, 0, CASE_SENSITIVE, 0, nullptr, 0,
                          search.get()) == 0) {
    const auto* stored = reinterpret_cast<const FILE_NAME_ATTR*>(
        reinterpret_cast<const char*>(search->attr) + le16_to_cpu(search->attr->value_offset));
    if (MREF_LE(stored->parent_directory) != directory->mft_no) continue;
    const auto units =
        units_of(reinterpret_cast<const char*>(stored) + offsetof(FILE_NAME_ATTR, file_name),
                 stored->file_name_length);
    const bool matches =
        ntfs_names_are_equal(name, static_cast<std::size_t>(length), units.data(), units.size(),
                             IGNORE_CASE, inode->vol->upcase, inode->vol->upcase_len) != 0;
    if (matches || found.empty()) found = to_utf8(units);
    if (matches) break;
  }
  check(!found.empty(), "reading a name");
  return found;
}

// What ntfs_readdir() tells of a directory.
struct Listing {
  std::vector<DirectoryEntry> entries;
  std::string problem;
};

// Called by it for each name; another result than 0 ends the listing.
int add_entry(void* listing, const ntfschar* name, const int length, const int name_space,
              const s64 /*position*/, const MFT_REF /*reference*/, const unsigned type) {
  auto& into = *static_cast<Listing*>(listing);
  // The short name of what has another one, too.
  if (name_space == FILE_NAME_DOS) return 0;
  try {
    const std::string text = to_utf8(units_of(name, static_cast<std::size_t>(length)));
    if (text == "." || text == "..") return 0;
    into.entries.push_back({text, type_of(type)});
    return 0;
  } catch (const std::exception& e) {
    into.problem = e.what();
    return -1;
  }
}

}  // namespace

void NtfsVolume::Release::operator()(_ntfs_volume* volume) const {
  ntfs_umount(volume, FALSE);
}

NtfsState NtfsVolume::state(const BlockDevice& device) {
  const std::unique_ptr<ntfs_volume, Release> volume(mount(device, Access::read_write));
  if (!volume) return state_of(errno);
  return is_dirty(*volume) ? NtfsState::unclean : NtfsState::clean;
}

NtfsVolume::NtfsVolume(const BlockDevice& device, Access access)
    : block_(std::make_unique<BlockDevice>(device)) {
  volume_.reset(mount(*block_, access));
  check(volume_ != nullptr, "opening the NTFS");
  if (access == Access::read_write && is_dirty(*volume_))
    throw Error("opening the NTFS: it is to be checked first");
  // Its own files, as $MFT, are not for us.
  ntfs_set_shown_files(volume_.get(), FALSE, TRUE, FALSE);
}

NtfsVolume::~NtfsVolume() = default;

// libntfs-3g would change what it has in memory, and say nothing.
void NtfsVolume::require_writable(const std::string& path) const {
  if (NVolReadOnly(volume_.get())) fail(path, EROFS);
}

void NtfsVolume::close() {
  check(ntfs_umount(volume_.release(), FALSE) == 0, "closing the NTFS");
}

// The index of a directory is sorted without regard to case, so either way it is searched fast.
std::optional<std::uint64_t> NtfsVolume::look_up(Inode& directory, const Name& name,
                                                 bool exactly) const {
  constexpr unsigned long case_sensitive = 1UL << NV_CaseSensitive;
  if (!exactly) volume_->state &= ~case_sensitive;
  errno = 0;
  const MFT_REF reference =
      ntfs_inode_lookup_by_name(directory.get(), name.units.get(), name.length);
  const int error = errno;
  volume_->state |= case_sensitive;
  if (reference != static_cast<MFT_REF>(-1)) return reference;
  if (error != ENOENT) fail("reading a directory", error);
  return std::nullopt;
}

std::optional<NtfsVolume::Found> NtfsVolume::find(const std::string& path) const {
  Found found = {FILE_root, path.starts_with('/') ? "" : throw Error(path + ": is no path")};
  for (Elements elements(path); !elements.empty();) {
    const std::string element = elements.next();
    const Name name(element);
    Inode directory(volume_.get(), found.reference, path);
    if (type_of(directory.get()) != FileType::directory) return std::nullopt;
    const auto exact = look_up(directory, name, true);
    const auto reference = exact ? exact : look_up(directory, name, false);
    if (!reference) return std::nullopt;
    const Inode inode(volume_.get(), *reference, path);
    found.reference = *reference;
    found.path +=
        "/" + (exact ? element
                     : stored_name(inode.get(), directory.get(), name.units.get(), name.length));
  }
  if (found.path.empty()) found.path = "/";
  return found;
}

NtfsVolume::Inode NtfsVolume::open(const std::string& path) const {
  const auto found = find(path);
  if (!found) fail(path, ENOENT);
  return {volume_.get(), found->reference, path};
}

NtfsVolume::Inode NtfsVolume::open_file(const std::string& path) const {
  Inode inode = open(path);
  if (type_of(inode.get()) != FileType::regular || inode->mft_no < FILE_first_user)
    throw Error(path + ": is not a regular file");
  return inode;
}

std::optional<std::string> NtfsVolume::resolve(const std::string& path) {
  const auto found = find(path);
  return found ? std::optional(found->path) : std::nullopt;
}

std::vector<DirectoryEntry> NtfsVolume::list(const std::string& directory) {
  const Inode inode = open(directory);
  if (type_of(inode.get()) != FileType::directory) fail(directory, ENOTDIR);
  Listing listing;
  s64 position = 0;
  errno = 0;
  if (ntfs_readdir(inode.get(), &position, &listing, add_entry) != 0) {
    if (!listing.problem.empty()) throw Error(directory + ": " + listing.problem);
    fail(directory);
  }
  return std::move(listing.entries);
}

std::uint64_t NtfsVolume::size(const std::string& path) {
  const Inode inode = open_file(path);
  return size_of(Attribute(inode.get(), AT_DATA, path), path);
}

std::vector<std::byte> NtfsVolume::read_at(const std::string& path, std::uint64_t offset,
                                           std::size_t size) {
  const Inode inode = open_file(path);
  const Attribute data(inode.get(), AT_DATA, path);
  const std::uint64_t end = size_of(data, path);
  std::vector<std::byte> bytes(offset < end ? std::min<std::uint64_t>(size, end - offset) : 0);
  for (std::size_t done = 0; done < bytes.size();) {
    errno = 0;
    const s64 n = ntfs_attr_pread(data.get(), static_cast<s64>(offset + done),
                                  static_cast<s64>(bytes.size() - done), bytes.data() + done);
    if (n <= 0) fail(path);
    done += static_cast<std::size_t>(n);
  }
  return bytes;
}

std::optional<std::vector<Extent>> NtfsVolume::extents(const std::string& path) {
  const Inode inode = open_file(path);
  const Attribute data(inode.get(), AT_DATA, path);
  const auto flags = static_cast<unsigned>(le16_to_cpu(data->data_flags));
  const auto plain_flags = static_cast<unsigned>(le16_to_cpu(ATTR_IS_SPARSE)) |
                           static_cast<unsigned>(le16_to_cpu(ATTR_IS_ENCRYPTED)) |
                           static_cast<unsigned>(le16_to_cpu(ATTR_COMPRESSION_MASK));
  if (NAttrNonResident(data.get()) == 0 || (flags & plain_flags) != 0 ||
      data->initialized_size != data->data_size)
    return std::nullopt;
  check(ntfs_attr_map_whole_runlist(data.get()) == 0, path);
  std::vector<Extent> extents;
  std::uint64_t left = size_of(data, path);
  for (const runlist_element* run = data->rl; left > 0; ++run) {
    if (run == nullptr || run->length <= 0) fail(path, EIO);
    if (run->lcn < 0) return std::nullopt;
    // libntfs-3g does not look at that before somebody reads there.
    if (run->lcn > volume_->nr_clusters || run->length > volume_->nr_clusters - run->lcn)
      fail(path, EIO);
    const unsigned bits = volume_->cluster_size_bits;
    const auto length = std::min(left, static_cast<std::uint64_t>(run->length) << bits);
    extents.push_back({static_cast<std::uint64_t>(run->lcn) << bits, length});
    left -= length;
  }
  return extents;
}

void NtfsVolume::write_at(const std::string& path, std::uint64_t offset,
                          std::span<const std::byte> bytes) {
  require_writable(path);
  Inode inode = open_file(path);
  {
    const Attribute data(inode.get(), AT_DATA, path);
    write_all(data, offset, bytes, path);
    // Of a compressed file the end is written now.
    check(ntfs_attr_pclose(data.get()) == 0, path);
  }
  set_attributes(inode.get(), attributes_of(inode.get()) | FILE_ATTR_ARCHIVE);
  NInoFileNameSetDirty(inode.get());
  ntfs_inode_update_times(inode.get(), changed_content);
  inode.close(path);
}

void NtfsVolume::write(const std::string& path, std::string_view content) {
  require_writable(path);
  if (!find(path)) create(path, S_IFREG);
  {
    Inode inode = open_file(path);
    check(ntfs_attr_truncate(Attribute(inode.get(), AT_DATA, path).get(), 0) == 0, path);
    inode.close(path);
  }
  write_at(path, 0, std::as_bytes(std::span(content)));
}

std::uint64_t NtfsVolume::free_space() {
  if (ntfs_volume_get_free_space(volume_.get()) != 0) fail("/", errno);
  return static_cast<std::uint64_t>(volume_->free_clusters) << volume_->cluster_size_bits;
}

void NtfsVolume::make_directory(const std::string& path) {
  if (find(path)) fail(path, EEXIST);
  create(path, S_IFDIR);
}

void NtfsVolume::create(const std::string& path, unsigned kind) {
  require_writable(path);
  const Name name(last_of(path));
  Inode directory = open(parent_of(path));
  if (type_of(directory.get()) != FileType::directory) fail(path, ENOTDIR);
  SecurityContext security(volume_.get());
  const le32 descriptor =
      ntfs_inherited_id(&security.context, directory.get(), kind == S_IFDIR ? TRUE : FALSE);
  ntfs_inode* inode = ntfs_create(directory.get(), descriptor, name.units.get(),
                                  static_cast<u8>(name.length), kind);
  check(inode != nullptr, path);
  check(ntfs_inode_close_in_dir(inode, directory.get()) == 0, path);
  ntfs_inode_update_times(directory.get(), changed_content);
  directory.close(parent_of(path));
}

void NtfsVolume::remove(const std::string& path) {
  require_writable(path);
  const Name name(last_of(path));
  Inode inode = open(path);
  if (inode->mft_no < FILE_first_user) fail(path, EPERM);
  Inode directory = open(parent_of(path));
  // It closes both, whatever happens.
  check(ntfs_delete(volume_.get(), nullptr, inode.release(), directory.release(), name.units.get(),
                    static_cast<u8>(name.length)) == 0,
        path);
}

std::string NtfsVolume::descriptor(const std::string& path) {
  const Inode inode = open(path);
  SecurityContext security(volume_.get());
  constexpr std::size_t largest = 65536;
  std::string bytes(largest, '\0');
  const int size = ntfs_get_ntfs_acl(&security.context, inode.get(), bytes.data(), bytes.size());
  if (size <= 0 || static_cast<std::size_t>(size) > largest)
    fail(path, size < 0 ? -size : EOVERFLOW);
  bytes.resize(static_cast<std::size_t>(size));
  return bytes;
}

void NtfsVolume::set_descriptor(const std::string& path, const std::string& descriptor) {
  require_writable(path);
  Inode inode = open(path);
  SecurityContext security(volume_.get());
  check(ntfs_set_ntfs_acl(&security.context, inode.get(), descriptor.data(), descriptor.size(),
                          0) == 0,
        path);
  ntfs_inode_update_times(inode.get(), NTFS_UPDATE_CTIME);
  inode.close(path);
}

}  // namespace kvmnet::direct

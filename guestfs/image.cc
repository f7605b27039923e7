// SPDX-License-Identifier: GPL-2.0-or-later
#include "guestfs/image.h"

#include <fmt/format.h>
#include <guestfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>

#include "guestfs/appliance_parts.h"
#include "ntfs/security_descriptor.h"
#include "ntfs/volume_flags.h"

namespace kvmnet::guestfs {
namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};
using CString = std::unique_ptr<char, Free>;

// A NULL-terminated list of strings from libguestfs.
std::vector<std::string> take_strings(char** list) {
  std::vector<std::string> strings;
  for (char** s = list; *s != nullptr; ++s) {
    strings.emplace_back(*s);
    std::free(*s);
  }
  std::free(list);
  return strings;
}

// The name under which libguestfs opens one of our own descriptors.
std::string fd_path(int fd) {
  return fmt::format("/dev/fd/{}", fd);
}

// Sets the appliance's shell variable `f` to a path on the mounted volume. The path may be the
// guest's work: it reaches the command as numbers only, and the shell never parses what they stand
// for. The last "x" keeps line ends that $(...) would drop.
std::string with_path(const std::string& path) {
  const std::string whole = "/sysroot" + path + "x";
  std::string command = "f=$(printf '";
  for (const std::byte byte : std::as_bytes(std::span(whole)))
    command += fmt::format("\\{:03o}", std::to_integer<unsigned>(byte));
  return command + "'); f=${f%x}; ";
}

std::string hex(const std::string& bytes) {
  std::string text = "0x";
  for (const std::byte byte : std::as_bytes(std::span(bytes)))
    text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

std::string private_descriptor(FileType type) {
  return ntfs::private_descriptor(type == FileType::directory ? ntfs::Kind::directory
                                                              : ntfs::Kind::file);
}

// "/dev/sda1" is one of "/dev/sda"; "/dev/sdaa1" is not.
bool is_partition_of(const std::string& device, const std::string& disk) {
  return device.starts_with(disk) && device.size() > disk.size() && device[disk.size()] >= '0' &&
         device[disk.size()] <= '9';
}

// The appliance's name of the n-th disk: sda to sdz, then sdaa.
std::string disk_name(std::size_t index) {
  std::string letters;
  for (std::size_t n = index + 1; n > 0; n = (n - 1) / 26)
    letters.insert(letters.begin(), static_cast<char>('a' + (n - 1) % 26));
  return "/dev/sd" + letters;
}

void print_message(guestfs_h* /*handle*/, void* /*opaque*/, std::uint64_t /*event*/,
                   int /*event_handle*/, int /*flags*/, const char* text, std::size_t size,
                   const std::uint64_t* /*array*/, std::size_t /*array_size*/) {
  std::fwrite(text, 1, size, stderr);
  std::fputc('\n', stderr);
}

void collect_message(guestfs_h* /*handle*/, void* messages, const char* text) {
  static_cast<std::vector<std::string>*>(messages)->emplace_back(text);
}

// The most telling of libguestfs' messages about a failed launch, as one line.
std::string launch_problem(const std::vector<std::string>& messages) {
  std::string best = "no reason given";
  for (const std::string& message : messages) {
    const std::string line = message.substr(0, message.find_first_of("\n,"));
    if (!line.starts_with("guestfs_launch failed")) best = line;
  }
  const std::string missing = missing_parts();
  return missing.empty() ? best : fmt::format("{}; this host lacks {}", best, missing);
}

}  // namespace

void Image::Close::operator()(guestfs_h* handle) const {
  guestfs_close(handle);
}

Image::Image(const std::vector<Drive>& drives, const LaunchOptions& options)
    : handle_(guestfs_create()), drives_(drives.size()) {
  if (!handle_) throw Error("libguestfs could not be initialised");
  guestfs_h* g = handle_.get();
  // Errors are thrown from here with the handle's own message; nothing is printed. What is said
  // before a launch fails tells more than the last message.
  std::vector<std::string> messages;
  guestfs_set_error_handler(g, collect_message, &messages);
  guestfs_set_verbose(g, options.verbose ? 1 : 0);
  guestfs_set_trace(g, options.trace ? 1 : 0);
  guestfs_set_event_callback(g, print_message, GUESTFS_EVENT_TRACE, 0, nullptr);
  // A Ctrl-C at the terminal is for kvmnet, which then stops the appliance in an orderly way.
  check(guestfs_set_pgroup(g, 1), "preparing the appliance");
  // Direct, whatever LIBGUESTFS_BACKEND says: the drive setting below is QEMU's own.
  check(guestfs_set_backend(g, "direct"), "preparing the appliance");
  if (!options.temporary_directory.empty()) use_temporary_directory(options.temporary_directory);
  if (options.accelerator != Accelerator::environment) {
    const char* setting = options.accelerator == Accelerator::kvm ? "force_kvm" : "force_tcg";
    check(guestfs_set_backend_setting(g, setting, "1"), "preparing the appliance");
  }
  for (std::size_t i = 0; i < drives.size(); ++i) {
    check(guestfs_add_drive_opts(g, drives[i].path.c_str(),                                //
                                 GUESTFS_ADD_DRIVE_OPTS_FORMAT, drives[i].format.c_str(),  //
                                 GUESTFS_ADD_DRIVE_OPTS_CACHEMODE,
                                 options.throw_away ? "unsafe" : "writeback",  //
                                 -1),
          "adding " + drives[i].path);
    // Without this QEMU stops the appliance for ever when the host's disk is full.
    check(guestfs_config(g, "-set", fmt::format("drive.hd{}.werror=report", i).c_str()),
          "preparing the appliance");
  }
  const int launched = guestfs_launch(g);
  guestfs_set_error_handler(g, nullptr, nullptr);
  if (launched == -1) throw LaunchError(launch_problem(messages));
}

// QEMU keeps what the appliance writes to its own system in a file in TMPDIR, and leaves that where
// it is killed before it has removed its name. The appliance stays in libguestfs' cache, which is
// found by TMPDIR, too.
void Image::use_temporary_directory(const std::string& path) {
  guestfs_h* g = handle_.get();
  const CString cache(guestfs_get_cachedir(g));
  if (!cache) fail("preparing the appliance");
  check(guestfs_set_cachedir(g, cache.get()), "preparing the appliance");
  check(guestfs_set_tmpdir(g, path.c_str()), "preparing the appliance");
  ::setenv("TMPDIR", path.c_str(), 1);
}

pid_t Image::process() const {
  const int process = guestfs_get_pid(handle_.get());
  check(process, "looking for QEMU");
  return process;
}

std::string Image::appliance_directory() const {
  const CString cache(guestfs_get_cachedir(handle_.get()));
  if (!cache) fail("looking for the appliance");
  return fmt::format("{}/.guestfs-{}", cache.get(), ::geteuid());
}

Image::~Image() = default;

void Image::finish() {
  unmount();
  check(guestfs_shutdown(handle_.get()), "stopping the appliance");
  handle_.reset();
}

// guestfs_sync and guestfs_shutdown flush the disks, too, but keep to themselves whether that
// succeeded (libguestfs 1.48.6, daemon/sync.c), and QEMU ends with status 0 even if it could not
// write its tables. sync(1) reports it. libguestfs translates the names of disks in calls of its
// API, but not for a shell, and the appliance's kernel may number its disks (one of them is the
// appliance's own) in another order than they were added: so all of them.
void Image::flush() {
  for (const std::string& device : unlocked_)
    shell("sync " + device, "writing the changes to an encrypted volume");
  shell("sync /dev/sd*", "writing the changes to the host's disk");
}

std::string Image::shell(std::string command, std::string_view what) const {
  std::array<char*, 2> arguments = {command.data(), nullptr};
  const CString output(guestfs_debug(handle_.get(), "sh", arguments.data()));
  if (!output) fail(what);
  return output.get();
}

std::string Image::last_error() const {
  const char* text = guestfs_last_error(handle_.get());
  return text != nullptr ? text : "unknown error";
}

int Image::last_errno() const {
  return guestfs_last_errno(handle_.get());
}

void Image::fail(std::string_view what) const {
  throw Error(fmt::format("{}: {}", what, last_error()));
}

void Image::check(int result, std::string_view what) const {
  if (result == -1) fail(what);
}

std::vector<Volume> Image::volumes() {
  // Not guestfs_list_filesystems: it also looks for LVM, MD and LDM, which takes seconds. Nor
  // guestfs_list_devices and guestfs_vfs_type, which start programs: the names of the disks follow
  // from their number, and a boot sector says if it is NTFS.
  char** partitions = guestfs_list_partitions(handle_.get());
  if (partitions == nullptr) fail("listing partitions");
  std::vector<std::string> devices = take_strings(partitions);
  for (std::size_t i = 0; i < drives_; ++i) {
    const std::string disk = disk_name(i);
    const bool has_partitions =
        std::any_of(devices.begin(), devices.end(),
                    [&disk](const std::string& device) { return is_partition_of(device, disk); });
    if (!has_partitions) devices.push_back(disk);
  }
  std::vector<Volume> volumes;
  for (const std::string& device : devices) volumes.push_back({device, content_of(device)});
  return volumes;
}

Content Image::content_of(const std::string& device) const {
  const std::string start = bytes_of(device, 0, ntfs::boot_sector_size);
  const std::string name = start.substr(std::min<std::size_t>(start.size(), 3), 8);
  if (name == "NTFS    ") return Content::ntfs;
  if (name == "-FVE-FS-") return Content::bitlocker;
  return start.starts_with("LUKS\xba\xbe") ? Content::luks : Content::other;
}

// Fewer, where the device ends.
std::string Image::bytes_of(const std::string& device, std::uint64_t offset,
                            std::size_t size) const {
  const CString bytes(guestfs_pread_device(handle_.get(), device.c_str(), static_cast<int>(size),
                                           static_cast<std::int64_t>(offset), &size));
  if (!bytes) fail("reading " + device);
  return {bytes.get(), size};
}

std::string Image::uuid(const std::string& device) {
  const CString found(guestfs_vfs_uuid(handle_.get(), device.c_str()));
  return found ? found.get() : "";
}

// The key goes to the appliance over its socket, and libguestfs leaves it out of its own trace.
// That the key is wrong cannot be told from other failures.
std::optional<Volume> Image::unlock(const std::string& device, const std::string& key) {
  const std::string name = fmt::format("kvmnet{}", unlocked_.size());
  if (guestfs_cryptsetup_open(handle_.get(), device.c_str(), key.c_str(), name.c_str(), -1) == -1)
    return std::nullopt;
  unlocked_.push_back("/dev/mapper/" + name);
  return Volume{unlocked_.back(), content_of(unlocked_.back())};
}

NtfsState Image::ntfs_state(const std::string& device) {
  // The exit statuses of ntfs-3g.probe(8).
  constexpr int hibernated = 14;
  constexpr int unclean = 15;
  const int status = guestfs_ntfs_3g_probe(handle_.get(), 1, device.c_str());
  if (status == -1) fail("checking " + device);
  if (status == 0) return state_of_clean_journal(device);
  if (status == hibernated) return NtfsState::hibernated;
  return status == unclean ? NtfsState::unclean : NtfsState::damaged;
}

// ntfs-3g.probe does not look at the volume's flags.
NtfsState Image::state_of_clean_journal(const std::string& device) const {
  const auto place = ntfs::place_of_volume_record(bytes_of(device, 0, ntfs::boot_sector_size));
  if (!place) return NtfsState::damaged;
  const auto flags = ntfs::volume_flags(bytes_of(device, place->offset, place->size));
  if (!flags) return NtfsState::damaged;
  return (*flags & ntfs::volume_is_dirty) != 0 ? NtfsState::unclean : NtfsState::clean;
}

void Image::mount(const std::string& device, Access access) {
  // norecover: an unclean journal is never emptied behind our back. permissions and inherit: new
  // files get the security descriptor that Windows would give them in their directory.
  const char* options = access == Access::read_only    ? "ro"
                        : access == Access::read_write ? "norecover,permissions,inherit"
                                                       : "recover,permissions,inherit";
  check(guestfs_mount_options(handle_.get(), options, device.c_str(), "/"), "mounting " + device);
  written_ = written_ || access != Access::read_only;
}

void Image::unmount() {
  check(guestfs_umount_all(handle_.get()), "unmounting");
  if (!written_) return;
  flush();
  check(guestfs_drop_caches(handle_.get(), 3), "unmounting");
}

bool Image::exists(const std::string& path) const {
  const int there = guestfs_exists(handle_.get(), path.c_str());
  check(there, "looking for " + path);
  return there != 0;
}

std::optional<std::string> Image::resolve(const std::string& path) {
  if (exists(path)) return path;
  // case_sensitive_path accepts a missing last element only; a missing parent is an error that
  // cannot be told from a failing disk. So element by element.
  std::string found;
  std::size_t end = 0;
  while (end < path.size()) {
    const std::size_t start = end;
    end = std::min(path.find('/', start + 1), path.size());
    const std::string wanted = found + path.substr(start, end - start);
    const CString actual(guestfs_case_sensitive_path(handle_.get(), wanted.c_str()));
    if (!actual) fail("looking for " + wanted);
    found = actual.get();
    const bool is_parent = end < path.size();
    if (!exists(is_parent ? found + "/." : found)) return std::nullopt;
  }
  return found;
}

std::vector<DirectoryEntry> Image::list(const std::string& directory) {
  struct FreeList {
    void operator()(guestfs_dirent_list* list) const { guestfs_free_dirent_list(list); }
  };
  const std::unique_ptr<guestfs_dirent_list, FreeList> found(
      guestfs_readdir(handle_.get(), directory.c_str()));
  if (!found) fail("listing " + directory);
  std::vector<DirectoryEntry> entries;
  for (const guestfs_dirent& entry : std::span(found->val, found->len)) {
    const std::string name = entry.name;
    if (name == "." || name == "..") continue;
    const FileType type = entry.ftyp == 'd'   ? FileType::directory
                          : entry.ftyp == 'r' ? FileType::regular
                                              : FileType::other;
    entries.push_back({name, type});
  }
  return entries;
}

std::uint64_t Image::size(const std::string& path) {
  const std::int64_t bytes = guestfs_filesize(handle_.get(), path.c_str());
  if (bytes < 0) fail("reading " + path);
  return static_cast<std::uint64_t>(bytes);
}

std::vector<std::byte> Image::read_at(const std::string& path, std::uint64_t offset,
                                      std::size_t size) {
  constexpr std::size_t largest_reply = 2 << 20;  // libguestfs' messages end at 4 MiB
  std::vector<std::byte> bytes;
  while (size > 0) {
    std::size_t got = 0;
    const CString part(guestfs_pread(handle_.get(), path.c_str(),
                                     static_cast<int>(std::min(size, largest_reply)),
                                     static_cast<std::int64_t>(offset), &got));
    if (!part) fail("reading " + path);
    if (got == 0) break;
    const auto data = std::as_bytes(std::span(part.get(), got));
    bytes.insert(bytes.end(), data.begin(), data.end());
    offset += got;
    size -= std::min(size, got);
  }
  return bytes;
}

void Image::download(const std::string& path, int fd) {
  check(guestfs_download(handle_.get(), path.c_str(), fd_path(fd).c_str()), "reading " + path);
}

bool Image::has_content(const std::string& path, std::span<const std::byte> bytes,
                        const std::vector<FilePart>& /*changed*/) {
  constexpr std::size_t step = 2 << 20;  // one message
  if (size(path) != bytes.size()) return false;
  for (std::size_t done = 0; done < bytes.size(); done += step) {
    const auto wanted = bytes.subspan(done, std::min(step, bytes.size() - done));
    const auto found = read_at(path, done, wanted.size());
    if (!std::equal(found.begin(), found.end(), wanted.begin(), wanted.end())) return false;
  }
  return true;
}

std::uint64_t Image::free_space() {
  struct FreeStatvfs {
    void operator()(struct guestfs_statvfs* found) const { guestfs_free_statvfs(found); }
  };
  const std::unique_ptr<struct guestfs_statvfs, FreeStatvfs> found(
      guestfs_statvfs(handle_.get(), "/"));
  if (!found) fail("asking for the free space");
  return static_cast<std::uint64_t>(found->bavail) * static_cast<std::uint64_t>(found->bsize);
}

bool Image::is_writable(const std::string& directory) {
  std::string file = directory + "/kvmnet-write-test";
  while (resolve(file)) file += '-';  // the guest's own
  if (guestfs_write(handle_.get(), file.c_str(), "", 0) == -1) {
    if (last_errno() == EROFS) return false;
    fail("writing to " + directory);
  }
  remove(file);
  return true;
}

void Image::write_at(const std::string& path, std::uint64_t offset,
                     std::span<const std::byte> bytes) {
  constexpr std::size_t largest_call = 2 << 20;  // libguestfs' messages end at 4 MiB
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), largest_call);
    const int written =
        guestfs_pwrite(handle_.get(), path.c_str(), reinterpret_cast<const char*>(bytes.data()),
                       size, static_cast<std::int64_t>(offset));
    check(written, "writing " + path);
    if (written == 0) throw Error("writing " + path + ": nothing was written");
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void Image::write(const std::string& path, std::string_view content) {
  check(guestfs_write(handle_.get(), path.c_str(), content.data(), content.size()),
        "writing " + path);
}

void Image::make_directory(const std::string& path) {
  check(guestfs_mkdir_mode(handle_.get(), path.c_str(), 0755), "creating " + path);
}

void Image::remove(const std::string& path) {
  check(guestfs_rm(handle_.get(), path.c_str()), "removing " + path);
}

void Image::remove_directory(const std::string& path) {
  check(guestfs_rmdir(handle_.get(), path.c_str()), "removing " + path);
}

// guestfs_setxattr cannot carry a descriptor: its value ends at the first NUL. -h: a link that the
// guest has put there is not followed.
void Image::set_private(const std::string& path, FileType type) {
  shell(with_path(path) + "setfattr -h -n system.ntfs_acl -v " + hex(private_descriptor(type)) +
            " \"$f\"",
        "setting the permissions of " + path);
}

bool Image::is_private(const std::string& path, FileType type) {
  const std::string output =
      shell(with_path(path) + "getfattr -h --absolute-names -n system.ntfs_acl -e hex \"$f\"",
            "reading the permissions of " + path);
  // The last line of what getfattr says; guestfs_debug drops its line end.
  const std::string wanted = "\nsystem.ntfs_acl=" + hex(private_descriptor(type));
  return output.substr(0, output.find_last_not_of('\n') + 1).ends_with(wanted);
}

}  // namespace kvmnet::guestfs

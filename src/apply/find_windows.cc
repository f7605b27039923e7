// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/find_windows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "hive/value.h"

namespace kvmnet {
namespace {

using guestfs::GuestFiles;

void search_volume(GuestFiles& guest, const std::string& device, std::vector<WindowsRoot>& roots) {
  for (const guestfs::DirectoryEntry& entry : guest.list("/")) {
    if (entry.type != guestfs::FileType::directory)
      continue;  // a junction leads to one seen anyway
    const std::string config = "/" + entry.name + "/System32/config/";
    if (guest.resolve(config + "SYSTEM") && guest.resolve(config + "SOFTWARE"))
      roots.push_back({device, "/" + entry.name});
  }
}

std::string list_roots(const std::vector<WindowsRoot>& roots) {
  std::vector<std::string> texts;
  for (const WindowsRoot& root : roots)
    texts.push_back(fmt::format("{} ({})", root.device, hive::escaped(root.directory)));
  return fmt::format("{}", fmt::join(texts, ", "));
}

Refusal no_windows(const Search& search) {
  if (search.locked) return *search.locked;
  // It may have one; that another volume has none is no news then.
  if (!search.problems.empty())
    return {Reason::damaged_ntfs, fmt::format("no Windows found, and not every volume can be "
                                              "looked into: {}",
                                              fmt::join(search.problems, "; "))};
  std::vector<std::string> texts;
  for (const guestfs::Volume& volume : search.volumes) {
    const bool ntfs = volume.content == guestfs::Content::ntfs;
    texts.push_back(fmt::format("{} ({})", volume.device, ntfs ? "NTFS" : "not NTFS"));
  }
  std::string message = "no Windows found: no directory with the hives SYSTEM and SOFTWARE";
  message += texts.empty() ? "; the disk has no volumes"
                           : fmt::format("; volumes: {}", fmt::join(texts, ", "));
  return {Reason::no_windows, message};
}

// Its device or its UUID, which not every way to a guest's files can tell.
bool is_for(const VolumeKey& key, const std::string& device, GuestFiles& guest) {
  if (key.volume.empty() || key.volume == "all" || key.volume == device) return true;
  return !key.volume.starts_with("/dev/") && key.volume == guest.uuid(device);
}

bool is_encrypted(const guestfs::Volume& volume) {
  return volume.content == guestfs::Content::bitlocker || volume.content == guestfs::Content::luks;
}

// The volume inside an encrypted one; else why it stays closed.
std::variant<guestfs::Volume, Refusal> unlock(GuestFiles& guest, const guestfs::Volume& volume,
                                              const std::vector<VolumeKey>& keys) {
  const std::string what =
      fmt::format("{} is encrypted with {}", volume.device,
                  volume.content == guestfs::Content::luks ? "LUKS" : "BitLocker");
  bool tried = false;
  for (const VolumeKey& key : keys) {
    if (!is_for(key, volume.device, guest)) continue;
    tried = true;
    if (auto inner = guest.unlock(volume.device, key.key)) return *inner;
  }
  if (tried)
    return Refusal{Reason::wrong_key, what + ", and no key that was given for it opens it"};
  return Refusal{Reason::encrypted_volume, what + ", and no other volume has a Windows"};
}

void unlock_volumes(GuestFiles& guest, const std::vector<VolumeKey>& keys, Search& search) {
  for (guestfs::Volume& volume : search.volumes) {
    if (!is_encrypted(volume)) continue;
    auto opened = unlock(guest, volume, keys);
    if (auto* refusal = std::get_if<Refusal>(&opened))
      search.locked = std::move(*refusal);  // a Windows beside it may be open
    else
      volume = std::get<guestfs::Volume>(opened);
  }
}

}  // namespace

Search find_windows(GuestFiles& guest, const std::vector<VolumeKey>& keys) {
  Search search;
  search.volumes = guest.volumes();
  unlock_volumes(guest, keys, search);
  for (const guestfs::Volume& volume : search.volumes) {
    if (volume.content != guestfs::Content::ntfs) continue;
    bool mounted = false;
    try {
      guest.mount(volume.device, guestfs::Access::read_only);
      mounted = true;
      search_volume(guest, volume.device, search.roots);
    } catch (const guestfs::Error& e) {
      // A damaged data volume must not hide a sound Windows beside it.
      const std::string what = hive::escaped(e.what());
      search.problems.push_back(
          what.starts_with(volume.device + ": ") ? what : volume.device + ": " + what);
    }
    if (mounted) guest.unmount();
  }
  return search;
}

std::variant<WindowsRoot, Refusal> choose_root(const Search& search, const std::string& selector) {
  const auto& roots = search.roots;
  if (roots.empty()) return no_windows(search);
  if (selector == "first") return roots.front();
  if (selector == "single") {
    if (roots.size() == 1) return roots.front();
    return Refusal{Reason::several_windows,
                   fmt::format("the disk has {} Windows: {}", roots.size(), list_roots(roots))};
  }
  std::vector<WindowsRoot> on_device;
  for (const WindowsRoot& root : roots)
    if (root.device == selector || root.device + ":" + root.directory == selector)
      on_device.push_back(root);
  if (on_device.size() == 1) return on_device.front();
  if (on_device.empty())
    return Refusal{Reason::no_such_root,
                   fmt::format("no Windows on {}; there is {}", selector, list_roots(roots))};
  return Refusal{Reason::several_windows, fmt::format("{} has {} Windows: {}", selector,
                                                      on_device.size(), list_roots(on_device))};
}

}  // namespace kvmnet

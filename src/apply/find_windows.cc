// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/find_windows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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
  std::vector<std::string> texts;
  for (const guestfs::Volume& volume : search.volumes) {
    if (volume.content == guestfs::Content::bitlocker)
      return {Reason::encrypted_volume,
              fmt::format("{} is encrypted with BitLocker, and no other volume has a Windows",
                          volume.device)};
    const bool ntfs = volume.content == guestfs::Content::ntfs;
    texts.push_back(fmt::format("{} ({})", volume.device, ntfs ? "NTFS" : "not NTFS"));
  }
  std::string message = "no Windows found: no directory with the hives SYSTEM and SOFTWARE";
  message += texts.empty() ? "; the disk has no volumes"
                           : fmt::format("; volumes: {}", fmt::join(texts, ", "));
  for (const std::string& problem : search.problems) message += "; " + problem;
  return {Reason::no_windows, message};
}

}  // namespace

Search find_windows(GuestFiles& guest) {
  Search search;
  search.volumes = guest.volumes();
  for (const guestfs::Volume& volume : search.volumes) {
    if (volume.content != guestfs::Content::ntfs) continue;
    bool mounted = false;
    try {
      guest.mount(volume.device, guestfs::Access::read_only);
      mounted = true;
      search_volume(guest, volume.device, search.roots);
    } catch (const guestfs::Error& e) {
      // A damaged data volume must not hide a sound Windows beside it.
      search.problems.push_back(fmt::format("{}: {}", volume.device, hive::escaped(e.what())));
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

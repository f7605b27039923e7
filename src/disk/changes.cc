// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/changes.h"

#include <algorithm>
#include <span>

#include "src/disk/sha256.h"

namespace kvmnet::disk {
namespace {

constexpr std::size_t sector = 512;
constexpr std::size_t chunk = 1 << 20;

// What the image has where the overlay has `new_bytes`.
void read_before(ServedDisk& image, std::uint64_t offset, std::span<const std::byte> /*new_bytes*/,
                 std::span<std::byte> into) {
  image.read(offset, into);
}
void read_before(const Originals& originals, std::uint64_t offset,
                 std::span<const std::byte> new_bytes, std::span<std::byte> into) {
  std::copy(new_bytes.begin(), new_bytes.end(), into.begin());
  originals.restore(offset, into);
}

// Reads a range of both disks piece by piece; `use` gets each piece of the overlay and of the image
// and the piece's offset in the range. What lies behind the end of the image (an overlay's last
// cluster) is not there to be compared.
template <typename Image, typename Use>
void read_both(const Range& range, ServedDisk& overlay, Image& image, Use use) {
  // A range is a few clusters, as a rule.
  std::vector<std::byte> after(std::min<std::uint64_t>(chunk, range.length));
  std::vector<std::byte> before(after.size());
  for (std::uint64_t at = 0; at < range.length;) {
    const std::size_t size = std::min<std::uint64_t>(chunk, range.length - at);
    const auto new_bytes = std::span(after).first(size);
    const auto old_bytes = std::span(before).first(size);
    overlay.read(range.start + at, new_bytes);
    read_before(image, range.start + at, new_bytes, old_bytes);
    use(new_bytes, old_bytes, at);
    at += size;
  }
}

std::span<const std::byte> sector_at(std::span<const std::byte> bytes, std::size_t at) {
  return bytes.subspan(at, std::min(sector, bytes.size() - at));
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

template <typename Image>
Change compare_range(const Range& range, ServedDisk& overlay, Image& image) {
  Change change;
  change.range = range;
  Sha256 after;
  read_both(range, overlay, image, [&](auto new_bytes, auto old_bytes, std::uint64_t start) {
    after.add(new_bytes);
    for (std::size_t at = 0; at < new_bytes.size(); at += sector) {
      const auto old_sector = sector_at(old_bytes, at);
      if (equal(sector_at(new_bytes, at), old_sector)) continue;
      change.sectors.push_back(static_cast<std::uint32_t>((start + at) / sector));
      change.before += sha256(old_sector).substr(0, Change::hash_digits);
    }
  });
  change.after = after.hex();
  return change;
}

template <typename Image>
std::vector<Change> compare_all(ServedDisk& overlay, Image& image) {
  std::vector<Change> changes;
  for (const Range& range : overlay.allocated())
    changes.push_back(compare_range(range, overlay, image));
  return changes;
}

void add_foreign(Progress& progress, const Range& found) {
  if (!progress.foreign.empty() &&
      progress.foreign.back().start + progress.foreign.back().length == found.start)
    progress.foreign.back().length += found.length;
  else
    progress.foreign.push_back(found);
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{}; });
}

void check_ranges(const std::vector<Change>& changes, ServedDisk& overlay) {
  const std::vector<Range> held = overlay.allocated();
  if (!std::equal(held.begin(), held.end(), changes.begin(), changes.end(),
                  [](const Range& range, const Change& change) { return range == change.range; }))
    throw OverlayHasChanged();
}

void look_at_range(const Change& change, ServedDisk& overlay, ServedDisk& image, Format format,
                   Progress& progress) {
  Sha256 after;
  std::size_t next = 0;  // index of the next changed sector
  read_both(change.range, overlay, image, [&](auto new_bytes, auto old_bytes, std::uint64_t start) {
    after.add(new_bytes);
    for (std::size_t at = 0; at < new_bytes.size(); at += sector) {
      const auto old_sector = sector_at(old_bytes, at);
      const bool written = equal(sector_at(new_bytes, at), old_sector);
      const bool to_change =
          next < change.sectors.size() && change.sectors[next] == (start + at) / sector;
      const std::size_t hash = Change::hash_digits * next;
      if (to_change) ++next;
      if (written) {
        progress.after += to_change ? 1 : 0;
      } else if (to_change && change.before.compare(hash, Change::hash_digits, sha256(old_sector),
                                                    0, Change::hash_digits) == 0) {
        ++progress.before;
      } else if (format != Format::qcow2 || !is_zero(sector_at(new_bytes, at))) {
        add_foreign(progress, {change.range.start + start + at, old_sector.size()});
      }
    }
  });
  if (after.hex() != change.after) throw OverlayHasChanged();
}

}  // namespace

std::vector<Range> ranges_of(const std::vector<Change>& changes) {
  std::vector<Range> ranges;
  for (const Change& change : changes) ranges.push_back(change.range);
  return ranges;
}

std::vector<Change> compare(ServedDisk& overlay, ServedDisk& image) {
  return compare_all(overlay, image);
}

std::vector<Change> compare(ServedDisk& overlay, const Originals& originals) {
  return compare_all(overlay, originals);
}

Progress look(const std::vector<Change>& changes, ServedDisk& overlay, ServedDisk& image,
              Format format) {
  check_ranges(changes, overlay);
  Progress progress;
  for (const Change& change : changes) look_at_range(change, overlay, image, format, progress);
  return progress;
}

void check_overlay(const std::vector<Change>& changes, ServedDisk& overlay) {
  check_ranges(changes, overlay);
  std::vector<std::byte> bytes(chunk);
  for (const Change& change : changes) {
    Sha256 after;
    for (std::uint64_t at = 0; at < change.range.length;) {
      const std::size_t size = std::min<std::uint64_t>(chunk, change.range.length - at);
      overlay.read(change.range.start + at, std::span(bytes).first(size));
      after.add(std::span(bytes).first(size));
      at += size;
    }
    if (after.hex() != change.after) throw OverlayHasChanged();
  }
}

}  // namespace kvmnet::disk

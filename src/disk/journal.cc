// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <nettle/sha2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "src/disk/beside.h"
#include "src/support/error.h"

namespace kvmnet::disk {
namespace {

using nlohmann::json;

constexpr std::size_t sector = 512;
constexpr std::size_t chunk = 1 << 20;
// Of a sector's hash: tells a foreign write, not an attack, and keeps the journal small.
constexpr std::size_t hash_digits = 32;

class Sha256 {
 public:
  Sha256() { sha256_init(&context_); }
  void add(std::span<const std::byte> bytes) {
    sha256_update(&context_, bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
  }
  std::string hex() {
    std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
    sha256_digest(&context_, digest.size(), digest.data());
    std::string text;
    for (const std::uint8_t byte : digest) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  sha256_ctx context_{};
};

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.hex();
}

// Reads a range of both disks piece by piece; `use` gets each piece of the overlay and of the image
// and the piece's offset in the range. What lies behind the end of the image (an overlay's last
// cluster) is not there to be compared.
template <typename Use>
void read_both(const Range& range, BlockReader& overlay, BlockReader& image, Use use) {
  std::vector<std::byte> after(chunk);
  std::vector<std::byte> before(chunk);
  for (std::uint64_t at = 0; at < range.length;) {
    const std::size_t size = std::min<std::uint64_t>(chunk, range.length - at);
    const auto new_bytes = std::span(after).first(size);
    const auto old_bytes = std::span(before).first(size);
    overlay.read(range.start + at, new_bytes);
    image.read(range.start + at, old_bytes);
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

Change compare_range(const Range& range, BlockReader& overlay, BlockReader& image) {
  Change change;
  change.range = range;
  Sha256 after;
  read_both(range, overlay, image, [&](auto new_bytes, auto old_bytes, std::uint64_t start) {
    after.add(new_bytes);
    for (std::size_t at = 0; at < new_bytes.size(); at += sector) {
      const auto old_sector = sector_at(old_bytes, at);
      if (equal(sector_at(new_bytes, at), old_sector)) continue;
      change.sectors.push_back(static_cast<std::uint32_t>((start + at) / sector));
      change.before += sha256(old_sector).substr(0, hash_digits);
    }
  });
  change.after = after.hex();
  return change;
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

void check_ranges(const std::vector<Change>& changes, BlockReader& overlay) {
  const std::vector<Range> held = overlay.allocated();
  if (!std::equal(held.begin(), held.end(), changes.begin(), changes.end(),
                  [](const Range& range, const Change& change) { return range == change.range; }))
    throw OverlayHasChanged();
}

void look_at_range(const Change& change, BlockReader& overlay, BlockReader& image, Format format,
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
      const std::size_t hash = hash_digits * next;
      if (to_change) ++next;
      if (written) {
        progress.after += to_change ? 1 : 0;
      } else if (to_change && change.before.compare(hash, hash_digits, sha256(old_sector), 0,
                                                    hash_digits) == 0) {
        ++progress.before;
      } else if (format != Format::qcow2 || !is_zero(sector_at(new_bytes, at))) {
        add_foreign(progress, {change.range.start + start + at, old_sector.size()});
      }
    }
  });
  if (after.hex() != change.after) throw OverlayHasChanged();
}

// The first line tells the state; it is overwritten in place, which a disk does whole or not at
// all. The rest is protected by its hash.
constexpr std::string_view kind = "kvmnet-journal ";
constexpr std::string_view magic = "kvmnet-journal 1 ";
constexpr std::array<std::string_view, 3> state_words = {"ready  ", "writing", "done   "};
constexpr std::size_t state_size = 7;
constexpr std::size_t digest_at = magic.size() + state_size + 1;
constexpr std::size_t body_at = digest_at + 64 + 1;

std::string_view state_word(Journal::State state) {
  return state_words.at(static_cast<std::size_t>(state));
}

json to_json(const Journal::Content& content) {
  const Identity& id = content.identity;
  json changes = json::array();
  for (const Change& change : content.changes)
    changes.push_back({{"start", change.range.start},
                       {"length", change.range.length},
                       {"after", change.after},
                       {"sectors", change.sectors},
                       {"before", change.before}});
  return {{"format", to_string(content.format)},
          {"compressed", content.is_compressed},
          {"identity",
           {{"device", id.device},
            {"inode", id.inode},
            {"size", id.size},
            {"modified_ns", id.modified_ns},
            {"changed_ns", id.changed_ns}}},
          {"changes", std::move(changes)}};
}

Journal::Content from_json(const json& body) {
  Journal::Content content;
  content.format = body.at("format") == "qcow2" ? Format::qcow2 : Format::raw;
  content.is_compressed = body.at("compressed").get<bool>();
  const json& id = body.at("identity");
  content.identity = {id.at("device").get<dev_t>(), id.at("inode").get<ino_t>(),
                      id.at("size").get<off_t>(), id.at("modified_ns").get<std::int64_t>(),
                      id.at("changed_ns").get<std::int64_t>()};
  for (const json& item : body.at("changes")) {
    Change change;
    change.range = {item.at("start").get<std::uint64_t>(), item.at("length").get<std::uint64_t>()};
    change.after = item.at("after").get<std::string>();
    change.sectors = item.at("sectors").get<std::vector<std::uint32_t>>();
    change.before = item.at("before").get<std::string>();
    if (change.before.size() != change.sectors.size() * hash_digits)
      throw Error("a journal with missing hashes");
    content.changes.push_back(std::move(change));
  }
  return content;
}

struct Parsed {
  Journal::State state;
  Journal::Content content;
};

std::optional<Parsed> parse(std::string_view text) {
  if (text.size() < body_at || !text.starts_with(magic)) return std::nullopt;
  const auto word =
      std::find(state_words.begin(), state_words.end(), text.substr(magic.size(), state_size));
  const std::string_view body = text.substr(body_at);
  if (word == state_words.end() ||
      text.substr(digest_at, 64) != sha256(std::as_bytes(std::span(body))))
    return std::nullopt;
  try {
    return Parsed{static_cast<Journal::State>(word - state_words.begin()),
                  from_json(json::parse(body))};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace

std::vector<Change> compare(BlockReader& overlay, BlockReader& image) {
  std::vector<Change> changes;
  for (const Range& range : overlay.allocated())
    changes.push_back(compare_range(range, overlay, image));
  return changes;
}

Progress look(const std::vector<Change>& changes, BlockReader& overlay, BlockReader& image,
              Format format) {
  check_ranges(changes, overlay);
  Progress progress;
  for (const Change& change : changes) look_at_range(change, overlay, image, format, progress);
  return progress;
}

void check_overlay(const std::vector<Change>& changes, BlockReader& overlay) {
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

Journal Journal::create(const ImageInfo& image, Content content) {
  const std::string path = journal_path(image.path);
  Journal journal(path, create_file_beside(path, image));
  try {
    const std::string body = to_json(content).dump() + "\n";
    const std::string digest = sha256(std::as_bytes(std::span(body)));
    write_whole(journal.fd_,
                fmt::format("{}{} {}\n{}", magic, state_word(State::ready), digest, body));
    sync_file(journal.fd_, path);
    sync_directory_of(path);
  } catch (const std::exception& e) {
    remove_if_there(path);
    throw Error(fmt::format("{}: {}", path, e.what()));
  }
  journal.content_ = std::move(content);
  return journal;
}

std::optional<Journal> Journal::open(const std::string& image_path, Use use) {
  const std::string path = journal_path(image_path);
  if (!is_there(path)) return std::nullopt;
  const int access = use == Use::write ? O_RDWR : O_RDONLY;
  Journal journal(path, open_file(path, access | O_NOFOLLOW | O_NONBLOCK));
  constexpr off_t largest = 1 << 30;  // a journal has 32 bytes for each sector that changes
  struct stat st {};
  if (::fstat(journal.fd_.get(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > largest)
    throw Error(path + ": is not a journal that kvmnet has written");
  const std::vector<std::byte> bytes = read_whole(journal.fd_);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kind) && !text.starts_with(magic))
    throw Error(path + ": was written by another version of kvmnet, which alone can recover it");
  if (auto parsed = parse(text)) {
    journal.state_ = parsed->state;
    journal.content_ = std::move(parsed->content);
  }
  return journal;
}

void Journal::set_state(State state) {
  const std::string_view word = state_word(state);
  const ssize_t n = ::pwrite(fd_.get(), word.data(), word.size(), static_cast<off_t>(magic.size()));
  if (n != static_cast<ssize_t>(word.size())) throw system_error(path_, n < 0 ? errno : EIO);
  sync_file(fd_, path_);
  state_ = state;
}

void Journal::remove() {
  remove_if_there(path_);
}

}  // namespace kvmnet::disk

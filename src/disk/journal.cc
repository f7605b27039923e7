// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
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

// The first line tells the state; it is overwritten in place, which a disk does whole or not at
// all. The rest is protected by its hash: a line of JSON, and the bytes of the tables behind it.
constexpr std::string_view kind = "kvmnet-journal ";
constexpr std::string_view magic = "kvmnet-journal 2 ";
constexpr std::array<std::string_view, 4> state_words = {"ready    ", "writing  ", "restoring",
                                                         "done     "};
constexpr std::size_t state_size = 9;
constexpr std::size_t digest_at = magic.size() + state_size + 1;
constexpr std::size_t body_at = digest_at + 64 + 1;
constexpr std::size_t chunk = 1 << 20;
constexpr std::size_t largest = 1 << 30;  // of the JSON: 32 bytes for each sector that changes

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
  json tables = json::array();
  for (const Range& table : content.tables) tables.push_back({table.start, table.length});
  return {{"format", to_string(content.format)},
          {"compressed", content.is_compressed},
          {"identity",
           {{"device", id.device},
            {"inode", id.inode},
            {"size", id.size},
            {"modified_ns", id.modified_ns},
            {"changed_ns", id.changed_ns}}},
          {"changes", std::move(changes)},
          {"tables", std::move(tables)},
          {"rest", content.rest}};
}

void check_tables(const Journal::Content& content) {
  std::uint64_t end = 0;
  const auto size = static_cast<std::uint64_t>(content.identity.size);
  for (const Range& table : content.tables) {
    if (table.start < end || table.start > size || table.length > size - table.start)
      throw Error("a journal with tables that are not within the image");
    end = table.start + table.length;
  }
  if (content.format == Format::raw && !content.tables.empty())
    throw Error("a journal with tables of a raw image");
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
    if (change.before.size() != change.sectors.size() * Change::hash_digits)
      throw Error("a journal with missing hashes");
    content.changes.push_back(std::move(change));
  }
  for (const json& item : body.at("tables"))
    content.tables.push_back({item.at(0).get<std::uint64_t>(), item.at(1).get<std::uint64_t>()});
  content.rest = body.at("rest").get<std::string>();
  check_tables(content);
  return content;
}

// Calls `use` with each piece of a part of a file.
template <typename Use>
void read_pieces(const Fd& fd, const Range& range, Use use) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(chunk, range.length));
  for (std::uint64_t at = 0; at < range.length;) {
    const auto piece =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), range.length - at));
    read_at(fd, range.start + at, piece);
    use(piece, at);
    at += piece.size();
  }
}

// Zeros in those of `ranges` that are in a piece of a file, which begins at `start`.
void clear(std::span<std::byte> piece, std::uint64_t start, const std::vector<Range>& ranges) {
  for (const Range& range : ranges) {
    const std::uint64_t from = std::max(range.start, start);
    const std::uint64_t to = std::min(range.start + range.length, start + piece.size());
    if (from < to)
      std::fill_n(piece.begin() + static_cast<std::ptrdiff_t>(from - start), to - from,
                  std::byte{});
  }
}

std::string_view text_in(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Parsed {
  Journal::State state;
  Journal::Content content;
  std::uint64_t tables_at;
};

// Nothing if it is damaged.
std::optional<Parsed> parse(const Fd& fd, std::uint64_t size, std::string_view head) {
  const auto word =
      std::find(state_words.begin(), state_words.end(), head.substr(magic.size(), state_size));
  if (word == state_words.end()) return std::nullopt;
  Sha256 digest;
  std::string body;
  bool complete = false;
  read_pieces(fd, {body_at, size - body_at}, [&](auto piece, std::uint64_t /*at*/) {
    digest.add(piece);
    if (complete || body.size() > largest) return;
    const std::string_view text = text_in(piece);
    complete = text.find('\n') != std::string_view::npos;
    body += text.substr(0, text.find('\n'));
  });
  if (head.substr(digest_at, 64) != digest.hex()) return std::nullopt;
  try {
    Parsed parsed{static_cast<Journal::State>(word - state_words.begin()),
                  from_json(json::parse(body)), body_at + body.size() + 1};
    if (parsed.tables_at + length_of(parsed.content.tables) != size) return std::nullopt;
    return parsed;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace

Journal Journal::create(const ImageInfo& image, Content content,
                        const std::vector<Range>& cleared) {
  const std::string path = journal_path(image.path);
  Journal journal(path, create_private_file(path));
  try {
    const std::string body = to_json(content).dump() + "\n";
    if (body.size() > largest) throw Error("too many changes");
    Sha256 digest;
    digest.add(body);
    write_at(journal.fd_, body_at, std::as_bytes(std::span(body)));
    journal.content_ = std::move(content);
    journal.tables_at_ = body_at + body.size();
    journal.keep_tables(image.path, cleared, digest);
    write_whole(journal.fd_,
                fmt::format("{}{} {}\n", magic, state_word(State::ready), digest.hex()));
    sync_file(journal.fd_, path);
    sync_directory_of(path);
  } catch (const std::exception& e) {
    remove_if_there(path);
    throw Error(fmt::format("{}: {}", path, e.what()));
  }
  return journal;
}

void Journal::keep_tables(const std::string& image, const std::vector<Range>& cleared,
                          Sha256& digest) const {
  if (content_->tables.empty()) return;
  const Fd from = open_file(image, O_RDONLY | O_NOFOLLOW);
  std::uint64_t to = tables_at_;
  for (const Range& table : content_->tables)
    read_pieces(from, table, [&](auto piece, std::uint64_t at) {
      clear(piece, table.start + at, cleared);
      digest.add(piece);
      write_at(fd_, to, piece);
      to += piece.size();
    });
}

std::optional<Journal> Journal::open(const std::string& image_path, Use use) {
  const std::string path = journal_path(image_path);
  if (!is_there(path)) return std::nullopt;
  const int access = use == Use::write ? O_RDWR : O_RDONLY;
  Journal journal(path, open_file(path, access | O_NOFOLLOW | O_NONBLOCK));
  struct stat st {};
  if (::fstat(journal.fd_.get(), &st) != 0 || !S_ISREG(st.st_mode))
    throw Error(path + ": is not a journal that kvmnet has written");
  const auto size = static_cast<std::uint64_t>(st.st_size);
  std::array<std::byte, body_at> start{};
  read_at(journal.fd_, 0, std::span(start).first(std::min(size, body_at)));
  const std::string_view head = text_in(std::span(start).first(std::min(size, body_at)));
  if (head.starts_with(kind) && head.size() >= magic.size() && !head.starts_with(magic))
    throw Error(path + ": was written by another version of kvmnet, which alone can recover it");
  if (head.size() < body_at || !head.starts_with(magic)) return journal;
  if (auto parsed = parse(journal.fd_, size, head)) {
    journal.state_ = parsed->state;
    journal.content_ = std::move(parsed->content);
    journal.tables_at_ = parsed->tables_at;
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

void Journal::put_back_tables(const std::string& path) const {
  if (content_->tables.empty()) return;
  const Fd image = open_file(path, O_RDWR | O_NOFOLLOW);
  struct stat st {};
  if (::fstat(image.get(), &st) != 0) throw system_error(path, errno);
  if (st.st_size < content_->identity.size) throw Error(path + ": has been cut off");
  std::uint64_t from = tables_at_;
  for (const Range& table : content_->tables) {
    read_pieces(fd_, {from, table.length},
                [&](auto piece, std::uint64_t at) { write_at(image, table.start + at, piece); });
    from += table.length;
  }
  sync_file(image, path);  // a shorter file must not have tables that lead behind its end
  if (::ftruncate(image.get(), content_->identity.size) != 0) throw system_error(path, errno);
  sync_file(image, path);
}

void Journal::remove() {
  remove_if_there(path_);
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// ntfs-state IMAGE OFFSET unclean|fast-startup|to-be-checked|damaged: makes the NTFS volume at that
// byte offset of a raw image look as if Windows had lost power (journal in use, version 1.1) or had
// shut down for a fast startup (journal version 2.0): only the two restart pages of $LogFile are
// written. Or as if Windows were to check it at its next start (a flag of $Volume). Or it takes
// away the master file table: the boot sector then names clusters that have something else.
#include <bit>
#include <charconv>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t sector_size = 512;
constexpr std::size_t page_size = 4096;

using Block = std::vector<unsigned char>;

std::uint64_t load(const Block& block, std::size_t offset, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | block.at(offset + i);
  return value;
}

void store(Block& block, std::size_t offset, std::size_t bytes, std::uint64_t value) {
  for (std::size_t i = 0; i < bytes; ++i) {
    block.at(offset + i) = static_cast<unsigned char>(value >> (8 * i) & 0xFF);
  }
}

void store_text(Block& block, std::size_t offset, std::string_view text, std::size_t width) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    store(block, offset + i * width, width, static_cast<unsigned char>(text[i]));
  }
}

Block read_block(std::fstream& image, std::uint64_t offset, std::size_t size) {
  Block block(size);
  image.seekg(static_cast<std::streamoff>(offset));
  image.read(reinterpret_cast<char*>(block.data()), static_cast<std::streamsize>(size));
  if (!image) throw std::runtime_error("cannot read the image");
  return block;
}

void write_block(std::fstream& image, std::uint64_t offset, const Block& block) {
  image.seekp(static_cast<std::streamoff>(offset));
  image.write(reinterpret_cast<const char*>(block.data()),
              static_cast<std::streamsize>(block.size()));
  if (!image.flush()) throw std::runtime_error("cannot write the image");
}

struct Geometry {
  std::uint64_t cluster_size;
  std::uint64_t record_size;
  std::uint64_t mft;     // bytes from the start of the volume
  std::uint64_t mirror;  // the same
};

Geometry geometry(const Block& boot) {
  if (std::string(boot.begin() + 3, boot.begin() + 11) != "NTFS    ") {
    throw std::runtime_error("there is no NTFS volume at this offset");
  }
  const std::uint64_t cluster_size = load(boot, 0x0B, 2) * load(boot, 0x0D, 1);
  // Clusters per record when positive, else the binary logarithm of its size in bytes.
  const std::uint64_t record = load(boot, 0x40, 1);
  return {cluster_size, record < 0x80 ? record * cluster_size : 1ULL << (256 - record),
          load(boot, 0x30, 8) * cluster_size, load(boot, 0x38, 8) * cluster_size};
}

// Every sector of a multi-sector record ends in the update sequence number; the two bytes that
// belong there are in the update sequence array.
void take_fixups_out(Block& record) {
  const std::size_t array = load(record, 4, 2);
  for (std::size_t i = 1; i < load(record, 6, 2); ++i) {
    const std::size_t tail = i * sector_size - 2;
    if (load(record, tail, 2) != load(record, array, 2)) throw std::runtime_error("torn record");
    store(record, tail, 2, load(record, array + 2 * i, 2));
  }
}

void put_fixups_in(Block& record) {
  constexpr std::uint64_t update_sequence_number = 1;
  const std::size_t array = load(record, 4, 2);
  store(record, array, 2, update_sequence_number);
  for (std::size_t i = 1; i < load(record, 6, 2); ++i) {
    const std::size_t tail = i * sector_size - 2;
    store(record, array + 2 * i, 2, load(record, tail, 2));
    store(record, tail, 2, update_sequence_number);
  }
}

// Offset of an unnamed attribute in an MFT record.
std::size_t attribute_of(const Block& record, std::uint64_t type, bool resident) {
  constexpr std::uint64_t end = 0xFFFFFFFF;
  std::size_t at = load(record, 0x14, 2);
  while (load(record, at, 4) != end) {
    const bool named = load(record, at + 9, 1) != 0;
    const bool is_resident = load(record, at + 8, 1) == 0;
    if (load(record, at, 4) == type && !named && is_resident == resident) return at;
    const std::size_t length = load(record, at + 4, 4);
    if (length == 0) break;
    at += length;
  }
  throw std::runtime_error("a file has not the attribute that it should have");
}

struct Place {
  std::uint64_t offset;  // bytes from the start of the image
  std::size_t size;
};

// Of a file's record in the master file table.
Place record_place(std::fstream& image, std::uint64_t volume, std::uint64_t number) {
  const Geometry disk = geometry(read_block(image, volume, sector_size));
  return {volume + disk.mft + number * disk.record_size,
          static_cast<std::size_t>(disk.record_size)};
}

struct Journal {
  std::uint64_t offset;  // bytes from the start of the volume
  std::uint64_t size;
};

Journal journal(std::fstream& image, std::uint64_t volume) {
  constexpr std::uint64_t logfile_record = 2;
  constexpr std::uint64_t data = 0x80;
  const Geometry disk = geometry(read_block(image, volume, sector_size));
  const Place place = record_place(image, volume, logfile_record);
  Block record = read_block(image, place.offset, place.size);
  take_fixups_out(record);
  const std::size_t attribute = attribute_of(record, data, false);
  const std::size_t runs = attribute + load(record, attribute + 0x20, 2);
  // Of the first run: how many bytes its length takes (low half), and its position (high half).
  const std::uint64_t widths = load(record, runs, 1);
  const std::size_t length_width = widths & 0x0F;
  const std::uint64_t clusters = load(record, runs + 1, length_width);
  if (clusters * disk.cluster_size < 2 * page_size) {
    throw std::runtime_error("the first run of $LogFile is too short");
  }
  const std::uint64_t start = load(record, runs + 1 + length_width, widths >> 4);
  return {start * disk.cluster_size, load(record, attribute + 0x30, 8)};
}

// A restart page of a journal that Windows XP or later has opened and not closed.
Block restart_page(unsigned major, unsigned minor, std::uint64_t journal_size) {
  constexpr std::size_t area = 0x30;
  constexpr std::size_t clients = area + 0x40;
  constexpr std::uint64_t none = 0xFFFF;
  const std::uint64_t usable = journal_size / page_size * page_size;
  Block page(page_size, 0);
  store_text(page, 0, "RSTR", 1);
  store(page, 4, 2, 0x1E);                         // update sequence array
  store(page, 6, 2, 1 + page_size / sector_size);  // its entries
  store(page, 16, 4, page_size);                   // system page
  store(page, 20, 4, page_size);                   // log page
  store(page, 24, 2, area);
  store(page, 26, 2, minor);
  store(page, 28, 2, major);

  store(page, area + 0, 8, 0x100000);  // current log sequence number
  store(page, area + 8, 2, 1);         // clients
  store(page, area + 10, 2, none);     // free ones
  store(page, area + 12, 2, 0);        // first in use
  store(page, area + 14, 2, 0);        // flags: not closed cleanly
  store(page, area + 16, 4, 67U - static_cast<unsigned>(std::bit_width(usable)));
  store(page, area + 20, 2, clients - area + 0xA0);
  store(page, area + 22, 2, clients - area);
  store(page, area + 24, 8, usable);
  store(page, area + 36, 2, 0x30);  // log record header
  store(page, area + 38, 2, 0x40);  // data in a log page

  store(page, clients + 16, 2, none);  // previous client
  store(page, clients + 18, 2, none);  // next client
  store(page, clients + 28, 4, 8);     // bytes of the name
  store_text(page, clients + 32, "NTFS", 2);
  put_fixups_in(page);
  return page;
}

void set_state(const std::string& path, std::uint64_t volume, bool fast_startup) {
  std::fstream image(path, std::ios::in | std::ios::out | std::ios::binary);
  if (!image) throw std::runtime_error("cannot open the image");
  const Journal log = journal(image, volume);
  const Block page = fast_startup ? restart_page(2, 0, log.size) : restart_page(1, 1, log.size);
  write_block(image, volume + log.offset, page);
  write_block(image, volume + log.offset + page_size, page);
}

void have_it_checked(const std::string& path, std::uint64_t volume) {
  constexpr std::uint64_t volume_record = 3;
  constexpr std::uint64_t volume_information = 0x70;
  constexpr std::uint64_t dirty = 0x0001;
  std::fstream image(path, std::ios::in | std::ios::out | std::ios::binary);
  if (!image) throw std::runtime_error("cannot open the image");
  const Place place = record_place(image, volume, volume_record);
  Block record = read_block(image, place.offset, place.size);
  take_fixups_out(record);
  const std::size_t attribute = attribute_of(record, volume_information, true);
  const std::size_t flags = attribute + load(record, attribute + 0x14, 2) + 10;
  store(record, flags, 2, load(record, flags, 2) | dirty);
  put_fixups_in(record);
  write_block(image, place.offset, record);
  // The table's first four records have a copy, $MFTMirr.
  const Geometry disk = geometry(read_block(image, volume, sector_size));
  write_block(image, volume + disk.mirror + volume_record * disk.record_size, record);
}

void damage(const std::string& path, std::uint64_t volume) {
  std::fstream image(path, std::ios::in | std::ios::out | std::ios::binary);
  if (!image) throw std::runtime_error("cannot open the image");
  Block boot_sector = read_block(image, volume, sector_size);
  store(boot_sector, 0x30, 8, 0);  // cluster of the master file table
  store(boot_sector, 0x38, 8, 0);  // and of its copy
  write_block(image, volume, boot_sector);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  std::uint64_t offset = 0;
  if (words.size() != 3 ||
      (words[2] != "unclean" && words[2] != "fast-startup" && words[2] != "to-be-checked" &&
       words[2] != "damaged") ||
      std::from_chars(words[1].data(), words[1].data() + words[1].size(), offset).ptr !=
          words[1].data() + words[1].size()) {
    std::cerr
        << "usage: ntfs-state RAW-IMAGE BYTE-OFFSET unclean|fast-startup|to-be-checked|damaged\n";
    return 2;
  }
  try {
    if (words[2] == "damaged")
      damage(words[0], offset);
    else if (words[2] == "to-be-checked")
      have_it_checked(words[0], offset);
    else
      set_state(words[0], offset, words[2] == "fast-startup");
  } catch (const std::exception& e) {
    std::cerr << "ntfs-state: " << words[0] << ": " << e.what() << '\n';
    return 1;
  }
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/ntfs_work.h"

#include <algorithm>
#include <optional>
#include <string>

#include "direct/block_cache.h"
#include "direct/error.h"
#include "direct/ntfs_volume.h"
#include "ntfs/security_descriptor.h"
#include "tests/fuzz/expect.h"

namespace kvmnet::fuzz {
namespace {

using direct::Access;
using direct::BlockDevice;
using direct::FileType;
using direct::NtfsState;
using direct::NtfsVolume;
using hive::Bytes;

const std::string directory = "/Windows/kvmnet";
const std::string script = directory + "/firstboot.cmd";
const std::string system_hive = "/Windows/System32/config/SYSTEM";

// A disk with the volume in its middle, which nobody may leave.
class Disk {
 public:
  explicit Disk(Bytes& volume) : volume_(volume) {}

  BlockDevice part(bool writable) {
    BlockDevice disk;
    disk.size = start + volume_.size();
    disk.read_at = [this](std::uint64_t offset, std::span<std::byte> into) {
      const std::span<std::byte> bytes = at(offset, into.size());
      std::copy(bytes.begin(), bytes.end(), into.begin());
    };
    disk.write_at = [this, writable](std::uint64_t offset, std::span<const std::byte> bytes) {
      expect(writable, "what is mounted for reading is not written");
      const std::span<std::byte> to = at(offset, bytes.size());
      std::copy(bytes.begin(), bytes.end(), to.begin());
    };
    return direct::part_of(disk, start, volume_.size());
  }

 private:
  static constexpr std::uint64_t start = 1 << 20;

  std::span<std::byte> at(std::uint64_t offset, std::size_t size) {
    expect(offset >= start && offset - start <= volume_.size() &&
               size <= volume_.size() - (offset - start),
           "nothing outside of the volume is read or written");
    return std::span(volume_).subspan(offset - start, size);
  }

  Bytes& volume_;
};

// As the child of the direct backend has it: through a cache, which is emptied at the end.
class Cached {
 public:
  Cached(Disk& disk, bool writable) : cache_(disk.part(writable)) {}
  BlockDevice device() { return cache_.device(); }
  void flush() { cache_.flush(); }

 private:
  direct::BlockCache cache_;
};

// Whether it could be done.
template <typename Step>
bool done(Step step) {
  try {
    step();
    return true;
  } catch (const direct::Error& e) {
    expect(!std::string(e.what()).empty(), "an error has a message");
    return false;
  }
}

// Looks at everything as far as there is no end of it.
class Reader {
 public:
  Reader(NtfsVolume& volume, std::uint64_t size) : volume_(volume), size_of_volume_(size) {}

  void walk(const std::string& at, std::size_t depth) {
    std::vector<direct::DirectoryEntry> entries;
    done([&] { entries = volume_.list(at == "" ? "/" : at); });
    for (const direct::DirectoryEntry& entry : entries) {
      if (++looked_at_ > most_files) return;
      expect(!entry.name.empty() && entry.name.find('/') == std::string::npos &&
                 entry.name != "." && entry.name != "..",
             "a name is one");
      look_at(at + "/" + entry.name);
      if (entry.type == FileType::directory && depth < deepest)
        walk(at + "/" + entry.name, depth + 1);
    }
  }

  void look_at(const std::string& path) {
    done([&] {
      const auto found = volume_.resolve(upper(path));
      expect(!found || found->starts_with('/'), "what is found is a path");
    });
    done([&] { expect(!volume_.descriptor(path).empty(), "a descriptor is not empty"); });
    done([&] { read(path); });
    done([&] { find(path); });
  }

 private:
  static constexpr std::size_t most_files = 60;
  static constexpr std::size_t deepest = 5;
  static constexpr std::size_t piece = 64 << 10;

  static std::string upper(std::string path) {
    for (char& c : path)
      if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return path;
  }

  void read(const std::string& path) {
    const std::uint64_t size = volume_.size(path);
    for (const std::uint64_t offset : {std::uint64_t{0}, size - 100, ~size})
      done([&] {
        const std::uint64_t there = offset < size ? size - offset : 0;
        expect(volume_.read_at(path, offset, piece).size() == std::min<std::uint64_t>(piece, there),
               "as much is read as there is");
      });
  }

  // Who is told where a file lies reads there without the library.
  void find(const std::string& path) {
    const auto extents = volume_.extents(path);
    if (!extents) return;
    std::uint64_t left = volume_.size(path);
    for (const direct::Extent& extent : *extents) {
      expect(extent.offset <= size_of_volume_ && extent.length <= size_of_volume_ - extent.offset,
             "a file lies on its volume");
      expect(extent.length > 0 && extent.length <= left, "a file is no longer than it is");
      left -= extent.length;
    }
    expect(left == 0, "a file lies somewhere, whole");
  }

  NtfsVolume& volume_;
  std::uint64_t size_of_volume_;
  std::size_t looked_at_ = 0;
};

void read_all(Disk& disk) {
  Cached part(disk, false);
  done([&] {
    NtfsVolume volume(part.device(), Access::read_only);
    Reader reader(volume, part.device().size);
    for (const char* name : {"SYSTEM", "SOFTWARE", "SYSTEM.LOG1", "SYSTEM.LOG2"})
      reader.look_at(std::string("/Windows/System32/config/") + name);
    reader.walk("", 0);
    done([&] { volume.free_space(); });
    done([&] { volume.write(script, "x"); });
    done([&] { volume.remove(system_hive); });
    volume.close();
  });
  done([&] { part.flush(); });  // of nothing
}

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

const std::string page(4096, 'p');
const std::string text(3000, 't');

// What a patch does, step for step; goes on after an error, as nobody else would. Whether there was
// none.
bool write_all(Disk& disk) {
  bool good = true;
  Cached part(disk, true);
  const auto step = [&](const auto& what) { good = done(what) && good; };
  step([&] {
    NtfsVolume volume(part.device(), Access::read_write);
    step([&] {
      volume.write("/Windows/kvmnet-write-test", "");
      volume.remove("/Windows/kvmnet-write-test");
    });
    step([&] { volume.make_directory(directory); });
    step(
        [&] { volume.set_descriptor(directory, ntfs::private_descriptor(ntfs::Kind::directory)); });
    step([&] { volume.write(script, text); });
    step([&] { volume.write(script + ".2", text + page + page); });
    step([&] { volume.set_descriptor(script, ntfs::private_descriptor(ntfs::Kind::file)); });
    step([&] { volume.remove("/Windows/old"); });
    step([&] { volume.write("/Windows/System32/config/SYSTEM.LOG1", text); });
    std::uint64_t size = 0;
    step([&] { size = volume.size(system_hive); });
    if (size > 16 << 20) size = 0;
    step([&] { volume.write_at(system_hive, size / 3 * 2, as_bytes(page)); });
    step([&] { volume.write_at(system_hive, size, as_bytes(page)); });
    step([&] { volume.write_at(system_hive, 0, as_bytes(page)); });
    volume.close();
  });
  step([&] { part.flush(); });
  return good;
}

std::string content(NtfsVolume& volume, const std::string& path, std::size_t size) {
  const auto bytes = volume.read_at(path, 0, size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Whether it is there.
bool verify(Disk& disk) {
  bool good = false;
  Cached part(disk, false);
  done([&] {
    NtfsVolume volume(part.device(), Access::read_only);
    good = content(volume, script, text.size() + 1) == text &&
           content(volume, script + ".2", std::size_t{1} << 20) == text + page + page &&
           content(volume, system_hive, page.size()) == page && volume.size(system_hive) > 0 &&
           volume.descriptor(directory) == ntfs::private_descriptor(ntfs::Kind::directory) &&
           volume.descriptor(script) == ntfs::private_descriptor(ntfs::Kind::file) &&
           !volume.resolve("/Windows/old") && volume.list(directory).size() == 2;
  });
  return good;
}

}  // namespace

bool work_on_ntfs(Bytes& volume) {
  Disk disk(volume);
  read_all(disk);
  NtfsState state = NtfsState::damaged;
  done([&] {
    Cached part(disk, true);
    state = NtfsVolume::state(part.device());
    part.flush();
  });
  if (state != NtfsState::clean) {
    expect(!done([&] { NtfsVolume(Cached(disk, true).device(), Access::read_write); }),
           "what is not clean is not opened for writing");
    return false;
  }
  const bool written = write_all(disk);
  const bool verified = verify(disk);
  return written && verified;
}

}  // namespace kvmnet::fuzz

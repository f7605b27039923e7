// SPDX-License-Identifier: GPL-2.0-or-later
// fuzz-ntfs-seeds DIRECTORY NTFS-STATE: writes the volumes that fuzzing begins with, of every size
// of clusters and in every state that NTFS-STATE makes; each has a file of every kind. Those that
// are to be written are written here first: what the target then finds is not there from the start.
//   fuzz-ntfs-seeds --partitions DIRECTORY: disks with partitions, for the other target.
//   fuzz-ntfs-seeds --volume INPUT FILE: makes the volume of an input, e.g. of a finding.
#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

#include "direct/ntfs_volume.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/fuzz/ntfs_image.h"
#include "tests/fuzz/ntfs_work.h"
#include "tests/unit/direct/volume_file.h"

namespace kvmnet::fuzz {
namespace {

using direct::NtfsVolume;
using test::numbered_text;
using test::VolumeFile;

const std::string config = "/Windows/System32/config";

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// The file is made piece by piece between others, half of which are gone afterwards.
void write_in_pieces(NtfsVolume& volume, const std::string& path, std::size_t cluster,
                     std::size_t pieces) {
  volume.write(path, "");
  for (std::size_t i = 0; i < pieces; ++i) {
    const std::string text(cluster, static_cast<char>('a' + i % 26));
    volume.write_at(path, i * cluster, as_bytes(text));
    volume.write_at("/Windows/between", i * cluster, as_bytes(text));
  }
}

void write_windows(NtfsVolume& volume, std::size_t cluster) {
  for (const std::string path : {"/Windows", "/Windows/System32", config.c_str()})
    volume.make_directory(path);
  volume.write("/Windows/between", "");
  write_in_pieces(volume, config + "/SYSTEM", cluster, 12);
  volume.write(config + "/SOFTWARE", numbered_text(2000));
  volume.write(config + "/SYSTEM.LOG1", "in the record");
  volume.write("/Windows/old", "to go");
}

// One of every kind of file.
void write_others(const VolumeFile& file, std::size_t cluster) {
  file.copy_in("x", "/Long name.text");
  file.set_dos_name("/Long name.text", "LONGNA~1.TEX");
  file.make_junction("/Windows/junction", "\\??\\C:\\Windows");
  const std::string text = numbered_text(3000) + std::string(40'000, 'c') + numbered_text(3000);
  if (cluster <= 4096) file.make_compressed("/Windows/compressed", text);
  NtfsVolume volume(file.device(), direct::Access::read_write);
  volume.write("/Windows/sparse", "start");
  volume.write_at("/Windows/sparse", 40 * cluster, as_bytes("end"));
  // Its runs need more than one record, so it has an attribute list.
  if (cluster == 512) write_in_pieces(volume, "/Windows/pieces", cluster, 400);
  // Too many for the record of their directory.
  for (int i = 0; i < 12; ++i)
    volume.write(fmt::format("/Windows/System32/{} {}", std::string(60, 'n'), i), "");
  volume.close();
}

Bytes file_bytes(const VolumeFile& file) {
  return read_whole(open_file(file.path(), O_RDONLY));
}

class SeedWriter {
 public:
  explicit SeedWriter(std::string directory) : directory_(std::move(directory)) {}

  void write(const std::string& name, const VolumeFile& file) const {
    const Bytes volume = file_bytes(file);
    Bytes again;
    to_volume(to_image(volume), again);
    if (again != volume) throw std::runtime_error(name + ": differs");
    write_whole(open_file(directory_ + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0644),
                pack(to_image(volume)));
  }

 private:
  std::string directory_;
};

void write_all(const SeedWriter& seeds, const std::string& ntfs_state) {
  for (const VolumeFile::Shape& shape : {VolumeFile::Shape{512, 512, 3 << 20},
                                         {4096, 512, 4 << 20},
                                         {4096, 4096, 8 << 20},
                                         {65536, 512, 8 << 20}}) {
    const VolumeFile file(shape);
    const std::string name = fmt::format("ntfs-{}-{}", shape.sector, shape.cluster);
    {
      NtfsVolume volume(file.device(), direct::Access::read_write);
      write_windows(volume, shape.cluster);
      volume.close();
    }
    seeds.write(name + "-small", file);
    write_others(file, shape.cluster);
    file.expect_consistent();
    seeds.write(name, file);
    Bytes volume = file_bytes(file);
    if (!work_on_ntfs(volume)) throw std::runtime_error(name + ": is not read back");
    if (shape.cluster != 4096 || shape.sector != 512) continue;
    for (const std::string state : {"unclean", "fast-startup", "to-be-checked"}) {
      run_checked({ntfs_state, file.path(), "0", state});
      seeds.write(name + "-" + state, file);
    }
  }
}

// Where each of their partitions begins there is a boot sector. The chain goes through the disk's
// middle, which the table has not.
void write_partitions(const std::string& directory) {
  constexpr std::size_t size = 1 << 20;
  const std::string chain =
      "label: dos\nstart=64,size=64,type=7\nsize=64,type=42\nstart=600,type=f\n"
      "start=700,size=64,type=7\nstart=800,size=64,type=7\nstart=1000,size=64,type=7\n";
  const std::string gpt =
      "label: gpt\nfirst-lba: 40\nstart=64,size=64,"
      "type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
      "start=700,size=64,type=5808C8AA-7E8F-42E0-85D2-E1E90434CFB3\n"
      "start=800,size=64,type=E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D\n";
  const std::string gpt_4096 = "g\nn\n1\n64\n+50\nn\n2\n130\n+50\nw\n";
  const std::vector<std::array<std::string, 3>> disks = {
      {"mbr", "sfdisk -q", chain},
      {"gpt", "sfdisk -q", gpt},
      {"gpt-4096", "fdisk --sector-size 4096", gpt_4096}};
  for (const auto& [name, program, script] : disks) {
    const Fd file = make_memory_file("disk");
    write_whole(file, Bytes(size));
    run_checked({"sh", "-c", "printf '%s' \"$1\" | /sbin/" + program + " \"$2\"", "sh", script,
                 path_for_others(file)});
    for (const std::uint64_t sector : {64U, 130U, 700U, 800U, 1000U})
      for (const std::uint64_t sector_size : {512U, 4096U})
        if (sector * sector_size < size)
          write_at(file, sector * sector_size + 3, as_bytes("NTFS    "));
    write_whole(open_file(directory + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0644),
                pack(to_image(read_whole(file))));
  }
}

// The volume of an input.
void write_volume(const std::string& input, const std::string& file) {
  Bytes volume;
  to_volume(unpack_ntfs(read_whole(open_file(input, O_RDONLY))), volume);
  write_whole(open_file(file, O_WRONLY | O_CREAT | O_TRUNC, 0644), volume);
}

}  // namespace
}  // namespace kvmnet::fuzz

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() == 3 && words[0] == "--volume")
      kvmnet::fuzz::write_volume(words[1], words[2]);
    else if (words.size() == 2 && words[0] == "--partitions")
      kvmnet::fuzz::write_partitions(words[1]);
    else if (words.size() == 2)
      kvmnet::fuzz::write_all(kvmnet::fuzz::SeedWriter(words[0]), words[1]);
    else
      throw std::runtime_error(
          "usage: fuzz-ntfs-seeds DIRECTORY NTFS-STATE, or as its source says");
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "fuzz-ntfs-seeds: " << e.what() << '\n';
    return 1;
  }
}

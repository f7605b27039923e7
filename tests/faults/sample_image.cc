// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/faults/sample_image.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libnbd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"

namespace kvmnet::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// Not a whole number of clusters.
constexpr std::uint64_t disk_size = (8 << 20) + 512;
constexpr std::size_t sector = 512;

void run_io(const std::string& image, const std::string& format, const Words& commands) {
  Words words = {"qemu-io", "-f", format};
  for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
  words.push_back(image);
  const std::string output = run_checked(words);
  if (output.find("failed") != std::string::npos) throw Error(image + ": qemu-io: " + output);
}

void write_new(const std::string& path, const std::string& bytes) {
  write_whole(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), bytes);
}

// The same every time, and nothing that a file system or QEMU could take for zeros.
std::string random_bytes(std::size_t size) {
  std::mt19937 random(20100);  // NOLINT(cert-msc51-cpp): the same in every run, on purpose
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Called by libnbd for a part of a disk: bit 0 of an entry's flags means that it is marked.
int add_marked(void* into, const char* /*context*/, std::uint64_t offset, std::uint32_t* entries,
               std::size_t count, int* /*error*/) {
  auto& marked = *static_cast<std::vector<bool>*>(into);
  for (std::size_t i = 0; i + 1 < count; i += 2) {
    const std::uint64_t end = std::min<std::uint64_t>(offset + entries[i], disk_size);
    for (; offset < end; offset += sector) marked.at(offset / sector) = (entries[i + 1] & 1) != 0;
  }
  return 0;
}

// By the bitmap of an image.
std::vector<bool> marked_sectors(const std::string& image) {
  constexpr const char* context = "qemu:dirty-bitmap:bits";
  Words words = {"qemu-nbd", "-r", "-f", "qcow2", "-B", "bits", image};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::unique_ptr<nbd_handle, decltype(&nbd_close)> nbd(nbd_create(), nbd_close);
  std::vector<bool> marked(disk_size / sector);
  if (!nbd || nbd_add_meta_context(nbd.get(), context) == -1 ||
      nbd_connect_systemd_socket_activation(nbd.get(), argv.data()) == -1 ||
      nbd_block_status(nbd.get(), disk_size, 0, {add_marked, &marked, nullptr}, 0) == -1)
    throw Error(fmt::format("{}: the bitmap cannot be read: {}", image, nbd_get_error()));
  return marked;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const ImageKind& kind) {
  return out << kind.name;
}

const std::vector<ImageKind>& image_kinds() {
  static const std::vector<ImageKind> kinds = {
      {.name = "raw", .format = "raw"},
      {.name = "qcow2"},
      {.name = "small_clusters", .options = "cluster_size=4k"},
      {.name = "backing_file", .backing = true},
      {.name = "snapshot", .snapshot = true},
      {.name = "bitmap", .bitmap = true},
      {.name = "lazy_refcounts", .options = "lazy_refcounts=on"},
      {.name = "small_lazy", .options = "cluster_size=4k,lazy_refcounts=on"},
      {.name = "compressed", .compressed = true},
      {.name = "snapshot_and_bitmap", .snapshot = true, .bitmap = true},
  };
  return kinds;
}

std::string bytes_of(const std::string& path) {
  const auto bytes = read_whole(open_file(path, O_RDONLY));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

SampleImage::SampleImage(const ImageKind& kind, std::string directory)
    : kind_(kind), directory_(std::move(directory)) {
  make_image();
  bytes_ = bytes_of(directory_ + "/disk");
  before_ = content(directory_ + "/disk");
  if (kind_.snapshot) snapshot_ = snapshot_in(directory_ + "/disk");
  if (kind_.snapshot && snapshot_.empty()) throw Error("the sample image has no snapshot");
  record_changes();
  // Recording has opened the image, if only to read it.
  if (bytes_of(directory_ + "/disk") != bytes_) throw Error("the sample image has changed");
  run_checked({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", recorded(), directory_ + "/raw"});
  after_ = bytes_of(directory_ + "/raw");
}

void SampleImage::make_image() const {
  const std::string disk = directory_ + "/disk";
  const std::string size = std::to_string(disk_size);
  Words create = {"qemu-img", "create", "-q", "-f", kind_.format};
  if (*kind_.options != '\0') create.insert(create.end(), {"-o", kind_.options});
  if (kind_.backing) {
    const std::string backing = directory_ + "/backing";
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", backing, size});
    run_io(backing, "qcow2", {"write -q -P 0x21 0 2M", "write -q -P 0x22 5M 2M"});
    create.insert(create.end(), {"-F", "qcow2", "-b", "backing"});
  }
  create.insert(create.end(), {disk, size});
  run_checked(create);
  fill(disk);
  // A snapshot that shares some clusters with the image, and some not.
  if (kind_.snapshot) {
    run_checked({"qemu-img", "snapshot", "-c", "one", disk});
    run_io(disk, kind_.format, {"write -q -P 0x14 128k 64k", "write -q -P 0x15 3M 64k"});
  }
  if (kind_.bitmap) run_checked({"qemu-img", "bitmap", "--add", "-f", "qcow2", disk, "bits"});
}

// Compressed clusters are to take half the space, so that not many share one of the file.
void SampleImage::fill(const std::string& disk) const {
  const std::string half_random = directory_ + "/half-random";
  std::string bytes = random_bytes(256 << 10);
  for (char& byte : bytes) byte = static_cast<char>('a' + (byte & 0x0F));
  write_new(half_random, bytes);
  const std::string first = kind_.compressed ? "write -q -c -s " + half_random : "write -q -P 0x11";
  const std::string rest = kind_.compressed ? first : "write -q -P 0x13";
  run_io(disk, kind_.format, {first + " 0 1M", "write -q -P 0x12 2M 512k", rest + " 4M 1M"});
}

void SampleImage::record_changes() const {
  const std::string pattern = directory_ + "/pattern";
  write_new(pattern, random_bytes(256 << 10));
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", kind_.format, "-b",
               directory_ + "/disk", recorded()});
  const std::string random = "write -q -s " + pattern + " ";
  run_io(recorded(), "qcow2",
         {random + "64k 192k",                          // over what the image has
          random + "1536k 128k",                        // where it has nothing
          random + "2102784 512",                       // a sector inside a cluster
          "write -q -P 0x12 2304k 64k",                 // what is there already
          "write -q -z 4160k 128k",                     // zeros over data
          random + "6M 64k", random + "8388608 512"});  // the last sector
}

void SampleImage::copy_to(const std::string& directory) const {
  fs::remove_all(directory);
  fs::create_directory(directory);
  // Root asks whether the image's owner may read the backing file.
  for (const auto& way : {fs::path(directory), fs::path(directory).parent_path()})
    fs::permissions(way, fs::perms::others_exec, fs::perm_options::add);
  for (const char* name : {"disk", "backing"})
    if (fs::exists(directory_ + "/" + name))
      run_checked({"cp", "--reflink=auto", "--sparse=always", directory_ + "/" + name, directory});
  if (kind_.backing) fs::permissions(directory + "/backing", fs::perms(0644));
  const std::string disk = directory + "/disk";
  // Ours: in an image of somebody else QEMU is confined, and what makes the faults is out of its
  // reach.
  if (::chmod(disk.c_str(), 0640) != 0) throw system_error(disk, errno);
}

std::string SampleImage::content(const std::string& image) const {
  if (kind_.format == std::string_view("raw")) return bytes_of(image);
  const std::string raw = directory_ + "/content";
  run_checked({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw});
  return bytes_of(raw);
}

bool SampleImage::has_kept_the_rest(const std::string& directory) const {
  const std::string disk = directory + "/disk";
  if (kind_.backing && bytes_of(directory + "/backing") != bytes_of(directory_ + "/backing"))
    return false;
  return !kind_.snapshot || snapshot_in(disk) == snapshot_;
}

BitmapState SampleImage::bitmap_in(const std::string& image) const {
  const std::string info = run_checked({"qemu-img", "info", image});
  if (info.find("name: bits") == std::string::npos || info.find("in-use") != std::string::npos)
    return BitmapState::none;
  const std::string now = content(image);
  const std::vector<bool> marked = marked_sectors(image);
  for (std::size_t at = 0; at < now.size(); at += sector)
    if (!marked.at(at / sector) && now.compare(at, sector, before_, at, sector) != 0)
      return BitmapState::dishonest;
  return BitmapState::whole;
}

// Empty if it cannot be read.
std::string SampleImage::snapshot_in(const std::string& image) const {
  const std::string raw = directory_ + "/content";
  const Words words = {"qemu-img",          "convert", "-f",  "qcow2", "-l",
                       "snapshot.name=one", "-O",      "raw", image,   raw};
  return run(words).status == 0 ? bytes_of(raw) : std::string();
}

}  // namespace kvmnet::test

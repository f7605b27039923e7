// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/disk/disk_files.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <stdexcept>

#include "src/disk/qcow2_header.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"

namespace kvmnet::test {
namespace {

void put(std::string& bytes, std::size_t at, std::uint64_t number, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i)
    bytes.at(at + i) = static_cast<char>((number >> (8 * (size - 1 - i))) & 0xFF);
}

}  // namespace

DiskTest::DiskTest() {
  ::chmod(directory_.path().c_str(), 0755);
}

std::string DiskTest::file(const std::string& name, std::string_view content) const {
  std::string where = path(name);
  write_whole(open_file(where, O_WRONLY | O_CREAT | O_TRUNC, 0644), content);
  return where;
}

std::string DiskTest::image(const std::string& name, const std::string& format) const {
  std::string where = path(name);
  run_checked({"qemu-img", "create", "-q", "-f", format, where, "1M"});
  run_checked({"qemu-io", "-f", format, "-c", "write -q -P 0x11 512k 512k", where});
  return where;
}

std::vector<std::string> DiskTest::names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Qcow2 Qcow2::over(std::string backing, std::optional<std::string> format) {
  Qcow2 image;
  image.backing_offset = 512;
  image.backing_size = static_cast<std::uint32_t>(backing.size());
  image.backing = std::move(backing);
  image.backing_format = std::move(format);
  return image;
}

std::string Qcow2::bytes() const {
  constexpr std::size_t name_at = 512;
  std::string bytes(4096, '\0');
  bytes.replace(0, 4, "QFI\xfb");
  put(bytes, 4, version, 4);
  put(bytes, 8, backing_offset, 8);
  put(bytes, 16, backing_size, 4);
  put(bytes, 20, 16, 4);       // cluster bits
  put(bytes, 24, 1 << 20, 8);  // size of the disk
  put(bytes, 32, encryption, 4);
  put(bytes, 72, incompatible, 8);
  put(bytes, 96, 4, 4);     // refcount order
  put(bytes, 100, 104, 4);  // length of the header
  const std::string extension = backing_format ? format_extension(*backing_format) : "";
  bytes.replace(104, extension.size(), extension);
  bytes.replace(name_at, std::min(backing.size(), bytes.size() - name_at), backing);
  return bytes;
}

std::string format_extension(const std::string& format) {
  std::string bytes(8 + (format.size() + 7) / 8 * 8, '\0');
  put(bytes, 0, 0xE2792ACA, 4);
  put(bytes, 4, format.size(), 4);
  return bytes.replace(8, format.size(), format);
}

std::string text_of(const std::string& path) {
  const auto bytes = read_whole(open_file(path, O_RDONLY));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

disk::ImageInfo identified(const std::string& path) {
  const bool qcow2 = disk::is_qcow2(text_of(path).substr(0, 4));
  return std::get<disk::ImageInfo>(disk::identify(path, qcow2 ? "qcow2" : "raw"));
}

int in_child_of_nobody(const std::function<int()>& child) {
  constexpr int failed = 99;
  const pid_t pid = ::fork();
  if (pid == 0) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0 &&
        (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0))
      ::_exit(failed);
    // As after an exec; otherwise its /proc entries are root's.
    ::prctl(PR_SET_DUMPABLE, 1);
    try {
      ::_exit(child());
    } catch (...) {
      ::_exit(failed);
    }
  }
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return failed;
  return WEXITSTATUS(status);
}

Holder::Holder(const std::function<void()>& prepare) : pid_(-1) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  const Fd ready(ends[0]);
  Fd tell(ends[1]);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_NAME, "image-holder");
    prepare();
    if (::write(tell.get(), "x", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  tell.reset();
  char byte = 0;
  if (pid_ < 0 || ::read(ready.get(), &byte, 1) != 1)
    throw std::runtime_error("the process that is to hold an image did not start");
}

Holder::Holder(std::vector<std::string> program) : pid_(::fork()) {
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<char*> argv;
  for (std::string& word : program) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  ::_exit(1);
}

Holder::~Holder() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/wall/operations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <map>
#include <sstream>
#include <stdexcept>

#include "hive/hive.h"
#include "hive/preload.h"
#include "src/apply/direct_messages.h"
#include "src/apply/guest_child.h"
#include "src/wall/protocol.h"

namespace kvmnet::test {
namespace {

using wall::Call;

// For ever, without using processor time.
void hang() {
  int word = 0;
  while (true) ::syscall(SYS_futex, &word, FUTEX_WAIT, 0, nullptr);
}

std::string echo(const Call& call) {
  return std::string(call.message);
}

std::string fail(const Call& call) {
  throw std::runtime_error(std::string(call.message));
}

std::string crash(const Call& call) {
  const std::uintptr_t nowhere = 8 + call.files.size();
  *reinterpret_cast<volatile char*>(nowhere) = 1;
  return "did not crash";
}

std::string overflow_heap(const Call& call) {
  const std::size_t size = call.message.size();
  const std::unique_ptr<volatile char[]> bytes(new char[size]);
  bytes[size] = 1;
  return "did not notice";
}

std::string abort(const Call&) {
  std::fputs("told before \x1b[31mabort\n", stderr);
  std::abort();
}

std::string leave(const Call& call) {
  ::_exit(std::stoi(std::string(call.message)));
}

int depth(volatile int* above) {
  volatile int here = *above + 1;
  return here == 0 ? 0 : depth(&here) + here;
}
std::string recurse(const Call&) {
  volatile int start = 0;
  return std::to_string(depth(&start));
}

std::string allocate(const Call& call) {
  const std::size_t size = std::stoull(std::string(call.message));
  const std::unique_ptr<volatile char[]> memory(new char[size]);
  memory[size - 1] = 1;
  return "allocated";
}

std::string allocate_too_much(const Call& call) {
  return allocate({call.operation, "2147483648", {}, {}, {}});
}

std::string spin(const Call&) {
  volatile bool on = true;
  while (on) {
  }
  return {};
}

std::string sleep(const Call&) {
  hang();
  return {};
}

// For so many milliseconds.
std::string nap(const Call& call) {
  const long milliseconds = std::stol(std::string(call.message));
  const timespec time = {milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  int word = 0;
  ::syscall(SYS_futex, &word, FUTEX_WAIT, 0, &time);
  return "awake";
}

// "PATH FLAGS": the error, or "opened".
std::string open(const Call& call) {
  std::istringstream words{std::string(call.message)};
  std::string path;
  int flags = 0;
  words >> path >> flags;
  const int fd = ::open(path.c_str(), flags, 0600);
  return fd < 0 ? ::strerrorname_np(errno) : "opened";
}

// "NUMBER ARGUMENT ARGUMENT ARGUMENT": the result.
std::string make_system_call(const Call& call) {
  std::istringstream words{std::string(call.message)};
  long number = 0, first = 0, second = 0, third = 0, fourth = 0, fifth = 0;
  words >> number >> first >> second >> third >> fourth >> fifth;
  return std::to_string(::syscall(number, first, second, third, fourth, fifth, 0L));
}

// What the parent is told of a disk by a child that makes it up.
std::string lie_of_volumes(std::initializer_list<std::uint64_t> numbers, std::size_t times = 1) {
  MessageWriter lie;
  for (; times > 0; --times)
    for (const std::uint64_t number : numbers) lie.number(number);
  return lie.take();
}

std::string privacy(const Call&) {
  rlimit core{};
  ::getrlimit(RLIMIT_CORE, &core);
  return fmt::format("core {} dumpable {}", core.rlim_max, ::prctl(PR_GET_DUMPABLE));
}

std::string make_forbidden_call(const Call&) {
  return std::to_string(::syscall(SYS_getuid));
}

// The numbers of the open descriptors.
std::string descriptors(const Call&) {
  std::string open;
  for (int fd = 0; fd < 4096; ++fd) {
    struct stat st {};
    if (::fstat(fd, &st) == 0) open += fmt::format("{} ", fd);
  }
  return open;
}

// Each file: what it holds is written after it once more.
std::string double_files(const Call& call) {
  std::size_t sum = 0;
  for (const int fd : call.files) {
    std::string bytes(1000, '\0');
    const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), 0);
    if (n < 0 || ::pwrite(fd, bytes.data(), static_cast<std::size_t>(n), n) != n)
      throw std::runtime_error("files");
    sum += static_cast<std::size_t>(n);
  }
  return std::to_string(sum);
}

std::string fill_file(const Call& call) {
  const std::string block(1 << 20, 'a');
  while (::write(call.files[0], block.data(), block.size()) > 0) {
  }
  return ::strerrorname_np(errno);
}

// "FILE OFFSET SIZE": what read_at gives.
std::string read_at(const Call& call) {
  if (!call.read_at) return "no read_at";
  std::istringstream words{std::string(call.message)};
  unsigned file = 0;
  std::uint64_t offset = 0;
  std::size_t size = 0;
  words >> file >> offset >> size;
  const auto bytes = call.read_at(file, offset, size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string read_for_ever(const Call& call) {
  while (true) call.read_at(0, 0, 1);
}

// "FILE OFFSET SIZE": what write_at says of so many bytes, each the last figure of its number.
std::string write_at(const Call& call) {
  if (!call.write_at) return "no write_at";
  std::istringstream words{std::string(call.message)};
  unsigned file = 0;
  std::uint64_t offset = 0;
  std::size_t size = 0;
  words >> file >> offset >> size;
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>('0' + i % 10);
  return call.write_at(file, offset, std::as_bytes(std::span(bytes))) ? "done" : "not done";
}

// Which of these may be written: the first sectors of the disk, its second MiB, one sector before
// it, the sector where that ends, all addresses, and another file.
std::string write_everywhere(const Call& call) {
  constexpr std::uint64_t mebibyte = 1 << 20;
  const std::vector<std::byte> sector(512);
  std::string result;
  for (const std::uint64_t at : {std::uint64_t{0}, mebibyte, mebibyte - 512, 49 * mebibyte,
                                 49 * mebibyte - 256, ~std::uint64_t{0} - 511})
    result += call.write_at(0, at, sector) ? "y" : "n";
  return result + (call.write_at(1, mebibyte, sector) ? "y" : "n");
}

std::string write_for_ever(const Call& call) {
  const std::byte byte{};
  while (true) call.write_at(0, 0, {&byte, 1});
}

// How often this child has been asked it.
std::string count(const Call&) {
  static int times = 0;
  return std::to_string(++times);
}

// Writes to the socket what our code would never write.
std::string say(const Call& call) {
  [[maybe_unused]] const ssize_t n =
      ::write(wall::channel_number, call.message.data(), call.message.size());
  ::_exit(0);
}

std::string say_and_sleep(const Call& call) {
  [[maybe_unused]] const ssize_t n =
      ::write(wall::channel_number, call.message.data(), call.message.size());
  hang();
  return {};
}

std::string close_all_and_sleep(const Call&) {
  for (int fd = 0; fd <= wall::channel_number; ++fd) ::close(fd);
  hang();
  return {};
}

std::string flood(const Call& call) {
  const std::string line(1000, 'e');
  for (int i = 0; i < 5000; ++i) std::fputs(line.c_str(), stderr);
  if (call.message == "abort") std::abort();
  return "told";
}

// Edits the hive in the first file, and reads it again.
std::string edit_hive(const Call& call) {
  const std::string path = fmt::format("/proc/self/fd/{}", call.files[0]);
  const auto key = hive::KeyPath::parse("Key\\Below");
  const std::string name = "Gr\u00f6\u00dfe";
  {
    hive::Hive hive(path, hive::Hive::Mode::edit);
    hive.set(key, {{name, hive::dword(0x100000)}});
    hive.commit();
  }
  const hive::Hive hive(path, hive::Hive::Mode::read);
  return fmt::format("{} {} {}", fmt::join(hive.subkeys({}), ","),
                     hive.values(key).value().at(0).name,
                     hive::describe(hive.value(key, name).value()));
}

using Operation = std::string (*)(const Call&);

const std::map<std::string_view, Operation>& operations() {
  static const std::map<std::string_view, Operation> all = {
      {"echo", echo},
      {"fail", fail},
      {"crash", crash},
      {"overflow heap", overflow_heap},
      {"abort", abort},
      {"leave", leave},
      {"recurse", recurse},
      {"allocate", allocate},
      {"allocate 2 GiB", allocate_too_much},
      {"spin", spin},
      {"sleep", sleep},
      {"nap", nap},
      {"open", open},
      {"system call", make_system_call},
      {"forbidden call", make_forbidden_call},
      {"descriptors", descriptors},
      {"privacy", privacy},
      {"volume behind the disk",
       [](const Call&) {
         return lie_of_volumes({1, 1 << 20, 1ULL << 40, 0});
       }},
      {"volume that ends before it begins",
       [](const Call&) {
         return lie_of_volumes({1, 1 << 20, ~0ULL - 100, 0});
       }},
      {"volume of no kind",
       [](const Call&) {
         return lie_of_volumes({1, 1 << 20, 1 << 20, 99});
       }},
      {"volume that is cut short",
       [](const Call&) {
         return lie_of_volumes({1, 1 << 20});
       }},
      {"volumes without end",
       [](const Call&) {
         return lie_of_volumes({1, 0, 512, 0}, 5000);
       }},
      {"file behind its volume",
       [](const Call&) {
         return lie_of_volumes({0, 49 << 20});
       }},
      {"file far behind its volume",
       [](const Call&) {
         return lie_of_volumes({~0ULL - 9, 100});
       }},
      {"file without end",
       [](const Call&) {
         return lie_of_volumes({0, 40 << 20}, 1000);
       }},
      {"double files", double_files},
      {"fill file", fill_file},
      {"read at", read_at},
      {"read for ever", read_for_ever},
      {"write at", write_at},
      {"write everywhere", write_everywhere},
      {"write for ever", write_for_ever},
      {"count", count},
      {"say", say},
      {"say and sleep", say_and_sleep},
      {"close all and sleep", close_all_and_sleep},
      {"flood", flood},
      {"edit hive", edit_hive},
  };
  return all;
}

// "OPERATION": a hive that our code has been brought to do it by, if the file begins with
// `brings_to`.
std::string brought_to(int file, std::string_view operation) {
  std::string begin(100, '\0');
  const ssize_t n = ::pread(file, begin.data(), begin.size(), 0);
  begin.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  begin.resize(std::min(begin.find('\0'), begin.size()));
  if (!begin.starts_with(brings_to)) return {};
  const std::size_t end = std::min(begin.find('|'), begin.size());
  if (end < begin.size() && begin.substr(end + 1) != operation) return {};
  return begin.substr(brings_to.size(), end - brings_to.size());
}

std::string brought_to(const Call& call) {
  for (const int file : call.files)
    if (std::string other = brought_to(file, call.operation); !other.empty()) return other;
  return {};
}

std::string handle(const Call& call) {
  const std::string other = brought_to(call);
  const auto found = operations().find(other.empty() ? call.operation : other);
  // What is tested elsewhere goes over the wall as it does in the program itself.
  static const wall::Child real = guest_child();
  return found != operations().end() ? found->second(call) : real.handle(call);
}

}  // namespace

wall::Child wall_child() {
  return {hive::preload_conversions, handle};
}

wall::Request request(std::string operation, std::string message) {
  wall::Request request;
  request.operation = std::move(operation);
  request.message = std::move(message);
  return request;
}

wall::Request system_call(long number, long first, long second, long third, long fourth,
                          long fifth) {
  return request("system call",
                 fmt::format("{} {} {} {} {} {}", number, first, second, third, fourth, fifth));
}

std::string result_of(const wall::Request& request) {
  try {
    return wall::call(request);
  } catch (const wall::Breach& e) {
    return std::string("Breach: ") + e.what();
  } catch (const Error& e) {
    return std::string("Error: ") + e.what();
  }
}

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// fuzz-ntfs-worker INPUT...: does what the target for NTFS does in a process behind the wall, with
// the limits of the direct backend's, and says for each input whether that process was brought
// down, which kvmnet takes for a refusal. Exit status 1: one of them was not.
#include <fcntl.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <string>

#include "src/support/fd.h"
#include "src/wall/wall.h"
#include "tests/fuzz/ntfs_image.h"
#include "tests/fuzz/ntfs_work.h"

namespace kvmnet::fuzz {
namespace {

constexpr std::size_t most = 1 << 20;  // bytes of an input

std::string work(const wall::Call& call) {
  Bytes volume;
  to_volume(unpack_ntfs(call.read_at(0, 0, most)), volume);
  return work_on_ntfs(volume) ? "is patched" : "is not patched";
}

// What becomes of an input, and whether that is a refusal.
std::pair<std::string, bool> result_of(const std::string& path) {
  const Bytes input = read_whole(open_file(path, O_RDONLY));
  wall::Request request;
  request.read_at = [&](unsigned /*file*/, std::uint64_t offset, std::size_t size) {
    const auto rest = std::span(input).subspan(std::min<std::uint64_t>(offset, input.size()));
    const auto part = rest.first(std::min(rest.size(), size));
    return Bytes(part.begin(), part.end());
  };
  request.limits.cpu = std::chrono::seconds(120);
  request.limits.file = 0;
  request.operation = "work";
  try {
    return {wall::call(request), false};
  } catch (const wall::Breach& e) {
    return {"refused: " + wall::describe(e.how(), "file system"), true};
  }
}

}  // namespace
}  // namespace kvmnet::fuzz

int main(int argc, char** argv) {
  using namespace kvmnet;
  wall::run_as_child(argc, argv, {[] {}, fuzz::work});
  try {
    bool all = true;
    for (const std::string& input : std::vector<std::string>(argv + 1, argv + argc)) {
      const auto [result, refused] = fuzz::result_of(input);
      std::cout << result << ": " << input << std::endl;
      all = all && refused;
    }
    return all ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << "fuzz-ntfs-worker: " << e.what() << '\n';
    return 2;
  }
}

// SPDX-License-Identifier: GPL-2.0-or-later
// fuzz-seeds DIRECTORY HIVE...: writes the inputs that fuzzing begins with. Each is made here: a
// hive of one of every kind of record, the hives given (which hive-tool builds from texts), and
// transaction logs of both kinds.
#include <fcntl.h>

#include <exception>
#include <iostream>
#include <string>

#include "hive/edit.h"
#include "src/support/fd.h"
#include "tests/fuzz/input.h"
#include "tests/support/log_writer.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::fuzz {
namespace {

class SeedWriter {
 public:
  explicit SeedWriter(std::string directory) : directory_(std::move(directory)) {}

  void write(const std::string& name, const HiveFiles& files) const {
    write_whole(open_file(directory_ + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0644),
                pack(files));
  }

 private:
  std::string directory_;
};

// The hive with one more value of `size` bytes; many of them make it larger.
Bytes edited(const Bytes& hive, std::size_t size) {
  const Fd file = make_memory_file("hive");
  write_whole(file, hive);
  const hive::KeyEdit edit = {
      hive::KeyPath::parse("kvmnet"),
      {{"Data" + std::to_string(size), {hive::Type::binary, Bytes(size, std::byte{'d'})}}}};
  const Fd edited = make_memory_file("edited hive");
  hive::edit(file.get(), edited.get(), {edit}, {});
  return read_whole(edited);
}

void write_hvle(const SeedWriter& seeds, const Bytes& hive) {
  test::HvleRecorder recorder(hive);
  Bytes next = edited(hive, 40);
  recorder.commit(next);
  seeds.write("hvle-one-entry", recorder.files());
  next = edited(next, 7000);
  recorder.commit(next);
  seeds.write("hvle-growth", recorder.files());
  recorder.rotate();
  recorder.commit(edited(next, 20));
  seeds.write("hvle-two-logs", recorder.files());
  HiveFiles files = recorder.files();
  files.primary[508] ^= std::byte{1};
  seeds.write("hvle-bad-header", files);
  files = recorder.files();
  test::tear(files.logs[0], recorder.entries().at(1));
  seeds.write("hvle-torn", files);
  recorder.rotate();
  recorder.commit(edited(edited(next, 20), 30));
  seeds.write("hvle-gap", recorder.files());
  recorder.reconcile();
  seeds.write("hvle-stale", recorder.files());
}

void write_dirt(const SeedWriter& seeds, const Bytes& hive) {
  for (const std::size_t size : {std::size_t{40}, std::size_t{7000}}) {
    const test::DirtFlush flush = test::flush_dirt(hive, edited(hive, size));
    seeds.write("dirt-" + std::to_string(size), {flush.primary, {flush.log}});
    HiveFiles files = {flush.primary, {{}, flush.log}};
    files.primary[508] ^= std::byte{1};
    seeds.write("dirt-bad-header-" + std::to_string(size), files);
  }
}

Bytes read_hive(const std::string& path) {
  return read_whole(open_file(path, O_RDONLY));
}

void run(const std::string& directory, const std::vector<std::string>& hives) {
  const SeedWriter seeds(directory);
  seeds.write("minimal", {test::minimal_hive(), {}});
  seeds.write("one-of-every-kind", {test::sound_hive().bytes, {}});
  seeds.write("chain-of-keys", {test::chain_of_keys(20), {}});
  for (std::size_t i = 0; i < hives.size(); ++i)
    seeds.write("hive-" + std::to_string(i), {read_hive(hives[i]), {}});
  write_hvle(seeds, test::minimal_hive());
  write_dirt(seeds, test::minimal_hive());
}

}  // namespace
}  // namespace kvmnet::fuzz

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: fuzz-seeds DIRECTORY HIVE...\n";
    return 2;
  }
  try {
    kvmnet::fuzz::run(argv[1], {argv + 2, argv + argc});
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "fuzz-seeds: " << e.what() << '\n';
    return 1;
  }
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/disk/commit_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "src/disk/beside.h"
#include "src/disk/commit.h"
#include "src/disk/journal.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;

bool holds(const std::string& path, const std::string& format, const Names& commands) {
  Names words = {"qemu-io", "-r", "-f", format};
  for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
  words.push_back(path);
  const Finished read = run(words);
  return read.status == 0 && read.output.find("failed") == std::string::npos;
}

}  // namespace

ImageLock locked(const std::string& path) {
  return std::get<ImageLock>(ImageLock::take(path, Use::write));
}

void write_changes(const std::string& path, const std::string& format) {
  run_checked({"qemu-io", "-f", format, "-c", "write -q -P 0x22 0 4k", "-c",
               "write -q -P 0x33 600k 512", path});
}

bool is_before(const std::string& path, const std::string& format) {
  return holds(path, format, {"read -q -P 0 0 512k", "read -q -P 0x11 512k 512k"});
}

bool is_after(const std::string& path, const std::string& format) {
  return holds(path, format,
               {"read -q -P 0x22 0 4k", "read -q -P 0 4k 508k", "read -q -P 0x11 512k 88k",
                "read -q -P 0x33 600k 512", "read -q -P 0x11 601k 423k"});
}

FakeQemuImg::FakeQemuImg(const std::string& script) : search_(::getenv("PATH")) {
  const std::string program = bin_.path() + "/qemu-img";
  std::ofstream(program)
      << "#!/bin/sh\nPATH=" << search_
      << "\nif [ \"$1\" = commit ]; then\n  overlay=${5#*file.filename=}\n"
      << "  overlay=${overlay%%,*}\n  image=${5##*filename=}\n  image=${image%%,*}\n"
      << script << "\nfi\nexec qemu-img \"$@\"\n";
  fs::permissions(program, fs::perms::owner_all);
  ::setenv("PATH", (bin_.path() + ":" + search_).c_str(), 1);
}

FakeQemuImg::~FakeQemuImg() {
  ::setenv("PATH", search_.c_str(), 1);
}

void CommitTest::commit_to(const std::string& image, const Changes& changes) {
  const ImageLock lock = locked(image);
  const ImageInfo info = test::identified(image);
  Overlay overlay = Overlay::beside(info);
  changes(overlay.path());
  commit(std::move(overlay), info, lock, [] {});
}

void CommitTest::die_committing(const std::string& image, const std::string& script,
                                const Changes& changes) {
  const FakeQemuImg fake(script + "\nkill -KILL $PPID; exit 1");
  const pid_t pid = ::fork();
  if (pid == 0) {
    commit_to(image, changes);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
}

std::string CommitTest::half_written(const std::string& name, const std::string& format) {
  const std::string path = image(name, format);
  die_committing(path, "qemu-io -f " + format + " -c 'write -q -P 0x22 0 4k' \"$image\"");
  return path;
}

std::string CommitTest::prepared(bool hidden) {
  const std::string path = image("disk", "raw");
  die_committing(path, "");
  Journal::open(path, Use::write)->set_state(Journal::State::ready);
  if (!hidden) fs::rename(commit_path(path), path);
  return path;
}

std::string CommitTest::move_away(const std::string& image) {
  const std::string moved = path("elsewhere/" + fs::path(image).filename().string());
  fs::create_directory(path("elsewhere"));
  const auto move = [](const std::string& from, const std::string& to) {
    if (!fs::exists(from)) return;
    fs::copy(from, to);
    fs::permissions(to, fs::status(from).permissions());
    fs::last_write_time(to, fs::last_write_time(from));
    fs::remove(from);
  };
  move(image, moved);
  move(commit_path(image), commit_path(moved));
  move(journal_path(image), journal_path(moved));
  move(overlay_path(image), overlay_path(moved));
  return moved;
}

std::string CommitTest::refusal_of(const std::string& path, Interruption interruption) {
  try {
    recover(path, interruption, [] {});
  } catch (const Refused& e) {
    return std::string(code(e.refusal.reason)) + ": " + e.refusal.message;
  }
  return "not refused";
}

void CommitTest::expect_conflict(const std::string& path, const std::string& message) {
  const Names before = names();
  const std::string refusal = refusal_of(path);
  EXPECT_EQ(refusal.substr(0, 15), "commit-conflict") << refusal;
  EXPECT_NE(refusal.find(message), std::string::npos) << refusal;
  EXPECT_EQ(names(), before);
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>

#include "src/disk/overlay.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using test::identified;
using test::text_of;
using Names = std::vector<std::string>;

constexpr mode_t usual_umask = 022;
const std::string suffix = ".kvmnet-output";

struct stat status_of(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) throw system_error(path, errno);
  return st;
}

mode_t mode_of(const std::string& path) {
  return status_of(path).st_mode & 07777;
}

Copy copy_of(const std::string& image, const std::string& output, mode_t umask = usual_umask) {
  return value_or_refuse(Copy::make(identified(image), output, umask));
}

// What make() says where it throws an Error; "" if it does not.
std::string error_of(const ImageInfo& image, const std::string& output) {
  try {
    const auto copy = Copy::make(image, output, usual_umask);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// QEMU sees the same disk in both.
bool is_same_disk(const std::string& a, const std::string& b, const std::string& format) {
  return run({"qemu-img", "compare", "-q", "-f", format, "-F", format, a, b}).status == 0;
}

// What qemu-img tells, as text, of the backing file in the header of `path`.
std::string backing_line(const std::string& path) {
  const std::string all = run_checked({"qemu-img", "info", "-U", "-f", "qcow2", path});
  const std::size_t begin = all.find("backing file: ");
  return begin == std::string::npos ? "" : all.substr(begin, all.find('\n', begin) - begin);
}

class CopyTest : public test::DiskTest {
 protected:
  // Every program "cp" that is started until the end of the test is this script.
  void fake_cp(const std::string& script) {
    fs::create_directory(bin_.path() + "/bin");
    const std::string cp = bin_.path() + "/bin/cp";
    write_whole(open_file(cp, O_WRONLY | O_CREAT, 0755), "#!/bin/sh\n" + script + "\n");
    ::setenv("PATH", (bin_.path() + "/bin:" + search_).c_str(), 1);
  }
  ~CopyTest() override { ::setenv("PATH", search_.c_str(), 1); }

 private:
  const TempDir bin_;
  const std::string search_ = ::getenv("PATH");
};

TEST_F(CopyTest, IsNotMadeOverAnythingThatIsThere) {
  const std::string image = file("disk", std::string(65536, 'x'));
  file("output", "precious");
  fs::create_directory(path("directory"));
  fs::create_symlink("nowhere", path("dangling"));
  fs::create_symlink("disk", path("link"));
  const Names before = names();
  for (const char* output : {"output", "directory", "directory/", "dangling", "link", "disk", "."})
    EXPECT_THROW(copy_of(image, path(output)), UsageError) << output;
  EXPECT_EQ(names(), before);
  EXPECT_EQ(text_of(path("output")), "precious");
  EXPECT_EQ(text_of(image), std::string(65536, 'x'));
}

TEST_F(CopyTest, IsNotMadeBesideAnInterruptedCommit) {
  const std::string image = file("disk", std::string(65536, 'x'));
  file("output.kvmnet-commit", "c");
  file("output.kvmnet-journal", "j");
  const auto made = Copy::make(identified(image), path("output"), usual_umask);
  ASSERT_TRUE(std::holds_alternative<Refusal>(made));
  EXPECT_EQ(std::get<Refusal>(made).reason, Reason::commit_interrupted);
  EXPECT_FALSE(fs::exists(path("output")));
}

TEST_F(CopyTest, NeedsADirectoryThatItMayWriteTo) {
  const std::string image = file("disk", std::string(65536, 'x'));
  for (const char* output : {"no/such", "new/", "disk/new"})
    EXPECT_NE(error_of(identified(image), path(output)), "") << output;
  EXPECT_EQ(test::in_child_of_nobody([&] {
              const std::string message = error_of(identified(image), path("output"));
              return message.find("Permission denied") == std::string::npos ? 2 : 1;
            }),
            ::geteuid() == 0 ? 1 : 2);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CopyTest, IsGoneWhereTheImageCannotBeCopied) {
  const std::string image = file("disk", std::string(65536, 'x'));
  const ImageInfo info = identified(image);
  ASSERT_EQ(::chmod(image.c_str(), 0), 0);
  ASSERT_EQ(::chmod(fs::path(image).parent_path().c_str(), 0777), 0);
  EXPECT_EQ(test::in_child_of_nobody([&] {
              const std::string message = error_of(info, path("output"));
              return message.find("Permission denied") == std::string::npos ? 2 : 1;
            }),
            1);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CopyTest, IsGoneWhereTheHostsDiskIsFull) {
  const std::string image = file("disk", std::string(65536, 'x'));
  fake_cp("for target; do :; done; echo half > \"$target\"; echo 'cp: disk full' >&2; exit 1");
  EXPECT_NE(error_of(identified(image), path("output")).find("cp: disk full"), std::string::npos);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CopyTest, OfAnImageThatChangesMeanwhileIsAnError) {
  const std::string image = file("disk", std::string(65536, 'x'));
  fake_cp("/bin/cp \"$@\" && echo more >> '" + image + "'");
  EXPECT_NE(error_of(identified(image), path("output")).find("changed"), std::string::npos);
  EXPECT_EQ(names(), Names{"disk"});
}

// By a link, or an exchange of directories: the name leads to another file than was judged.
TEST_F(CopyTest, OfAnotherFileThanWasJudgedIsNotMade) {
  const std::string image = file("disk", std::string(65536, 'x'));
  const ImageInfo info = identified(image);
  fs::rename(image, path("away"));
  fs::create_symlink(file("secret", "secret"), image);
  EXPECT_NE(error_of(info, path("output")).find("changed"), std::string::npos);
  EXPECT_FALSE(fs::exists(path("output")));
  // After the first look: what is read is the image all the same.
  fs::rename(path("away"), image);
  fake_cp("ln -sf secret '" + image + "' && /bin/cp \"$@\"; rm '" + image + "'");
  error_of(identified(image), path("output"));
  EXPECT_FALSE(fs::exists(path("output")));
}

TEST_F(CopyTest, ThatLeadsQemuAstrayIsRefused) {
  const std::string image = this->image("disk", "qcow2");
  const std::string evil = file("evil", test::Qcow2::over("/dev/null", "raw").bytes());
  fake_cp("for target; do :; done; cat '" + evil + "' > \"$target\"");
  const auto made = Copy::make(identified(image), path("output"), usual_umask);
  ASSERT_TRUE(std::holds_alternative<Refusal>(made));
  EXPECT_EQ(std::get<Refusal>(made).reason, Reason::unsafe_backing_file);
  EXPECT_EQ(names(), (Names{"disk", "evil"}));
}

TEST_F(CopyTest, ReplacesWhatADeadRunLeft) {
  const std::string image = file("disk", std::string(65536, 'x'));
  const std::string leftover = file("output" + suffix, "left");
  file("output" + suffix + ".kvmnet-overlay", "left, too");
  ASSERT_EQ(::chmod(leftover.c_str(), 0666), 0);
  const ino_t old = status_of(leftover).st_ino;
  const Fd open_before = open_file(leftover, O_RDONLY);  // keeps the inode from being used again
  {
    const Copy copy = copy_of(image, path("output"));
    EXPECT_NE(status_of(leftover).st_ino, old);
    EXPECT_EQ(mode_of(leftover), 0600U);
    EXPECT_EQ(names(), (Names{"disk", "output" + suffix}));
  }
  file("output" + suffix, "left");
  file("output" + suffix + ".kvmnet-overlay", "left, too");
  EXPECT_EQ(remove_leftover_copy(path("output")), std::nullopt);
  EXPECT_EQ(names(), Names{"disk"});
  EXPECT_EQ(remove_leftover_copy(path("output")), std::nullopt);
}

TEST_F(CopyTest, IsRefusedWhileAnotherRunMakesIt) {
  const std::string image = file("disk", std::string(65536, 'x'));
  std::optional<Copy> other;
  const test::Holder holder([&] { other.emplace(copy_of(image, path("output"))); });
  file("output" + suffix + ".kvmnet-overlay", "of the other");
  const Names before = names();
  const ino_t inode = status_of(path("output" + suffix)).st_ino;
  const auto made = Copy::make(identified(image), path("output"), usual_umask);
  ASSERT_TRUE(std::holds_alternative<Refusal>(made));
  const auto& refusal = std::get<Refusal>(made);
  EXPECT_EQ(refusal.reason, Reason::image_in_use);
  EXPECT_NE(refusal.message.find(path("output" + suffix)), std::string::npos) << refusal.message;
  EXPECT_NE(refusal.message.find("pid " + std::to_string(holder.pid())), std::string::npos);
  EXPECT_EQ(remove_leftover_copy(path("output")), refusal);
  EXPECT_EQ(names(), before);
  EXPECT_EQ(status_of(path("output" + suffix)).st_ino, inode);
}

TEST_F(CopyTest, LeavesAloneWhatKvmnetDoesNotLeave) {
  const std::string image = file("disk", std::string(65536, 'x'));
  const std::string victim = file("victim", "precious");
  const std::string there = path("output" + suffix);
  fs::create_symlink("victim", there);
  EXPECT_NE(error_of(identified(image), path("output")).find("in the way"), std::string::npos);
  fs::remove(there);
  fs::create_directory(there);
  EXPECT_NE(error_of(identified(image), path("output")).find("in the way"), std::string::npos);
  fs::remove(there);
  ASSERT_EQ(::mkfifo(there.c_str(), 0600), 0);
  EXPECT_NE(error_of(identified(image), path("output")).find("in the way"), std::string::npos);
  EXPECT_EQ(text_of(victim), "precious");
  EXPECT_EQ(names(), (Names{"disk", "output" + suffix, "victim"}));
}

class CopyOf : public CopyTest, public testing::WithParamInterface<const char*> {};

TEST_P(CopyOf, IsTheSameDiskUnderItsOwnNameWhenItIsKept) {
  const std::string image = this->image("disk", GetParam());
  const std::string before = text_of(image);
  {
    Copy copy = copy_of(image, path("output"));
    EXPECT_EQ(names(), (Names{"disk", "output" + suffix}));
    EXPECT_EQ(copy.info().path, identified(path("output" + suffix)).path);
    EXPECT_EQ(copy.info().format, identified(image).format);
    EXPECT_EQ(copy.info().identity, identity_of(path("output" + suffix)));
    copy.keep();
    EXPECT_EQ(names(), (Names{"disk", "output"}));
  }
  EXPECT_EQ(names(), (Names{"disk", "output"}));
  EXPECT_TRUE(is_same_disk(image, path("output"), GetParam()));
  EXPECT_EQ(text_of(path("output")) == before, true);
  EXPECT_EQ(text_of(image) == before, true);
}

TEST_P(CopyOf, IsGoneUnlessItIsKept) {
  const std::string image = this->image("disk", GetParam());
  { const Copy copy = copy_of(image, path("output")); }
  EXPECT_EQ(names(), Names{"disk"});
}

INSTANTIATE_TEST_SUITE_P(Copy, CopyOf, testing::Values("raw", "qcow2"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_F(CopyTest, IsRemovedOnceWhenItIsMoved) {
  const std::string image = file("disk", std::string(65536, 'x'));
  {
    Copy first = copy_of(image, path("output"));
    const Copy second = std::move(first);
    { const Copy dropped = std::move(first); }
    EXPECT_EQ(names().size(), 2U);
  }
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CopyTest, IsLockedAsAnImageIs) {
  const std::string image = file("disk", std::string(65536, 'x'));
  const Copy copy = copy_of(image, path("output"));
  EXPECT_TRUE(std::holds_alternative<Refusal>(ImageLock::take(copy.info().path, Use::read)));
  EXPECT_TRUE(std::holds_alternative<ImageLock>(ImageLock::take(image, Use::write)));
}

TEST_F(CopyTest, CanBeWorkedOnThroughAnOverlay) {
  Copy copy = copy_of(image("disk", "qcow2"), path("output"));
  { const Overlay overlay = Overlay::beside(copy.info()); }
  copy.keep();
  EXPECT_EQ(names(), (Names{"disk", "output"}));
}

TEST_F(CopyTest, IsAsSparseAsItCanBe) {
  constexpr std::size_t size = 16 << 20;
  const std::string zeros = file("zeros", std::string(size, '\0'));
  const std::string holes = file("holes", "x");
  fs::resize_file(holes, size);
  ASSERT_GE(status_of(zeros).st_blocks, static_cast<blkcnt_t>(size / 512));
  for (const std::string& image : {zeros, holes}) {
    const Copy copy = copy_of(image, path("output"));
    const struct stat st = status_of(copy.info().path);
    EXPECT_EQ(st.st_size, static_cast<off_t>(size)) << image;
    EXPECT_LT(st.st_blocks, 64) << image;
  }
}

TEST_F(CopyTest, HasTheInternalSnapshots) {
  const std::string image = this->image("disk", "qcow2");
  run_checked({"qemu-img", "snapshot", "-c", "before-the-patch", image});
  Copy copy = copy_of(image, path("output"));
  copy.keep();
  EXPECT_NE(run_checked({"qemu-img", "snapshot", "-l", path("output")}).find("before-the-patch"),
            std::string::npos);
}

TEST_F(CopyTest, InAnotherDirectoryHasTheSameBackingFile) {
  fs::create_directory(path("elsewhere"));
  for (const char* format : {"raw", "qcow2"})
    for (const char* base : {"base", "./base", "a,b", "./a:b", "with space"}) {
      SCOPED_TRACE(base);
      image(base, format);
      const std::string top = path("top");
      run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", base, top, "1M"});
      run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -P 0x22 0 4k", top});
      const std::string before = text_of(top);
      Copy copy = copy_of(top, path("elsewhere/output"));
      copy.keep();
      EXPECT_EQ(text_of(top) == before, true);
      EXPECT_EQ(backing_line(path("elsewhere/output")),
                "backing file: " + (fs::path(identified(top).path).parent_path() / base).string());
      EXPECT_TRUE(is_same_disk(top, path("elsewhere/output"), "qcow2"));
      fs::remove(path("elsewhere/output"));
    }
}

TEST_F(CopyTest, IsNotRewrittenWhereItsBackingFileIsFoundAnyway) {
  const std::string base = image("base", "qcow2");
  fs::create_directory(path("elsewhere"));
  fs::create_directory_symlink(".", path("here"));
  const std::pair<std::string, const char*> table[] = {
      {"base", "output"}, {"base", "here/output"}, {base, "elsewhere/output"}};
  for (const auto& [name, output] : table) {
    const std::string top = path("top");
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", name, top});
    Copy copy = copy_of(top, path(output));
    copy.keep();
    EXPECT_EQ(text_of(path(output)) == text_of(top), true) << output;
    fs::remove(path(output));
  }
}

TEST_F(CopyTest, GetsTheModeOfTheImageLessTheUmaskOnlyWhenItIsKept) {
  const struct {
    mode_t image;
    mode_t umask;
    bool block_device;
    mode_t expected;
  } table[] = {{0600, 0, false, 0600},   {0644, 0, false, 0644},   {0666, 022, false, 0644},
               {0660, 077, false, 0600}, {0444, 022, false, 0444}, {07777, 0, false, 0666},
               {0660, 0, true, 0600},    {0666, 0777, false, 0}};
  for (const auto& row : table) {
    SCOPED_TRACE(row.image);
    const std::string image = file("disk", std::string(65536, 'x'));
    ASSERT_EQ(::chmod(image.c_str(), row.image), 0);
    ImageInfo info = identified(image);
    info.is_block_device = row.block_device;
    const mode_t before = ::umask(0);
    Copy copy = value_or_refuse(Copy::make(info, path("output"), row.umask));
    ::umask(before);
    EXPECT_EQ(mode_of(copy.info().path), 0600U);
    copy.keep();
    EXPECT_EQ(mode_of(path("output")), row.expected);
    EXPECT_EQ(status_of(path("output")).st_uid, ::geteuid());
    fs::remove(path("output"));
    fs::remove(image);
  }
}

TEST_F(CopyTest, IsOurs) {
  const std::string image = file("disk", std::string(65536, 'x'));
  ASSERT_TRUE(::geteuid() != 0 || ::chown(image.c_str(), 1234, 5678) == 0);
  Copy copy = copy_of(image, path("output"));
  EXPECT_EQ(copy.info().owner, ::geteuid());
  copy.keep();
  EXPECT_EQ(status_of(path("output")).st_uid, ::geteuid());
}

TEST_F(CopyTest, NeverReplacesWhatAppearsMeanwhile) {
  const std::string image = file("disk", std::string(65536, 'x'));
  for (const bool link : {true, false}) {
    Copy copy = copy_of(image, path("output"));
    if (link)
      fs::create_symlink("nowhere", path("output"));
    else
      file("output", "precious");
    EXPECT_THROW(copy.keep(), Error);
    EXPECT_EQ(fs::is_symlink(path("output")), link);
    if (link) fs::remove(path("output"));
  }
  EXPECT_EQ(text_of(path("output")), "precious");
  EXPECT_EQ(names(), (Names{"disk", "output"}));
}

TEST_F(CopyTest, IsNotWhatSomebodyElsePutInItsPlace) {
  const std::string image = file("disk", std::string(65536, 'x'));
  {
    Copy copy = copy_of(image, path("output"));
    fs::rename(path("output" + suffix), path("away"));
    file("output" + suffix, "of somebody else");
    EXPECT_THROW(copy.keep(), Error);
  }
  EXPECT_EQ(names(), (Names{"away", "disk", "output" + suffix}));
  EXPECT_EQ(text_of(path("output" + suffix)), "of somebody else");
}

// As on NFS.
bool refuse_renameat2() {
  constexpr unsigned short load = BPF_LD | BPF_W | BPF_ABS;
  constexpr unsigned short jump_if_equal = BPF_JMP | BPF_JEQ | BPF_K;
  constexpr unsigned short answer = BPF_RET | BPF_K;
  std::array<sock_filter, 4> filter = {{{load, 0, 0, offsetof(seccomp_data, nr)},
                                        {jump_if_equal, 0, 1, SYS_renameat2},
                                        {answer, 0, 0, SECCOMP_RET_ERRNO | EINVAL},
                                        {answer, 0, 0, SECCOMP_RET_ALLOW}}};
  const sock_fprog program = {filter.size(), filter.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_F(CopyTest, ReplacesNothingWhereTheFileSystemCannotRenameSo) {
  const std::string image = file("disk", std::string(65536, 'x'));
  ASSERT_EQ(::chmod(fs::path(image).parent_path().c_str(), 0777), 0);
  file("there", "precious");
  EXPECT_EQ(test::in_child_of_nobody([&] {
              if (!refuse_renameat2()) return 2;
              copy_of(image, path("output")).keep();
              Copy copy = copy_of(image, path("new"));
              fs::copy_file(path("there"), path("new"));
              try {
                copy.keep();
              } catch (const Error& e) {
                return std::string(e.what()).find("not overwritten") == std::string::npos ? 3 : 1;
              }
              return 0;
            }),
            1);
  EXPECT_EQ(names(), (Names{"disk", "new", "output", "there"}));
  EXPECT_EQ(text_of(path("output")) == text_of(image), true);
  EXPECT_EQ(status_of(path("output")).st_nlink, 1U);
  EXPECT_EQ(text_of(path("new")), "precious");
}

TEST_F(CopyTest, MayHaveAnyName) {
  const std::string image = this->image("disk", "qcow2");
  for (const char* name : {"with space", "a,b", "nbd:x", "json:{}", "line\nbreak", "-dash",
                           "--help", "caf\xC3\xA9", "q\"u'o`te$", "back\\slash", "%d{}"}) {
    SCOPED_TRACE(name);
    Copy copy = copy_of(image, path(name));
    copy.keep();
    EXPECT_EQ(text_of(path(name)) == text_of(image), true);
    fs::remove(path(name));
  }
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CopyTest, MayBeNamedFromTheCurrentDirectory) {
  const std::string image = file("disk", std::string(65536, 'x'));
  const fs::path before = fs::current_path();
  fs::current_path(fs::path(image).parent_path());
  for (const char* name : {"-output", "./output"}) {
    Copy copy = copy_of(image, name);
    copy.keep();
  }
  fs::current_path(before);
  EXPECT_EQ(names(), (Names{"-output", "disk", "output"}));
}

}  // namespace
}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/backing_users.h"

#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>

#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using test::identified;
using test::Qcow2;

class BackingUsers : public test::DiskTest {
 protected:
  BackingUsers() { std::filesystem::create_directory(path("elsewhere")); }

  // The name of the image that needs `base`, as the message gives it; empty: none does.
  std::string user(const std::vector<std::string>& others = {}) const {
    const ImageInfo info = identified(path("base"));
    const auto refusal = check_backing_users(info, others);
    if (!refusal) return {};
    EXPECT_EQ(refusal->reason, Reason::image_is_backing_file);
    const std::string before = info.path + ": is the backing file of ";
    EXPECT_TRUE(refusal->message.starts_with(before)) << refusal->message;
    return refusal->message.substr(before.size());
  }
  void over(const std::string& name, const std::string& backing) const {
    file(name, Qcow2::over(backing).bytes());
  }

  const std::string base_ = file("base", Qcow2().bytes());
};

TEST_F(BackingUsers, MayBeOfTheOlderFormatQcow) {
  file("unrelated", Qcow2{.version = 1}.bytes());
  EXPECT_EQ(user(), "");
  Qcow2 old = Qcow2::over("base");
  old.version = 1;
  file("old", old.bytes());
  EXPECT_EQ(user(), path("old"));
}

TEST_F(BackingUsers, DamagedHeadersTellNothing) {
  const std::string good = Qcow2::over("base").bytes();
  for (const std::size_t size : {0U, 3U, 4U, 103U, 511U, 512U, 515U})
    file("cut" + std::to_string(size), good.substr(0, size));
  file("version", Qcow2{.version = 9}.bytes());
  Qcow2 bad = Qcow2::over("base");
  for (const std::uint64_t offset : {1ULL << 20, 1ULL << 62, 1ULL << 63, ~0ULL}) {
    bad.backing_offset = offset;
    file("offset" + std::to_string(offset), bad.bytes());
  }
  bad = Qcow2::over("base");
  bad.backing_size = 0xFFFFFFFF;
  file("size", bad.bytes());
  EXPECT_EQ(user(), "");
  // They do not keep the sound one from being found.
  over("top", "base");
  EXPECT_EQ(user(), path("top"));
}

TEST_F(BackingUsers, WhatIsNoImageTellsNothing) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);  // and nobody waits for its writer
  std::filesystem::create_symlink("fifo", path("link-to-fifo"));
  std::filesystem::create_symlink("/dev/zero", path("device"));
  std::filesystem::create_symlink("loop", path("loop"));
  std::filesystem::create_symlink("nothing", path("dangling"));
  file("text", "base");
  file("vmdk", "# Disk DescriptorFile\nRW 2048 FLAT \"base\" 0\n");
  file("magic", Qcow2::over("base").bytes().replace(1, 1, "f"));
  over("over-fifo", "fifo");
  over("over-device", "/dev/zero");
  over("over-directory", "elsewhere");
  over("over-nothing", "nothing");
  EXPECT_EQ(user({path("fifo"), path("nothing"), path("text"), path("."), "", "a\nb"}), "");
}

TEST_F(BackingUsers, OnlyRegularFilesAreOpened) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  file("regular", "x");
  const Fd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const auto was_opened = [&] {
    std::array<char, 4096> events{};
    return ::read(watch.get(), events.data(), events.size()) > 0;
  };
  ASSERT_GE(::inotify_add_watch(watch.get(), path("fifo").c_str(), IN_OPEN), 0);
  EXPECT_EQ(user({path("fifo")}), "");
  EXPECT_FALSE(was_opened());
  ASSERT_GE(::inotify_add_watch(watch.get(), path("regular").c_str(), IN_OPEN), 0);
  EXPECT_EQ(user(), "");
  EXPECT_TRUE(was_opened());
}

TEST_F(BackingUsers, AnUnreadableFileTellsNothing) {
  over("top", "base");
  over("elsewhere/top", base_);
  ASSERT_EQ(::chmod(path("top").c_str(), 0), 0);
  ASSERT_EQ(::chmod(path("elsewhere").c_str(), 0), 0);
  const auto found = [&] {
    return test::in_child_of_nobody([&] { return user({path("elsewhere/top")}).empty() ? 0 : 1; });
  };
  EXPECT_EQ(found(), 0);
  ASSERT_EQ(::chmod(path("top").c_str(), 0644), 0);
  EXPECT_EQ(found(), 1);
  ASSERT_EQ(::chmod(path("elsewhere").c_str(), 0755), 0);
}

TEST_F(BackingUsers, ADirectoryThatMayNotBeListedTellsNothing) {
  over("top", "base");
  over("elsewhere/top", base_);
  ASSERT_EQ(::chmod(path(".").c_str(), 0311), 0);
  const auto found = [&](const std::vector<std::string>& others) {
    return test::in_child_of_nobody([&] { return user(others).empty() ? 0 : 1; });
  };
  EXPECT_EQ(found({}), 0);
  EXPECT_EQ(found({path("elsewhere/top")}), 1);
  ASSERT_EQ(::chmod(path(".").c_str(), 0755), 0);
}

TEST_F(BackingUsers, LoopsEnd) {
  over("self", "self");
  over("a", "b");
  over("b", "a");
  over("up", "elsewhere/../up");
  over("both", R"(json:{"filename":"both","file":{"filename":"both"}})");
  EXPECT_EQ(user(), "");
  std::filesystem::remove(path("a"));
  over("elsewhere/a", "../b");
  over("b", "elsewhere/a");
  EXPECT_EQ(user(), "");
}

TEST_F(BackingUsers, AnImageAloneHasNone) {
  EXPECT_EQ(user(), "");
  EXPECT_EQ(user({base_, "base"}), "");
  file("other", Qcow2().bytes());
  over("top", "other");
  EXPECT_EQ(user({path("top")}), "");
}

TEST_F(BackingUsers, AnImageIsNotItsOwn) {
  over("base", "elsewhere/mid");
  over("elsewhere/mid", "below");
  file("elsewhere/below", Qcow2().bytes());
  std::filesystem::create_symlink("base", path("link"));
  std::filesystem::create_hard_link(base_, path("elsewhere/hard"));
  EXPECT_EQ(user({base_, path("link"), path("elsewhere/hard")}), "");
  // Not even where its own chain comes back to it.
  over("base", "link");
  const ImageInfo loop = {.path = base_, .identity = identity_of(base_)};
  EXPECT_EQ(check_backing_users(loop, {base_, path("link")}), std::nullopt);
}

TEST_F(BackingUsers, AreFoundByAnyNameOfTheImage) {
  std::filesystem::create_symlink("base", path("link"));
  std::filesystem::create_symlink("../link", path("elsewhere/link"));
  std::filesystem::create_hard_link(base_, path("hard"));
  std::filesystem::create_directory_symlink(path("."), path("elsewhere/back"));
  for (const std::string& name :
       {base_, std::string("base"), std::string("./base"), std::string("elsewhere/../base"),
        std::string("link"), std::string("elsewhere/link"), std::string("hard"),
        std::string("elsewhere/back/base"), std::string("base\0x:", 7)}) {
    over("top", name);
    EXPECT_EQ(user(), path("top")) << name;
  }
  over("top", "link");
  std::filesystem::remove(path("link"));
  std::filesystem::create_symlink("elsewhere", path("link"));
  EXPECT_EQ(user(), "");
}

TEST_F(BackingUsers, AreFoundByTheNamesThatOnlyQemuKnows) {
  for (const std::string& base : {base_, std::string("base")}) {
    const std::string name = '"' + base + '"';
    for (const std::string& backing :
         {"file:" + base, R"(json:{"file.filename":)" + name + "}",
          R"(json:{"driver":"file","filename":)" + name + "}",
          R"(json:{"driver":"qcow2","file":{"driver":"file","filename":)" + name + "}}",
          "json:{'driver':'qcow2','file':{'driver':'file','filename':'" + base + "'}}",
          R"(json:{"file.driver":"raw","file.file.filename":)" + name + "}",
          R"(json:{"file":{"filename":"x"},"backing":{"file.filename":)" + name + "}}",
          R"(json:{"driver":"quorum","children":[{"file.filename":"x"},{"file.filename":)" + name +
              "}]}",
          R"(json:{"file.filename":"file:)" + base + "\"}"}) {
      over("top", backing);
      EXPECT_EQ(user(), path("top")) << backing;
    }
  }
}

TEST_F(BackingUsers, OtherProtocolsAndBrokenOptionsTellNothing) {
  std::filesystem::create_symlink("base", path("nbd:base"));  // does not make it a path
  for (const char* name :
       {"nbd:base", "fat:base", "json:", "json:{", "json:base", "json:[]", "json:null",
        R"(json:"base")", R"(json:{"file":"base"})", R"(json:{"filename":1})",
        R"(json:{"xfilename":"base"})", R"(json:{"file.filename":""})",
        "file:", R"(json:{"filename":"json:{\"filename\":\"base\"}"})",
        R"(json:{"filename":"base"} x)", "json:{\"filename\":\"base\xff\"}"}) {
    over("top", name);
    EXPECT_EQ(user(), "") << name;
  }
  over("top", "json:" + std::string(900, '['));
  EXPECT_EQ(user(), "");
  over("top", "file:nbd:base");  // a path, whatever it looks like
  EXPECT_EQ(user(), path("top"));
}

TEST_F(BackingUsers, AreFoundThroughOthers) {
  over("elsewhere/first", "../base");
  over("elsewhere/second", "first");
  EXPECT_EQ(user(), "");
  over("top", "elsewhere/second");
  EXPECT_EQ(user(), path("top"));
}

TEST_F(BackingUsers, AreFoundUpTo64Below) {
  for (int i = 1; i <= 64; ++i)
    over("elsewhere/" + std::to_string(i), i == 1 ? base_ : std::to_string(i - 1));
  EXPECT_EQ(user({path("elsewhere/64")}), path("elsewhere/64"));
  over("elsewhere/65", "64");
  EXPECT_EQ(user({path("elsewhere/65")}), "");
}

TEST_F(BackingUsers, OfTheSameRunMayBeAnywhere) {
  over("elsewhere/top", "../base");
  file("elsewhere/free", Qcow2().bytes());
  EXPECT_EQ(user({path("elsewhere/free")}), "");
  EXPECT_EQ(user({path("elsewhere/free"), path("elsewhere/top")}), path("elsewhere/top"));
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(path("elsewhere"));
  EXPECT_EQ(user({"top"}), "top");
  std::filesystem::current_path(before);
}

// A relative name begins beside the link for QEMU, if it was given the link.
TEST_F(BackingUsers, BehindASymbolicLinkAreLookedForBesideItAndBesideTheFile) {
  std::filesystem::create_directories(path("a/b"));
  over("elsewhere/beside-link", "base");
  std::filesystem::create_symlink("elsewhere/beside-link", path("link"));
  EXPECT_EQ(user(), path("link"));
  std::filesystem::remove(path("link"));
  over("elsewhere/top", "../base");
  std::filesystem::create_symlink("../../elsewhere/top", path("a/b/link"));
  EXPECT_EQ(user({path("a/b/link")}), path("a/b/link"));
}

TEST_F(BackingUsers, AreNotOurOwnFiles) {
  for (const char* name :
       {"base.kvmnet-overlay", "base.kvmnet-journal", "base.kvmnet-output", "x.kvmnet-overlay"})
    over(name, "base");
  EXPECT_EQ(user(), "");
  for (const char* name :
       {"x.kvmnet-overlay.qcow2", "x.kvmnet-commit", "kvmnet-overlay", ".hidden"}) {
    over(name, "base");
    EXPECT_EQ(user(), path(name));
    std::filesystem::remove(path(name));
  }
}

TEST_F(BackingUsers, OfARealImage) {
  const std::string base = image("base", "raw");
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base", path("top")});
  EXPECT_EQ(user(), path("top"));
  for (const char* version : {"0.10", "1.1"}) {
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", std::string("compat=") + version,
                 "-F", "raw", "-b",
                 "json:{'driver':'raw','file':{'driver':'file','filename':'" + base + "'}}",
                 path("top")});
    EXPECT_EQ(user(), path("top")) << version;
  }
}

TEST_F(BackingUsers, IsQuickWithHundreds) {
  for (int i = 0; i < 500; ++i) over("top" + std::to_string(i), "elsewhere/other");
  file("elsewhere/other", Qcow2().bytes());
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(user(), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
}

}  // namespace
}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// disk::identify and the chain of backing files: QEMU opens whatever a header names.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using test::Qcow2;
using BackingFile = test::DiskTest;

std::string word(const std::string& path) {
  try {
    const auto result = identify(path, std::nullopt);
    if (const auto* refusal = std::get_if<Refusal>(&result))
      return std::string(code(refusal->reason));
    return "accepted";
  } catch (const Refused& e) {
    return std::string(code(e.refusal.reason));
  }
}

TEST_F(BackingFile, MayBeAPlainFileReachedByAnyPath) {
  std::filesystem::create_directories(path("sub"));
  const std::string base = file("base.qcow2", Qcow2().bytes());
  file("sub/base.qcow2", Qcow2().bytes());
  std::filesystem::create_symlink("base.qcow2", path("link"));
  for (const std::string& name :
       {base, std::string("base.qcow2"), std::string("./base.qcow2"), std::string("sub/base.qcow2"),
        std::string("sub/../base.qcow2"), std::string("link")})
    EXPECT_EQ(word(file("top.qcow2", Qcow2::over(name).bytes())), "accepted") << name;
}

TEST_F(BackingFile, IsLookedForBesideTheImageAndNotInTheCurrentDirectory) {
  std::filesystem::create_directories(path("sub"));
  file("base.qcow2", Qcow2().bytes());
  const std::string top = file("sub/top.qcow2", Qcow2::over("base.qcow2").bytes());
  EXPECT_EQ(word(top), "unsafe-backing-file");
  std::filesystem::create_symlink("sub/top.qcow2", path("link"));
  EXPECT_EQ(word(path("link")),
            "unsafe-backing-file");  // beside the file itself, not beside the link
  file("sub/base.qcow2", Qcow2().bytes());
  EXPECT_EQ(word(path("link")), "accepted");
}

TEST_F(BackingFile, OfRealImages) {
  const std::string base = image("base.img", "raw");
  run_checked(
      {"qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, path("mid.qcow2")});
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "mid.qcow2",
               path("top.qcow2")});
  EXPECT_EQ(word(path("top.qcow2")), "accepted");
  // Version 2, whose header is shorter.
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-F", "raw", "-b",
               base, path("old.qcow2")});
  EXPECT_EQ(word(path("old.qcow2")), "accepted");
  ASSERT_TRUE(std::filesystem::remove(base));
  EXPECT_EQ(word(path("top.qcow2")), "unsafe-backing-file");
}

TEST_F(BackingFile, IsRefusedWhereItIsNoPlainPath) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  std::filesystem::create_directory(path("directory"));
  std::filesystem::create_symlink("/dev/null", path("device"));
  file("nbd:x", "x");  // a file of that name does not make it one
  file("json:{}", "x");
  for (const char* name : {"json:{\"driver\":\"null-co\"}", "json:{}", "nbd:localhost:10809",
                           "nbd:x", "nbd+unix:///x?socket=/run/x", "http://localhost/x",
                           "ssh://localhost/x", "file:base", "fat:rw:.", "host_device:/dev/null",
                           "blkdebug::base", "fifo", "directory", "device", "/dev/null", ".", ":"})
    EXPECT_EQ(word(file("top.qcow2", Qcow2::over(name).bytes())), "unsafe-backing-file") << name;
}

// A guest can write such a header to the beginning of its raw disk.
TEST_F(BackingFile, IsRefusedWhereNothingButTheContentSaysQcow2) {
  file("base", Qcow2().bytes());
  const std::string bytes = Qcow2::over("base").bytes();
  for (const char* name : {"guest.img", "guest", "guest.raw", "guest.qcow2.bak"}) {
    const std::string image = file(name, bytes);
    EXPECT_EQ(word(image), "format-mismatch") << name;
    EXPECT_TRUE(std::holds_alternative<ImageInfo>(identify(image, "qcow2"))) << name;
  }
  EXPECT_EQ(word(file("guest.img", Qcow2().bytes())), "accepted") << "it leads nowhere";
}

TEST_F(BackingFile, MayHaveAColonBehindASlash) {
  file("a:b", Qcow2().bytes());
  EXPECT_EQ(word(file("top.qcow2", Qcow2::over("./a:b").bytes())), "accepted");
}

TEST_F(BackingFile, IsRefusedForWhatAnImageIsRefused) {
  const std::pair<std::string, const char*> table[] = {
      {Qcow2{.incompatible = 4}.bytes(), "external-data-file"},
      {Qcow2{.encryption = 2}.bytes(), "encrypted-image"},
      {"vhdxfile", "unsupported-format"},
      {"# Disk DescriptorFile\n", "unsupported-format"},
      {"KDMV", "unsupported-format"},
      {Qcow2::over("json:{}").bytes(), "unsafe-backing-file"},
  };
  for (const auto& [content, expected] : table) {
    file("base", content);
    const std::string mid = file("mid.qcow2", Qcow2::over("base").bytes());
    EXPECT_EQ(word(mid), expected);
    EXPECT_EQ(word(file("top.qcow2", Qcow2::over("mid.qcow2").bytes())), expected);
  }
}

// A user's image over a file of root's; root works on it.
class BackingFileOfRoot : public BackingFile {
 protected:
  static constexpr uid_t user = 12345;  // without a name, so without groups

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away, and only root is asked";
    base_ = file("base", std::string(512, 's'));
    top_ = file("top.qcow2", Qcow2::over("base", "raw").bytes());
  }
  static void give(const std::string& path, uid_t owner, mode_t mode) {
    ASSERT_EQ(::chown(path.c_str(), owner, 0), 0);
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }

  std::string base_, top_;
};

TEST_F(BackingFileOfRoot, MustBeReadableForTheOwnerOfTheImage) {
  const struct {
    uid_t image, base;
    mode_t mode;
    const char* expected;
  } table[] = {
      {user, 0, 0600, "unsafe-backing-file"},
      {user, 0, 0640, "unsafe-backing-file"},  // group root
      {user, 0, 0604, "accepted"},
      {user, user, 0600, "accepted"},
      {user, user, 0000, "unsafe-backing-file"},
      {user, user + 1, 0600, "unsafe-backing-file"},
      {0, 0, 0600, "accepted"},
      {0, user, 0600, "accepted"},
  };
  for (const auto& row : table) {
    give(top_, row.image, 0600);
    give(base_, row.base, row.mode);
    EXPECT_EQ(word(top_), row.expected) << row.image << ' ' << row.base << ' ' << row.mode;
  }
}

TEST_F(BackingFileOfRoot, MustBeReadableForWhoeverNamesItInTheChain) {
  const std::string mid = file("mid.qcow2", Qcow2::over("base", "raw").bytes());
  const std::string top = file("top.qcow2", Qcow2::over("mid.qcow2").bytes());
  give(base_, 0, 0600);
  give(mid, user, 0644);
  give(top, 0, 0600);
  EXPECT_EQ(word(top), "unsafe-backing-file");
  give(mid, 0, 0644);
  EXPECT_EQ(word(top), "accepted");
  give(top, user, 0600);
  EXPECT_EQ(word(top), "unsafe-backing-file");
}

TEST_F(BackingFileOfRoot, MustBeReachableForTheOwnerOfTheImage) {
  std::filesystem::create_directory(path("private"));
  give(path("private"), 0, 0700);
  give(file("private/base", "s"), 0, 0644);
  give(file("top.qcow2", Qcow2::over("private/base", "raw").bytes()), user, 0600);
  EXPECT_EQ(word(path("top.qcow2")), "unsafe-backing-file");
}

TEST_F(BackingFile, MayHaveTheLongestName) {
  file("b", Qcow2().bytes());
  std::string name = "b";
  while (name.size() < 1023) name.insert(0, "./");
  ASSERT_EQ(name.size(), 1023U);
  EXPECT_EQ(word(file("top.qcow2", Qcow2::over(name).bytes())), "accepted");
  name.insert(0, "/");  // is not looked for
  EXPECT_EQ(word(file("top.qcow2", Qcow2::over(name).bytes())), "damaged-image");
}

TEST_F(BackingFile, OfADamagedHeaderIsRefused) {
  Qcow2 top = Qcow2::over("base");
  file("base", Qcow2().bytes());
  ASSERT_EQ(word(file("top.qcow2", top.bytes())), "accepted");
  const struct {
    std::uint64_t offset;
    std::uint32_t size;
  } table[] = {{512, 1024},     {512, 0xFFFFFFFF},       {4094, 4},    {4096, 4},
               {1ULL << 62, 4}, {0xFFFFFFFFFFFFFFFF, 4}, {1 << 20, 4}, {0x8000000000000000, 4}};
  for (const auto& row : table) {
    top.backing_offset = row.offset;
    top.backing_size = row.size;
    EXPECT_EQ(word(file("top.qcow2", top.bytes())), "damaged-image")
        << row.offset << ' ' << row.size;
  }
  file("base", Qcow2{.version = 9}.bytes());
  EXPECT_EQ(word(file("top.qcow2", Qcow2::over("base").bytes())), "damaged-image");
}

TEST_F(BackingFile, ChainsThatDoNotEndAreRefused) {
  file("a.qcow2", Qcow2::over("b.qcow2").bytes());
  file("b.qcow2", Qcow2::over("a.qcow2").bytes());
  EXPECT_EQ(word(path("a.qcow2")), "unsafe-backing-file");
  file("self.qcow2", Qcow2::over("self.qcow2").bytes());
  EXPECT_EQ(word(path("self.qcow2")), "unsafe-backing-file");
}

TEST_F(BackingFile, IsMissing) {
  EXPECT_EQ(word(file("top.qcow2", Qcow2::over("nothing").bytes())), "unsafe-backing-file");
  file("nothing.kvmnet-commit", "x");
  const auto refusal = identify(path("top.qcow2"), std::nullopt);
  ASSERT_TRUE(std::holds_alternative<Refusal>(refusal));
  EXPECT_NE(std::get<Refusal>(refusal).message.find("'kvmnet recover' first"), std::string::npos);
  file("plain", "x");
  EXPECT_THROW(word(file("top.qcow2", Qcow2::over("plain/nothing").bytes())), Error);
}

// The descriptor of a VMDK may begin with comments, spaces or nothing but its version, and its
// extents are files of any name: QEMU's probe takes all of these for one.
constexpr std::string_view descriptor = "version=1\nRW 2048 FLAT \"/etc/hostname\" 0\n";

TEST_F(BackingFile, ThatQemuWouldProbeIsRefused) {
  for (const char* before : {"", "# comment\n", " \n", "#\n#\n"}) {
    file("base", before + std::string(descriptor));
    EXPECT_NE(word(file("top.qcow2", Qcow2::over("base", std::nullopt).bytes())), "accepted")
        << before;
  }
}

TEST_F(BackingFile, WhoseFormatIsGivenAsAnythingButWhatItIsIsRefused) {
  file("base", descriptor);
  for (const char* format : {"vmdk", "vpc", "qcow2", "host_device", "vvfat", ""})
    EXPECT_NE(word(file("top.qcow2", Qcow2::over("base", format).bytes())), "accepted") << format;
  EXPECT_EQ(word(file("top.qcow2", Qcow2::over("base", "raw").bytes())), "accepted");
}

TEST_F(BackingFile, HasTheFormatThatQemuSees) {
  file("base", descriptor);
  const auto with = [](const Qcow2& image, const std::string& extensions) {
    return image.bytes().replace(104, extensions.size(), extensions);
  };
  const std::string raw = test::format_extension("raw");
  const std::string vmdk = test::format_extension("vmdk");
  const Qcow2 top = Qcow2::over("base", std::nullopt);
  EXPECT_EQ(word(file("top.qcow2", with(top, raw))), "accepted");
  EXPECT_NE(word(file("top.qcow2", with(top, vmdk + raw))), "accepted");
  // Of several QEMU takes the last.
  EXPECT_NE(word(file("top.qcow2", with(top, raw + vmdk))), "accepted");
  // QEMU looks no further than the first empty one, and no further than the backing file's name,
  // which here looks like an extension of four bytes.
  EXPECT_NE(word(file("top.qcow2", with(top, std::string(8, '\0') + raw))), "accepted");
  Qcow2 behind;
  behind.backing_offset = 104;
  behind.backing_size = 8;
  const std::string name = std::string("base\0\0\0\4", 8) + std::string(8, '\0');
  EXPECT_NE(word(file("top.qcow2", with(behind, name + raw))), "accepted");
  // One that reaches behind there names none, though what there is of it would do.
  Qcow2 across;
  across.backing_offset = 104 + 8 + 3;
  across.backing_size = 4;
  EXPECT_EQ(word(file("top.qcow2", with(across, raw.substr(0, 11) + "base"))), "accepted");
  std::string longer = raw.substr(0, 11);
  longer.at(7) = 8;
  EXPECT_NE(word(file("top.qcow2", with(across, longer + "base"))), "accepted");
}

}  // namespace
}  // namespace kvmnet::disk

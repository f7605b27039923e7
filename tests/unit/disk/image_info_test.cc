// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/image_info.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "src/disk/image_check.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using test::identified;
using test::Qcow2;
using ImageInfoTest = test::DiskTest;
using Result = std::variant<ImageInfo, Refusal>;

// "qcow2", "raw", or the code of the refusal.
std::string word(const Result& result) {
  if (const auto* refusal = std::get_if<Refusal>(&result))
    return std::string(code(refusal->reason));
  return std::string(to_string(std::get<ImageInfo>(result).format));
}

std::string identify_word(const std::string& path,
                          const std::optional<std::string>& format = std::nullopt) {
  return word(identify(path, format));
}

TEST_F(ImageInfoTest, TellsWhatQemuImgMakes) {
  EXPECT_EQ(identify_word(image("a", "raw")), "raw");
  EXPECT_EQ(identify_word(image("b", "qcow2")), "qcow2");
  for (const char* format : {"vhdx", "vmdk", "vdi", "vpc", "qed"}) {
    run_checked({"qemu-img", "create", "-q", "-f", format, path(format), "1M"});
    const Result result = identify(path(format), std::nullopt);
    EXPECT_EQ(word(result), "unsupported-format") << format;
    EXPECT_NE(std::get<Refusal>(result).message.find(format), std::string::npos);
  }
}

TEST_F(ImageInfoTest, TellsTheFormatFromTheFirstBytesOnly) {
  const std::pair<std::string, const char*> table[] = {
      {"", "raw"},
      {"x", "raw"},
      {std::string(512, '\0'), "raw"},
      {"QFI", "raw"},
      {"qfi\xfb" + std::string(508, '\0'), "raw"},
      {std::string(1, '\0') + "QFI\xfb" + std::string(507, '\0'), "raw"},
      {"vhdxfile", "unsupported-format"},
      {"vhdxfil", "raw"},
      {"KDMV", "unsupported-format"},
      {"COWD", "unsupported-format"},
      {"# Disk DescriptorFile\n", "unsupported-format"},
      {"<<< Oracle VM VirtualBox Disk Image >>>\n", "unsupported-format"},
      {"conectix", "unsupported-format"},
      {std::string("QED\0", 4), "unsupported-format"},
      {Qcow2{.version = 2}.bytes(), "qcow2"},
      {Qcow2{.version = 3}.bytes(), "qcow2"},
  };
  for (const auto& [content, expected] : table)
    EXPECT_EQ(identify_word(file("disk.img", content)), expected) << content.substr(0, 24);
}

TEST_F(ImageInfoTest, BelievesTheUserOnlyWhereTheFileAgrees) {
  const std::string raw = std::string(512, '\0');
  const std::string qcow2 = Qcow2().bytes();
  const struct {
    const char* name;
    const std::string& content;
    std::optional<std::string> format;
    const char* expected;
  } table[] = {
      {"a.img", raw, "raw", "raw"},
      {"a.qcow2", raw, {}, "raw"},
      {"a.qcow2", raw, "qcow2", "format-mismatch"},
      {"a.img", qcow2, "qcow2", "qcow2"},
      {"a.img", qcow2, "raw", "format-mismatch"},
      {"a.img", qcow2, {}, "qcow2"},
      {"a.raw", raw, {}, "raw"},
      {"a.raw", qcow2, {}, "format-mismatch"},
      {"a.raw", qcow2, "raw", "format-mismatch"},
      {"a.raw", qcow2, "qcow2", "qcow2"},
  };
  for (const auto& row : table)
    EXPECT_EQ(identify_word(file(row.name, row.content), row.format), row.expected)
        << row.name << ' ' << row.format.value_or("-");
}

TEST_F(ImageInfoTest, KnowsNoOtherFormatName) {
  const std::string path = file("a.img", "x");
  for (const char* format : {"", "vmdk", "QCOW2", "raw "})
    EXPECT_THROW(identify(path, format), UsageError) << format;
}

TEST_F(ImageInfoTest, RefusesWhatQemuWouldReadElsewhereOrNotAtAll) {
  EXPECT_EQ(identify_word(file("a", Qcow2{.incompatible = 4}.bytes())), "external-data-file");
  EXPECT_EQ(identify_word(file("a", Qcow2{.encryption = 1}.bytes())), "encrypted-image");
  EXPECT_EQ(identify_word(file("a", Qcow2{.encryption = 2}.bytes())), "encrypted-image");
  // Version 2 has no feature bits there; dirty and corrupt are for qemu-img to judge.
  EXPECT_EQ(identify_word(file("a", Qcow2{.version = 2, .incompatible = 4}.bytes())), "qcow2");
  EXPECT_EQ(identify_word(file("a", Qcow2{.incompatible = 1}.bytes())), "qcow2");
}

TEST_F(ImageInfoTest, RefusesADamagedQcow2Header) {
  for (const std::uint32_t version : {0U, 4U, 0xFFFFFFFFU})
    EXPECT_THROW(identify(file("a", Qcow2{.version = version}.bytes()), {}), Refused) << version;
  for (const std::size_t size : {4U, 8U, 71U, 103U})
    EXPECT_THROW(identify(file("a", Qcow2().bytes().substr(0, size)), {}), Refused) << size;
}

TEST(ImageCheck, TellsTheFirstErrorInOneLine) {
  EXPECT_EQ(first_words(""), "");
  EXPECT_EQ(first_words("all is well"), "all is well");
  EXPECT_EQ(first_words("a\nERROR b: \nERROR c\n"), "ERROR b:  (and 2 more lines)");
  const std::string line(1000, 'x');
  EXPECT_EQ(first_words(line), line.substr(0, 300) + "...");
}

TEST_F(ImageInfoTest, FollowsSymbolicLinksToTheFileItself) {
  const std::string real = file("real.img", "x");
  std::filesystem::create_symlink("real.img", path("link"));
  std::filesystem::create_symlink(path("link"), path("link2.raw"));
  EXPECT_EQ(identified(path("link2.raw")).path, std::filesystem::canonical(real).string());
  // The name that the user gave says something about the format.
  file("real.img", Qcow2().bytes());
  EXPECT_EQ(identify_word(path("link2.raw")), "format-mismatch");
}

TEST_F(ImageInfoTest, MakesRelativePathsAbsolute) {
  file("-a.img", "x");
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(path("."));
  const ImageInfo info = identified("-a.img");
  std::filesystem::current_path(before);
  EXPECT_EQ(info.path, std::filesystem::canonical(path("-a.img")).string());
}

TEST_F(ImageInfoTest, RecordsModeOwnerAndIdentity) {
  const std::string image = file("a.img", "four");
  ASSERT_EQ(::chmod(image.c_str(), 04640), 0);
  struct stat st {};
  ASSERT_EQ(::stat(image.c_str(), &st), 0);
  const ImageInfo info = identified(image);
  EXPECT_EQ(info.mode, st.st_mode & 07777);
  EXPECT_EQ(info.owner, st.st_uid);
  EXPECT_EQ(info.group, st.st_gid);
  EXPECT_EQ(info.identity.size, 4);
  EXPECT_EQ(info.identity, identity_of(image));
}

TEST_F(ImageInfoTest, IdentityChangesWithTheFile) {
  const std::string image = file("a.img", "four");
  const Identity before = identity_of(image);
  EXPECT_EQ(identity_of(image), before);
  const std::string other = file("b.img", "four");
  EXPECT_FALSE(identity_of(other) == before);
  std::filesystem::rename(other, image);
  EXPECT_FALSE(identity_of(image) == before);
  EXPECT_THROW(identity_of(path("nothing")), Error);
}

TEST_F(ImageInfoTest, WantsARegularFile) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(identify_word(path("fifo")), "not-a-regular-file");  // and does not wait for a writer
  EXPECT_EQ(identify_word("/dev/null"), "not-a-regular-file");
  EXPECT_THROW(identify(path("."), {}), Error);
  EXPECT_THROW(identify(path("nothing"), {}), Error);
  EXPECT_THROW(identify("", {}), Error);
  EXPECT_THROW(identify(path("a\nb"), {}), Error);
  std::filesystem::create_symlink("loop", path("loop"));
  EXPECT_THROW(identify(path("loop"), {}), Error);
}

// A block device with that content, where this host lets us make one.
class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file) {
    if (::geteuid() != 0) return;
    const Finished made = run({"losetup", "--find", "--show", file});
    if (made.status == 0) path_ = made.output.substr(0, made.output.find('\n'));
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice() {
    if (!path_.empty()) run({"losetup", "--detach", path_});
  }
  const std::string& path() const { return path_; }  // empty: there is none

 private:
  std::string path_;
};

TEST_F(ImageInfoTest, WantsAtLeastABlockDeviceWhereTheyAreAllowed) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  for (const std::string& name : {path("fifo"), std::string("/dev/null"), std::string("/dev/tty")})
    EXPECT_EQ(word(identify(name, {}, BlockDevices::allow)), "not-a-regular-file") << name;
  EXPECT_THROW(identify(path("."), {}, BlockDevices::allow), Error);
  EXPECT_EQ(word(identify(file("a", "x"), {}, BlockDevices::allow)), "raw");
}

TEST_F(ImageInfoTest, DescribesABlockDevice) {
  const LoopDevice device(file("a", std::string(8192, '\0')));
  if (device.path().empty()) return;  // the test before this one is what can be said then
  EXPECT_EQ(identify_word(device.path()), "not-a-regular-file");
  std::filesystem::create_symlink(device.path(), path("link"));
  const auto result = identify(path("link"), {}, BlockDevices::allow);
  ASSERT_EQ(word(result), "raw");
  const auto& info = std::get<ImageInfo>(result);
  EXPECT_EQ(info.path, device.path());
  EXPECT_TRUE(info.is_block_device);
  EXPECT_EQ(info.identity.size, 8192);
  EXPECT_EQ(info.identity, identity_of(path("link")));
  EXPECT_FALSE(identified(path("a")).is_block_device);
}

TEST_F(ImageInfoTest, GuessesNoFormatOfABlockDevice) {
  const std::string qcow2 = Qcow2().bytes();
  const std::string vhdx = "vhdxfile" + std::string(4088, '\0');
  const struct {
    const std::string& content;
    std::optional<std::string> format;
    const char* expected;
  } table[] = {
      {qcow2, {}, "format-mismatch"},
      {qcow2, "qcow2", "qcow2"},
      {qcow2, "raw", "format-mismatch"},
      {vhdx, {}, "format-mismatch"},
      {vhdx, "raw", "raw"},
      {vhdx, "qcow2", "unsupported-format"},
  };
  for (const auto& row : table) {
    const LoopDevice device(file("a", row.content));
    if (device.path().empty()) return;
    EXPECT_EQ(word(identify(device.path(), row.format, BlockDevices::allow)), row.expected)
        << row.content.substr(0, 3) << ' ' << row.format.value_or("-");
  }
}

TEST_F(ImageInfoTest, WithOtherNamesIsNotPatchedInPlace) {
  const std::string image = file("a.img", "x");
  std::filesystem::create_symlink("a.img", path("link"));
  EXPECT_EQ(identified(image).links, 1U);
  EXPECT_FALSE(check_in_place(identified(path("link"))).has_value());
  std::filesystem::create_hard_link(image, path("b.img"));
  std::filesystem::create_hard_link(image, path("c.img"));
  const ImageInfo info = identified(path("link"));
  EXPECT_EQ(info.links, 3U);
  const auto refusal = check_in_place(info);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::hard_linked);
  EXPECT_TRUE(refusal->message.starts_with(info.path + ": has 3 hard links")) << refusal->message;
}

TEST_F(ImageInfoTest, CheckInPlaceNamesTheOtherNamesFirst) {
  std::filesystem::create_hard_link(file("a.img", "x"), path("b.img"));
  const auto reason = [&] {
    return test::in_child_of_nobody(
        [&] { return static_cast<int>(check_in_place(identified(path("a.img")))->reason); });
  };
  ASSERT_EQ(::chmod(path("a.img").c_str(), 0444), 0);
  EXPECT_EQ(reason(), static_cast<int>(Reason::hard_linked));
  std::filesystem::remove(path("b.img"));
  EXPECT_EQ(reason(), static_cast<int>(Reason::image_not_writable));
}

TEST_F(ImageInfoTest, CheckInPlaceAsksForTheImageAndItsDirectory) {
  enum : int { fine, no_image, no_directory, other };
  const struct {
    mode_t image;
    mode_t directory;
    int expected;
  } table[] = {{0666, 0777, fine},     {0444, 0777, no_image}, {0666, 0555, no_directory},
               {0444, 0555, no_image}, {0666, 0666, other},    {0000, 0777, other}};
  for (const auto& row : table) {
    const std::string directory = path("d");
    std::filesystem::create_directory(directory);
    ASSERT_EQ(::chmod(file("d/a.img", "x").c_str(), row.image), 0);
    ASSERT_EQ(::chmod(directory.c_str(), row.directory), 0);
    const int answer = test::in_child_of_nobody([&] {
      const ImageInfo info = identified(directory + "/a.img");
      const auto refusal = check_in_place(info);
      if (!refusal) return fine;
      return refusal->reason == Reason::image_not_writable ? no_image : no_directory;
    });
    // `other`: the image cannot even be read, which identify says.
    EXPECT_EQ(answer == 99 ? other : answer, row.expected)
        << std::oct << row.image << ' ' << row.directory;
    ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
    std::filesystem::remove_all(directory);
  }
}

TEST_F(ImageInfoTest, OfTheOlderFormatQcowIsToBeConverted) {
  run_checked({"qemu-img", "create", "-q", "-f", "qcow", path("old"), "1M"});
  for (const std::string& old : {path("old"), file("a", Qcow2{.version = 1}.bytes())}) try {
      identify(old, {});
      ADD_FAILURE() << "not refused";
    } catch (const Refused& e) {
      EXPECT_EQ(e.refusal.reason, Reason::unsupported_format);
    }
}

TEST_F(ImageInfoTest, InPlaceNeedsRoomInTheNameForTheFilesBesideIt) {
  const auto reason = [this](std::size_t length) {
    const auto refusal = check_in_place(identified(file(std::string(length, 'i'), "x")));
    return refusal ? code(refusal->reason) : "accepted";
  };
  EXPECT_EQ(reason(255 - std::string(".kvmnet-overlay").size()), "accepted");
  EXPECT_EQ(reason(255 - std::string(".kvmnet-overlay").size() + 1), "name-too-long");
  EXPECT_EQ(reason(255), "name-too-long");
}

TEST_F(ImageInfoTest, InPlaceInAStickyDirectoryNeedsTheOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs files of two users";
  std::filesystem::create_directory(path("sticky"));
  ASSERT_EQ(::chmod(path("sticky").c_str(), 01777), 0);
  const std::string disk = file("sticky/disk", "x");
  ASSERT_EQ(::chmod(disk.c_str(), 0666), 0);
  const auto refused = [&disk] {
    const auto refusal = check_in_place(identified(disk));
    return refusal && refusal->reason == Reason::directory_not_writable ? 1 : 0;
  };
  EXPECT_EQ(refused(), 0);
  EXPECT_EQ(test::in_child_of_nobody(refused), 1);
  ASSERT_EQ(::chown(disk.c_str(), 65534, 0), 0);
  EXPECT_EQ(test::in_child_of_nobody(refused), 0);
}

}  // namespace
}  // namespace kvmnet::disk

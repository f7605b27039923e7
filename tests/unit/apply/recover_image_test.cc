// SPDX-License-Identifier: GPL-2.0-or-later
// Commands on an image of which an interrupted patch has left more than the image.
#include "src/apply/recover_image.h"

#include <filesystem>

#include "src/apply/patch_image.h"
#include "src/disk/beside.h"
#include "tests/unit/apply/windows_guest.h"
#include "tests/unit/disk/commit_fixture.h"

namespace kvmnet {
namespace {

namespace fs = std::filesystem;
using disk::commit_path;
using test::text_of;

class RecoverImage : public disk::CommitTest {
 protected:
  static Outcome patch(const std::string& image, Mode mode) {
    PatchRequest request;
    request.guest.mode = mode;
    request.guest.decide = to_patch(test::default_settings());
    request.backend = Backend::direct;
    return patch_image(image, request, nothing());
  }
  static Outcome recover(const std::string& image) {
    return recover_image(image, disk::Interruption::keep, nothing());
  }
  static void expect_interrupted(const Outcome& outcome) {
    ASSERT_TRUE(outcome.refusal) << outcome.error;
    EXPECT_EQ(outcome.refusal->reason, Reason::commit_interrupted);
  }

 private:
  static JobContext nothing() {
    JobContext context;
    context.begin = [](Phase) {};
    return context;
  }
};

// As somebody may make it who wants the guest's disk back. What is half written would be patched,
// and could not be finished any more.
TEST_F(RecoverImage, RefusesALinkToAHalfWrittenImage) {
  const std::string half = commit_path(half_written());
  const std::string before = text_of(half);
  const std::string link = path("link");
  fs::create_symlink(half, link);
  const disk::Names files = names();
  for (const std::string& name : {link, half}) {
    expect_interrupted(patch(name, Mode::plan));
    expect_interrupted(patch(name, Mode::patch));
    expect_interrupted(recover(name));
  }
  EXPECT_EQ(names(), files);
  EXPECT_EQ(text_of(half), before);
}

TEST_F(RecoverImage, FinishesItByTheImagesName) {
  const std::string disk = half_written();
  fs::create_symlink(disk, path("link"));
  expect_interrupted(patch(path("link"), Mode::plan));
  EXPECT_EQ(recover(path("link")).status, Status::recovered);
  EXPECT_TRUE(disk::is_after(disk, "raw"));
}

}  // namespace
}  // namespace kvmnet

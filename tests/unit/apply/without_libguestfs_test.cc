// SPDX-License-Identifier: GPL-2.0-or-later
// The program as it is when built without libguestfs.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "guestfs/appliance.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"
#include "version.h"

namespace kvmnet {
namespace {

class WithoutLibguestfs : public test::DiskTest {
 protected:
  static Finished kvmnet(std::vector<std::string> words) {
    words.insert(words.begin(), {"env", "-u", "KVMNET_BACKEND", KVMNET_WITHOUT_LIBGUESTFS});
    return run(words);
  }
  // A disk with a partition of a kind that only an appliance reads.
  std::string disk_with_refs() const {
    const std::string disk = file("refs.img", "");
    run_checked(
        {"sh", "-c",
         "truncate -s 8M \"$1\" && printf '%s' 'start=1MiB, type=7' | /sbin/sfdisk -q \"$1\"", "sh",
         disk});
    write_at(open_file(disk, O_WRONLY), (1 << 20) + 3,
             std::as_bytes(std::span(std::string_view("ReFS\0\0\0\0", 8))));
    return disk;
  }
};

void expect(const Finished& finished, int status, const std::string& words) {
  EXPECT_EQ(finished.status, status) << finished.output;
  EXPECT_NE(finished.output.find(words), std::string::npos) << finished.output;
}

TEST_F(WithoutLibguestfs, TheVersionAndTheHelpSayWhatIsThere) {
  EXPECT_EQ(kvmnet({"--version"}).output, std::string("kvmnet ") + version + "\nbackends: direct");
  EXPECT_EQ(run({KVMNET_BINARY, "--version"}).output,
            std::string("kvmnet ") + version +
                (guestfs::is_built_in() ? "\nbackends: libguestfs, direct" : "\nbackends: direct"));
  const std::string help = kvmnet({"patch", "--help"}).output;
  EXPECT_NE(help.find("--backend libguestfs|direct|auto=direct"), std::string::npos) << help;
  EXPECT_NE(help.find("built without one"), std::string::npos) << help;
}

TEST_F(WithoutLibguestfs, ItsAbsenceIsAnErrorThatSaysWhatToDoAndTheImageIsLeftAlone) {
  const std::string disk = disk_with_refs();
  const std::string before = test::text_of(disk);
  expect(kvmnet({"patch", "--backend", "libguestfs", disk}), 1,
         "this kvmnet was built without libguestfs (-DKVMNET_LIBGUESTFS=OFF); --backend direct "
         "does without");
  EXPECT_EQ(test::text_of(disk), before);
  EXPECT_EQ(names(), std::vector<std::string>{"refs.img"});
}

TEST_F(WithoutLibguestfs, DirectIsTheDefault) {
  expect(kvmnet({"plan", "--json", file("blank.raw", std::string(1 << 20, '\0'))}), 3,
         R"("backend":"direct")");
}

TEST_F(WithoutLibguestfs, DisksForAnApplianceAreRefusedAndThatIsSaid) {
  const std::string disk = disk_with_refs();
  for (const char* backend : {"direct", "auto"})
    expect(kvmnet({"plan", "--backend", backend, disk}), 3,
           "an appliance may read this disk, but this kvmnet was built without libguestfs");
  if (guestfs::is_built_in())
    expect(run({KVMNET_BINARY, "plan", "--backend", "direct", disk}), 3,
           "an appliance may read this disk: --backend auto");
}

}  // namespace
}  // namespace kvmnet

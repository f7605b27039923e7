// SPDX-License-Identifier: GPL-2.0-or-later
// The first boot from what another program has read out of a patched image: run by
// tests/integration/writes-the-script-of-each-version.sh.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;

std::string file_named_by(const char* variable) {
  const char* name = std::getenv(variable);
  if (name == nullptr) throw std::runtime_error(std::string(variable) + " is not set");
  return text_of(read_file(name));
}

TEST(FirstBootOfAnImage, OfWindows7WithExperimentalAutotuningRunsAllAndRemovesItself) {
  PatchedGuest guest;
  guest.system_hive = file_named_by("KVMNET_FIRSTBOOT_HIVE");
  guest.files["kvmnet/firstboot.cmd"] = file_named_by("KVMNET_FIRSTBOOT_SCRIPT");
  Machine machine(guest, "6.1.7601 client");
  machine.boot();
  const Lines sets = {"0 set heuristics disabled", "1 set heuristics forcews=enabled",
                      "0 set global autotuninglevel=experimental",
                      "0 set global congestionprovider=ctcp"};
  EXPECT_EQ(machine.sets(), sets);
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_FALSE(machine.has_service());
  EXPECT_FALSE(machine.has_script());
}

}  // namespace
}  // namespace kvmnet::test

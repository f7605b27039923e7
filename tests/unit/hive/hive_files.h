// SPDX-License-Identifier: GPL-2.0-or-later
// Hive files for tests: those that hive-tool builds from fixtures/hives, and the real ones that a
// developer or CI keeps outside of the repository.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hive/utf16.h"

namespace kvmnet::test {

using hive::Bytes;

// Throws where the file cannot be read or written, so that a test cannot go on with half a file.
Bytes read_file(const std::string& path);
void write_file(const std::string& path, const Bytes& bytes);

// The hive that fixtures/hives/NAME.reg describes, e.g. "nt61.system", or several such texts one
// after the other, e.g. "nt100.system+server.system"; built once per process.
const Bytes& fixture_hive(const std::string& name);
// The same as a new file in `directory`.
std::string fixture_file(const std::string& directory, const std::string& name);

// A copy that looks cleanly closed, or not closed.
Bytes with_clean_header(Bytes hive);
Bytes with_dirty_header(Bytes hive);

// Merges `reg` (hivexregedit's format, keys from the root: "[\Key]") into the hive file.
void merge(const std::string& hive_file, const std::string& reg);

// What reglookup, a reader of hives that has nothing in common with hivex, finds: one line for each
// key (without its time) and value, sorted.
std::vector<std::string> listing(const std::string& hive_file);
// The same with the times of the keys.
std::vector<std::string> listing_with_times(const std::string& hive_file);
// The lines that only `b` has.
std::vector<std::string> lines_added(const std::vector<std::string>& a,
                                     const std::vector<std::string>& b);

// The directory of real hives that $KVMNET_TEST_HIVES names.
std::optional<std::string> real_hives();
// The hive (or log) in that directory's file NAME.xz, which may lie in a subdirectory:
// "NewDirtyHive1/NewDirtyHive.LOG1".
Bytes real_hive(const std::string& name);

// What GTEST_SKIP says without that directory; CI counts it.
inline constexpr const char* no_real_hives = "KVMNET_TEST_HIVES is not set";

}  // namespace kvmnet::test

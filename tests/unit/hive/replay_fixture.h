// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of the replay share: states of a hive one after the other, and what a replay makes
// of a hive and its logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "hive/replay.h"
#include "tests/support/log_writer.h"

namespace kvmnet::test {

// `first` and then `edits` states of it, each an edit of the one before. Some edits make the hive
// larger.
std::vector<Bytes> edited_states(const Bytes& first, std::size_t edits);
// A small clean hive and ten states; made once.
const std::vector<Bytes>& small_states();
// A recorder of that hive with the states from `first` to `last` committed to LOG1.
HvleRecorder recorded(std::size_t last, std::size_t first = 1);
// LOG1 with entries 1 to 3, LOG2 with entries 4 to 6.
HvleRecorder recorded_in_two_logs();
// Windows had gone on after a second rotation: both logs begin above the primary's number.
HvleRecorder recorded_with_gap();

HiveFiles swapped(HiveFiles files);

// `logs` must outlive the sources.
std::vector<hive::Source> sources_of(const std::vector<Bytes>& logs);

struct Outcome {
  std::optional<Bytes> hive;  // nothing: the logs were refused
  std::string refusal;
  hive::Replay replay;
};
// The test fails if the plan is not sound, whatever the logs say: pieces that overlap or reach
// outside of the hive or of the logs, a file larger than hive and logs, a header that is not clean.
// Any exception but NotReplayable goes through.
Outcome replayed(const HiveFiles& files);

// Empty if they are equal; else where and how much they differ.
std::string difference(const Bytes& expected, const Bytes& actual);

void expect_state(const HiveFiles& files, const Bytes& state);
void expect_refused(const HiveFiles& files);
// For what the sources leave open: both are right, a mixture or a crash is not.
void expect_refused_or(const HiveFiles& files, const std::vector<Bytes>& states);
// For whatever else: no crash, and a plan that is sound (see replayed()).
void expect_sound_end(const HiveFiles& files);

// A field of a record, and what it is to say.
struct ForgedField {
  const char* what;
  std::size_t field;
  std::uint32_t value;
};

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// A commit that is hit by a crash or an error at any system call that changes a file loses nothing:
// each test goes through all the calls of a run, and there is one of it for each kind of image.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"
#include "tests/faults/run_under_faults.h"
#include "tests/faults/sample_image.h"

namespace kvmnet::test {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

enum class Content { before, after, neither };
std::ostream& operator<<(std::ostream& out, Content content) {
  constexpr std::array words = {"before", "after", "neither"};
  return out << words.at(static_cast<std::size_t>(content));
}

// The status of `qemu-img check`.
enum Check { clean = 0, leaks = 3 };

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

const SampleImage& sample_of(const ImageKind& kind) {
  struct Made {
    TempDir directory;
    std::unique_ptr<SampleImage> image;
  };
  static std::map<std::string, Made> all;
  Made& made = all[kind.name];
  if (!made.image) made.image = std::make_unique<SampleImage>(kind, made.directory.path());
  return *made.image;
}

class UnderFaults : public testing::TestWithParam<ImageKind> {
 protected:
  static void TearDownTestSuite() { std::cout << "faults that have struck: " << struck << '\n'; }

  std::string directory() const { return directory_.path() + "/run"; }
  std::string image() const { return directory() + "/disk"; }
  const SampleImage& sample() const { return sample_; }
  Ended commit(Faults faults = {}) const { return tool({image(), sample_.recorded()}, faults); }
  Ended recover(Faults faults = {}) const { return tool({"--recover", image()}, faults); }
  Ended discard(Faults faults = {}) const {
    return tool({"--recover", image(), "--discard"}, faults);
  }
  Ended fresh_commit(Faults faults = {}) const {
    sample_.copy_to(directory());
    return commit(std::move(faults));
  }

  // Goes on while the fault strikes, and as far as a run without faults has come: the threads of
  // qemu-img do not always take the same turns.
  void at_each_call(const std::string& kind, const std::function<Ended(const Faults&)>& run,
                    const std::function<void(const Ended&)>& expect) const {
    const std::size_t count = run({}).calls.size();
    ASSERT_GT(count, 0U);
    Ended ended;
    for (std::size_t at = 1; ended.struck > 0 || at <= count; ++at) {
      ended = run({.directory = {}, .faults = {{at, kind}}});
      if (ended.struck == 0) continue;
      SCOPED_TRACE(fmt::format("{} at call {}: {}", kind, at, ended.calls.at(at - 1)));
      expect(ended);
    }
  }
  void at_each_call_of_commit(const std::string& kind) const {
    at_each_call(
        kind, [&](const Faults& faults) { return fresh_commit(faults); },
        [&](const Ended& ended) { expect_recovery_after(ended); });
  }

  // What must be true between the fault and recover().
  void expect_nothing_half_done(const Ended& ended) const {
    if (!fs::exists(image())) return;
    EXPECT_NE(content(), Content::neither);
    EXPECT_TRUE(check() == clean || check() == leaks) << ended.output;
  }

  // A run that has survived its fault says what has become of the image: it is changed, or it is as
  // it was, or else the message names the way out.
  void expect_truth(const Ended& ended) const {
    if (ended.status >= 128) return;
    SCOPED_TRACE("it said: " + ended.output);
    EXPECT_TRUE(ended.status == 0 || ended.status == 1) << ended.status;
    if (contains(ended.output, "kvmnet recover")) return;
    ASSERT_TRUE(fs::exists(image()));
    EXPECT_EQ(content(), ended.status == 0 ? Content::after : Content::before);
  }

  void expect_recovery_after(const Ended& ended) const {
    expect_nothing_half_done(ended);
    expect_truth(ended);
    const Ended recovered = recover();
    EXPECT_EQ(recovered.status, 0) << recovered.output;
    const Content now = expect_good_end(recovered.output + ended.output);
    if (ended.status == 0 || contains(recovered.output, "finished")) {
      EXPECT_EQ(now, Content::after) << recovered.output;
    } else if (contains(ended.output, "nothing was written")) {
      EXPECT_EQ(now, Content::before);
    }
  }

  // After recover(), which has given `output`.
  Content expect_good_end(const std::string& output) const {
    EXPECT_EQ(names(), sample_.kind().backing ? (Names{"backing", "disk"}) : Names{"disk"});
    if (!fs::exists(image())) return Content::neither;
    const Content now = content();
    EXPECT_NE(now, Content::neither);
    // Of these, space is not given back, on purpose and with a warning.
    const bool keeps_leaks = sample_.kind().snapshot && sample_.kind().bitmap;
    const int found = check();
    EXPECT_TRUE(found == clean ||
                (found == leaks && keeps_leaks && contains(output, "is not given back")))
        << found << " " << output << " "
        << run({"qemu-img", "check", "-f", "qcow2", image()}).output;
    EXPECT_TRUE(sample_.has_kept_the_rest(directory()));
    if (sample_.kind().bitmap) {
      EXPECT_NE(sample_.bitmap_in(image()), BitmapState::dishonest);
    }
    expect_same_owner_and_mode();
    EXPECT_EQ(recover().output, "nothing\n");
    return now;
  }

  Content content() const {
    // Most often nothing has happened to it.
    if (bytes_of(image()) == sample_.bytes()) return Content::before;
    const std::string disk = sample_.content(image());
    if (disk == sample_.before()) return Content::before;
    return disk == sample_.after() ? Content::after : Content::neither;
  }

  // The number of the first call at or behind `from` that begins like this.
  static std::size_t call(const Ended& ended, std::string_view begin, std::size_t from = 1) {
    for (std::size_t at = from; at <= ended.calls.size(); ++at)
      if (ended.calls[at - 1].starts_with(begin)) return at;
    throw Error(fmt::format("there is no call '{}'", begin));
  }
  static constexpr const char* hides = "renameat2 disk ";
  static constexpr const char* shows = "renameat2 disk.kvmnet-commit ";
  static constexpr const char* removes_overlay = "unlink disk.kvmnet-overlay ";

 private:
  Ended tool(std::vector<std::string> command, Faults faults) const {
    command.insert(command.begin(), KVMNET_COMMIT_TOOL);
    faults.directory = real_path(directory());
    Ended ended = run_under_faults(command, faults);
    struck += ended.struck;
    return ended;
  }

  int check() const {
    if (sample_.kind().format == std::string_view("raw") || bytes_of(image()) == sample_.bytes())
      return clean;
    return run({"qemu-img", "check", "-q", "-f", "qcow2", image()}).status;
  }

  Names names() const {
    Names names;
    for (const auto& entry : fs::directory_iterator(directory()))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  void expect_same_owner_and_mode() const {
    struct stat st {};
    ASSERT_EQ(::stat(image().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0640U);
    EXPECT_EQ(st.st_uid, ::geteuid());
  }

  const SampleImage& sample_ = sample_of(GetParam());
  const TempDir directory_;
  static inline std::size_t struck = 0;
};

TEST_P(UnderFaults, ACommitWithoutOneLeavesTheImageChangedAndNothingElse) {
  const Ended ended = fresh_commit();
  EXPECT_EQ(ended.status, 0) << ended.output;
  EXPECT_EQ(content(), Content::after);
  expect_good_end(ended.output);
  if (sample().kind().bitmap) {
    EXPECT_EQ(sample().bitmap_in(image()), BitmapState::whole);
  }
  // The sweeps below are worth nothing if they do not see what the commit does.
  EXPECT_LT(call(ended, hides), call(ended, shows));
  EXPECT_GT(ended.calls.size(), 40U);
}

TEST_P(UnderFaults, ACommitSurvivesTheDeathOfAllAtAnyCall) {
  at_each_call_of_commit("kill-all");
}

TEST_P(UnderFaults, ACommitSurvivesTheDeathOfOneAtAnyCall) {
  at_each_call_of_commit("kill");
}

TEST_P(UnderFaults, ACommitSurvivesAnyTornWrite) {
  at_each_call_of_commit("kill-torn");
}

TEST_P(UnderFaults, ACommitSurvivesAnErrorOfAnyCall) {
  at_each_call_of_commit("EIO");
}

TEST_P(UnderFaults, ACommitSurvivesADiskThatIsFullFromAnyCallOn) {
  at_each_call_of_commit("ENOSPC");
}

TEST_P(UnderFaults, ACommitSurvivesItsDeathAfterAnError) {
  const Ended whole = fresh_commit();
  for (std::size_t error = call(whole, hides); error <= call(whole, shows); ++error) {
    SCOPED_TRACE(fmt::format("EIO at call {}: {}", error, whole.calls.at(error - 1)));
    Ended ended;
    for (std::size_t death = error + 1; death == error + 1 || ended.struck == 2; ++death) {
      ended = fresh_commit({.directory = {}, .faults = {{error, "EIO"}, {death, "kill-all"}}});
      if (ended.struck < 2) continue;
      SCOPED_TRACE(fmt::format("kill at call {}: {}", death, ended.calls.at(death - 1)));
      expect_recovery_after(ended);
    }
  }
}

TEST_P(UnderFaults, ACommitSurvivesItsDeathAtARandomMoment) {
  constexpr unsigned seed = 20100;
  constexpr int moments = 100;
  std::mt19937 random(seed);  // NOLINT(cert-msc51-cpp): a failure must be repeatable
  std::uniform_int_distribution<long> microseconds(0, fresh_commit().duration.count());
  std::cout << "seed " << seed << '\n';
  for (int i = 0; i < moments; ++i) {
    const std::chrono::microseconds moment(microseconds(random));
    const Ended ended = fresh_commit({.directory = {}, .faults = {}, .killed_after = moment});
    SCOPED_TRACE(fmt::format("moment {}, after {} us and {} calls, the last of them {}", i,
                             moment.count(), ended.calls.size(),
                             ended.calls.empty() ? "" : ended.calls.back()));
    expect_recovery_after(ended);
  }
}

// Of which at_each_call repeats the first part, up to a death in a place that matters to recover().
class RecoveryUnderFaults : public UnderFaults {
 protected:
  struct Place {
    const char* name;
    std::size_t call;
  };
  std::vector<Place> places() const {
    const Ended whole = fresh_commit();
    const std::size_t hidden = call(whole, hides) + 1;
    const std::size_t written = call(whole, "fsync disk.kvmnet-commit ");
    const std::size_t begun = call(whole, "fsync disk.kvmnet-journal ", hidden) + 1;
    return {{"with a journal", hidden - 1},
            {"hidden", hidden},
            {"about to be written", begun},
            {"half written", (begun + written) / 2},
            {"written", written},
            {"done", call(whole, shows)},
            {"back", call(whole, removes_overlay)}};
  }
  void die_at(const Place& place) const {
    fresh_commit({.directory = {}, .faults = {{place.call, "kill-all"}}});
  }
  using Recover = std::function<Ended(const Faults&)>;
  void at_each_call_of(const Recover& recover_under, const Place& place, const char* kind) const {
    SCOPED_TRACE(place.name);
    const auto run = [&](const Faults& faults) {
      die_at(place);
      return recover_under(faults);
    };
    at_each_call(kind, run, [&](const Ended& ended) {
      expect_nothing_half_done(ended);
      const Ended recovered = recover();
      EXPECT_EQ(recovered.status, 0) << recovered.output;
      expect_good_end(recovered.output + ended.output);
    });
  }
};

TEST_P(RecoveryUnderFaults, SurvivesItsOwnDeathAtAnyCall) {
  for (const Place& place : places())
    at_each_call_of([&](const Faults& faults) { return recover(faults); }, place, "kill-all");
}

TEST_P(RecoveryUnderFaults, SurvivesAnErrorOfAnyCall) {
  for (const Place& place : places())
    at_each_call_of([&](const Faults& faults) { return recover(faults); }, place, "EIO");
}

TEST_P(RecoveryUnderFaults, ThatDiscardsSurvivesItsOwnDeathAtAnyCall) {
  for (const Place& place : places()) {
    if (place.name == std::string_view("about to be written")) break;
    at_each_call_of([&](const Faults& faults) { return discard(faults); }, place, "kill-all");
  }
}

TEST_P(RecoveryUnderFaults, DiscardsOnlyWhatHasNotBeenWritten) {
  std::size_t refused = 0;
  const auto expect = [&](const Ended&) {
    const Ended discarded = discard();
    std::string said = discarded.output;
    if (discarded.status != 0) {
      ++refused;
      EXPECT_EQ(discarded.status, 3) << discarded.output;
      EXPECT_FALSE(fs::exists(image()));
      const Ended recovered = recover();
      EXPECT_TRUE(contains(recovered.output, "finished")) << recovered.output;
      said = recovered.output;
    }
    const Content now = expect_good_end(said);
    if (discarded.status != 0) {
      EXPECT_EQ(now, Content::after);
    } else if (contains(discarded.output, "discarded")) {
      EXPECT_EQ(now, Content::before);
    }
  };
  at_each_call(
      "kill-all", [&](const Faults& faults) { return fresh_commit(faults); }, expect);
  EXPECT_GT(refused, 5U);
}

std::string name_of(const testing::TestParamInfo<ImageKind>& instance) {
  return instance.param.name;
}
INSTANTIATE_TEST_SUITE_P(Commit, UnderFaults, testing::ValuesIn(image_kinds()), name_of);
INSTANTIATE_TEST_SUITE_P(Commit, RecoveryUnderFaults, testing::ValuesIn(image_kinds()), name_of);

}  // namespace
}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// Batches of images that end before an appliance is started.
#include "src/apply/batch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "src/apply/patch_image.h"
#include "src/disk/commit.h"
#include "src/support/subprocess.h"
#include "tests/unit/apply/windows_guest.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet {
namespace {

class BatchTest : public test::DiskTest {
 protected:
  // As main() does: what is written to a worker that is gone is no end of ours.
  BatchTest() { ::signal(SIGPIPE, SIG_IGN); }

  struct Result {
    Status status;
    std::string text;
  };

  int run(const std::vector<std::string>& images, Mode mode) {
    BatchRequest request;
    request.images = images;
    request.writes = mode == Mode::patch;
    PatchRequest patch;
    patch.guest.mode = mode;
    patch.guest.decide = to_patch(test::default_settings());
    request.job = [patch](const std::string& image, const JobContext& context) {
      return patch_image(image, patch, context);
    };
    return run(std::move(request));
  }

  // A job that ends with the worker's death, in that phase.
  int run_deadly(const std::string& image, Phase phase,
                 const std::function<void(const JobContext&)>& work) {
    BatchRequest request;
    request.images = {image};
    request.writes = true;
    request.job = [&](const std::string&, const JobContext& context) -> Outcome {
      context.begin(phase);
      work(context);
      ::raise(SIGKILL);
      return {};
    };
    render = [](const Outcome& outcome) { return outcome.error; };
    return run(std::move(request));
  }

  int run(BatchRequest request) {
    request.accelerator = AcceleratorChoice::tcg;
    BatchOutput output;
    output.render = render;
    output.result = [this](Status status, const std::string& text) {
      results.push_back({status, text});
    };
    output.note = [](const std::string&) {};
    output.phase = [this](const std::string& image, Phase phase) {
      phases.push_back(image + " " + std::string(to_string(phase)));
    };
    return run_batch(request, output);
  }

  std::function<std::string(const Outcome&)> render = [](const Outcome& outcome) {
    return outcome.image +
           (outcome.refusal ? " " + std::string(code(outcome.refusal->reason)) : "");
  };
  std::vector<Result> results;
  std::vector<std::string> phases;
};

TEST_F(BatchTest, GivesOneResultForEachImageInTheirOrder) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const std::string vmdk = file("a.vmdk", "KDMV");
  const std::string data_file =
      file("a.qcow2", test::Qcow2{.version = 3, .incompatible = 4}.bytes());
  std::filesystem::create_directory(path("directory"));
  const std::vector<std::string> images = {path("nothing"), vmdk, path("directory"), path("fifo"),
                                           data_file};
  const auto before = names();
  for (const Mode mode : {Mode::plan, Mode::patch}) {
    results.clear();
    EXPECT_EQ(run(images, mode), 0);
    ASSERT_EQ(results.size(), images.size());
    const std::pair<Status, std::string> expected[] = {
        {Status::failed, images[0]},
        {Status::refused, images[1] + " unsupported-format"},
        {Status::failed, images[2]},
        {Status::refused, images[3] + " not-a-regular-file"},
        {Status::refused, images[4] + " external-data-file"}};
    for (std::size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].status, expected[i].first) << images[i];
      EXPECT_EQ(results[i].text, expected[i].second);
    }
    EXPECT_EQ(names(), before);
  }
  EXPECT_EQ(phases.size(), 2 * images.size());
  EXPECT_EQ(phases.front(), images[0] + " open");
}

TEST_F(BatchTest, OfNoImagesIsDone) {
  EXPECT_EQ(run({}, Mode::plan), 0);
  EXPECT_TRUE(results.empty());
}

TEST_F(BatchTest, GoesOnWhenAWorkerDies) {
  const pid_t parent = ::getpid();
  render = [parent](const Outcome& outcome) -> std::string {
    if (::getpid() != parent && outcome.image == "dies") ::raise(SIGKILL);
    return outcome.image + ": " + outcome.error;
  };
  EXPECT_EQ(run({"first", "dies", "last"}, Mode::plan), 0);
  ASSERT_EQ(results.size(), 3U);
  for (const Result& result : results) EXPECT_EQ(result.status, Status::failed);
  EXPECT_NE(results[1].text.find("killed by signal 9"), std::string::npos) << results[1].text;
  EXPECT_NE(results[1].text.find("phase 'open'"), std::string::npos) << results[1].text;
  EXPECT_NE(results[2].text.find("last"), std::string::npos);
}

// The last that such a worker does is to remove what is beside the image.
TEST_F(BatchTest, SaysThatAnImageMayBeChangedWhoseWorkerDiedWhenItHadWritten) {
  const std::string disk = image("disk", "raw");
  run_deadly(disk, Phase::commit, [](const JobContext&) {});
  ASSERT_EQ(results.size(), 1U);
  EXPECT_NE(results[0].text.find("may be changed completely"), std::string::npos)
      << results[0].text;
  results.clear();
  run_deadly(disk, Phase::prepare, [](const JobContext&) {});
  EXPECT_EQ(results[0].text.find("changed"), std::string::npos) << results[0].text;
}

TEST_F(BatchTest, DropsWhatAWorkerHasPreparedThatDiedBeforeItWrote) {
  const std::string disk = image("disk", "raw");
  run_deadly(disk, Phase::prepare, [&](const JobContext&) {
    const auto lock = disk::ImageLock::take(disk, disk::Use::write);
    const disk::ImageInfo info = test::identified(disk);
    disk::commit(disk::Overlay::beside(info), info, std::get<disk::ImageLock>(lock),
                 [] { ::raise(SIGKILL); });
  });
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(results[0].text,
            disk + ": the worker process was killed by signal 9 (Killed) in phase 'prepare'");
  EXPECT_EQ(names(), std::vector<std::string>{"disk"});
}

TEST_F(BatchTest, StopsForASignalAndSaysWhich) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGINT, SIGTERM, SIGHUP}) {
    const int answer = test::in_child_of_nobody([&] {
      ::alarm(5);  // should it wait for the worker
      const pid_t parent = ::getpid();
      render = [parent, signal](const Outcome& outcome) -> std::string {
        if (::getpid() != parent && outcome.image == "second") {
          ::kill(parent, signal);
          while (true) ::pause();
        }
        return outcome.image + ": " + outcome.error;
      };
      if (run({"first", "second", "third"}, Mode::plan) != signal) return 1;
      if (results.size() != 2 || results[1].status != Status::failed) return 2;
      const std::string reason = "interrupted by signal " + std::to_string(signal);
      return results[1].text.find(reason) == std::string::npos ? 3 : 0;
    });
    EXPECT_EQ(answer, 0) << signal;  // 99: the alarm
  }
}

TEST_F(BatchTest, ExitStatusIsTheWorstOfTheImages) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const std::string refused = path("fifo");
  const std::string failed = path("nothing");
  const std::pair<std::vector<std::string>, int> table[] = {
      {{refused}, 3}, {{failed}, 1}, {{refused, failed}, 1}, {{failed, refused}, 1}};
  for (const auto& [images, expected] : table)
    for (const char* command : {"plan", "patch"}) {
      std::vector<std::string> words = {KVMNET_BINARY, command};
      words.insert(words.end(), images.begin(), images.end());
      EXPECT_EQ(kvmnet::run(words).status, expected) << images.front();
    }
}

}  // namespace
}  // namespace kvmnet

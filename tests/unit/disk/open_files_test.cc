// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/open_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using Files = std::vector<std::pair<std::string, int>>;

// A process that has these files open and nothing else, until its scope ends.
class Opener {
 public:
  explicit Opener(const Files& files) {
    Pipe ready = make_pipe();
    pid_ = ::fork();
    if (pid_ == 0) {
      const int tell = ::dup2(ready.write_end.get(), 0);
      ::close_range(1, ~0U, 0);
      for (const auto& [path, flags] : files)
        if (::open(path.c_str(), flags) < 0) ::_exit(1);
      if (::write(tell, "x", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ready.write_end.reset();
    char word = 0;
    if (::read(ready.read_end.get(), &word, 1) != 1) throw Error("the files cannot be opened");
  }
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;
  ~Opener() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

class OpenFilesTest : public test::DiskTest {
 protected:
  OpenFilesTest() {
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-b", image("base", "qcow2"), "-F",
                 "qcow2", path("disk")});
    info_ = test::identified(path("disk"));
    overlay_.emplace(Overlay::beside(info_));
    fs::create_directory(path("own"));
    file("own/temporary", "t");
    file("victim", "v");
  }

  // What is wrong with a process that has these open; empty: nothing.
  std::string verdict(const Files& files) const {
    const Opener opener(files);
    try {
      check_open_files(opener.pid(), *overlay_, info_, {path("own")});
    } catch (const Refused& e) {
      EXPECT_EQ(e.refusal.reason, Reason::image_in_use);
      return e.refusal.message;
    }
    return "";
  }

  ImageInfo info_;
  std::optional<Overlay> overlay_;
};

TEST_F(OpenFilesTest, MayBeTheOverlayAndWhatIsBelowIt) {
  const Files usual = {{overlay_->path(), O_RDWR}, {path("disk"), O_RDONLY},
                       {path("base"), O_RDONLY},   {path("own/temporary"), O_RDWR},
                       {"/dev/null", O_RDWR},      {"/proc/self", O_RDONLY | O_DIRECTORY}};
  EXPECT_EQ(verdict(usual), "");
  for (const Files::value_type& other :
       {Files::value_type{path("victim"), O_RDONLY}, Files::value_type{path("victim"), O_RDWR},
        Files::value_type{path("victim"), O_WRONLY}, Files::value_type{path("disk"), O_RDWR},
        Files::value_type{path("base"), O_WRONLY}}) {
    Files files = usual;
    files.push_back(other);
    EXPECT_NE(verdict(files).find("somebody else has led QEMU to " + other.first),
              std::string::npos)
        << other.first << " " << other.second;
  }
}

TEST_F(OpenFilesTest, MustBeTheOverlayThatWasMade) {
  EXPECT_NE(verdict({{path("disk"), O_RDONLY}}).find("was replaced"), std::string::npos);
  // Opened before another file came in its place.
  const std::string overlay = overlay_->path();
  fs::rename(overlay, path("moved"));
  fs::create_symlink(path("victim"), overlay);
  EXPECT_EQ(verdict({{path("moved"), O_RDWR}}), "");
  EXPECT_NE(verdict({{overlay, O_RDWR}}), "");
}

TEST_F(OpenFilesTest, ABackingFileThatIsALinkByNowIsNone) {
  fs::rename(path("base"), path("base.away"));
  fs::create_symlink(path("victim"), path("base"));
  EXPECT_NE(verdict({{overlay_->path(), O_RDWR}, {path("base"), O_RDONLY}}).find("victim"),
            std::string::npos);
}

}  // namespace
}  // namespace kvmnet::disk

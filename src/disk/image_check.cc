// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/image_check.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/disk/confinement.h"
#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {
namespace {

// What qemu-img check does not speak of.
void refuse_bad_header(const Qcow2Header& header, const std::string& path) {
  constexpr std::uint64_t sector = 512;
  const auto refuse = [&path](const std::string& why) {
    throw Refused{{Reason::damaged_image, path + ": " + why}};
  };
  // qemu-img commit does not heed the mark.
  if (header.is_corrupt)
    refuse(
        "QEMU has marked the image as corrupt when it found its tables damaged, and writes to it "
        "no more");
  // QEMU makes no such image, reads it without its last bytes, and would give it another size: what
  // a commit that was interrupted has done to it could not be told.
  if (header.disk_size % sector != 0)
    refuse(fmt::format(
        "its disk has {} bytes, which is no whole number of sectors of {}; 'qemu-img resize -f "
        "qcow2 IMAGE {}' makes it one",
        header.disk_size, sector, (header.disk_size / sector + 1) * sector));
}

}  // namespace

std::string first_words(const std::string& output) {
  constexpr std::size_t longest = 300;
  const std::size_t error = output.find("ERROR");
  const std::size_t start = error == std::string::npos ? 0 : error;
  std::string line = output.substr(start, output.find('\n', start) - start);
  const auto more =
      std::count(output.begin() + static_cast<std::ptrdiff_t>(start), output.end(), '\n');
  if (line.size() > longest) line = line.substr(0, longest) + "...";
  return more == 0 ? line : fmt::format("{} (and {} more lines)", line, more);
}

ImageCheck::ImageCheck(const ImageInfo& image)
    : path_(image.path), has_tables_(image.format == Format::qcow2) {
  if (has_tables_) refuse_bad_header(read_qcow2_header(open_file(path_, O_RDONLY), path_), path_);
}

void ImageCheck::begin() {
  if (!has_tables_ || running_ || report_) return;
  const std::vector<std::string> command = {"qemu-img", "check", "--output=json",
                                            "-f",       "qcow2", path_};
  running_.emplace(command, confine_to_image(path_, Format::qcow2, ""));
}

bool ImageCheck::finds_compressed() {
  if (!has_tables_) return false;
  if (!report_) {
    begin();
    report_ = running_->wait();
    running_.reset();
  }
  constexpr int corruptions = 2;
  constexpr int leaked_clusters = 3;  // wasted space, no harm
  const std::string words = first_words(report_->output);
  if (report_->status == corruptions)
    throw Refused{
        {Reason::damaged_image,
         fmt::format("{}: the image is damaged, or was not closed; qemu-img check says: {}", path_,
                     words)}};
  if (report_->status != 0 && report_->status != leaked_clusters)
    throw Error(fmt::format("{}: qemu-img cannot check the image: {}", path_, words));
  // The report ends with "}" unless messages about leaks have left no room for it.
  return report_->output.find("\"compressed-clusters\"") != std::string::npos ||
         !report_->output.ends_with('}');
}

}  // namespace kvmnet::disk

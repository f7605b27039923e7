// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/backing_users.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using Paths = std::vector<std::string>;

void add_path(std::string_view name, Paths& paths) {
  constexpr std::string_view file_protocol = "file:";
  if (name.starts_with(file_protocol))
    name.remove_prefix(file_protocol.size());
  else if (names_a_protocol(name))
    return;
  if (!name.empty()) paths.emplace_back(name);
}

// Every file name in the options of a block device, wherever it stands: they may be nested, or have
// dots in their keys, or give a backing file of their own.
void add_filenames(const nlohmann::json& options, Paths& paths) {
  for (const auto& [key, value] : options.items()) {
    if (value.is_structured()) add_filenames(value, paths);
    if (value.is_string() && (key == "filename" || key.ends_with(".filename")))
      add_path(value.get_ref<const std::string&>(), paths);
  }
}

nlohmann::json parse_options(std::string text) {
  auto options = nlohmann::json::parse(text, nullptr, false);
  if (!options.is_discarded()) return options;
  std::replace(text.begin(), text.end(), '\'', '"');  // QEMU takes either
  return nlohmann::json::parse(text, nullptr, false);
}

// The files that QEMU would open for a backing file of that name. Relative ones after "file:" and
// "json:" begin at QEMU's working directory, which nobody knows; it is taken to be the image's.
Paths files_named(const std::string& backing) {
  constexpr std::string_view json_protocol = "json:";
  const std::string name = backing.substr(0, backing.find('\0'));  // as C reads it
  Paths paths;
  if (name.starts_with(json_protocol))
    add_filenames(parse_options(name.substr(json_protocol.size())), paths);
  else
    add_path(name, paths);
  return paths;
}

// The files that the header of `path` names; none where nothing can be told. `stat` comes first
// because opening a device can do something to it.
Paths backing_files(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
  try {
    const Fd fd = open_file(path, O_RDONLY | O_NONBLOCK);
    Paths files = files_named(read_backing_name(fd, path));
    for (std::string& file : files) file = (fs::path(path).parent_path() / file).string();
    return files;
  } catch (const Error&) {
    return {};
  } catch (const Refused&) {
    return {};
  }
}

bool is_image(const std::string& path, const ImageInfo& image) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && st.st_dev == image.identity.device &&
         st.st_ino == image.identity.inode;
}

// Whether `top`, which is another image, leads to `image`. The limit also ends loops.
bool is_based_on(const std::string& top, const ImageInfo& image) {
  constexpr std::size_t most_files = 64;
  if (is_image(top, image)) return false;
  Paths chain = {top};
  for (std::size_t i = 0; i < chain.size() && i < most_files; ++i)
    for (const std::string& file : backing_files(chain[i])) {
      if (is_image(file, image)) return true;
      chain.push_back(file);
    }
  return false;
}

// IMAGE.kvmnet-commit is not: it is the image itself while it is written.
bool is_our_own(std::string_view name) {
  constexpr std::array<std::string_view, 3> endings = {".kvmnet-overlay", ".kvmnet-journal",
                                                       ".kvmnet-output"};
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

Paths files_beside(const ImageInfo& image) {
  Paths files;
  std::error_code error;
  fs::directory_iterator entry(fs::path(image.path).parent_path(), error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    if (!is_our_own(entry->path().string())) files.push_back(entry->path().string());
  return files;
}

// QEMU looks for a relative backing file beside the name that it was given, we beside the file
// itself: both names of an image behind a symbolic link count.
bool uses(const std::string& other, const ImageInfo& image) {
  if (is_based_on(other, image)) return true;
  std::error_code error;
  const std::string real = fs::canonical(other, error).string();
  return !error && real != other && is_based_on(real, image);
}

}  // namespace

std::optional<Refusal> check_backing_users(const ImageInfo& image,
                                           const std::vector<std::string>& others) {
  Paths candidates = files_beside(image);
  candidates.insert(candidates.end(), others.begin(), others.end());
  for (const std::string& other : candidates)
    if (uses(other, image))
      return Refusal{Reason::image_is_backing_file,
                     fmt::format("{}: is the backing file of {}", image.path, other)};
  return std::nullopt;
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// ntfs-fill VOLUME DIRECTORY [EDIT]...: puts all that is in the directory, with its times of
// modification, on the NTFS volume in a file. Edits, done then:
//   label TEXT              of the volume
//   descriptor PATH HEX     the security descriptor of a file
//   reparse PATH HEX        makes the file a reparse point
//   full PATH               a file of zeros that takes all the room that is left
#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "tests/support/opened_ntfs.h"

namespace {

namespace fs = std::filesystem;
using kvmnet::test::OpenedNtfs;

std::string content_of(const fs::path& file) {
  const auto bytes = kvmnet::read_whole(kvmnet::open_file(file, O_RDONLY));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void copy_time(const OpenedNtfs& volume, const fs::path& from, const std::string& to) {
  struct stat status {};
  if (::lstat(from.c_str(), &status) != 0) throw kvmnet::system_error(from.native(), errno);
  volume.set_modified(to, status.st_mtim);
}

// `to` ends in a slash. Sorted, so that the same volume comes out wherever it is made.
void copy_tree(const OpenedNtfs& volume, const fs::path& from, const std::string& to) {
  const std::set<fs::path> entries(fs::directory_iterator(from), fs::directory_iterator{});
  for (const fs::path& entry : entries) {
    const std::string path = to + entry.filename().native();
    if (fs::is_symlink(entry)) {
      volume.make_symbolic_link(path, fs::read_symlink(entry));
    } else if (fs::is_directory(entry)) {
      volume.make_directory(path);
      copy_tree(volume, entry, path + "/");
    } else {
      volume.make_file(path, content_of(entry));
    }
    copy_time(volume, entry, path);
  }
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const std::string_view two = digits.substr(i, 2);
    unsigned char byte = 0;
    if (two.size() != 2 || std::from_chars(two.begin(), two.end(), byte, 16).ptr != two.end())
      throw kvmnet::UsageError(std::string(digits) + ": is not hexadecimal");
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

// Takes the words of one edit from those that are left.
void edit(const OpenedNtfs& volume, std::span<const std::string>& words) {
  const auto next = [&words]() -> const std::string& {
    if (words.empty()) throw kvmnet::UsageError("an edit lacks a word");
    const std::string& word = words.front();
    words = words.subspan(1);
    return word;
  };
  const std::string& what = next();
  const std::string& where = next();
  if (what == "label")
    volume.set_label(where);
  else if (what == "full")
    volume.fill_up(where);
  else if (what == "descriptor")
    volume.set_descriptor(where, from_hex(next()));
  else if (what == "reparse")
    volume.set_reparse_data(where, from_hex(next()));
  else
    throw kvmnet::UsageError(what + ": no such edit");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() < 2) {
    std::cerr << "usage: ntfs-fill VOLUME DIRECTORY [label TEXT | descriptor PATH HEX | "
                 "reparse PATH HEX | full PATH]...\n";
    return 2;
  }
  try {
    const OpenedNtfs volume(words[0]);
    copy_tree(volume, words[1], "/");
    copy_time(volume, words[1], "/");
    for (std::span<const std::string> edits = std::span(words).subspan(2); !edits.empty();)
      edit(volume, edits);
  } catch (const std::exception& e) {
    std::cerr << "ntfs-fill: " << words[0] << ": " << e.what() << '\n';
    return 1;
  }
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/commit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "src/disk/beside.h"
#include "src/disk/commit_steps.h"
#include "src/disk/confinement.h"
#include "src/disk/host_space.h"
#include "src/disk/journal.h"
#include "src/disk/qcow2_tables.h"
#include "src/disk/qemu_commit.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {
namespace {

void check_room(const ImageInfo& image, const std::string& overlay,
                const std::vector<Range>& tables) {
  constexpr std::uint64_t metadata = 4 << 20;  // journal, and tables of the image that grow
  struct stat st {};
  if (::stat(overlay.c_str(), &st) != 0) throw system_error(overlay, errno);
  const std::uint64_t needed =
      static_cast<std::uint64_t>(st.st_blocks) * 512 + metadata + length_of(tables);
  const std::string directory = std::filesystem::path(image.path).parent_path().string();
  if (auto refusal = check_space(directory, needed, "the changes")) throw Refused{*refusal};
}

TableUndo undo_of(const std::vector<Change>& changes, const ImageInfo& image) {
  if (image.format != Format::qcow2) return {};
  return undo_for(open_file(image.path, O_RDONLY | O_NOFOLLOW), image.path, ranges_of(changes));
}

Journal write_journal(const Overlay& overlay, const ImageInfo& image, std::vector<Change> changes) {
  TableUndo undo = undo_of(changes, image);
  check_room(image, overlay.path(), undo.tables);
  return Journal::create(image,
                         {image.format, image.identity, overlay.image_is_compressed(),
                          std::move(changes), std::move(undo.tables), std::move(undo.rest)},
                         undo.cleared);
}

std::vector<Change> find_changes(const Overlay& overlay, const ImageInfo& image) {
  const Fd ruleset = confine_to_image(image.path, image.format, overlay.path());
  ServedDisk after(overlay_options(overlay.path(), image.path, image.format), ruleset);
  ServedDisk before(image_options(image.path, image.format), ruleset);
  return compare(after, before);
}

void refuse_changed(const ImageInfo& image) {
  if (identity_of(image.path) != image.identity) throw Refused{changed_meanwhile(image.path)};
}

}  // namespace

std::unique_ptr<QemuCommit> prepare_commit(const std::string& image, Format format) {
  return std::make_unique<QemuCommit>(overlay_path(image), commit_path(image), format);
}

std::vector<std::string> commit(Overlay overlay, const ImageInfo& image, const ImageLock& lock,
                                const BeforeWriting& before_writing,
                                std::optional<std::vector<Change>> changes,
                                std::unique_ptr<QemuCommit> qemu) {
  overlay.sync();
  refuse_changed(image);
  if (!changes) changes = find_changes(overlay, image);
  Journal journal = write_journal(overlay, image, std::move(*changes));
  overlay.keep();  // from here on the journal decides what becomes of it
  return Commit(image.path, std::move(journal), lock, before_writing, std::move(qemu)).run();
}

std::vector<std::string> commit_to_private_file(const Overlay& overlay, const ImageInfo& file) {
  overlay.require_sound();
  overlay.sync();
  if (!QemuCommit(overlay.path(), file.path, file.format).write()) return {};
  return give_back_leaks(file.path, file.format, file.path);
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/commit_steps.h"

#include <fmt/format.h>

#include "src/disk/beside.h"
#include "src/disk/qemu_commit.h"
#include "src/support/error.h"

namespace kvmnet::disk {

using State = Journal::State;

bool is_unchanged(const Identity& now, const Identity& before) {
  return now.inode == before.inode && now.size == before.size &&
         now.modified_ns == before.modified_ns;
}

Refusal changed_meanwhile(const std::string& image) {
  return {Reason::image_in_use,
          image + ": was changed by somebody else meanwhile; nothing was written to it"};
}

std::vector<std::string> Commit::run() {
  try {
    before_writing_();
    hide_untouched();
  } catch (...) {
    roll_back();
    throw;
  }
  return write();
}

std::vector<std::string> Commit::write() {
  const std::string path = commit_path(image_);
  const bool untouched = journal_.state() == State::ready;
  bool leaks = true;
  try {
    if (!qemu_) qemu_ = prepare_commit(image_, content().format);
    journal_.set_state(State::writing);
    leaks = qemu_->write();
    // What was written to may have been another file.
    if (!lock_.is_of(path)) throw Error("another file is in the image's place");
    journal_.set_state(State::done);
  } catch (const std::exception& e) {
    // The times tell what this run has written, not what one before a power cut has.
    if (!untouched || !is_as_before(path)) fail_half_written(e);
    roll_back();
    throw Error(fmt::format("{}: {}; nothing was written to the image", image_, e.what()));
  }
  return finish(leaks);
}

bool Commit::is_as_before(const std::string& path) const {
  try {
    return is_unchanged(identity_of(path), content().identity);
  } catch (const Error&) {
    return false;
  }
}

void Commit::fail_half_written(const std::exception& e) const {
  throw Error(
      fmt::format("{}: {}; the image may be half written and is now called {}, so that nobody "
                  "starts the guest; "
                  "make sure that there is space, then {}",
                  image_, e.what(), commit_path(image_), remedy(Reason::commit_interrupted)));
}

std::vector<std::string> Commit::finish(bool may_leak) {
  try {
    std::vector<std::string> warnings;
    const std::string path = commit_path(image_);
    if (may_leak && is_there(path)) warnings = give_back_leaks(path, content().format, image_);
    show();
    drop();
    return warnings;
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: the changes are all written, but {}; {}", image_, e.what(),
                            remedy(Reason::commit_interrupted)));
  }
}

void Commit::roll_back() {
  try {
    if (journal_.state() != State::ready) journal_.set_state(State::ready);
    show();
    drop();
  } catch (const std::exception& e) {
    throw Error(fmt::format(
        "{}: nothing was written to the image, but {}; 'kvmnet recover --discard' tidies up",
        image_, e.what()));
  }
}

void Commit::hide() {
  rename_to_free_name(image_, commit_path(image_));
  sync_directory_of(image_);
}

void Commit::hide_untouched() {
  hide();
  try {
    check_untouched();
  } catch (...) {
    show();
    throw;
  }
}

void Commit::put_back_tables() {
  if (content().tables.empty()) return;  // a raw image
  if (auto refusal = lock_.check_unused()) throw Refused{*refusal};
  try {
    if (!lock_.is_of(commit_path(image_))) throw Error("another file is in the image's place");
    journal_.set_state(State::restoring);
    journal_.put_back_tables(commit_path(image_));
  } catch (const std::exception& e) {
    fail_half_written(e);
  }
}

void Commit::check_untouched() const {
  if (!is_unchanged(identity_of(commit_path(image_)), content().identity))
    throw Refused{changed_meanwhile(image_)};
  if (auto refusal = lock_.check_unused()) throw Refused{*refusal};
}

void Commit::show() {
  if (!is_there(commit_path(image_))) return;
  rename_to_free_name(commit_path(image_), image_);
  sync_directory_of(image_);
}

// Never a journal without its overlay.
void Commit::drop() {
  journal_.remove();
  sync_directory_of(image_);
  remove_if_there(overlay_path(image_));
}

}  // namespace kvmnet::disk

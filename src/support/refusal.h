// SPDX-License-Identifier: GPL-2.0-or-later
// "We will not patch this guest, because ..., do this instead": an expected outcome, a value.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kvmnet {

// Why an image is not touched. Each has one row in refusal.cc: its code for programs and its
// remedy for people.
enum class Reason {
  image_in_use,
  commit_interrupted,
  commit_conflict,
  commit_half_done,
  unsupported_format,
  format_mismatch,
  external_data_file,
  encrypted_image,
  damaged_image,
  unsafe_backing_file,
  not_a_regular_file,
  hard_linked,
  image_is_backing_file,
  image_not_writable,
  directory_not_writable,
  name_too_long,
  no_host_space,
  no_windows,
  several_windows,
  no_such_root,
  encrypted_volume,
  wrong_key,
  hibernated,
  fast_startup,
  unclean_ntfs,
  damaged_ntfs,
  read_only_mount,
  no_guest_space,
  path_blocked,
  dirty_hive,
  damaged_hive,
  hive_not_editable,
  unknown_version,
  unsupported_version,
  windows_pe,
  setup_in_progress,
  unknown_architecture,
  unknown_product_type,
  no_control_set,
  no_service_key,
  service_marked_for_deletion,
  unsupported_system_root,
  option_unsupported,
  record_damaged,
  record_newer,
  record_missing,
  changed_since_patch,
};

std::string_view code(Reason reason);    // "image-in-use"; stable, for programs
std::string_view remedy(Reason reason);  // what the user can do, a sentence

struct Refusal {
  Reason reason;
  std::string message;                    // what was found, naming it
  std::vector<std::string> details = {};  // all of what the message has the first of
  bool operator==(const Refusal&) const = default;
};

// Ends the work on an image with a refusal, from any depth; caught where its Outcome is made.
struct Refused {
  Refusal refusal;
};

template <typename T>
T value_or_refuse(std::variant<T, Refusal>&& result) {
  if (auto* refusal = std::get_if<Refusal>(&result)) throw Refused{std::move(*refusal)};
  return std::get<T>(std::move(result));
}

}  // namespace kvmnet

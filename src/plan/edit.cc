// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/edit.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvmnet {
namespace {

constexpr std::string_view absent = "(absent)";

std::string guest_path(std::string path) {
  std::replace(path.begin(), path.end(), '/', '\\');
  return "%SystemRoot%\\" + path;
}

std::string file_text(const std::string& content) {
  return fmt::format("file of {} bytes", content.size());
}

EditText words(const SetValue& edit) {
  return {"set", fmt::format("HKLM\\SYSTEM\\{}\\{}", edit.key.to_string(), edit.name),
          edit.old ? hive::describe(*edit.old) : std::string(absent), hive::describe(edit.value),
          edit.why};
}

EditText words(const DeleteValue& edit) {
  return {"delete", fmt::format("HKLM\\SYSTEM\\{}\\{}", edit.key.to_string(), edit.name),
          hive::describe(edit.old), std::string(absent), edit.why};
}

EditText words(const DeleteKey& edit) {
  return {"delete", fmt::format("HKLM\\SYSTEM\\{}", edit.key.to_string()), "key",
          std::string(absent), edit.why};
}

EditText words(const WriteFile& edit) {
  return {"write", guest_path(edit.path), edit.old ? file_text(*edit.old) : std::string(absent),
          file_text(edit.content), edit.why};
}

EditText words(const RemoveDirectory& edit) {
  return {"remove", guest_path(edit.path), "directory", std::string(absent), edit.why};
}

EditText words(const RemoveFile& edit) {
  return {"remove", guest_path(edit.path), "file", std::string(absent), edit.why};
}

}  // namespace

bool is_registry_edit(const Edit& edit) {
  return std::holds_alternative<SetValue>(edit) || std::holds_alternative<DeleteValue>(edit) ||
         std::holds_alternative<DeleteKey>(edit);
}

EditText describe(const Edit& edit) {
  return std::visit([](const auto& e) { return words(e); }, edit);
}

}  // namespace kvmnet

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

// What is needed to say it.
class Words {
 public:
  explicit Words(const std::string& registry_root) : root_(registry_root) {}

  EditText operator()(const SetValue& edit) const {
    return {"set", value(edit.key, edit.name),
            edit.old ? hive::describe(*edit.old) : std::string(absent), hive::describe(edit.value),
            edit.why};
  }
  EditText operator()(const DeleteValue& edit) const {
    return {"delete", value(edit.key, edit.name), hive::describe(edit.old), std::string(absent),
            edit.why};
  }
  EditText operator()(const CreateKey& edit) const {
    return {"create", key(edit.key), std::string(absent), "key", edit.why};
  }
  EditText operator()(const DeleteKey& edit) const {
    return {"delete", key(edit.key), "key", std::string(absent), edit.why};
  }
  EditText operator()(const WriteFile& edit) const {
    return {"write", guest_path(edit.path), edit.old ? file_text(*edit.old) : std::string(absent),
            file_text(edit.content), edit.why};
  }
  EditText operator()(const RemoveDirectory& edit) const {
    return {"remove", guest_path(edit.path), "directory", std::string(absent), edit.why};
  }
  EditText operator()(const RemoveFile& edit) const {
    return {"remove", guest_path(edit.path), "file", std::string(absent), edit.why};
  }

 private:
  std::string key(const hive::KeyPath& key) const {
    return key.elements().empty() ? root_ : fmt::format("{}\\{}", root_, key.to_string());
  }
  std::string value(const hive::KeyPath& of, const std::string& name) const {
    return fmt::format("{}\\{}", key(of), name);
  }

  const std::string& root_;
};

}  // namespace

bool is_registry_edit(const Edit& edit) {
  return std::holds_alternative<SetValue>(edit) || std::holds_alternative<DeleteValue>(edit) ||
         std::holds_alternative<CreateKey>(edit) || std::holds_alternative<DeleteKey>(edit);
}

EditText describe(const Edit& edit, const std::string& registry_root) {
  return std::visit(Words(registry_root), edit);
}

}  // namespace kvmnet

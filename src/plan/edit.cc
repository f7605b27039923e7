// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

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

// The bytes in which a value differs from another one that reads the same.
std::string exact_text(const hive::Value& value, std::size_t first_difference) {
  constexpr std::size_t most = 8;
  std::string text = fmt::format("{} ({} bytes", hive::describe(value), value.data.size());
  const std::size_t end = std::min(value.data.size(), first_difference + most);
  for (std::size_t i = first_difference; i < end; ++i)
    text +=
        fmt::format("{}{:02x}", i == first_difference ? fmt::format(", from byte {} on: ", i) : ",",
                    std::to_integer<unsigned>(value.data[i]));
  return text + (end < value.data.size() ? ",...)" : ")");
}

// Texts are cut, and end at their first NUL: what changes must be seen nevertheless.
std::pair<std::string, std::string> texts_of(const std::optional<hive::Value>& old,
                                             const hive::Value& value) {
  if (!old) return {std::string(absent), hive::describe(value)};
  std::pair<std::string, std::string> texts = {hive::describe(*old), hive::describe(value)};
  if (texts.first != texts.second || *old == value) return texts;
  const auto& [in_old, in_new] =
      std::mismatch(old->data.begin(), old->data.end(), value.data.begin(), value.data.end());
  const auto first_difference = static_cast<std::size_t>(in_new - value.data.begin());
  return {exact_text(*old, first_difference), exact_text(value, first_difference)};
}

// What is needed to say it.
class Words {
 public:
  explicit Words(const std::string& registry_root) : root_(registry_root) {}

  EditText operator()(const SetValue& edit) const {
    auto [old, now] = texts_of(edit.old, edit.value);
    return {"set", value(edit.key, edit.name), std::move(old), std::move(now), edit.why};
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
    return path_of_value(key(of), name);
  }

  const std::string& root_;
};

}  // namespace

bool is_registry_edit(const Edit& edit) {
  return std::holds_alternative<SetValue>(edit) || std::holds_alternative<DeleteValue>(edit) ||
         std::holds_alternative<CreateKey>(edit) || std::holds_alternative<DeleteKey>(edit);
}

std::string path_of_value(const std::string& key, const std::string& name) {
  return fmt::format("{}\\{}", key, name.empty() ? "(default)" : name);
}

EditText describe(const Edit& edit, const std::string& registry_root) {
  return std::visit(Words(registry_root), edit);
}

}  // namespace kvmnet

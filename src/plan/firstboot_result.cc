// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/firstboot_result.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace kvmnet::firstboot {
namespace {

// Far above what a script writes.
constexpr std::size_t largest_file = 256 << 10;
constexpr std::size_t longest_line = 1000;

constexpr std::array<std::pair<std::string_view, Status>, 3> statuses = {
    {{"done", Status::done}, {"retry", Status::retry}, {"failed", Status::failed}}};

// The next line of `text`, without its end and without blanks before that; `text` moves on behind
// it.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
  return line;
}

// The next word of a line, which one blank ends.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

bool is_plain(std::string_view line) {
  return line.size() <= longest_line &&
         std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::optional<std::int32_t> exit_code(std::string_view digits) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

bool is_id(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "work ID begun NAME", "work ID exit CODE"; `line` has what follows the first word.
void add_work(std::string_view line, std::vector<WorkResult>& all) {
  const std::string_view id = take_word(line);
  const std::string_view what = take_word(line);
  if (!is_id(id) || line.empty()) return;
  const auto present =
      std::find_if(all.begin(), all.end(), [id](const WorkResult& w) { return w.id == id; });
  if (what == "begun" && present == all.end())
    all.push_back({std::string(id), std::string(line), std::nullopt});
  if (what == "exit" && present != all.end()) present->exit_code = exit_code(line);
}

class Parser {
 public:
  std::optional<Result> run(std::string_view content) {
    if (content.size() > largest_file) return std::nullopt;
    if (take_line(content) != "kvmnet-firstboot-result 1") return std::nullopt;
    while (!content.empty())
      if (!add(take_line(content))) return std::nullopt;
    if (!has_status_ || result_.id.empty() || result_.boot == 0) return std::nullopt;
    return std::move(result_);
  }

 private:
  // False where the file cannot be one of ours.
  bool add(std::string_view line) {
    if (has_status_) return line.empty();  // it is the last line
    if (!is_plain(line)) return true;      // left out
    const std::string_view kind = take_word(line);
    if (kind == "id") return set_id(line);
    if (kind == "boot") return set_boot(line);
    if (kind == "status") return set_status(line);
    if (kind == "mandatory" || kind == "soft") return add_command(kind == "mandatory", line);
    if (kind == "work") add_work(line, result_.work);
    return true;  // of a later kvmnet
  }

  bool set_id(std::string_view text) {
    if (!result_.id.empty() || !is_id(text)) return false;
    result_.id = text;
    return true;
  }

  bool set_boot(std::string_view text) {
    if (result_.boot != 0 || text.size() != 1 || text[0] < '1' || text[0] > '3') return false;
    result_.boot = text[0] - '0';
    return true;
  }

  bool set_status(std::string_view text) {
    for (const auto& [word, status] : statuses) {
      if (word != text) continue;
      result_.status = status;
      has_status_ = true;
    }
    return has_status_;
  }

  bool add_command(bool mandatory, std::string_view line) {
    const auto code = exit_code(take_word(line));
    if (!code || line.empty()) return false;
    result_.commands.push_back({mandatory, *code, std::string(line)});
    return true;
  }

  Result result_;
  bool has_status_ = false;
};

}  // namespace

std::string_view to_string(Status status) {
  return statuses.at(static_cast<std::size_t>(status)).first;
}

std::optional<Result> parse_result(std::string_view content) {
  return Parser().run(content);
}

}  // namespace kvmnet::firstboot

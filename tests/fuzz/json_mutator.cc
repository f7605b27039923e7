// SPDX-License-Identifier: GPL-2.0-or-later
// Changes a record or an answer at one of the values that it is made of: JSON as text, or as CBOR
// behind a byte (tests/fuzz/answers.h). What is neither has its bytes changed.
#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "src/apply/message_codec.h"
#include "tests/fuzz/mutation.h"

namespace kvmnet::fuzz {
namespace {

using nlohmann::json;

class Mutator : Random {
 public:
  Mutator(json value, unsigned seed) : Random(seed), value_(std::move(value)) {}

  json run() {
    for (std::size_t rounds = 1 + below(4); rounds > 0; --rounds) change(*any(list()));
    return std::move(value_);
  }

 private:
  // All values, each before those in it.
  std::vector<json*>& list() {
    all_ = {&value_};
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (all_[i]->is_structured())
        for (json& child : *all_[i]) all_.push_back(&child);
    return all_;
  }

  void change(json& value) {
    const std::size_t kind = below(8);
    if (kind == 0) return put(value, *any(all_));
    if (kind == 1) return put(value, other());
    if (value.is_structured() && !value.empty()) return change_list(value);
    if (value.is_number_integer()) return put(value, number(value.get<std::uint64_t>()));
    if (value.is_boolean()) return put(value, !value.get<bool>());
    if (value.is_string()) return change_text(value.get_ref<std::string&>());
    if (value.is_binary()) return change_text(value.get_binary());
    put(value, *any(all_));
  }

  // By a copy: the new one may be a part of the old.
  static void put(json& value, json other) { value = std::move(other); }

  json other() {
    const std::array<json, 9> others = {json(),           json::array(), json::object(),
                                        json(""),         json(true),    json(number(1)),
                                        json::binary({}), json(-1),      json(1e300)};
    return any(others);
  }

  std::uint64_t number(std::uint64_t old) {
    const std::array<std::uint64_t, 9> candidates = {0,
                                                     old + 1,
                                                     old - 1,
                                                     old ^ std::uint64_t{1} << below(64),
                                                     below(16),
                                                     0xFFFFFFFF,
                                                     below(0x10000),
                                                     0x100000000,
                                                     ~std::uint64_t{0}};
    return any(candidates);
  }

  // One part goes, comes twice, or changes places with another.
  void change_list(json& list) {
    auto at = list.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(below(list.size())));
    auto another = list.begin();
    std::advance(another, static_cast<std::ptrdiff_t>(below(list.size())));
    const std::size_t kind = below(3);
    if (kind == 0)
      list.erase(at);
    else if (kind == 1 && list.is_array())
      list.push_back(json(*at));
    else
      std::swap(*at, *another);
  }

  template <typename Text>
  void change_text(Text& text) {
    if (below(4) == 0) return text.resize(below(text.size() + 1));  // a name that begins another
    constexpr std::size_t most = 64;                                // more than it has
    Bytes bytes(text.size());
    std::transform(text.begin(), text.end(), bytes.begin(),
                   [](auto c) { return static_cast<std::byte>(c); });
    mutate_bytes(bytes, bytes.size() + 1 + below(most));
    text.resize(bytes.size());
    std::transform(bytes.begin(), bytes.end(), text.begin(), [](std::byte b) {
      return static_cast<typename Text::value_type>(std::to_integer<unsigned char>(b));
    });
  }

  json value_;
  std::vector<json*> all_;
};

Bytes bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Deeper ones than any record are cut.
json parse_text(std::string_view text) {
  constexpr bool no_exceptions = false;
  return json::parse(
      text, [](int depth, json::parse_event_t /*event*/, json& /*value*/) { return depth < 16; },
      no_exceptions);
}

json parse_answer(std::string_view message) {
  try {
    return codec::parse(message);
  } catch (const Error&) {
    return json::value_t::discarded;
  }
}

Bytes changed_anyhow(std::span<const std::byte> input, std::size_t max_size) {
  Bytes bytes(input.begin(), input.end());
  if (bytes.size() <= max_size) mutate_bytes(bytes, max_size);
  return bytes;
}

}  // namespace

Bytes mutated(std::span<const std::byte> input, std::size_t max_size, unsigned seed) {
  if (seed % 16 == 0 || input.empty()) return changed_anyhow(input, max_size);
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  if (json value = parse_text(text); value.is_structured())
    return bytes_of(
        Mutator(std::move(value), seed).run().dump(-1, ' ', false, json::error_handler_t::ignore));
  json value = parse_answer(text.substr(1));
  if (!value.is_structured()) return changed_anyhow(input, max_size);
  return bytes_of(text[0] + codec::pack(Mutator(std::move(value), seed).run()));
}

}  // namespace kvmnet::fuzz

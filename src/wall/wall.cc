// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/wall/wall.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "src/wall/process.h"
#include "src/wall/protocol.h"

namespace kvmnet::wall {
namespace {

using Clock = std::chrono::steady_clock;
using How = Breach::How;

// Whether the user does without the sandbox.
bool& without() {
  static bool value = false;
  return value;
}

// What goes to and fro.
class Conversation {
 public:
  Conversation(const Request& request, bool sandboxed) : request_(request), process_(request) {
    Setup setup;
    setup.limits = request.limits;
    setup.operation = request.operation.size();
    setup.message = request.message.size();
    setup.files = static_cast<std::uint32_t>(request.files.size());
    setup.sandboxed = sandboxed;
    setup.has_read_at = static_cast<bool>(request.read_at);
    process_.send_object(setup);
    process_.send(std::as_bytes(std::span(request.operation)));
    process_.send(std::as_bytes(std::span(request.message)));
  }

  std::string run() {
    while (true) {
      const Header header = receive_header();
      switch (header.kind) {
        case Kind::ready:
          if (process_.is_ready()) process_.breach(How::crash, "said what it must not");
          process_.set_ready();
          break;
        case Kind::question:
          reply_to(header);
          break;
        case Kind::answer:
          return last_words(header, request_.limits.answer);
        case Kind::failure:
          throw Error(last_words(header, longest_failure));
        case Kind::out_of_memory:
          last_words(header, 0);
          process_.run_out_of_memory();
        default:
          process_.breach(How::crash, "said what it must not");
      }
    }
  }

 private:
  Header receive_header() {
    Header header;
    if (!process_.receive(std::as_writable_bytes(std::span(&header, 1)))) {
      process_.join();
      process_.breach(How::crash, "ended without an answer");
    }
    return header;
  }

  void reply_to(const Header& question) {
    constexpr std::uint64_t at_least = 4096;
    asked_for_ += std::max(question.size, at_least);
    if (!request_.read_at || question.size > largest_question || asked_for_ > request_.limits.read)
      process_.breach(How::forbidden, "asked for what it must not");
    const auto start = Clock::now();
    const auto bytes = request_.read_at(question.file, question.offset, question.size);
    process_.excuse(Clock::now() - start);
    process_.send_object(std::uint64_t{bytes.size()});
    process_.send(bytes);
  }

  // The text that `header` announces, after which nothing may come but the end.
  std::string last_words(const Header& header, std::uint64_t longest) {
    if (header.size > longest) process_.breach(How::limit, "said more than it may");
    std::string text = process_.receive_text(header.size);
    std::byte more{};
    if (process_.receive(std::span(&more, 1)))
      process_.breach(How::crash, "said more than it had announced");
    process_.join();
    return text;
  }

  const Request& request_;
  Process process_;
  std::uint64_t asked_for_ = 0;  // bytes, by all questions together
};

}  // namespace

std::string call(const Request& request) {
  if (!without()) {
    const std::string why = why_unavailable();
    if (!why.empty())
      throw Error(why + ", and nothing of a guest is parsed without; --no-sandbox does");
  }
  return Conversation(request, !without()).run();
}

void do_without() {
  without() = true;
}

}  // namespace kvmnet::wall

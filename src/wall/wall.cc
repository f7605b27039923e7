// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/wall/wall.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

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

void require_sandbox() {
  if (without()) return;
  const std::string why = why_unavailable();
  if (!why.empty())
    throw Error(why + ", and nothing of a guest is parsed without; --no-sandbox does");
}

}  // namespace

std::string describe(Breach::How how, std::string_view what) {
  switch (how) {
    case How::limit:
      return fmt::format(
          "the {0} makes the process that works on it need more than any sound {0} does", what);
    case How::forbidden:
      return fmt::format(
          "the {} makes the process that works on it do what it must not (if all do, libraries of "
          "this host need more than kvmnet knows: see --no-sandbox)",
          what);
    case How::crash:
      break;
  }
  return fmt::format("the {} crashes the process that works on it", what);
}

// What goes to and fro.
class Session::Conversation {
 public:
  struct Reply {
    std::string text;
    bool is_failure = false;
  };

  Conversation(Means means, bool sandboxed) : means_(std::move(means)), process_(means_) {
    Setup setup;
    setup.limits = means_.limits;
    setup.files = static_cast<std::uint32_t>(means_.files.size());
    setup.sandboxed = sandboxed;
    setup.has_read_at = static_cast<bool>(means_.read_at);
    setup.has_write_at = static_cast<bool>(means_.write_at);
    process_.send({std::as_bytes(std::span(&setup, 1))});
  }

  void begin(std::string_view operation, std::string_view message) {
    process_.begin(operation);
    const Task task = {operation.size(), message.size()};
    process_.send({bytes_of(task), bytes_of(operation), bytes_of(message)});
    begun_ = Clock::now();
  }

  Reply reply() {
    process_.excuse(Clock::now() - begun_);
    return hear();
  }

  void stop() { process_.stop(); }

  // After a reply nothing may come but the end.
  void finish() {
    process_.close_sending();
    std::byte more{};
    if (process_.receive(std::span(&more, 1)))
      process_.breach(How::crash, "said more than it had announced");
    process_.join();
  }

 private:
  Reply hear() {
    while (true) {
      const Header header = receive_header();
      switch (header.kind) {
        case Kind::ready:
          if (process_.is_ready()) process_.breach(How::crash, "said what it must not");
          process_.set_ready();
          break;
        case Kind::question:
          read(header);
          break;
        case Kind::write:
          write(header);
          break;
        case Kind::answer:
          return {announced(header, means_.limits.answer), false};
        case Kind::failure:
          return {announced(header, longest_failure), true};
        case Kind::out_of_memory:
          announced(header, 0);
          process_.run_out_of_memory();
        default:
          process_.breach(How::crash, "said what it must not");
      }
    }
  }

  Header receive_header() {
    Header header;
    if (!process_.receive(std::as_writable_bytes(std::span(&header, 1)))) {
      process_.join();
      process_.breach(How::crash, "ended without an answer");
    }
    return header;
  }

  // `sum`: bytes, by all questions of the kind together.
  void judge(bool allowed, std::uint64_t size, std::uint64_t& sum, std::uint64_t limit) {
    constexpr std::uint64_t at_least = 4096;
    sum += std::max(size, at_least);
    if (!allowed || size > largest_question || sum > limit)
      process_.breach(How::forbidden, "asked for what it must not");
  }

  void read(const Header& question) {
    judge(static_cast<bool>(means_.read_at), question.size, read_, means_.limits.read);
    const auto start = Clock::now();
    const auto bytes = means_.read_at(question.file, question.offset, question.size);
    process_.excuse(Clock::now() - start);
    const std::uint64_t size = bytes.size();
    process_.send({bytes_of(size), bytes});
  }

  void write(const Header& question) {
    judge(static_cast<bool>(means_.write_at), question.size, written_, means_.limits.write);
    const std::string bytes = process_.receive_text(question.size);
    const auto start = Clock::now();
    const bool done =
        means_.write_at(question.file, question.offset, std::as_bytes(std::span(bytes)));
    process_.excuse(Clock::now() - start);
    const std::uint64_t reply = done ? 1 : 0;
    process_.send({bytes_of(reply)});
  }

  std::string announced(const Header& header, std::uint64_t longest) {
    if (header.size > longest) process_.breach(How::limit, "said more than it may");
    return process_.receive_text(header.size);
  }

  const Means means_;
  Process process_;
  std::uint64_t read_ = 0;
  std::uint64_t written_ = 0;
  Clock::time_point begun_;  // when the last request had been sent
};

Session::Session(Means means) {
  require_sandbox();
  conversation_ = std::make_unique<Conversation>(std::move(means), !without());
}

Session::~Session() = default;

void Session::begin(std::string_view operation, std::string_view message) {
  conversation_->begin(operation, message);
}

std::string Session::answer() {
  auto reply = conversation_->reply();
  if (reply.is_failure) throw Error(reply.text);
  return std::move(reply.text);
}

std::string Session::ask(std::string_view operation, std::string_view message) {
  begin(operation, message);
  return answer();
}

void Session::finish() {
  conversation_->finish();
  conversation_.reset();
}

void Session::stop() {
  conversation_->stop();
}

std::string call(const Request& request) {
  Session session(request);
  session.begin(request.operation, request.message);
  auto reply = session.conversation_->reply();
  session.finish();
  if (reply.is_failure) throw Error(reply.text);
  return std::move(reply.text);
}

void do_without() {
  without() = true;
}

}  // namespace kvmnet::wall

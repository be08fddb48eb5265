#pragma once
// A transport whose connections are made of nothing: what dialing and the table of connections are
// tested against, on the virtual clock.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "swarm/swarm.hpp"

namespace warren::swarm::fakes {

/// A peer id made of `n`; greater `n`, greater id.
inline PeerId peer(std::uint8_t n) {
  Bytes key = {0x08, 0x01, 0x12, 0x20};
  key.resize(36, n);
  return PeerId::from_public_key(key);
}

inline Multiaddr address(std::string_view text) {
  auto parsed = Multiaddr::parse(text);
  WARREN_CHECK(parsed);
  return *parsed;
}

class FakeConnection final : public Connection {
 public:
  FakeConnection(runtime::Runtime& runtime, PeerId local, PeerId remote, Multiaddr at,
                 bool outbound)
      : closed_signal_(runtime.make_signal()) {
    info_.local_peer = std::move(local);
    info_.remote_peer = std::move(remote);
    info_.remote_address = std::move(at);
    info_.outbound = outbound;
    info_.transport = "fake";
  }
  const transport::ConnectionInfo& info() const override { return info_; }
  transport::ConnectionStats stats() const override { return {}; }
  awaitable<Result<std::unique_ptr<Stream>>> open_stream(TimePoint) override {
    co_return fail(ErrorCode::kUnsupported, "a fake connection has no streams");
  }
  awaitable<Result<std::unique_ptr<Stream>>> accept_stream() override {
    while (!closed_) {
      const runtime::Wake how = co_await closed_signal_->wait_until(kNever);
      if (how == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    }
    co_return fail(ErrorCode::kClosed, reason_);
  }
  void close(CloseCode code, std::string_view reason) override {
    if (std::exchange(closed_, true)) return;
    close_code = code;
    reason_ = reason;
    closed_signal_->notify();
  }
  bool closed() const override { return closed_; }
  std::string close_reason() const override { return reason_; }

  CloseCode close_code = CloseCode::kNone;

 private:
  transport::ConnectionInfo info_;
  std::unique_ptr<runtime::Signal> closed_signal_;
  bool closed_ = false;
  std::string reason_;
};

/// What happens when an address is dialled.
struct Plan {
  Duration after{};                           ///< Virtual time it takes.
  std::optional<Error> error = std::nullopt;  ///< Its failure; else it connects.
  PeerId answers = {};  ///< Who is there when no one in particular was asked for.
};

class FakeListener final : public transport::Listener {
 public:
  FakeListener(runtime::Runtime& runtime, Multiaddr at)
      : signal_(runtime.make_signal()), address_(std::move(at)) {}
  Multiaddr address() const override { return address_; }
  awaitable<Result<std::shared_ptr<Connection>>> accept() override {
    while (!closed_) {
      if (!queue.empty()) {
        auto next = std::move(queue.front());
        queue.pop_front();
        co_return next;
      }
      const runtime::Wake how = co_await signal_->wait_until(kNever);
      if (how == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    }
    co_return fail(ErrorCode::kClosed, "the listener is closed");
  }
  void close() override {
    closed_ = true;
    signal_->notify();
  }
  void push(std::shared_ptr<Connection> connection) {
    queue.push_back(std::move(connection));
    signal_->notify();
  }

  std::deque<std::shared_ptr<Connection>> queue;

 private:
  std::unique_ptr<runtime::Signal> signal_;
  Multiaddr address_;
  bool closed_ = false;
};

class FakeTransport final : public transport::Transport {
 public:
  FakeTransport(runtime::Runtime& runtime, PeerId local)
      : runtime_(runtime), local_(std::move(local)), start_(runtime.now()) {}

  bool can_dial(const Multiaddr& at) const override { return at.endpoint().has_value(); }
  bool can_listen(const Multiaddr& at) const override { return at.endpoint().has_value(); }
  awaitable<Result<std::shared_ptr<Connection>>> dial(Multiaddr at, std::optional<PeerId> expected,
                                                      TimePoint deadline) override {
    dialed.emplace_back(
        std::chrono::duration_cast<std::chrono::milliseconds>(runtime_.now() - start_),
        at.to_string());
    const Plan plan = plans.contains(at) ? plans.at(at) : Plan{.after = 1h};
    const auto slept =
        co_await runtime_.sleep_until(std::min(deadline, runtime_.now() + plan.after));
    if (!slept) {
      ++cancelled;
      co_return fail(slept.error());
    }
    if (runtime_.now() >= deadline) co_return fail(ErrorCode::kTimedOut, "no answer");
    if (plan.error) co_return fail(*plan.error);
    auto connection = std::make_shared<FakeConnection>(runtime_, local_,
                                                       expected.value_or(plan.answers), at, true);
    made.push_back(connection);
    co_return connection;
  }
  Result<std::unique_ptr<transport::Listener>> listen(const Multiaddr& at) override {
    auto made_listener = std::make_unique<FakeListener>(runtime_, at);
    listener = made_listener.get();
    return made_listener;
  }
  awaitable<void> close() override {
    closed = true;
    co_return;
  }

  std::map<Multiaddr, Plan> plans;
  using Dialed = std::pair<std::chrono::milliseconds, std::string>;
  std::vector<Dialed> dialed;  ///< When, since construction, and what.
  std::vector<std::shared_ptr<FakeConnection>> made;
  FakeListener* listener = nullptr;
  std::size_t cancelled = 0;
  bool closed = false;

 private:
  runtime::Runtime& runtime_;
  PeerId local_;
  TimePoint start_;
};

}  // namespace warren::swarm::fakes

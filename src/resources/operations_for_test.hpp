#pragma once
// Any order of operations on a Manager, read from bytes; for the property test and the fuzzer.
// After each one the sums must be right; when all handles are gone nothing may be held.

#include <memory>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "resources/manager.hpp"

namespace warren::resources::testing {

/// Limits that a few operations reach.
inline limits::Resources small_limits() {
  limits::Resources limits;
  limits.node = {3000, 6, 6, 9, 5, 4, 7, 5};
  limits.transient = {800, 0, 0, 0, 4, 3, 5, 3};
  limits.allowed = {900, 3, 3, 4, 2, 2, 3, 2};
  limits.peer = {1500, 4, 4, 6, 3, 2, 4, 3};
  limits.protocol = {2000, 4, 5, 7, 0, 0, 0, 0};
  limits.protocol_peer = {1000, 2, 3, 4, 0, 0, 0, 0};
  limits.connection = {1000, 3, 3, 5, 1, 1, 1, 1};
  limits.stream = {500, 1, 1, 1, 0, 0, 0, 0};
  limits.inbound_per_ipv4 = 3;
  limits.inbound_per_ipv6_56 = 2;
  limits.inbound_per_ipv6_48 = 4;
  limits.inbound_per_private = 4;
  limits.sources_max = 6;
  limits.allowed_entries_max = 3;
  return limits;
}

class Operations {
 public:
  explicit Operations(BytesView input) : input_(input) {
    Manager::Options options;
    options.limits = small_limits();
    options.report = [](std::string line) { WARREN_CHECK(!line.empty()); };
    manager_ = std::make_unique<Manager>([now = now_] { return *now; }, std::move(options));
  }

  void run() {
    while (at_ < input_.size()) {
      const Snapshot before = manager_->snapshot();
      step();
      manager_->check_invariants();
      check_peak(before);
    }
    const bool manager_first = below(2) == 1;
    if (manager_first) manager_.reset();
    drop_all();
    if (!manager_) return;
    const Snapshot after = manager_->snapshot();
    WARREN_CHECK(after.total == Usage{});
    WARREN_CHECK(after.peers.empty() && after.protocols.empty());
    manager_->check_invariants();
  }

 private:
  std::size_t below(std::size_t limit) {
    if (at_ >= input_.size() || limit == 0) return 0;
    return input_[at_++] % limit;
  }
  template <class T>
  T* pick(std::vector<T>& from) {
    return from.empty() ? nullptr : &from[below(from.size())];
  }
  template <class T>
  void drop(std::vector<T>& from) {
    if (!from.empty()) from.erase(from.begin() + static_cast<std::ptrdiff_t>(below(from.size())));
  }
  Need need() { return below(2) == 0 ? Need::kNecessary : Need::kOptional; }
  Direction direction() { return below(2) == 0 ? Direction::kInbound : Direction::kOutbound; }
  PeerId peer() {
    const Bytes key{static_cast<std::uint8_t>('a' + below(4)), 1, 2, 3};
    return PeerId::from_public_key(key);
  }
  Endpoint remote() {
    switch (below(5)) {
      case 0: return {};
      case 1: return {IpAddress::v4(127, 0, 0, 1), 4001, 0};
      case 2: return {IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(below(8))), 4001, 0};
      case 3: return {IpAddress::v4(192, 0, 2, static_cast<std::uint8_t>(below(8))), 4001, 0};
      default: {
        Bytes raw{0x20, 0x01,
                  0x0d, 0xb8,
                  0,    static_cast<std::uint8_t>(below(2)),
                  0,    static_cast<std::uint8_t>(below(4))};
        raw.resize(16, 9);
        return {*IpAddress::from_bytes(raw), 4001, 0};
      }
    }
  }
  std::string protocol() { return std::string("/p/") + static_cast<char>('a' + below(3)); }

  void step() {
    switch (below(16)) {
      case 0:
      case 1:
      case 2: {
        const auto expected = below(2) == 0 ? std::nullopt : std::optional<PeerId>(peer());
        const Direction way = direction();
        const Endpoint from = remote();
        auto opened = manager_->open_connection(way, from, below(2) == 1, expected);
        if (opened) {
          connections_.push_back(std::move(*opened));
        } else {
          WARREN_CHECK(opened.error().code() == ErrorCode::kLimited);
        }
        break;
      }
      case 3:
      case 4:
        if (auto* connection = pick(connections_)) {
          if (!(*connection)->has_peer()) (void)(*connection)->set_peer(peer());
        }
        break;
      case 5:
      case 6:
        if (auto* connection = pick(connections_)) {
          if (!(*connection)->has_peer()) break;
          if (below(16) == 0) (*connection)->end();
          auto opened = (*connection)->open_stream(direction());
          if (opened) streams_.push_back({std::move(*opened), false});
        }
        break;
      case 7:
        if (auto* stream = pick(streams_)) {
          if (!stream->agreed) stream->agreed = stream->scope->set_protocol(protocol()).has_value();
        }
        break;
      case 8:
        if (auto* connection = pick(connections_)) {
          (void)(*connection)->reserve_memory(below(256) * 5, need());
        }
        break;
      case 9:
        if (auto* stream = pick(streams_)) {
          if (auto made = stream->scope->reserve(below(256) * 3, need())) {
            reservations_.push_back(std::move(*made));
          }
        }
        break;
      case 10:
        if (auto* reservation = pick(reservations_)) {
          if (below(2) == 0) {
            (void)reservation->grow(below(256), need());
          } else {
            reservation->shrink(below(reservation->bytes() + 1));
          }
        }
        break;
      case 11: drop(connections_); break;
      case 12: drop(streams_); break;
      case 13: drop(reservations_); break;
      case 14: change_lists(); break;
      default: *now_ += std::chrono::milliseconds(below(256) * 100); break;
    }
  }

  void change_lists() {
    switch (below(5)) {
      case 0: (void)manager_->allow(peer()); break;
      case 1: manager_->disallow(peer()); break;
      case 2: (void)manager_->allow(Prefix::of(remote().ip, 30)); break;
      case 3: manager_->disallow(Prefix::of(remote().ip, 30)); break;
      default: manager_->limit_protocol(protocol(), below(4), below(3)); break;
    }
  }

  void check_peak(const Snapshot& before) {
    const Snapshot after = manager_->snapshot();
    for (std::size_t i = 0; i < kHeldResources; ++i) {
      WARREN_CHECK(after.peak.held[i] >= after.total.held[i]);
      WARREN_CHECK(after.peak.held[i] >= before.peak.held[i]);
    }
    WARREN_CHECK(after.refused_total() >= before.refused_total());
  }

  void drop_all() {
    while (!connections_.empty() || !streams_.empty() || !reservations_.empty()) {
      switch (below(3)) {
        case 0: drop(connections_); break;
        case 1: drop(streams_); break;
        default: drop(reservations_); break;
      }
      // The input is at its end, where every choice is the first: go on with the next kind.
      if (at_ < input_.size()) continue;
      connections_.clear();
      streams_.clear();
      reservations_.clear();
    }
  }

  struct Open {
    std::unique_ptr<StreamScope> scope;
    bool agreed = false;
  };
  BytesView input_;
  std::size_t at_ = 0;
  std::shared_ptr<TimePoint> now_ = std::make_shared<TimePoint>();
  std::unique_ptr<Manager> manager_;
  std::vector<std::unique_ptr<ConnectionScope>> connections_;
  std::vector<Open> streams_;
  std::vector<MemoryReservation> reservations_;
};

}  // namespace warren::resources::testing

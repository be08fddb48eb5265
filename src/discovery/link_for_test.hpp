#pragma once
// For tests: machines on one link, with virtual time and without I/O.

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "discovery/link_events.hpp"

namespace warren::discovery::testing {

inline Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }
inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

/// How one packet leaves a node.
struct Flight {
  IpAddress from;
  bool multicast = false;  ///< Else broadcast.
};

/// What every node has; at 10.0.0.`number`, interface index 2. A kind of node adds `Send`, the
/// action of sending, `handle(event, now)`, `check_all()`, and `flights(send)`.
template <class Send>
struct LinkNode {
  LinkNode(std::uint8_t number, PeerId peer) : id(std::move(peer)), rng(number) {
    interface.index = 2;
    interface.addresses = {IpAddress::v4(10, 0, 0, number)};
    interface.prefixes = {resources::Prefix::of(ip("10.0.0.0"), 16),
                          resources::Prefix::of(ip("fe80::"), 64)};
    interface.joined = true;
  }
  PeerId id;
  LinkInterface interface;
  std::mt19937_64 rng;
  TimePoint timer = kNever;
  std::map<PeerId, PeerHint> known;  ///< Found and not lost.
  std::vector<std::pair<TimePoint, PeerHint>> found;
  std::vector<std::pair<TimePoint, PeerId>> lost;
  std::vector<std::pair<TimePoint, Send>> sent;
  std::size_t fired = 0;  ///< Times that its timer ran out.
  bool dead = false;      ///< Hears nothing, and does nothing.
};

/// One link with a delay of 1 ms.
template <class Node>
class Link {
 public:
  TimePoint now{1h};
  bool multicast_works = true;
  bool broadcast_works = true;

  /// Nothing happens before start().
  template <class... Arguments>
  Node& add(std::uint8_t number, Arguments&&... arguments) {
    return *nodes_.emplace_back(
        std::make_unique<Node>(number, std::forward<Arguments>(arguments)...));
  }

  /// It listens on QUIC from now on.
  void start(Node& node) {
    handle(node, AddressesChanged{{Multiaddr::quic({node.interface.addresses[0], 4001, 0})}});
    handle(node, InterfacesChanged{{node.interface}});
  }

  void handle(Node& node, const LinkEvent& event) {
    handle_unchecked(node, event);
    node.check_all();
  }
  /// Without a walk over the table of the node.
  void handle_unchecked(Node& node, const LinkEvent& event) {
    for (const auto& action : node.handle(event, now)) {
      std::visit([&](const auto& each) { carry(node, each); }, action);
    }
  }

  /// Somebody's packet.
  void inject(Node& node, const IpAddress& from, BytesView bytes, bool multicast = true) {
    handle(node, PacketReceived{node.interface.index, from, multicast, bytes});
  }
  void inject_unchecked(Node& node, const IpAddress& from, BytesView bytes) {
    handle_unchecked(node, PacketReceived{node.interface.index, from, true, bytes});
  }

  void run_for(Duration duration) {
    const TimePoint end = now + duration;
    for (;;) {
      TimePoint next = flying_.empty() ? kNever : flying_.front().at;
      for (const auto& node : nodes_) {
        if (!node->dead) next = std::min(next, node->timer);
      }
      if (next > end) break;
      now = std::max(now, next);
      if (!flying_.empty() && flying_.front().at <= now) {
        const Packet packet = flying_.front();
        flying_.pop_front();
        for (const auto& node : nodes_) {
          if (!node->dead) inject(*node, packet.how.from, packet.bytes, packet.how.multicast);
        }
        continue;
      }
      for (const auto& node : nodes_) {
        if (node->dead || node->timer > now) continue;
        node->timer = kNever;
        ++node->fired;
        handle(*node, TimerFired{});
      }
    }
    now = end;
  }

 private:
  struct Packet {
    TimePoint at;
    Flight how;
    Bytes bytes;
  };

  template <class Send>
  void carry(Node& node, const Send& send) {
    node.sent.emplace_back(now, send);
    if (node.dead) return;
    for (const Flight& how : node.flights(send)) {
      if (how.multicast ? multicast_works : broadcast_works) {
        flying_.push_back({now + 1ms, how, send.bytes});
      }
    }
  }
  void carry(Node& node, const TellFound& told) {
    node.found.emplace_back(now, told.hint);
    node.known[told.hint.peer] = told.hint;
  }
  void carry(Node& node, const TellLost& gone) {
    node.lost.emplace_back(now, gone.hint.peer);
    node.known.erase(gone.hint.peer);
  }
  void carry(Node& node, const SetTimer& timer) { node.timer = timer.at; }

  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<Packet> flying_;
};

/// A node that started `age` ago.
template <class Node>
struct One {
  explicit One(Duration age = Duration(0)) {
    link.start(a);
    link.run_for(age);
  }
  Link<Node> link;
  Node& a = link.add(1);
};

/// Two of them.
template <class Node>
struct Two {
  explicit Two(Duration age = Duration(0)) {
    link.start(a);
    link.start(b);
    link.run_for(age);
  }
  Link<Node> link;
  Node& a = link.add(1);
  Node& b = link.add(2);
};

}  // namespace warren::discovery::testing

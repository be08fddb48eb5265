#pragma once
// For tests: machines on one link, with virtual time and without I/O.

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "discovery/mdns/mdns_machine.hpp"

namespace warren::discovery::testing {

/// The peer id of an Ed25519 key whose bytes are all `tag`, with `more` in front of them.
inline PeerId make_peer(std::uint8_t tag, std::uint16_t more = 0) {
  Bytes key{0x08, 0x01, 0x12, 0x20};
  key.resize(36, tag);
  key[4] = static_cast<std::uint8_t>(more >> 8);
  key[5] = static_cast<std::uint8_t>(more);
  return PeerId::from_public_key(key);
}

inline Multiaddr address(std::string_view text) { return Multiaddr::parse(text).value(); }
inline IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

struct Node {
  PeerId id;
  MdnsInterface interface;
  std::mt19937_64 rng;
  std::unique_ptr<MdnsMachine> machine;
  TimePoint timer = kNever;
  std::map<PeerId, PeerHint> known;  ///< Found and not lost.
  std::vector<std::pair<TimePoint, PeerHint>> found;
  std::vector<std::pair<TimePoint, PeerId>> lost;
  std::vector<std::pair<TimePoint, Bytes>> sent;
  bool deaf = false;  ///< Hears nothing any more, and says nothing: crashed.
};

/// One link, interface index 2 in every node, with a delay of 1 ms.
class Link {
 public:
  TimePoint now{1h};

  /// A node at 10.0.0.`number` that listens on QUIC there; nothing happens before start().
  Node& add(std::uint8_t number) {
    auto node = std::make_unique<Node>();
    node->id = make_peer(number);
    node->interface = {2, {IpAddress::v4(10, 0, 0, number)}, false};
    node->rng.seed(number);
    MdnsConfig config;
    config.self = node->id;
    config.peer_name = random_peer_name(node->rng);
    node->machine = std::make_unique<MdnsMachine>(MdnsMachine::make(config, node->rng).value());
    return *nodes_.emplace_back(std::move(node));
  }

  void start(Node& node) {
    handle(node, AddressesChanged{{Multiaddr::quic({node.interface.addresses[0], 4001, 0})}});
    handle(node, InterfacesChanged{{node.interface}});
  }

  void handle(Node& node, const MdnsEvent& event) {
    const auto actions = node.machine->handle(event, now);
    node.machine->check_all();
    for (const MdnsAction& action : actions) {
      if (const auto* send = std::get_if<SendPacket>(&action)) {
        node.sent.emplace_back(now, send->bytes);
        if (!node.deaf) {
          const Endpoint from{node.interface.addresses[0], kMdnsPort, 0};
          flying_.push_back({now + 1ms, from, send->bytes});
        }
      } else if (const auto* told = std::get_if<TellFound>(&action)) {
        node.found.emplace_back(now, told->hint);
        node.known[told->hint.peer] = told->hint;
      } else if (const auto* gone = std::get_if<TellLost>(&action)) {
        node.lost.emplace_back(now, gone->hint.peer);
        node.known.erase(gone->hint.peer);
      } else {
        node.timer = std::get<SetTimer>(action).at;
      }
    }
  }

  /// Somebody else's packet.
  void inject(Node& node, const Endpoint& from, BytesView bytes) {
    handle(node, PacketReceived{node.interface.index, from, bytes});
  }

  void run_for(Duration duration) {
    const TimePoint end = now + duration;
    for (;;) {
      TimePoint next = flying_.empty() ? kNever : flying_.front().at;
      for (const auto& node : nodes_) {
        if (!node->deaf) next = std::min(next, node->timer);
      }
      if (next > end) break;
      now = std::max(now, next);
      if (!flying_.empty() && flying_.front().at <= now) {
        const Flying packet = flying_.front();
        flying_.pop_front();
        for (const auto& node : nodes_) {
          if (!node->deaf) inject(*node, packet.from, packet.bytes);
        }
        continue;
      }
      for (const auto& node : nodes_) {
        if (!node->deaf && node->timer <= now) {
          node->timer = kNever;
          handle(*node, TimerFired{});
        }
      }
    }
    now = end;
  }

 private:
  struct Flying {
    TimePoint at;
    Endpoint from;
    Bytes bytes;
  };
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<Flying> flying_;
};

}  // namespace warren::discovery::testing

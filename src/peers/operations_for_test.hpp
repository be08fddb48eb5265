#pragma once
// Any order of operations on a book, read from bytes; for the property test and the fuzzer. After
// each one every bound and sum must hold.

#include <algorithm>
#include <vector>

#include "base/bytes.hpp"
#include "peers/test_support.hpp"

namespace warren::peers::testing {

/// Limits that a few operations reach.
inline limits::Peers small_limits() {
  limits::Peers limits;
  limits.addresses_max = 40;
  limits.addresses_per_peer_max = 4;
  limits.peers_max = 24;
  limits.new_buckets = 6;
  limits.proven_buckets = 4;
  limits.bucket_places = 3;
  limits.local_places = 10;
  limits.new_buckets_per_teller = 2;
  limits.record_bytes_max = 300;
  limits.records_bytes_max = 1'000;
  limits.bans_max = 8;
  limits.names_max = 5;
  limits.failures_max = 3;
  limits.strikes_max = 3;
  return limits;
}

class Operations {
 public:
  explicit Operations(BytesView input) : input_(input), f_(small_limits()) {}

  Fixture& fixture() { return f_; }
  bool done() const { return at_ >= input_.size(); }
  void run() {
    while (!done()) step();
  }

  void step() {
    PeerBook& book = f_.book;
    const PeerId id = peer(below(40));
    const Multiaddr at = some_address();
    switch (below(20)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        std::vector<Multiaddr> addresses{at};
        for (unsigned more = below(6); more > 0; --more) addresses.push_back(some_address());
        const std::size_t before = book.addresses();
        const std::size_t added =
            f_.learn(id, addresses, static_cast<Origin>(below(7)),
                     below(2) == 0 ? std::nullopt : std::optional(network_group(some_address())),
                     below(3) == 0 ? record(below(8), 50 + below(255)) : nullptr);
        WARREN_CHECK(book.addresses() <= before + added);
        WARREN_CHECK(added <= addresses.size());
        break;
      }
      case 4: book.connected(id, at, f_.now); break;
      case 5: book.connected(id, std::nullopt, f_.now, at); break;
      case 6: book.connected(id, std::nullopt, f_.now); break;
      case 7: {
        std::vector<Multiaddr> tried{at};
        if (const Peer* known = book.find(id)) {
          for (const AddressEntry& entry : known->addresses) tried.push_back(entry.address);
        }
        book.dial_failed(id, tried, f_.now);
        break;
      }
      case 8: book.disconnected(id, std::uint64_t{below(256)} << 56, below(256), f_.now); break;
      case 9:
        book.measured(id, Duration(below(256)) - Duration(10), f_.now);
        book.set_public_key(id, Bytes(below(256) * 8, 1));
        break;
      case 10:
      case 11: {
        const bool spared = book.find(id) && (book.find(id)->pinned || book.find(id)->kept);
        const auto event = static_cast<ReputationEvent>(below(kReputationEvents));
        for (unsigned times = below(12); times > 0; --times) {
          const auto until = book.report(id, event, f_.now);
          WARREN_CHECK(!until || (!spared && *until >= f_.now && book.is_banned(id, f_.now)));
        }
        break;
      }
      case 12:
        static_cast<void>(book.ban(id, some_end(), std::string(below(256), 'r'), f_.now));
        break;
      case 13: {
        const auto endpoint = at.endpoint();
        if (!endpoint) break;
        const auto prefix =
            resources::Prefix::of(endpoint->ip, static_cast<std::uint8_t>(below(129)));
        const auto banned = book.ban(prefix, some_end(), "r", f_.now);
        if (below(3) == 0) static_cast<void>(book.unban(prefix));
        static_cast<void>(banned);
        break;
      }
      case 14: static_cast<void>(book.unban(id, f_.now)); break;
      case 15: {
        const auto kept = book.keep(id, below(2) == 0 ? std::nullopt : std::optional(at), f_.now);
        WARREN_CHECK(!kept || book.find(id)->kept);
        if (below(2) == 0) book.release(id);
        break;
      }
      case 16: {
        static_cast<void>(book.pin(id, f_.now));
        const std::string name(1 + below(3), static_cast<char>('a' + below(4)));
        const auto tied = book.tie_name(name, id);
        WARREN_CHECK(!tied || book.find_name(name) == id);
        break;
      }
      case 17:
        static_cast<void>(book.remove(id));
        book.set_anchors({id, peer(below(40))});
        break;
      case 18: {
        const auto table = below(2) == 0 ? Table::kNew : Table::kProven;
        const Peer* const chosen = book.choose(table, f_.now, anyone);
        WARREN_CHECK(chosen == nullptr ||
                     (!chosen->addresses.empty() && !book.is_banned(chosen->id, f_.now)));
        const auto sample = book.sample_records(3, anyone);
        WARREN_CHECK(sample.size() <= 3);
        break;
      }
      default:
        f_.now += std::chrono::hours(static_cast<int>(below(256)) - 40) / 4;
        if (below(4) == 0) book.prune(f_.now);
        break;
    }
    book.check_invariants();
  }

  unsigned below(std::size_t bound) {
    if (done()) return 0;
    return static_cast<unsigned>(input_[at_++] % bound);
  }

 private:
  WallTime some_end() {
    return below(4) == 0 ? WallTime::max() : f_.now + std::chrono::minutes(below(256));
  }
  Multiaddr some_address() {
    const unsigned kind = below(8);
    const unsigned host = below(64);
    switch (kind) {
      case 0: return quic(127, 0, 0, 1, 1 + host);
      case 1: return quic(192, 168, 1, host);
      case 2: return Multiaddr::memory(65'536 * host);
      case 3: return address(fmt::format("/ip6/2001:db8:{:x}::{:x}/tcp/1", host % 8, host));
      case 4: return address(fmt::format("/dns4/h{}.example/tcp/1", host % 8));
      default: return quic(20 + host % 8, 1, 1, host);
    }
  }

  BytesView input_;
  std::size_t at_ = 0;
  Fixture f_;
};

}  // namespace warren::peers::testing

#pragma once
// Peers and addresses for tests of this module.

#include <fmt/core.h>
#include <stdlib.h>

#include <filesystem>
#include <random>
#include <string>

#include "base/check.hpp"
#include "peers/peer_book.hpp"

namespace warren::peers::testing {

inline const WallTime kNow{std::chrono::seconds(1'700'000'000)};

/// A peer id that is not a key of anybody.
inline PeerId peer(std::uint64_t number) {
  // The protobuf of an Ed25519 key: type 1, 32 bytes.
  Bytes key{8, 1, 18, 32};
  for (int i = 0; i < 32; ++i) {
    key.push_back(i < 8 ? static_cast<std::uint8_t>(number >> (8 * i)) : 7);
  }
  return PeerId::from_public_key(key);
}

inline Multiaddr address(const std::string& text) {
  auto parsed = Multiaddr::parse(text);
  WARREN_CHECK(parsed);
  return *parsed;
}

/// A public QUIC address in network `a`.`b`/16.
inline Multiaddr quic(unsigned a, unsigned b, unsigned c, unsigned d, unsigned port = 4001) {
  return address(fmt::format("/ip4/{}.{}.{}.{}/udp/{}/quic-v1", a, b, c, d, port));
}

inline NetworkGroup group(unsigned a, unsigned b) {
  return {NetworkGroup::Kind::kIpv4, std::uint64_t{a} << 8 | b};
}

inline std::shared_ptr<const SignedRecord> record(std::uint64_t sequence, std::size_t bytes = 100) {
  return std::make_shared<const SignedRecord>(
      SignedRecord{Bytes(bytes, static_cast<std::uint8_t>(sequence)), sequence});
}

/// A folder that is gone at the end. In memory where the system has such a place: these tests are
/// about processes that are killed, never about a loss of power.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const std::filesystem::path memory = "/dev/shm";
    const auto parent =
        std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    std::string name = parent / "warren-peers-XXXXXX";
    WARREN_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// What a store keeps, as text that can be compared. Not `exact`: without what is written down with
/// the next change only (a sign of life, a round trip, a failed dial, being told again).
inline std::string dump(const std::map<PeerId, Peer>& peers, const std::vector<Ban>& bans,
                        const std::vector<NameEntry>& names, bool exact = true) {
  const auto ns = [](WallTime time) { return time.time_since_epoch().count(); };
  std::set<std::string> lines;
  for (const auto& [id, known] : peers) {
    std::string line = fmt::format(
        "{} key {} {} seen {} {} {} tries {} {} rtt {} bytes {} {} score {} {} bans {} {} "
        "flags {}{}{} record {} {}\n",
        id.to_string(), to_hex(known.public_key), origin_name(known.origin), ns(known.first_seen),
        exact ? ns(known.last_seen) : 0, ns(known.first_success), known.successes,
        exact ? known.failures : 0, known.latency && exact ? known.latency->count() : -1,
        known.bytes_received, known.bytes_sent, known.reputation.raw_score().value_or(-1),
        ns(known.reputation.at()), ns(known.last_ban_end), known.bans, known.kept, known.pinned,
        known.anchor, known.record ? known.record->sequence : 0,
        known.record ? to_hex(known.record->envelope) : "");
    for (const AddressEntry& entry : known.addresses) {
      line += fmt::format("  {} {} teller {} at {} {} {} failures {}\n", entry.address.to_string(),
                          origin_name(entry.origin), entry.teller.to_string(),
                          exact ? ns(entry.learnt) : 0, ns(entry.last_success),
                          ns(entry.last_failure), entry.failures);
    }
    lines.insert(line);
  }
  for (const Ban& ban : bans) {
    const auto* id = std::get_if<PeerId>(&ban.who);
    lines.insert(
        fmt::format("ban {} {} '{}' {}\n",
                    id ? id->to_string() : std::get<resources::Prefix>(ban.who).to_string(),
                    ns(ban.until), ban.reason, ban.by_person));
  }
  for (const NameEntry& entry : names) {
    lines.insert(fmt::format("name {} {}\n", entry.name, entry.peer.to_string()));
  }
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}
inline std::string dump(const PeerBook& book, bool exact = true) {
  return dump(book.all(), book.bans(WallTime::min()), book.names(), exact);
}

inline bool anyone(const Peer&) { return true; }

struct Fixture {
  explicit Fixture(limits::Peers limits = {}, std::uint64_t seed = 1)
      : rng(seed), book(peer(0), make_config(limits, seed), rng) {}
  static BookConfig make_config(limits::Peers limits, std::uint64_t seed) {
    BookConfig config;
    config.limits = limits;
    config.secret.fill(static_cast<std::uint8_t>(seed));
    config.simulated = true;
    return config;
  }
  std::size_t learn(const PeerId& id, std::vector<Multiaddr> addresses,
                    Origin origin = Origin::kExchange,
                    std::optional<NetworkGroup> told_by = std::nullopt,
                    std::shared_ptr<const SignedRecord> signed_record = nullptr) {
    return book.learn({.peer = id,
                       .addresses = std::move(addresses),
                       .origin = origin,
                       .told_by = told_by,
                       .record = std::move(signed_record)},
                      now);
  }

  WallTime now = kNow;
  std::mt19937_64 rng;
  PeerBook book;
};

}  // namespace warren::peers::testing

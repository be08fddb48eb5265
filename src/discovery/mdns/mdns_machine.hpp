#pragma once
// libp2p's mDNS discovery as a state machine without I/O: packets, changes and the time go in;
// packets, found peers and the next wake-up come out. Protocol: docs/protocols/mdns.md.

#include <array>
#include <map>
#include <random>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/limits.hpp"
#include "discovery/link_events.hpp"
#include "discovery/mdns/mdns_packets.hpp"
#include "discovery/mdns/mdns_table.hpp"

namespace warren::discovery {

/// UDP port of mDNS. Source: RFC 6762 section 3.
inline constexpr std::uint16_t kMdnsPort = 5353;
/// PeerSource::name() and PeerHint::via.
inline constexpr std::string_view kMdnsName = "mdns";

struct MdnsConfig {
  PeerId self;
  /// Name of this start: 32 to 63 lower-case letters and digits, new at each start. See
  /// random_peer_name(). Source: libp2p specs, discovery/mdns.md, Definitions.
  std::string peer_name;
  /// "_p2p._udp.local"; a private network has another.
  std::string service = "_p2p._udp.local";
  /// When to ask after the start and after a change of the interface, besides at once.
  std::vector<Duration> first_queries = {1s, 3s, 10s};
  /// Gap between questions on one link later on; stretched to `query_gap_per_peer` times the peers
  /// there, at most `query_interval_max`. A peer is forgotten after three gaps without a word.
  /// Source: docs/protocols/mdns.md, "Timing".
  Duration query_interval = 20s;
  Duration query_interval_max = 60s;
  Duration query_gap_per_peer = 100ms;
  /// Time to live of our records. Source: RFC 6762 section 10.
  std::chrono::seconds ttl{120};
  limits::Discovery limits;
};

// What the caller must then do.
/// Multicast it on the interface, over every IP version that works there.
struct SendPacket {
  std::uint32_t interface_index = 0;
  Bytes bytes;
};
using MdnsAction = std::variant<SendPacket, TellFound, TellLost, SetTimer>;

/// What was heard on one interface.
struct MdnsCounters {
  std::uint64_t heard = 0;        ///< Packets, our own left out.
  std::uint64_t heard_peers = 0;  ///< Announcements of peers in them.
  std::uint64_t malformed = 0;
  std::uint64_t refused_peers = 0;  ///< Announcements that a limit kept out of the table.
};

/// A name of 40 characters for MdnsConfig::peer_name.
std::string random_peer_name(std::mt19937_64& rng);

class MdnsMachine {
 public:
  /// `rng` must outlive the machine. Errors: kInvalidArgument for a name or a service that is none.
  static Result<MdnsMachine> make(MdnsConfig config, std::mt19937_64& rng);

  /// Takes one event, returns the actions in order. Total: every event is legal at any time.
  std::vector<MdnsAction> handle(const LinkEvent& event, TimePoint now);

  /// Walks over everything; for tests and fuzzing.
  void check_all() const { table_.check_all(); }
  std::size_t peers() const noexcept { return table_.peers(); }
  /// By interface index; some interfaces that went away included.
  const std::map<std::uint32_t, MdnsCounters>& counters() const noexcept { return counters_; }

 private:
  struct Link {
    MdnsInterface interface;
    std::vector<std::string> announced;  ///< Texts of the addresses that fit this link.
    std::size_t queries = 0;             ///< Sent since the link came up or changed.
    TimePoint came_up;
    TimePoint next_query;
    TimePoint last_query = kLongAgo;
    TimePoint answer_at = kNever;
    TimePoint last_answer = kLongAgo;
    TimePoint services_at = kNever;  ///< Answer to the question which services there are.
    TimePoint last_services = kLongAgo;
    int announcements_left = 0;  ///< Unsolicited answers still to send.
    bool answered = false;       ///< Somebody may hold our records: a goodbye is due.
  };
  static constexpr TimePoint kLongAgo{Duration::min() / 2};

  MdnsMachine(MdnsConfig config, MdnsNames names, std::mt19937_64& rng);

  using Actions = std::vector<MdnsAction>;
  void on(const InterfacesChanged& event, TimePoint now, Actions& out);
  void on(const AddressesChanged& event, TimePoint now, Actions& out);
  void on(const PacketReceived& event, TimePoint now, Actions& out);
  void on(const TimerFired& event, TimePoint now, Actions& out);
  void on(const RefreshAsked& event, TimePoint now, Actions& out);
  void on(const StopAsked& event, TimePoint now, Actions& out);

  void hear_query(Link& link, const DnsMessage& message, TimePoint now);
  void hear_response(Link& link, const PacketReceived& event, const DnsMessage& message,
                     TimePoint now);
  void announce_own(Link& link, TimePoint now, Actions& out);
  void send_query(Link& link, TimePoint now, Actions& out);
  void send_answer(Link& link, std::chrono::seconds ttl, Actions& out);
  void run_due(TimePoint now, Actions& out);
  void tell(TimePoint now, Actions& out);
  void set_timer(TimePoint now, Actions& out);
  Duration query_interval() const;
  Duration jitter(Duration low, Duration high);
  void check_invariants() const;

  MdnsConfig config_;
  MdnsNames names_;
  std::mt19937_64* rng_;
  std::uint16_t query_id_;
  bool stopped_ = false;
  std::vector<Multiaddr> own_addresses_;
  std::map<std::uint32_t, Link> links_;
  MdnsTable table_;
  std::map<std::uint32_t, MdnsCounters> counters_;
  TimePoint timer_at_ = kNever;
};

}  // namespace warren::discovery

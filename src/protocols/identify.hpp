#pragma once
// /ipfs/id/1.0.0 and /ipfs/id/push/1.0.0: peers tell each other who they are, what they speak and
// where they listen. Source: libp2p specs, identify/README.md; RFC 0002 and 0003.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "crypto/keys.hpp"
#include "protocols/identify_codec.hpp"
#include "protocols/observed_addresses.hpp"
#include "swarm/swarm.hpp"

namespace warren::protocols {

using runtime::awaitable;

inline constexpr std::string_view kIdentifyProtocol = "/ipfs/id/1.0.0";
inline constexpr std::string_view kIdentifyPushProtocol = "/ipfs/id/push/1.0.0";

struct IdentifyConfig {
  std::string agent_version = "warren";  ///< "warren/<version>".
  std::string protocol_version = "ipfs/0.1.0";
  limits::Messages limits{};
  /// For one exchange. Source: js-libp2p gives 5 s.
  Duration exchange_time_max = 5s;
  /// Times that one peer may ask who we are, or push who it is, at once and per second; each costs
  /// a signature. Beyond: its stream is reset with kRateLimited.
  double exchanges_burst = 64;
  double exchanges_per_second = 4;
  ObservedAddressesConfig observed{};
  /// At most so often peers are told of a change in what others call our address.
  Duration observed_told_every = 30s;
};

/// What a connected peer said of itself. All of it is the peer's claim, bounded in size but not in
/// content: who shows it must escape it. The peer id itself is proven by the connection.
struct PeerIdentity {
  std::string agent_version;
  std::string protocol_version;
  std::vector<std::string> protocols;
  std::vector<Multiaddr> listen_addresses;  ///< Without /p2p.
  bool addresses_signed = false;            ///< They come from a record that the peer signed.
  std::uint64_t record_sequence = 0;
  std::shared_ptr<const Bytes> signed_record;  ///< That record, as it came; null without one.
  /// How the peer sees us: an observation, not an address of ours.
  std::optional<Multiaddr> observed_address;

  bool speaks(std::string_view protocol) const;
};

/// Whether an address of scope `ours` means anything to a peer at `remote`: everything on this
/// machine, all but loopback in a LAN, public addresses alone outside.
/// Source: go-libp2p's identify filters in the same way.
bool worth_telling(const Multiaddr& ours, const Multiaddr& remote);

/// Runs identify on every new connection, answers it, and pushes to each peer when what it was told
/// of our protocols or addresses has changed. Keeps what connected peers said. The swarm must
/// outlive it and be closed before it is.
class IdentifyService {
 public:
  IdentifyService(swarm::Swarm& swarm, crypto::PrivateKey key, IdentifyConfig config = {});
  IdentifyService(const IdentifyService&) = delete;
  IdentifyService& operator=(const IdentifyService&) = delete;

  /// What `peer` said last; nullptr before it did, or when it is not connected. Valid until the
  /// next event.
  const PeerIdentity* find(const PeerId& peer) const;

  using Listener = std::function<void(const PeerId&, const PeerIdentity&)>;
  /// Called on the core thread each time a peer has said (by identify or push) who it is.
  void on_identified(Listener listener);

  /// Where this node can be reached, without /p2p: where it listens, and what enough peers of
  /// different networks call it. Each peer is told those of its scope.
  std::vector<Multiaddr> addresses() const;
  const ObservedAddresses& observed() const { return observed_; }
  /// The addresses of this machine may have changed: tells the peers for whom that matters.
  void addresses_changed();

  /// Exchanges that failed since the start, ours and the peers'.
  std::uint64_t failures() const { return failures_; }
  /// Streams of peers that came too often.
  std::uint64_t refused() const { return refused_; }

  /// Waits for exchanges in progress. Call it after Swarm::close(). Cancel: unsafe.
  awaitable<void> close();

 private:
  void on_connection(const swarm::ConnectionEvent& event);
  void on_local_change();
  void learn(const swarm::Connection& connection, IdentifyMessage message);
  void learn_observed(const swarm::Connection& connection, const Multiaddr& seen);
  /// What a peer is told and hears again when it changes.
  struct Told {
    std::vector<Multiaddr> addresses;
    std::vector<std::string> protocols;
    bool operator==(const Told&) const = default;
  };
  Told told_to(const swarm::Connection& connection) const;
  std::vector<Bytes> describe_self(const swarm::Connection& connection);
  awaitable<Result<>> write_self(transport::Stream& stream,
                                 std::shared_ptr<swarm::Connection> connection, TimePoint deadline);
  void tell_observed();
  awaitable<void> tell_observed_later();
  awaitable<void> expire_observed();
  bool within_rate(const PeerId& peer);
  bool has_news_for(const PeerId& peer) const;
  void start_push(const PeerId& peer);
  awaitable<void> ask(std::shared_ptr<swarm::Connection> connection);
  awaitable<void> push(PeerId peer);
  awaitable<void> answer(swarm::ProtocolStream stream);
  awaitable<void> accept_push(swarm::ProtocolStream stream);
  awaitable<Result<>> exchange(std::shared_ptr<swarm::Connection> connection);
  awaitable<Result<>> send_push(std::shared_ptr<swarm::Connection> connection);
  awaitable<Result<IdentifyMessage>> receive(transport::Stream& stream, PeerId peer);

  swarm::Swarm& swarm_;
  crypto::PrivateKey key_;
  IdentifyConfig config_;
  std::map<PeerId, PeerIdentity> peers_;
  std::vector<Listener> listeners_;
  std::uint64_t sequence_ = 0;
  std::uint64_t failures_ = 0;
  // Peers that are being told of a change, and whether there has been another one since.
  std::map<PeerId, bool> pushing_;
  std::map<PeerId, Told> told_;  // To connected peers.
  /// How many more exchanges a connected peer may begin at the time `at`.
  struct Allowance {
    double left = 0;
    TimePoint at{};
  };
  std::map<PeerId, Allowance> allowances_;
  std::uint64_t refused_ = 0;
  ObservedAddresses observed_;
  bool expiring_ = false;
  bool telling_observed_ = false;
  TimePoint tell_observed_at_{};  ///< Not before.
  runtime::TaskGroup tasks_;
};

}  // namespace warren::protocols

#pragma once
// /ipfs/id/1.0.0 and /ipfs/id/push/1.0.0: peers tell each other who they are, what they speak and
// where they listen. Source: libp2p specs, identify/README.md; RFC 0002 and 0003.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "crypto/keys.hpp"
#include "protocols/identify_codec.hpp"
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
  /// How the peer sees us: an observation, not an address of ours.
  std::optional<Multiaddr> observed_address;

  bool speaks(std::string_view protocol) const;
};

/// Whether an address of scope `ours` means anything to a peer at `remote`: everything on this
/// machine, all but loopback in a LAN, public addresses alone outside.
/// Source: go-libp2p's identify filters in the same way.
bool worth_telling(const Multiaddr& ours, const Multiaddr& remote);

/// Runs identify on every new connection, answers it, and pushes when our protocols or addresses
/// change. Keeps what connected peers said. The swarm must outlive it and be closed before it is.
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

  /// Exchanges that failed since the start, ours and the peers'.
  std::uint64_t failures() const { return failures_; }

  /// Waits for exchanges in progress. Call it after Swarm::close(). Cancel: unsafe.
  awaitable<void> close();

 private:
  void on_connection(const swarm::ConnectionEvent& event);
  void on_local_change();
  void learn(const PeerId& peer, IdentifyMessage message);
  Bytes describe_self(const transport::Connection& connection);
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
  runtime::TaskGroup tasks_;
};

}  // namespace warren::protocols

#pragma once
// A node: finds peers, keeps good ones, shares files and folders with them, and fetches theirs.
// Made by NodeBuilder (node_builder.hpp). docs/guides/library.md shows a whole program.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "warren/event.hpp"
#include "warren/export.hpp"
#include "warren/peer_info.hpp"
#include "warren/result.hpp"

namespace warren::WARREN_V1 {
/// How long a call may take at most. Zero or less: it fails with kTimedOut unless it is done at
/// once. More than a year counts as a year.
using Timeout = std::chrono::milliseconds;

struct AddPeerOptions {
  /// The key that must answer there: 32 bytes of Ed25519, or libp2p's PublicKey message. Empty:
  /// the one of the /p2p/ID in the address; without that whichever answers is taken.
  std::vector<std::uint8_t> expected_public_key{};
  /// A name to tie to the key that answers; from then on no other key is accepted under it. At
  /// most 64 bytes. Empty: none.
  std::string name{};
};

/// What a program found out about a peer by itself.
enum class Conduct : std::uint8_t {
  kUsefulAnswer,        ///< It helped.
  kFailedVerification,  ///< It gave data or a signature that is not what it claims to be.
  kMalformedMessage,    ///< It broke a protocol.
  kTimeout,             ///< It did not answer in time.
};

/// One way of finding peers, and what it saw.
struct DiscoverySource {
  std::string name{};     ///< "manual", "mdns", "multicast", "bootstrap", "pex".
  std::string problem{};  ///< Why it does not run; empty when it does.
  std::string summary{};  ///< One line: "sent 4, heard 0 on wlan0".
};

/// A file or folder that this node shares.
struct ShareInfo {
  std::string cid{};   ///< The name of its content: the same that every IPFS tool computes.
  std::string name{};  ///< Under which peers may ask for it.
  std::string path{};  ///< Absolute.
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// What to fetch.
struct GetRequest {
  /// A CID, or a name under which some connected peer shares it.
  std::string what{};
  /// Where to put it; made if missing. Empty: the downloads of NodeBuilder::with_storage().
  std::string folder{};
  /// Empty: the name under which it is shared, else its CID.
  std::string save_as{};
  /// Only these peers: peer ids or multiaddrs. Empty: every connected one.
  std::vector<std::string> from{};
};

/// How far a get() is.
struct GetProgress {
  std::uint64_t bytes_total = 0;  ///< 0 until it is known.
  std::uint64_t bytes_done = 0;   ///< Verified and written. Never goes back.
  std::uint64_t bytes_per_second = 0;
  std::size_t peers = 0;      ///< Asked at this moment.
  std::string waiting_for{};  ///< For a person: what it waits for; empty while it works.
};
/// Called on the thread that called get(), at the start, about five times a second and at the
/// end. Return false to stop; what was fetched is kept. What it throws comes out of get().
using GetCallback = std::function<bool(const GetProgress&)>;

struct GetResult {
  std::string cid{};
  std::string name{};
  std::string path{};  ///< Absolute; all of it is there, verified and synced.
  std::uint64_t bytes = 0;
};

/// One node. Any thread may call it, several at a time. Its own threads do the work; they block
/// every signal, so that signals of the program come to the program's threads.
///
/// Errors common to every call: kClosed before start(), after stop() and of a moved-from node;
/// kTimedOut. A call that timed out has stopped its work, or stops it soon.
///
/// Calls without a Timeout only look or set something, and return at once; they wait for the node's
/// thread and its database, at most 5 seconds on a machine that is hopelessly overloaded.
///
/// A `peer_id` is the whole id of a peer, or of a known one its name or the last 6 or more
/// characters of the id; kInvalidArgument when it is none of them, kConflict when several fit.
class WARREN_API Node {
 public:
  Node(Node&& other) noexcept;
  Node& operator=(Node&& other) noexcept;
  /// As stop(), with 5 seconds. A callback that has not returned by then is the last one: what else
  /// waits is dropped.
  ~Node();

  // --------------------------------------------------------------------------------- life

  /// Opens its files, listens, and starts to look for peers. Once.
  /// Errors: kConflict when another process uses the storage, or a port is in use, naming it;
  /// those of the file system. The node is stopped then, and cannot be started again.
  Result<> start(Timeout timeout = std::chrono::seconds(30));

  /// Says goodbye to peers, closes everything, joins the node's threads; whatever other threads
  /// wait for in this node ends with kClosed. Transfers go on when a node with the same storage
  /// starts. Idempotent.
  /// Errors: kTimedOut when something did not end in time; it ends by itself later. The storage is
  /// locked until the node itself has ended, but not while a callback does not return. kConflict
  /// when called from an EventCallback of this node.
  Result<> stop(Timeout timeout = std::chrono::seconds(5));

  // ------------------------------------------------------------------------------- itself

  /// "12D3KooW...". Also before start() and after stop(); empty only for a moved-from node.
  std::string peer_id() const;
  /// libp2p's PublicKey message: what others may give to add_peer(). As peer_id().
  std::vector<std::uint8_t> public_key() const;
  /// Multiaddrs with /p2p/ID at their end, by which others may reach it.
  Result<std::vector<std::string>> listen_addresses() const;
  /// The ways of finding peers that are on, and what they saw.
  Result<std::vector<DiscoverySource>> discovery() const;

  // -------------------------------------------------------------------------------- peers

  /// Connects to the peer at `address`, a multiaddr like "/ip4/192.0.2.7/udp/4001/quic-v1", with
  /// or without /p2p/ID, or the peer id of a peer that is known. The handshake proves the peer's
  /// key. From then on the peer is kept: dialled again whenever it goes away, also after a
  /// restart, until remove_peer(). With an expected key it is pinned besides. Returns its peer
  /// id. Errors: kIntegrity when another key answers, naming both; kConflict when `options.name`
  /// is tied to another key; kInvalidArgument; kUnreachable; kDenied when it is banned; kLimited.
  Result<std::string> add_peer(std::string_view address, const AddPeerOptions& options = {},
                               Timeout timeout = std::chrono::seconds(15));
  /// Closes the connections to it, forgets it and its names, and does not dial it for ten
  /// minutes. A ban of it stays. Errors: kNotFound, kInvalidArgument.
  Result<> remove_peer(std::string_view peer_id);

  /// Those that are connected, in order of peer id.
  Result<std::vector<PeerInfo>> list_peers() const;
  /// All that the node remembers, a few thousand at most: the connected ones first, then the
  /// others, each in order of peer id.
  Result<std::vector<PeerInfo>> known_peers() const;
  /// One of them. Errors: kNotFound when nothing is known of it.
  Result<PeerInfo> find_peer(std::string_view peer_id) const;

  /// Closes the connections to a peer and refuses it for `duration`, or until unban(). Survives
  /// restarts. `reason` is for the owner's eyes. More than ten years count as ten. Errors:
  /// kLimited.
  Result<> ban(std::string_view peer_id,
               std::optional<std::chrono::seconds> duration = std::nullopt,
               std::string_view reason = {});
  /// Errors: kNotFound when it is not banned.
  Result<> unban(std::string_view peer_id);
  /// Moves the reputation of a peer. A peer that falls below 0.2 is banned for a time and its
  /// connections are closed, unless it is pinned. Returns the new reputation. Errors: kNotFound.
  /// The weights: docs/decisions/0017.
  Result<double> report_peer(std::string_view peer_id, Conduct conduct);

  // ------------------------------------------------------------------------------- content

  /// Shares the file or folder at `path` under `name` (empty: its last component): hashes what is
  /// not hashed yet and offers it to every peer until unshare(), also after a restart. The bytes
  /// stay where they are. Errors: kNotFound, kDenied, kConflict (the name is taken), kLimited.
  Result<ShareInfo> share(std::string_view path, std::string_view name = {},
                          Timeout timeout = std::chrono::hours(24));
  /// In order of name.
  Result<std::vector<ShareInfo>> shares(Timeout timeout = std::chrono::seconds(30)) const;
  /// The files stay. Errors: kNotFound.
  Result<> unshare(std::string_view name_or_cid, Timeout timeout = std::chrono::seconds(30));

  /// Fetches a file or folder from every peer that has it; each byte is checked against the CID.
  /// A get() that was stopped, or whose time is over, keeps what it has, and goes on from there
  /// when it is called again for the same thing and place.
  /// Errors: kNoPeer when no peer has it within `timeout` or 60 seconds, whichever is less;
  /// kTimedOut; kCancelled when `progress` said so; kNoSpace; kExists when something else stands
  /// there; kInvalidArgument; kLimited when too many transfers wait.
  Result<GetResult> get(const GetRequest& request, Timeout timeout = std::chrono::hours(24),
                        const GetCallback& progress = {});

  // -------------------------------------------------------------------------------- events

  /// `callback` is told of everything from now on, as event.hpp says. Before start() is the time
  /// to miss nothing. Errors: kInvalidArgument for an empty callback; kLimited beyond 64;
  /// kClosed.
  Result<Subscription> subscribe(EventCallback callback);

 private:
  friend class NodeBuilder;
  class Impl;
  explicit Node(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::WARREN_V1

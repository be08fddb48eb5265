#pragma once
// What a person or a program sees of transfers: what to get, and how far it is.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "multiformats/cid.hpp"
#include "multiformats/peer_id.hpp"
#include "peers/access_rule.hpp"

namespace warren::transfer {

/// Number of a transfer on this node; never reused.
using TransferId = std::uint64_t;

/// What has become of a transfer. The names (state_name) are a stable interface.
enum class State : std::uint8_t {
  kActive = 0,     ///< Working, or waiting for a peer or for its turn.
  kPaused = 1,     ///< By a person, or because the disk is full (then it goes on by itself).
  kCompleted = 2,  ///< Under its final name, verified and synced.
  kFailed = 3,     ///< Gave up; resume() tries again with what is there.
};

/// What an active transfer does now. The names (phase_name) are a stable interface.
enum class Phase : std::uint8_t {
  kQueued,          ///< Waits for its turn.
  kResolving,       ///< Asks peers which dataset a name stands for.
  kFindingSources,  ///< Asks peers who has it.
  kMetadata,        ///< Fetches the tree.
  kDownloading,
  kVerifying,  ///< Compares what is there already, or waits for the last checks.
  kPlacing,    ///< Syncs and renames to the final name.
  kDone,       ///< Not active.
};

/// Who wants a transfer. What goes on in the background gives way.
enum class Priority : std::uint8_t {
  kUser = 0,        ///< A person, or a program that waits for it.
  kBackground = 1,  ///< The node itself.
};

std::string_view state_name(State state) noexcept;
std::string_view phase_name(Phase phase) noexcept;

/// What to fetch and where to put it.
struct GetRequest {
  /// The dataset. Without it `name` is looked up among connected peers.
  std::optional<Cid> root;
  /// The name under which a peer shares it; used when `root` is not set.
  std::string name;
  /// The existing folder in which the final name appears; absolute.
  std::string directory;
  /// The final name. Empty: the name under which it is shared, else the text of its CID.
  std::string save_as;
  /// Only these peers. Empty: every connected one.
  std::vector<PeerId> from;
  /// How long to look for a source before giving up with kNoPeer; zero: for ever.
  Duration wait = 60s;
  /// One in the background waits for its turn behind all others, and while another one of higher
  /// priority moves bytes it has one request under way at a time.
  Priority priority = Priority::kUser;
  /// Who may fetch from here what has come, while it comes and when it is complete. Unset: nobody.
  std::optional<peers::AccessRule> audience = peers::AccessRule{};
};

/// A stable interface.
namespace stuck {
inline constexpr std::string_view kNoPeer = "no peer has it";
inline constexpr std::string_view kPeersSilent = "ignored by peer";
inline constexpr std::string_view kRateLimit = "rate limit";
inline constexpr std::string_view kDiskFull = "disk full";
inline constexpr std::string_view kPermission = "permission";
inline constexpr std::string_view kConflict = "conflict";
}  // namespace stuck

/// One source of a transfer.
struct PeerProgress {
  PeerId peer;
  std::uint64_t bytes = 0;       ///< Verified bytes that came from it.
  std::uint64_t rate = 0;        ///< Bytes a second, over the last seconds.
  std::uint32_t errors = 0;      ///< Stalls, resets, and missing chunks.
  std::uint32_t bad_chunks = 0;  ///< Chunks that did not hash to their name.
  bool connected = false;        ///< Asked at this moment.
  bool demoted = false;          ///< Used only where no other peer has a chunk, or not at all.
};

/// Everything there is to know of one transfer, by value.
struct Progress {
  TransferId id = 0;
  State state = State::kActive;
  Priority priority = Priority::kUser;
  Phase phase = Phase::kQueued;
  /// What the phase waits for, for a person; empty when work goes on.
  std::string waiting_for;
  /// Why something is missing and nothing has come for 10 s, or why it rests; empty otherwise. One
  /// of `stuck`. Source: quality statement SY-1.
  std::string_view reason;
  std::optional<Cid> root;           ///< Unknown while kResolving.
  std::string name;                  ///< The final name, or what was asked for until it is known.
  std::string path;                  ///< Where the final name is or will be; empty until known.
  std::uint64_t bytes_total = 0;     ///< 0 until the tree is known.
  std::uint64_t bytes_done = 0;      ///< Verified and written: fetched and reused. Never goes back.
  std::uint64_t bytes_verified = 0;  ///< Fetched and verified by this run.
  std::uint64_t bytes_reused = 0;    ///< Were here already when this run began.
  std::uint64_t files_total = 0;
  std::uint64_t files_done = 0;
  /// Symlinks of the dataset that lead out of it, which are not made here.
  std::uint64_t links_left_out = 0;
  std::uint64_t rate = 0;  ///< Bytes a second, average of the last 5 s.
  std::optional<Duration> eta;
  Duration elapsed{};         ///< Of this run, without pauses.
  std::uint32_t retries = 0;  ///< Requests that were repeated, here or elsewhere.
  std::uint32_t bad_chunks = 0;
  std::vector<PeerProgress> peers;
  /// Why it is paused by itself or failed.
  std::optional<Error> error;
};

/// A dataset that a peer offers under a name.
struct Offer {
  PeerId peer;
  Cid root;
  std::string name;
  std::uint64_t bytes = 0;  ///< As the peer says.
  std::uint64_t files = 0;  ///< As the peer says.
};

}  // namespace warren::transfer

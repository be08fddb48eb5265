#pragma once
// Tells one subscriber of this node's set: what it lacks at first, then each change. A state
// machine without I/O. It keeps what the subscriber has acknowledged, and has one thing under way
// at a time, so that changes that come meanwhile are told together.

#include <cstdint>
#include <optional>
#include <string>

#include "catalog/catalog_messages.hpp"

namespace warren::catalog {

class Publisher {
 public:
  enum class State : std::uint8_t {
    kCurrent,   ///< Nothing is under way; next() looks whether there is something to tell.
    kSnapshot,  ///< Parts of a snapshot go out.
    kDelta,     ///< Parts of a delta go out.
    kWaiting,   ///< All of it is out and is not acknowledged yet.
  };

  /// `published` must outlive it. `visitor`: who subscribes, as long as this lives. `known`: what
  /// the subscriber says it has.
  Publisher(const library::Published& published, peers::Visitor visitor, const Summary& known,
            limits::Catalog limits = {});

  /// For the HelloAck: the set as it was when the publisher was made.
  const Summary& first_summary() const { return first_summary_; }

  /// An AnnounceAck or a SnapshotRequest. An acknowledgement of what is not under way changes
  /// nothing. Errors: kMalformed for any other message.
  Result<> handle(const Message& message);
  /// What is to be sent now; to be called again when that is written, after handle(), and when the
  /// set has changed. Unset: nothing.
  std::optional<Message> next();

  State state() const { return state_; }
  const peers::Visitor& visitor() const { return visitor_; }
  /// What the subscriber has, by its own word.
  Revision acknowledged() const { return acknowledged_; }
  /// Whether the subscriber has all that it may see, as far as is known.
  bool is_current() const;
  void check_invariants() const;

 private:
  std::optional<Message> next_delta_part();
  std::optional<Message> begin_delta(const Summary& now);
  Message next_snapshot_part();
  void begin_snapshot(const Summary& now);
  void begin_waiting(Revision revision, const std::optional<SetDigest>& digest);

  const library::Published& published_;
  peers::Visitor visitor_;
  limits::Catalog limits_;
  Summary first_summary_;
  State state_ = State::kCurrent;
  bool snapshot_wanted_ = false;

  Revision acknowledged_;
  /// Of the subscriber's set at `acknowledged_`. Unset: changes came while it was told.
  std::optional<SetDigest> acknowledged_digest_;

  /// Under way: what is acknowledged when the answer comes.
  Revision sent_;
  std::optional<SetDigest> sent_digest_;

  std::uint32_t part_ = 0;
  std::string after_;             ///< Of a snapshot: the last id that went out.
  library::Changes changes_;      ///< Of a delta.
  std::size_t changes_told_ = 0;  ///< Of `changes_`, in the order added, updated, removed.
};

}  // namespace warren::catalog

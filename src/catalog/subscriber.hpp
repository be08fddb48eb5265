#pragma once
// Follows the set of one other node: decides what of its messages is stored, what is a gap, and
// what is answered. A state machine without I/O; what it stores goes to CatalogStore by way of its
// caller, one thing at a time.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "catalog/catalog_messages.hpp"

namespace warren::catalog {

/// A part of what a peer has told, for CatalogStore::write().
struct CatalogWrite {
  bool first = false;     ///< Parts that were staged before are dropped.
  bool last = false;      ///< Now all staged parts count, together.
  bool snapshot = false;  ///< They replace all that there is of the peer; else they change it.
  Revision to;            ///< What is reached then.
  std::vector<Listing> put;
  std::vector<std::string> removed;  ///< Ids.
  /// What the set must be then; otherwise the staged parts are dropped and nothing changes.
  std::optional<SetDigest> digest;
};
/// What the store has of the peer afterwards.
struct CatalogWritten {
  Summary known;
  bool matches = true;  ///< False: not the digest.
};

class Subscriber {
 public:
  /// `known`: what the store has of the peer.
  explicit Subscriber(Summary known, limits::Catalog limits = {});

  /// Give it to CatalogStore::write(), then stored().
  struct Write {
    CatalogWrite write;
  };
  /// Give it to CatalogStore::adopt(), then adopted(): what is known is the set at this revision.
  struct Adopt {
    Revision revision;
  };
  struct Send {
    Message message;
  };
  using Action = std::variant<Write, Adopt, Send>;

  /// A message of the publisher. Unset: nothing is to be done. Errors: kMalformed for one that may
  /// not come, or does not fit, time and again: the subscription is to be ended.
  Result<std::optional<Action>> handle(Message message);
  /// What came of a Write; what is to be sent. Errors: kMalformed when the digest was wrong a
  /// second time.
  Result<std::optional<Message>> stored(const CatalogWritten& written);
  /// An Adopt is stored; what is to be sent.
  std::optional<Message> adopted(Revision revision);

  /// What is stored.
  const Summary& known() const { return known_; }
  /// What the publisher has, as far as it has said. A digest that it has not said is that of
  /// before.
  const Summary& theirs() const { return theirs_; }
  /// Set once the HelloAck came.
  const std::optional<Introduction>& introduction() const { return introduction_; }
  /// Whether parts of something are still to come: the publisher may not take its time.
  bool is_midway() const { return !introduction_ || receiving_ || awaiting_snapshot_; }
  void check_invariants() const;

 private:
  struct Receiving {
    bool snapshot = false;
    Revision to;
    std::uint64_t from = 0;
    std::uint32_t next_part = 0;
  };
  using Step = Result<std::optional<Action>>;
  Step on(HelloAck message);
  Step on(SummaryMessage message);
  Step on(SnapshotPart message);
  Step on(DeltaPart message);
  Step gap();
  /// Whether a part is the next one of what is being received, or begins it; counts it.
  Result<bool> takes_part(const Receiving& header, std::uint32_t part);

  limits::Catalog limits_;
  Summary known_;
  Summary theirs_;
  std::optional<Introduction> introduction_;
  std::optional<Receiving> receiving_;
  bool awaiting_snapshot_ = false;  ///< Requested, and its first part has not come.
  bool checks_digest_ = false;      ///< What is being stored has one.
  bool finishing_ = false;          ///< What is being stored is a last part.
  bool acknowledges_ = false;       ///< The Adopt came with a message that wants an answer.
  int gaps_ = 0;                    ///< In a row, without anything stored.
  int mismatches_ = 0;              ///< In a row, without a digest that was right.
};

}  // namespace warren::catalog

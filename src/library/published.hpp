#pragma once
// What the catalog publishes: the entries of this node's libraries as one set with a revision.
// The catalog reads it through this interface, the library and tests implement it.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "library/entry.hpp"
#include "peers/access_rule.hpp"

namespace warren::library {

/// A digest of a set of listings: the sum of their digests modulo 2^256. Equal sets have equal
/// sums; adding and taking away costs one addition. All zeros: the empty set. It protects against
/// mistakes, not against the one who publishes, who may say of its entries what it likes anyway.
struct SetDigest {
  std::array<std::uint8_t, 32> bytes{};
  void add(const Digest& digest);
  void remove(const Digest& digest);
  SetDigest& operator+=(const SetDigest& other);
  auto operator<=>(const SetDigest&) const = default;
};

/// Names one state of what one visitor may see.
struct Revision {
  /// Drawn at random when the numbers begin anew: a new database, or a change of who may see what.
  /// Revisions of different epochs cannot be compared. 0: none.
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;  ///< Grows with each change that is on the disk.
  auto operator<=>(const Revision&) const = default;
};

struct Summary {
  Revision revision;
  SetDigest digest;
  std::uint64_t count = 0;
  auto operator<=>(const Summary&) const = default;
};

/// What changed from one revision (not included) to another. Applying it twice, or to a set that
/// has part of it already, gives the same.
struct Changes {
  Revision to;
  std::uint64_t from = 0;            ///< Of the epoch of `to`.
  std::vector<Listing> added;        ///< Not there at `from`.
  std::vector<Listing> updated;      ///< There at `from`, other now.
  std::vector<std::string> removed;  ///< Ids.
};

class Published {
 public:
  virtual ~Published() = default;
  // All on the core thread.

  virtual Summary summary(const peers::Visitor& visitor) const = 0;
  /// The first `count` entries after `after` in the order of ids, that the visitor may see; empty:
  /// there are no more. `after` empty: from the first on.
  virtual std::vector<Listing> page(const peers::Visitor& visitor, std::string_view after,
                                    std::size_t count) const = 0;
  /// What changed since `since`, at most `count` listings and ids together: `to` is then an earlier
  /// revision than the present one, and the rest is asked for from there. Unset when it is not
  /// known any more (too old, another epoch, a number that was never reached): then only a snapshot
  /// helps.
  virtual std::optional<Changes> changes(const peers::Visitor& visitor, Revision since,
                                         std::size_t count) const = 0;
  /// One entry that the visitor may see.
  virtual std::optional<Listing> find(const peers::Visitor& visitor, std::string_view id) const = 0;

  /// `changed` is called on the core thread after each change, when it is on the disk; many changes
  /// at once are one call. Returns what ends it when it is called.
  virtual std::function<void()> on_changed(std::function<void()> changed) = 0;
};

}  // namespace warren::library

#pragma once
// What a node fetches by itself, and what came of it.

#include <cstdint>
#include <string>

#include "catalog/catalog_messages.hpp"

namespace warren::node {

struct ReplicatorSettings {
  /// Proxy: nothing; selective: entries of subscribed topics; full: all that this node may see.
  catalog::Mode mode = catalog::Mode::kProxy;
  /// Where they go: a library folder, which becomes one when it is needed first. Absolute.
  std::string folder;
  bool operator==(const ReplicatorSettings&) const = default;
};

/// What it does and did since the start.
struct ReplicatorView {
  ReplicatorSettings settings;
  std::string fetching;       ///< The id of an entry; empty: none.
  std::uint64_t fetched = 0;  ///< Entries.
  std::uint64_t failed = 0;   ///< Same; tried again after a while.
  std::string problem;        ///< Why nothing can be fetched; empty when it can.
};

}  // namespace warren::node

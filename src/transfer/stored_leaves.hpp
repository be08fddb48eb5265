#pragma once
// What the store keeps of the leaves of a transfer. The blob has two bitmaps:
// the leaves that are written, which holds after a kill of the process, and
// those that are synced, which holds after a loss of power. The id of the boot
// in which it was saved tells which to believe.

#include <string>
#include <string_view>

#include "content/store.hpp"
#include "transfer/leaf_set.hpp"

namespace warren::transfer {

struct StoredLeaves {
  LeafSet written;
  LeafSet synced;
};

/// The kernel's random id of this boot; empty when there is none: then only
/// synced leaves are believed. Blocks.
std::string read_boot_id();

Bytes encode_leaves(const LeafSet& written, const LeafSet& synced, std::string_view boot_id);
/// A blob of another size is that of a transfer that has nothing yet, or that
/// was completed.
StoredLeaves decode_leaves(BytesView blob, std::uint64_t leaves, std::string_view boot_id);

}  // namespace warren::transfer

#include "transfer/stored_leaves.hpp"

#include "runtime/file.hpp"

namespace warren::transfer {
namespace {

// Source: random(4).
constexpr const char* kBootIdPath = "/proc/sys/kernel/random/boot_id";
constexpr std::size_t kBootIdBytes = 36;

}  // namespace

std::string read_boot_id() {
  const auto file = runtime::File::open(kBootIdPath);
  if (!file) return {};
  Bytes text(kBootIdBytes);
  const auto count = file->read_at(0, text);
  if (!count || *count != text.size()) return {};
  return std::string(as_text(text));
}

Bytes encode_leaves(const LeafSet& written, const LeafSet& synced, std::string_view boot_id) {
  Bytes out = to_bytes(written.bytes());
  append(out, synced.bytes());
  append(out, as_bytes(boot_id));
  return out;
}

StoredLeaves decode_leaves(BytesView blob, std::uint64_t leaves, std::string_view boot_id) {
  const auto bytes = static_cast<std::size_t>((leaves + 7) / 8);
  if (blob.size() != 2 * bytes + kBootIdBytes) return {LeafSet(leaves), LeafSet(leaves)};
  const bool same_boot = as_text(blob.subspan(2 * bytes)) == boot_id;
  LeafSet synced = LeafSet::from_bytes(blob.subspan(bytes, bytes), leaves);
  if (!same_boot) return {synced, synced};
  return {LeafSet::from_bytes(blob.first(bytes), leaves), std::move(synced)};
}

}  // namespace warren::transfer

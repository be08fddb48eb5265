// Merges arbitrary bytes as identify messages. Finds: a list or text beyond its limit, an address
// or protocol that could not be sent on, a message that changes something although it failed, one
// that does not survive being written and read again.
// Links: warren::protocols

#include <algorithm>

#include "base/check.hpp"
#include "negotiate/multistream.hpp"
#include "protocols/identify_codec.hpp"

using namespace warren;
using protocols::IdentifyMessage;

namespace {

constexpr limits::Messages kLimits{
    .identify_bytes_max = 4096, .addresses_max = 5, .protocols_max = 7};

void check(const IdentifyMessage& message) {
  WARREN_CHECK(message.listen_addresses.size() <= kLimits.addresses_max);
  WARREN_CHECK(message.protocols.size() <= kLimits.protocols_max);
  WARREN_CHECK(message.agent_version.size() <= protocols::kVersionTextBytesMax);
  WARREN_CHECK(message.protocol_version.size() <= protocols::kVersionTextBytesMax);
  WARREN_CHECK(std::ranges::all_of(message.protocols, negotiate::is_valid_protocol));
  for (const Multiaddr& address : message.listen_addresses) {
    const auto again = Multiaddr::from_bytes(address.bytes());
    WARREN_CHECK(again && *again == address);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  // The first byte cuts the rest in two parts, which are merged.
  const std::size_t cut = size == 0 ? 0 : std::min<std::size_t>(size, 1u + data[0] * 4u);
  IdentifyMessage message;
  for (const BytesView part : {input.first(cut).subspan(size == 0 ? 0 : 1), input.subspan(cut)}) {
    const IdentifyMessage before = message;
    const auto merged = protocols::merge_identify(part, kLimits, message);
    if (!merged) WARREN_CHECK(message == before);
    check(message);
  }
  IdentifyMessage again;
  limits::Messages wide;
  wide.identify_bytes_max = 64u << 10;
  WARREN_CHECK(protocols::merge_identify(protocols::encode_identify(message), wide, again));
  WARREN_CHECK(again == message);
  // In parts it is the same, but for the order of protocols.
  IdentifyMessage joined;
  for (const Bytes& part : protocols::encode_identify_parts(message)) {
    WARREN_CHECK(protocols::merge_identify(part, wide, joined));
  }
  std::ranges::sort(joined.protocols);
  std::ranges::sort(message.protocols);
  WARREN_CHECK(joined == message);
  return 0;
}

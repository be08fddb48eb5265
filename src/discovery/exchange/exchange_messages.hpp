#pragma once
// The two messages of peer exchange, without I/O. Format: docs/protocols/exchange.md.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/limits.hpp"
#include "base/result.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::discovery {

inline constexpr std::string_view kExchangeProtocol = "/warren/exchange/1.0.0";

/// Bytes of the longest answer within `limits`.
std::size_t answer_bytes_max(const limits::Exchange& limits);

/// Without the length in front. `want`: 0 for as many as there may be.
Bytes encode_exchange_request(std::uint32_t want);
/// How many records are wanted: 1 to limits::Exchange::records_max. Errors: kMalformed, kTooLarge.
Result<std::size_t> decode_exchange_request(BytesView message, const limits::Exchange& limits);

/// Without the length in front.
Bytes encode_exchange_answer(const std::vector<Bytes>& records);
/// The records as they came; none is looked into. Errors: kMalformed; kTooLarge for one record too
/// many or too long.
Result<std::vector<Bytes>> decode_exchange_answer(BytesView message,
                                                  const limits::Exchange& limits);

/// What stands in a signed peer record.
struct RecordContent {
  PeerId peer;  ///< Empty when the record cannot be read.
  std::vector<Multiaddr> addresses;
};
/// Looks into a record whose signature was checked before; checks nothing itself.
RecordContent content_of_record(BytesView envelope);

}  // namespace warren::discovery

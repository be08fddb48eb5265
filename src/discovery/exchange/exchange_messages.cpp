#include "discovery/exchange/exchange_messages.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "proto/envelope.pb.h"
#include "proto/exchange.pb.h"
#include "proto/peer_record.pb.h"
#include "wire/message.hpp"

namespace warren::discovery {
namespace {

// Tag and length in front of a record. Source: protobuf, a length below 2^14 takes two bytes.
constexpr std::size_t kRecordOverheadBytes = 4;
// Fields of later versions that a message may carry, and that are skipped.
constexpr std::size_t kUnknownFieldsMax = 32;

}  // namespace

std::size_t answer_bytes_max(const limits::Exchange& limits) {
  return limits.records_max * (limits.record_bytes_max + kRecordOverheadBytes) + 64;
}

Bytes encode_exchange_request(std::uint32_t want) {
  proto::exchange::Request request;
  request.set_want(want);
  return wire::serialize(request);
}

Result<std::size_t> decode_exchange_request(BytesView message, const limits::Exchange& limits) {
  WARREN_TRY(const auto request,
             wire::parse<proto::exchange::Request>(
                 message, "request for peers",
                 {.bytes_max = limits.request_bytes_max, .fields_max = kUnknownFieldsMax}));
  const std::size_t most = limits.records_max;
  return request.want() == 0 ? most : std::min<std::size_t>(request.want(), most);
}

Bytes encode_exchange_answer(const std::vector<Bytes>& records) {
  proto::exchange::Answer answer;
  for (const Bytes& record : records) answer.add_records(std::string(as_text(record)));
  return wire::serialize(answer);
}

Result<std::vector<Bytes>> decode_exchange_answer(BytesView message,
                                                  const limits::Exchange& limits) {
  WARREN_TRY(const auto answer, wire::parse<proto::exchange::Answer>(
                                    message, "answer with peers",
                                    {.bytes_max = answer_bytes_max(limits),
                                     .fields_max = limits.records_max + kUnknownFieldsMax}));
  if (static_cast<std::size_t>(answer.records_size()) > limits.records_max) {
    return fail(ErrorCode::kTooLarge, fmt::format("an answer with {} records, at most {} may be",
                                                  answer.records_size(), limits.records_max));
  }
  std::vector<Bytes> records;
  records.reserve(static_cast<std::size_t>(answer.records_size()));
  for (const std::string& record : answer.records()) {
    if (record.size() > limits.record_bytes_max) {
      return fail(ErrorCode::kTooLarge, fmt::format("a record of {} bytes, at most {} may be",
                                                    record.size(), limits.record_bytes_max));
    }
    records.push_back(to_bytes(record));
  }
  return records;
}

RecordContent content_of_record(BytesView envelope) {
  RecordContent content;
  const auto outer = wire::parse<proto::Envelope>(envelope, "envelope");
  if (!outer) return content;
  const auto record = wire::parse<proto::PeerRecord>(as_bytes(outer->payload()), "peer record");
  if (!record) return content;
  auto peer = PeerId::from_bytes(as_bytes(record->peer_id()));
  if (!peer) return content;
  content.peer = std::move(*peer);
  for (const auto& info : record->addresses()) {
    auto address = Multiaddr::from_bytes(as_bytes(info.multiaddr()));
    if (address) content.addresses.push_back(std::move(*address));
  }
  return content;
}

}  // namespace warren::discovery

// Gives arbitrary bytes to the decoders of /warren/data/1.0.0. The first byte chooses the message.
// Finds: a crash, a count beyond its limit, and a message that does not encode to itself.
// Links: warren::transfer

#include "base/check.hpp"
#include "transfer/data_messages.hpp"

using namespace warren;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView message(data + 1, size - 1);
  const limits::Transfer limits;
  if (data[0] % 2 == 0) {
    const auto request = transfer::decode_request(message, limits);
    if (!request) return 0;
    if (const auto* nodes = std::get_if<transfer::NodesRequest>(&*request)) {
      WARREN_CHECK(nodes->cids.size() <= limits.cids_per_request_max);
    }
    const auto again = transfer::decode_request(transfer::encode(*request), limits);
    WARREN_CHECK(again && *again == *request);
    return 0;
  }
  const auto response = transfer::decode_response(message, limits);
  if (!response) return 0;
  if (const auto* nodes = std::get_if<transfer::NodesResponse>(&*response)) {
    WARREN_CHECK(!nodes->nodes.empty() && nodes->nodes.size() <= limits.nodes_per_response_max);
  }
  if (const auto* segment = std::get_if<transfer::SegmentResponse>(&*response)) {
    WARREN_CHECK(segment->leaf_count > 0);
    WARREN_CHECK(segment->missing == transfer::Missing::kNo || segment->bytes == 0);
  }
  const auto again = transfer::decode_response(transfer::encode(*response), limits);
  WARREN_CHECK(again && *again == *response);
  return 0;
}

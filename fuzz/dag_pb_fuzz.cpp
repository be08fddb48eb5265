// Reads arbitrary bytes as a dag-pb block and as a UnixFS message. Finds: a value that is written
// back as something else, and sizes that are not those of the encoding.
//
// Links: warren::content

#include "base/check.hpp"
#include "content/dag_pb.hpp"

using namespace warren;
using namespace warren::content;

namespace {

void check_message(BytesView bytes) {
  const auto message = decode_unixfs(bytes);
  if (!message) return;
  const Bytes written = encode_unixfs(*message);
  const auto again = decode_unixfs(written);
  WARREN_CHECK(again);
  WARREN_CHECK(encode_unixfs(*again) == written);
  WARREN_CHECK(again->type == message->type && again->data == message->data);
  WARREN_CHECK(again->block_bytes == message->block_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  check_message(input);
  const auto node = decode_node(input);
  if (!node) return 0;
  check_message(node->data);

  const Bytes written = encode_node(*node);
  std::size_t bytes = encoded_data_bytes(node->data.size());
  for (const PbLink& link : node->links) {
    bytes += encoded_link_bytes(link.name.size(), link.tree_bytes);
  }
  WARREN_CHECK(written.size() == bytes);
  const auto again = decode_node(written);
  WARREN_CHECK(again);
  WARREN_CHECK(encode_node(*again) == written);
  WARREN_CHECK(again->links.size() == node->links.size() && again->data == node->data);
  return 0;
}

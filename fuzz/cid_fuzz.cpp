// Reads arbitrary bytes as a CID, a multihash and a multibase text. Finds: an accepted value with a
// second spelling.
//
// Links: warren::multiformats

#include "base/check.hpp"
#include "multiformats/cid.hpp"
#include "multiformats/multibase.hpp"
#include "multiformats/multihash.hpp"

using namespace warren;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  if (const auto cid = Cid::from_bytes(input)) {
    WARREN_CHECK(cid->to_bytes() == to_bytes(input));
    WARREN_CHECK(Cid::parse(cid->to_string()) == *cid);
  }
  if (const auto cid = Cid::parse(as_text(input))) {
    WARREN_CHECK(Cid::from_bytes(cid->to_bytes()) == *cid);
  }
  if (const auto hash = multiformats::read_multihash(input)) {
    Bytes again;
    multiformats::append_multihash(again, hash->code, hash->digest);
    WARREN_CHECK(again == to_bytes(input.first(hash->size)));
  }
  const std::string_view text = as_text(input);
  if (const auto bytes = multiformats::decode_multibase(text)) {
    // The upper-case twins are read and never written.
    const bool upper = text[0] == 'F' || text[0] == 'B' || text[0] == 'K';
    const char prefix = upper ? static_cast<char>(text[0] - 'A' + 'a') : text[0];
    const std::string again =
        multiformats::encode_multibase(static_cast<multiformats::Base>(prefix), *bytes);
    WARREN_CHECK(multiformats::decode_multibase(again) == *bytes);
    if (!upper) WARREN_CHECK(again == text);
  }
  return 0;
}

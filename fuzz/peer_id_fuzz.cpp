// Reads arbitrary bytes as a peer id, as its text, and as the protobuf of a public or private key.
// Finds: a value with a second spelling, a key that verifies garbage.
//
// Links: warren::multiformats warren::crypto

#include "base/check.hpp"
#include "crypto/keys.hpp"
#include "multiformats/peer_id.hpp"

using namespace warren;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  if (const auto id = PeerId::from_bytes(input)) {
    WARREN_CHECK(to_bytes(id->bytes()) == to_bytes(input));
    WARREN_CHECK(PeerId::parse(id->to_cid_string()) == *id);
    if (!id->inline_key().empty()) WARREN_CHECK(PeerId::from_public_key(id->inline_key()) == *id);
  }
  if (const auto id = PeerId::parse(as_text(input))) {
    WARREN_CHECK(PeerId::from_bytes(id->bytes()) == *id);
  }
  if (const auto key = crypto::PublicKey::from_protobuf(input)) {
    WARREN_CHECK(key->protobuf() == to_bytes(input));
    WARREN_CHECK(!key->verify(as_bytes("a message"), as_bytes("no signature")));
    WARREN_CHECK(!PeerId::from_public_key(key->protobuf()).empty());
  }
  if (const auto key = crypto::PrivateKey::from_protobuf(input)) {
    const auto again = crypto::PrivateKey::from_protobuf(key->to_protobuf());
    WARREN_CHECK(again && again->public_key() == key->public_key());
    WARREN_CHECK(key->public_key().verify(input, key->sign(input)));
  }
  // OpenSSL takes long to find that something is no PEM at all.
  if (!as_text(input).starts_with("-----BEGIN")) return 0;
  if (const auto key = crypto::PrivateKey::from_pem(as_text(input))) {
    WARREN_CHECK(crypto::PrivateKey::from_pem(key->to_pem()).has_value());
  }
  return 0;
}

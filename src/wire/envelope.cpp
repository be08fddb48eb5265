#include "wire/envelope.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/varint.hpp"
#include "proto/envelope.pb.h"
#include "wire/message.hpp"

namespace warren::wire {
namespace {

void append_prefixed(Bytes& out, BytesView bytes) {
  append_uvarint(out, bytes.size());
  append(out, bytes);
}

Bytes signed_bytes(std::string_view domain, BytesView payload_type, BytesView payload) {
  Bytes bytes;
  bytes.reserve(3 * kUvarintBytesMax + domain.size() + payload_type.size() + payload.size());
  append_prefixed(bytes, as_bytes(domain));
  append_prefixed(bytes, payload_type);
  append_prefixed(bytes, payload);
  return bytes;
}

}  // namespace

Bytes seal_envelope(const crypto::PrivateKey& key, std::string_view domain, BytesView payload_type,
                    BytesView payload) {
  proto::Envelope envelope;
  envelope.set_public_key(std::string(as_text(key.public_key().protobuf())));
  envelope.set_payload_type(std::string(as_text(payload_type)));
  envelope.set_payload(std::string(as_text(payload)));
  const Bytes signature = key.sign(signed_bytes(domain, payload_type, payload));
  envelope.set_signature(std::string(as_text(signature)));
  return serialize(envelope);
}

Result<SignedEnvelope> open_envelope(BytesView bytes, std::string_view domain) {
  WARREN_TRY(const auto envelope,
             parse<proto::Envelope>(bytes, "envelope", {.bytes_max = kEnvelopeBytesMax}));
  auto key = crypto::PublicKey::from_protobuf(as_bytes(envelope.public_key()));
  if (!key) return fail(std::move(key).error().in("envelope"));
  const BytesView payload_type = as_bytes(envelope.payload_type());
  const BytesView payload = as_bytes(envelope.payload());
  if (!key->verify(signed_bytes(domain, payload_type, payload), as_bytes(envelope.signature()))) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("envelope: its signature is not good for the domain {}", domain));
  }
  return SignedEnvelope{std::move(*key), to_bytes(payload_type), to_bytes(payload)};
}

Result<SignedEnvelope> open_envelope(BytesView bytes, std::string_view domain,
                                     BytesView payload_type) {
  WARREN_TRY(SignedEnvelope envelope, open_envelope(bytes, domain));
  if (!std::ranges::equal(envelope.payload_type, payload_type)) {
    return fail(
        ErrorCode::kMalformed,
        fmt::format("envelope: payload type {} where {} belongs",
                    to_hex(BytesView(envelope.payload_type)
                               .first(std::min<std::size_t>(envelope.payload_type.size(), 32))),
                    to_hex(payload_type)));
  }
  return envelope;
}

}  // namespace warren::wire

#include "security/noise/payload.hpp"

#include <fmt/core.h>

#include "proto/noise.pb.h"
#include "wire/message.hpp"

namespace warren::security::noise {
namespace {

constexpr std::string_view kSigningPrefix = "noise-libp2p-static-key:";
// More than any handshake message brings; certificate hashes and their like are few.
constexpr wire::ParseLimits kParseLimits{.bytes_max = 65'535, .fields_max = 64, .depth_max = 4};

Bytes statement(const PublicBytes& static_key) {
  Bytes bytes = to_bytes(kSigningPrefix);
  append(bytes, static_key);
  return bytes;
}

}  // namespace

Bytes make_payload(const crypto::PrivateKey& identity, const PublicBytes& static_key,
                   const std::vector<std::string>& muxers) {
  proto::noise::HandshakePayload message;
  message.set_identity_key(std::string(as_text(identity.public_key().protobuf())));
  message.set_identity_sig(std::string(as_text(identity.sign(statement(static_key)))));
  for (const std::string& muxer : muxers) message.mutable_extensions()->add_stream_muxers(muxer);
  return wire::serialize(message);
}

Result<Payload> read_payload(BytesView bytes, const PublicBytes& static_key) {
  WARREN_TRY(const auto message, wire::parse<proto::noise::HandshakePayload>(
                                     bytes, "Noise handshake payload", kParseLimits));
  auto key = crypto::PublicKey::from_protobuf(as_bytes(message.identity_key()));
  if (!key) return fail(std::move(key).error().in("Noise handshake payload"));
  if (!key->verify(statement(static_key), as_bytes(message.identity_sig()))) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("Noise: the {} identity key did not sign the static key",
                            crypto::key_type_name(key->type())));
  }
  const auto& muxers = message.extensions().stream_muxers();
  return Payload{.identity = *std::move(key), .muxers = {muxers.begin(), muxers.end()}};
}

}  // namespace warren::security::noise

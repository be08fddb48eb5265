// Reads arbitrary bytes as a peer's certificate. Finds: a crash, and a certificate that is accepted
// although it differs from one that a key holder made.
//
// Links: warren::security_tls

#include "base/check.hpp"
#include "security/tls/certificate.hpp"
#include "security/tls/der.hpp"

using namespace warren;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  // Within the validity of the published certificates.
  const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);
  if (const auto identity = security::verify_certificate(input, now)) {
    WARREN_CHECK(!identity->empty());
    WARREN_CHECK(size <= security::kCertificateBytesMax);
    // What is accepted is accepted again, and its identity is a whole key.
    WARREN_CHECK(security::verify_certificate(input, now).has_value());
    WARREN_CHECK(crypto::PublicKey::from_protobuf(identity->protobuf()).has_value());
    // Any later change would have to be signed anew.
    Bytes changed = to_bytes(input);
    changed[size / 2] = static_cast<std::uint8_t>(changed[size / 2] ^ 1u);
    WARREN_CHECK(!security::verify_certificate(changed, now));
  }
  BytesView rest = input;
  if (const auto contents = security::take_der(rest, security::kDerSequence)) {
    Bytes again;
    security::append_der(again, security::kDerSequence, *contents);
    WARREN_CHECK(again == to_bytes(input.first(size - rest.size())));
  }
  return 0;
}

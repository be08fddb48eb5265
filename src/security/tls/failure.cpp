#include "security/tls/failure.hpp"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>

namespace warren::security::tls {
namespace {

// Source: RFC 8446, section 6.
Error of_alert(std::string_view doing, int alert) {
  const std::string_view name = ::SSL_alert_desc_string_long(alert);
  switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_CERTIFICATE_REQUIRED:
      return {ErrorCode::kDenied,
              fmt::format("{}: the peer refused this node's certificate (TLS alert {}, {})", doing,
                          alert, name),
              "It may expect another peer, or its clock may be wrong"};
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_INSUFFICIENT_SECURITY:
    case SSL_AD_NO_APPLICATION_PROTOCOL:
    case SSL_AD_MISSING_EXTENSION:
    case SSL_AD_UNSUPPORTED_EXTENSION:
      return {ErrorCode::kUnsupported,
              fmt::format("{}: the peer speaks another kind of TLS (TLS alert {}, {})", doing,
                          alert, name)};
    default:
      return {ErrorCode::kReset,
              fmt::format("{}: the peer broke the connection off (TLS alert {}, {})", doing, alert,
                          name)};
  }
}

ErrorCode code_of(int reason) {
  switch (reason) {
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_BAD_SIGNATURE:
    case SSL_R_DIGEST_CHECK_FAILED:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return ErrorCode::kIntegrity;
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG: return ErrorCode::kTooLarge;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_WRONG_SIGNATURE_TYPE: return ErrorCode::kUnsupported;
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR: return ErrorCode::kInternal;
    default: return ErrorCode::kMalformed;
  }
}

}  // namespace

Error last_failure(std::string_view doing) {
  // The last one names what SSL made of it; the ones before may come from deeper down.
  const unsigned long failure = ::ERR_peek_last_error();
  // OpenSSL has no name for this one.
  if (failure == 0) return {ErrorCode::kReset, fmt::format("{}: the peer said goodbye", doing)};
  const int reason = ERR_GET_REASON(failure);
  if (ERR_GET_LIB(failure) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
    return of_alert(doing, reason - SSL_AD_REASON_OFFSET);
  }
  const char* const text = ::ERR_reason_error_string(failure);
  return {code_of(reason), text != nullptr ? fmt::format("{}: {}", doing, text)
                                           : fmt::format("{}: error {:x}", doing, failure)};
}

}  // namespace warren::security::tls

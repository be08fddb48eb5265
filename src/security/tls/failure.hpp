#pragma once
// OpenSSL's failures in our words.

#include <string_view>

#include "base/error.hpp"

namespace warren::security::tls {

/// The error of the SSL call that has just failed on this thread, with `doing` before it.
/// An alert of the peer is kDenied when it concerns this node's certificate, kUnsupported when the
/// two have nothing in common, else kReset. What this side found is kIntegrity (tags, signatures,
/// no certificate), kTooLarge, kUnsupported (versions, ciphers, ALPN), kInternal, else kMalformed.
Error last_failure(std::string_view doing);

}  // namespace warren::security::tls

#pragma once
// Noise as one of the security protocols that a byte stream may be secured with.

#include "security/noise/handshake.hpp"
#include "security/secure_channel.hpp"

namespace warren::security::noise {

/// "/noise". `credentials` are shown in every handshake; `random` is called once in each, for as
/// long as the protocol lives.
std::unique_ptr<SecurityProtocol> make_noise_security(
    std::shared_ptr<const Credentials> credentials, RandomBytes random);

}  // namespace warren::security::noise

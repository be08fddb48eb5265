#pragma once
// X25519 keys of the Noise handshake. Source: RFC 7748.

#include <array>
#include <functional>
#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::security::noise {

inline constexpr std::size_t kKeyBytes = 32;
using PublicBytes = std::array<std::uint8_t, kKeyBytes>;

/// Fills `out` with random bytes fit for keys: Runtime::random_bytes, or a seed's in a simulation.
using RandomBytes = std::function<void(MutableBytes out)>;

/// A secret of 32 bytes, wiped when it goes.
class Secret {
 public:
  Secret() = default;
  ~Secret();
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  MutableBytes bytes() noexcept { return bytes_; }
  BytesView bytes() const noexcept { return bytes_; }

 private:
  std::array<std::uint8_t, kKeyBytes> bytes_{};
};

/// A private key and its public half. Copying copies a pointer.
class KeyPair {
 public:
  /// From any 32 bytes, as RFC 7748 reads them.
  static KeyPair from_private(BytesView private32);
  static KeyPair generate(const RandomBytes& random);

  const PublicBytes& public_bytes() const noexcept { return public_; }
  /// The shared secret with the holder of `remote`. About 40 us.
  /// Errors: kIntegrity when it is all zeros: `remote` is one of the few points that make every
  /// secret known.
  Result<Secret> agree(const PublicBytes& remote) const;

 private:
  KeyPair() = default;
  std::shared_ptr<void> handle_;  // EVP_PKEY.
  PublicBytes public_{};
};

}  // namespace warren::security::noise

#include "security/noise/xx_pattern.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::security::noise {
namespace {

Result<BytesView> take(BytesView& from, std::size_t count) {
  if (from.size() < count) {
    return fail(ErrorCode::kMalformed,
                fmt::format("Noise: a handshake message lacks {} bytes", count - from.size()));
  }
  const BytesView taken = from.first(count);
  from = from.subspan(count);
  return taken;
}

PublicBytes to_public(BytesView bytes) {
  PublicBytes key;
  WARREN_CHECK(bytes.size() == key.size());
  std::ranges::copy(bytes, key.begin());
  return key;
}

}  // namespace

XxPattern::XxPattern(bool initiator, BytesView prologue, KeyPair static_key, KeyPair ephemeral)
    : initiator_(initiator),
      state_("Noise_XX_25519_ChaChaPoly_SHA256"),
      static_(std::move(static_key)),
      ephemeral_(std::move(ephemeral)) {
  state_.mix_hash(prologue);
}

Result<> XxPattern::mix_agreement(const KeyPair& ours, const PublicBytes& theirs) {
  WARREN_TRY(const Secret secret, ours.agree(theirs));
  state_.mix_key(secret);
  return {};
}

Result<PublicBytes> XxPattern::read_ephemeral(BytesView& message) {
  WARREN_TRY(const BytesView raw, take(message, kKeyBytes));
  state_.mix_hash(raw);
  return to_public(raw);
}

Result<PublicBytes> XxPattern::read_static(BytesView& message) {
  WARREN_TRY(const BytesView sealed, take(message, kKeyBytes + state_.overhead()));
  WARREN_TRY(const Bytes raw, state_.decrypt_and_hash(sealed));
  return to_public(raw);
}

Result<Bytes> XxPattern::write(BytesView payload) {
  WARREN_CHECK(is_our_turn());
  Bytes out;
  if (next_ < 2) {
    append(out, ephemeral_.public_bytes());
    state_.mix_hash(ephemeral_.public_bytes());
  }
  if (next_ == 1) WARREN_TRY_VOID(mix_agreement(ephemeral_, remote_ephemeral_));
  if (next_ > 0) {
    state_.encrypt_and_hash(out, static_.public_bytes());
    WARREN_TRY_VOID(mix_agreement(static_, remote_ephemeral_));
  }
  state_.encrypt_and_hash(out, payload);
  ++next_;
  return out;
}

Result<Bytes> XxPattern::read(BytesView message) {
  WARREN_CHECK(!done() && !is_our_turn());
  if (next_ < 2) {
    WARREN_TRY(remote_ephemeral_, read_ephemeral(message));
  }
  if (next_ == 1) WARREN_TRY_VOID(mix_agreement(ephemeral_, remote_ephemeral_));
  if (next_ > 0) {
    WARREN_TRY(remote_static_, read_static(message));
    WARREN_TRY_VOID(mix_agreement(ephemeral_, remote_static_));
  }
  WARREN_TRY(Bytes payload, state_.decrypt_and_hash(message));
  ++next_;
  return payload;
}

std::pair<CipherState, CipherState> XxPattern::split() const {
  WARREN_CHECK(done());
  const auto [first, second] = state_.split();
  return {CipherState(initiator_ ? first : second), CipherState(initiator_ ? second : first)};
}

}  // namespace warren::security::noise

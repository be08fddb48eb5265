#include "security/noise/handshake.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::security::noise {

Credentials::Credentials(const crypto::PrivateKey& identity, std::vector<std::string> muxers,
                         const RandomBytes& random)
    : static_key_(KeyPair::generate(random)),
      muxers_(std::move(muxers)),
      payload_(make_payload(identity, static_key_.public_bytes(), muxers_)) {
  WARREN_CHECK(payload_.size() <= kHandshakeBytesMax / 2);
}

Handshake::Handshake(Role role, std::shared_ptr<const Credentials> credentials,
                     std::optional<PeerId> expected, const RandomBytes& random, BytesView prologue)
    : role_(role),
      credentials_(std::move(credentials)),
      expected_(std::move(expected)),
      pattern_(role == Role::kInitiator, prologue, credentials_->static_key(),
               KeyPair::generate(random)) {
  // The first message has no secret to go wrong.
  if (pattern_.is_our_turn()) WARREN_CHECK(write_message().has_value());
}

std::size_t Handshake::wants() const noexcept {
  return state_ == State::kRunning ? frame_bytes_ - input_.size() : 0;
}

Result<std::size_t> Handshake::feed(BytesView in) {
  WARREN_CHECK(state_ != State::kFailed);
  std::size_t taken = 0;
  while (taken < in.size() && state_ == State::kRunning) {
    const std::size_t count = std::min(wants(), in.size() - taken);
    append(input_, in.subspan(taken, count));
    taken += count;
    if (input_.size() < frame_bytes_) break;
    WARREN_TRY_VOID(check(frame_bytes_ == kLengthBytes ? on_length() : on_message()));
  }
  return taken;
}

Result<> Handshake::check(Result<> result) {
  if (!result) {
    state_ = State::kFailed;
    output_.clear();
  }
  return result;
}

Result<> Handshake::on_length() {
  const std::size_t length = std::size_t{input_[0]} << 8 | input_[1];
  // The first message is for everyone to read, so its payload must be empty.
  const bool first = message_number_ == 0;
  const std::size_t least = first ? kKeyBytes : 1;
  const std::size_t most = first ? kKeyBytes : kHandshakeBytesMax;
  if (length < least || length > most) {
    return fail(length > most && !first ? ErrorCode::kTooLarge : ErrorCode::kMalformed,
                fmt::format("Noise: handshake message {} of {} bytes, not {} to {}",
                            message_number_ + 1, length, least, most));
  }
  frame_bytes_ = kLengthBytes + length;
  return {};
}

Result<> Handshake::on_message() {
  WARREN_TRY(const Bytes payload, pattern_.read(BytesView(input_).subspan(kLengthBytes)));
  input_ = {};
  frame_bytes_ = kLengthBytes;
  const bool has_payload = message_number_ > 0;
  ++message_number_;
  if (has_payload) WARREN_TRY_VOID(on_payload(payload));
  if (pattern_.is_our_turn()) WARREN_TRY_VOID(write_message());
  if (pattern_.done()) state_ = State::kDone;
  return {};
}

Result<> Handshake::on_payload(BytesView bytes) {
  WARREN_TRY(Payload payload, read_payload(bytes, pattern_.remote_static()));
  remote_ = PeerId::from_public_key(payload.identity.protobuf());
  if (expected_ && *expected_ != remote_) {
    return fail(ErrorCode::kIntegrity,
                fmt::format("Noise: wrong identity: {} was dialled, but {} answered",
                            expected_->to_string(), remote_.to_string()),
                "Ask the peer's owner for its current id (warren id), or dial without /p2p");
  }
  const bool ours_first = role_ == Role::kInitiator;
  const auto& first = ours_first ? credentials_->muxers() : payload.muxers;
  const auto& second = ours_first ? payload.muxers : credentials_->muxers();
  for (const std::string& muxer : first) {
    if (std::ranges::find(second, muxer) == second.end()) continue;
    muxer_ = muxer;
    break;
  }
  remote_key_ = std::move(payload.identity);
  return {};
}

// Messages 2 and 3 carry who we are; the initiator's only after the responder has shown itself.
Result<> Handshake::write_message() {
  const BytesView payload = message_number_ == 0 ? BytesView{} : credentials_->payload();
  WARREN_TRY(const Bytes message, pattern_.write(payload));
  ++message_number_;
  output_.push_back(static_cast<std::uint8_t>(message.size() >> 8));
  output_.push_back(static_cast<std::uint8_t>(message.size()));
  append(output_, message);
  return {};
}

Handshake::Outcome Handshake::take_outcome() {
  WARREN_CHECK(done());
  auto [send, receive] = pattern_.split();
  return {.remote_key = std::move(remote_key_),
          .remote = std::move(remote_),
          .muxer = std::move(muxer_),
          .channel = Channel(std::move(send), std::move(receive))};
}

}  // namespace warren::security::noise

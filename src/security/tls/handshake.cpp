#include "security/tls/handshake.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"
#include "security/tls/failure.hpp"

namespace warren::security::tls {
namespace {

// A whole handshake of ours comes in one or two reads of this size.
constexpr std::size_t kReadBytesMax = 4096;

}  // namespace

Handshake::Handshake(std::shared_ptr<const Context> context, Side side,
                     std::optional<PeerId> expected, std::uint64_t records_per_key)
    : session_(std::make_unique<Session>()), records_per_key_(records_per_key) {
  const crypto::ErrorQueueGuard guard;
  session_->verification.expected = std::move(expected);
  session_->verification.now = context->now();
  session_->ssl = context->make_ssl(side, session_->verification);
  session_->context = std::move(context);
  BIO* const bio = session_->ssl == nullptr ? nullptr : new_pipe_bio(session_->pipe);
  if (bio == nullptr) {
    failed_ = Error(ErrorCode::kInternal, "TLS: OpenSSL has no memory for a connection");
    return;
  }
  ::SSL_set_bio(session_->ssl.get(), bio, bio);
  if (side == Side::kDialler) advance();
}

std::size_t Handshake::wants() const {
  return failed_ || done_ ? 0 : std::min(kReadBytesMax, kHandshakeBytesMax - bytes_fed_);
}

Result<std::size_t> Handshake::feed(BytesView in) {
  if (failed_) return fail(*failed_);
  if (done_) return std::size_t{0};
  const crypto::ErrorQueueGuard guard;
  // OpenSSL reads record by record, and so never a byte behind the last one.
  const BytesView given = in.first(std::min(in.size(), kHandshakeBytesMax - bytes_fed_));
  session_->pipe.in = given;
  advance();
  const std::size_t taken = given.size() - std::exchange(session_->pipe.in, {}).size();
  bytes_fed_ += taken;
  if (!failed_ && !done_ && bytes_fed_ == kHandshakeBytesMax) {
    failed_ = Error(ErrorCode::kTooLarge,
                    fmt::format("TLS handshake: not done after {} bytes", bytes_fed_));
  }
  if (failed_) return fail(*failed_);
  return taken;
}

SecureHandshake::Outcome Handshake::take_outcome() {
  WARREN_CHECK(done_ && session_ != nullptr);
  Outcome outcome{.remote_key = session_->verification.key,
                  .remote = session_->verification.peer,
                  .muxer = std::move(muxer_),
                  .channel = nullptr};
  outcome.channel = std::make_unique<Channel>(std::move(session_), records_per_key_);
  return outcome;
}

void Handshake::advance() {
  ::ERR_clear_error();
  SSL* const ssl = session_->ssl.get();
  const int result = ::SSL_do_handshake(ssl);
  if (result == 1) return finish();
  if (::SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ) return;
  failed_ = session_->verification.refused
                ? std::move(*session_->verification.refused).in("TLS handshake")
                : last_failure("TLS handshake");
}

void Handshake::finish() {
  auto muxer = session_->context->muxer_of(session_->ssl.get());
  if (!muxer) {
    failed_ = std::move(muxer).error();
  } else if (session_->verification.key.empty()) {
    failed_ = Error(ErrorCode::kIntegrity, "TLS handshake: the peer showed no certificate");
  } else {
    muxer_ = std::move(*muxer);
    done_ = true;
  }
}

}  // namespace warren::security::tls

#include "security/tls/progress.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/check.hpp"

namespace warren::security::tls {
namespace {

// A whole handshake of ours comes in one or two reads of this size.
constexpr std::size_t kReadBytesMax = 4096;

}  // namespace

void Progress::start(bool speaks_first) {
  const crypto::ErrorQueueGuard guard;
  SSL* const ssl = session_->ssl.get();
  BIO* const bio = ssl == nullptr ? nullptr : new_pipe_bio(session_->pipe);
  if (bio == nullptr) {
    failed_ = Error(ErrorCode::kInternal, "TLS: OpenSSL has no memory for a connection");
    return;
  }
  ::SSL_set_bio(ssl, bio, bio);
  if (speaks_first) advance();
}

std::size_t Progress::wants() const {
  return failed_ || done_ ? 0 : std::min(kReadBytesMax, kHandshakeBytesMax - bytes_fed_);
}

Result<std::size_t> Progress::feed(BytesView in) {
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

std::unique_ptr<Session> Progress::take_session() {
  WARREN_CHECK(done_ && session_ != nullptr);
  return std::move(session_);
}

void Progress::advance() {
  ::ERR_clear_error();
  SSL* const ssl = session_->ssl.get();
  const int result = ::SSL_do_handshake(ssl);
  if (result == 1) {
    const auto ended = end_();
    done_ = ended.has_value();
    if (!ended) failed_ = ended.error();
  } else if (::SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ) {
    failed_ = why_();
  }
}

}  // namespace warren::security::tls

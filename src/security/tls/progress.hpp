#pragma once
// A TLS handshake that OpenSSL does over spans, as far as both kinds here have it in common. Only
// .cpp files include it.

#include <functional>
#include <memory>
#include <optional>

#include "security/tls/channel.hpp"

namespace warren::security::tls {

/// Taken from one peer in one handshake. Ours makes about 1,500; a certificate may have 16 KiB.
inline constexpr std::size_t kHandshakeBytesMax = 64u << 10;

class Progress {
 public:
  /// `why` names the error of an SSL_do_handshake() that has just failed, `end` may still refuse
  /// one that is through. Both are called within start() and feed().
  Progress(std::function<Error()> why, std::function<Result<>()> end)
      : why_(std::move(why)), end_(std::move(end)) {}

  /// Gives `ssl` of the session its BIO and, with `speaks_first`, makes the first message. A null
  /// `ssl` is a failure.
  void start(bool speaks_first);
  void fail_with(Error error) { failed_ = std::move(error); }

  Session& session() { return *session_; }
  Bytes take_output() { return std::exchange(session_->pipe.spill, {}); }
  std::size_t wants() const;
  Result<std::size_t> feed(BytesView in);
  bool done() const { return done_; }
  /// The session, for the channel. Once, when done().
  std::unique_ptr<Session> take_session();

 private:
  void advance();

  std::function<Error()> why_;
  std::function<Result<>()> end_;
  std::unique_ptr<Session> session_ = std::make_unique<Session>();
  std::size_t bytes_fed_ = 0;
  bool done_ = false;
  std::optional<Error> failed_;
};

}  // namespace warren::security::tls

#pragma once
// The handshake of TLS 1.3 without I/O. Only .cpp files include it.

#include <memory>
#include <optional>
#include <string>

#include "security/tls/channel.hpp"

namespace warren::security::tls {

/// Taken from one peer in one handshake. Ours makes about 1,500; a certificate may have 16 KiB.
inline constexpr std::size_t kHandshakeBytesMax = 64u << 10;

class Handshake final : public SecureHandshake {
 public:
  Handshake(std::shared_ptr<const Context> context, Side side, std::optional<PeerId> expected,
            std::uint64_t records_per_key = kRecordsPerKey);

  Bytes take_output() override { return std::exchange(session_->pipe.spill, {}); }
  std::size_t wants() const override;
  Result<std::size_t> feed(BytesView in) override;
  bool done() const override { return done_; }
  Outcome take_outcome() override;

 private:
  void advance();
  void finish();

  std::unique_ptr<Session> session_;
  std::uint64_t records_per_key_;
  std::size_t bytes_fed_ = 0;
  bool done_ = false;
  std::string muxer_;
  std::optional<Error> failed_;
};

}  // namespace warren::security::tls

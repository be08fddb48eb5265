#pragma once
// The handshake of libp2p's TLS without I/O. Only .cpp files include it.

#include <memory>
#include <optional>
#include <string>

#include "security/tls/progress.hpp"

namespace warren::security::tls {

class Handshake final : public SecureHandshake {
 public:
  Handshake(std::shared_ptr<const Context> context, Side side, std::optional<PeerId> expected,
            std::uint64_t records_per_key = kRecordsPerKey);
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  Bytes take_output() override { return progress_.take_output(); }
  std::size_t wants() const override { return progress_.wants(); }
  Result<std::size_t> feed(BytesView in) override { return progress_.feed(in); }
  bool done() const override { return progress_.done(); }
  Outcome take_outcome() override;

 private:
  Error failure();
  Result<> end();

  Progress progress_;
  std::uint64_t records_per_key_;
  std::string muxer_;
};

}  // namespace warren::security::tls

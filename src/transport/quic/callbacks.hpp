#pragma once
#include "transport/quic/connection.hpp"

namespace warren::transport::quic {

/// The library's callbacks, each a few lines that hand on to the connection.
ngtcp2_callbacks make_callbacks(bool server);
/// GnuTLS's certificate check, inside the handshake.
int verify_certificate_callback(gnutls_session_t session);

/// Counts the packets that the library decrypts while this lives. The library drops the others
/// without a word. One at a time on a thread.
class OpenedPackets {
 public:
  OpenedPackets();
  ~OpenedPackets();
  OpenedPackets(const OpenedPackets&) = delete;
  OpenedPackets& operator=(const OpenedPackets&) = delete;
  std::size_t count() const { return count_; }

 private:
  friend struct Callbacks;
  std::size_t count_ = 0;
};

inline std::uint64_t to_timestamp(TimePoint now) {
  // A virtual clock starts at 0, which the library would take for "not set" here and there.
  constexpr std::uint64_t kBase = 1'000'000'000;
  return kBase + static_cast<std::uint64_t>(now.time_since_epoch().count());
}
inline TimePoint from_timestamp(std::uint64_t timestamp) {
  if (timestamp == UINT64_MAX) return kNever;
  constexpr std::uint64_t kBase = 1'000'000'000;
  return TimePoint(Duration(static_cast<std::int64_t>(timestamp - std::min(timestamp, kBase))));
}

}  // namespace warren::transport::quic

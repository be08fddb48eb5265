#pragma once
#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"
#include "base/time.hpp"

namespace warren::resources {
class Manager;
}

namespace warren::transport {

/// Tuning of connections over byte streams. The initialisers are the defaults.
struct UpgradeConfig {
  limits::Connections limits;
  /// Counts every connection and what it holds; must outlive the upgrader. Null: nothing is counted
  /// and only the bounds below hold.
  resources::Manager* resources = nullptr;
  /// Largest flow-control window of one stream, 256 KiB to 1 GiB; all begin with 256 KiB.
  /// Source: go-yamux and js-libp2p; 16 MiB carries 10 Gbit/s over 13 ms.
  std::uint32_t stream_window_bytes_max = 16u << 20;
  /// Sum of what windows have grown beyond that, over all connections; then they stay as they are.
  std::int64_t window_budget_bytes = 256ll << 20;
  /// Bytes one stream takes from its writer before they are encrypted; then the writer waits.
  std::size_t unsent_bytes_max = 1u << 20;
  /// Bytes of one connection that arrived and that no reader has taken, beyond what windows have
  /// grown by. Beyond: the stream that brings more is reset. The default is what 256 streams may
  /// bring with the window that each begins with.
  std::size_t buffered_bytes_max = 64u << 20;
  /// Own streams open at once on a connection; beyond it open_stream() waits. A peer that runs this
  /// program takes so many, others 512 or 1,000.
  std::size_t streams_outbound_max = 256;
  /// Proven connections that wait in Listener::accept; beyond it one is closed.
  std::size_t backlog_max = 64;
  /// From an answer to the next ping, and silence after a ping that ends the connection.
  Duration ping_interval = 30s;
  Duration ping_timeout = 10s;
  /// For the goodbye of a connection that was closed.
  Duration goodbye_time_max = 1s;
  /// A stream whose handle is gone gets so long without progress to bring its last bytes out and
  /// to hear the peer's end; then it is reset.
  Duration linger_time_max = 30s;
};

}  // namespace warren::transport

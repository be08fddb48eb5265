// Runs mDNS discovery alone and says on stdout what it finds, one line each:
//   id PEER
//   found PEER ADDRESS...
//   lost PEER
//   counters INTERFACE sent=N failed=N heard=N peers=N malformed=N throttled=N   (at the end)
// Usage: mdns_probe TAG PORT SECONDS. TAG, 1 to 255, makes the peer id. It announces UDP port PORT
// on all its interfaces and asks every SECONDS, until SIGTERM, then says goodbye.

#include <fmt/core.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <cstdio>

#include "discovery/mdns/mdns_service.hpp"
#include "runtime/real_runtime.hpp"

using namespace warren;

namespace {

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

class Printer final : public discovery::PeerSink {
 public:
  void peer_found(const discovery::PeerHint& hint) override {
    std::string line = "found " + hint.peer.to_string();
    for (const Multiaddr& address : hint.addresses) line += " " + address.to_string();
    say(line);
  }
  void peer_lost(const discovery::PeerHint& hint) override { say("lost " + hint.peer.to_string()); }
};

PeerId make_peer(std::uint8_t tag) {
  Bytes key{0x08, 0x01, 0x12, 0x20};
  key.resize(36, tag);
  return PeerId::from_public_key(key);
}

boost::asio::awaitable<int> probe(runtime::RealRuntime& runtime, PeerId self, std::uint16_t port,
                                  std::chrono::seconds query_interval) {
  Printer printer;
  const auto addresses = [port] {
    return std::vector{Multiaddr::quic({IpAddress(), port, 0}),
                       Multiaddr::quic({IpAddress::parse("::").value(), port, 0})};
  };
  discovery::MdnsOptions options;
  options.machine.query_interval = query_interval;
  discovery::MdnsService service(runtime, self, addresses, options);
  boost::asio::signal_set signals(runtime.executor(), SIGTERM, SIGINT);
  if (const auto started = service.start(printer); !started) {
    fmt::print(stderr, "mdns_probe: {}\n", started.error().message());
    co_return 1;
  }
  say("id " + self.to_string());
  co_await signals.async_wait(boost::asio::use_awaitable);
  const auto counters = service.counters();
  co_await service.stop();
  for (const discovery::SourceCounters& each : counters) {
    say(fmt::format("counters {} sent={} failed={} heard={} peers={} malformed={} throttled={}",
                    each.interface, each.sent, each.send_failed, each.heard, each.heard_peers,
                    each.malformed, each.throttled));
  }
  co_return 0;
}

template <class T>
bool parse(std::string_view text, T& value) {
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
}

}  // namespace

int main(int argc, char** argv) {
  std::uint8_t tag = 0;
  std::uint16_t port = 0;
  std::uint32_t seconds = 0;
  if (argc != 4 || !parse(argv[1], tag) || !parse(argv[2], port) || !parse(argv[3], seconds)) {
    fmt::print(stderr, "usage: mdns_probe TAG PORT SECONDS\n");
    return 2;
  }
  runtime::RealRuntime runtime;
  int exit_code = 1;
  const auto finish = [&](std::exception_ptr error, int code) {
    exit_code = error ? 1 : code;
    runtime.stop();
  };
  boost::asio::co_spawn(runtime.executor(),
                        probe(runtime, make_peer(tag), port, std::chrono::seconds(seconds)),
                        finish);
  runtime.run();
  return exit_code;
}

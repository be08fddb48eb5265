// What the doctor tries out on the network.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "node/doctor_facts.hpp"
#include "runtime/cancellation.hpp"
#include "runtime/deadline.hpp"

namespace warren::node {
namespace {

using runtime::awaitable;

// Nobody else's: the beacon has the neighbours. Source: RFC 2365, section 6.2; RFC 4291,
// section 2.7.
constexpr IpAddress kProbeGroupV4 = IpAddress::v4(239, 192, 87, 115);
constexpr std::string_view kProbeGroupV6 = "ff12::8000:5773";
constexpr std::size_t kNonceBytes = 16;
/// One may be lost.
constexpr int kProbesSent = 3;

/// The probe of one IP version: one socket, a datagram for each interface.
class Probe {
 public:
  Probe(runtime::Runtime& runtime, bool v6) : runtime_(runtime), v6_(v6) {
    runtime.random_bytes(nonce_);
  }

  /// Takes the interfaces that have an address of this version; sends nothing yet.
  Result<> open(const std::vector<runtime::NetworkInterface>& interfaces) {
    for (const auto& interface : interfaces) {
      const bool has_address = std::ranges::any_of(
          interface.addresses, [&](const IpAddress& ip) { return ip.is_v6() == v6_; });
      if (!interface.up || !interface.multicast || interface.loopback || !has_address) continue;
      facts_.push_back({.interface = interface.name, .problem = "", .v6 = v6_});
      indexes_.push_back(interface.index);
    }
    if (facts_.empty()) return {};
    WARREN_TRY(group_, v6_ ? IpAddress::parse(kProbeGroupV6) : Result<IpAddress>(kProbeGroupV4));
    const IpAddress any = v6_ ? IpAddress::from_bytes(Bytes(16)).value() : IpAddress();
    runtime::DatagramOptions options;
    options.multicast_ttl = 1;
    WARREN_TRY(socket_, runtime_.bind_datagram({any, 0, 0}, options));
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      const auto joined = socket_->join_multicast(group_, indexes_[i]);
      if (!joined) facts_[i].problem = joined.error().message();
    }
    return {};
  }

  void send() {
    for (std::size_t i = 0; i < facts_.size(); ++i) {
      if (facts_[i].came_back) continue;
      Bytes bytes = nonce_;
      bytes.push_back(static_cast<std::uint8_t>(i));
      const Endpoint to{group_, socket_->local().port, v6_ ? indexes_[i] : 0};
      const auto sent =
          socket_->try_send({.to = to, .bytes = bytes, .interface_index = indexes_[i]});
      if (!sent) facts_[i].problem = sent.error().message();
    }
  }

  /// Takes what comes until `deadline` or until all have come back.
  awaitable<void> receive(TimePoint deadline) {
    while (!done()) {
      const auto batches = co_await runtime::with_deadline(runtime_, deadline, socket_->receive());
      if (!batches) co_return;
      for (const runtime::ReceivedBatch& batch : *batches) take(batch);
    }
  }

  bool done() const {
    return socket_ == nullptr || std::ranges::all_of(facts_, &MulticastFacts::came_back);
  }
  std::vector<MulticastFacts> facts() && { return std::move(facts_); }

 private:
  void take(const runtime::ReceivedBatch& batch) {
    if (batch.bytes.size() < kNonceBytes + 1 ||
        !std::ranges::equal(batch.bytes.first(kNonceBytes), nonce_)) {
      return;
    }
    const std::size_t index = batch.bytes[kNonceBytes];
    if (index >= facts_.size()) return;
    facts_[index].came_back = true;
    facts_[index].problem.clear();
  }

  runtime::Runtime& runtime_;
  bool v6_;
  Bytes nonce_ = Bytes(kNonceBytes);
  IpAddress group_;
  std::unique_ptr<runtime::DatagramSocket> socket_;
  std::vector<MulticastFacts> facts_;
  std::vector<std::uint32_t> indexes_;
};

}  // namespace

awaitable<std::vector<MulticastFacts>> probe_multicast(runtime::Runtime& runtime, Duration time) {
  constexpr std::size_t kInterfacesMax = 20;  // Source: limits::Discovery::interfaces_max.
  std::vector<MulticastFacts> all;
  auto interfaces = runtime.network_interfaces();
  if (!interfaces) co_return all;
  if (interfaces->size() > kInterfacesMax) interfaces->resize(kInterfacesMax);
  for (const bool v6 : {false, true}) {
    Probe probe(runtime, v6);
    const Result<> opened = probe.open(*interfaces);
    if (opened) {
      for (int i = 0; i < kProbesSent && !probe.done(); ++i) {
        probe.send();
        co_await probe.receive(runtime.now() + time / (2 * kProbesSent));
      }
    }
    for (MulticastFacts& facts : std::move(probe).facts()) {
      if (!opened) facts.problem = opened.error().message();
      all.push_back(std::move(facts));
    }
  }
  co_return all;
}

std::vector<PortFacts> probe_ports(runtime::Runtime& runtime,
                                   const std::vector<ListenAddress>& addresses) {
  std::vector<PortFacts> all;
  for (const ListenAddress& listen : addresses) {
    const auto endpoint = listen.address.endpoint();
    if (!endpoint) continue;  // Not of this machine: nothing to bind.
    PortFacts facts{.address = listen.address.to_string(),
                    .bound = false,
                    .problem = "",
                    .required = listen.required};
    const bool udp = listen.address.has(multiformats::Protocol::kUdp);
    std::optional<Error> error;
    if (udp) {
      const auto bound = runtime.bind_datagram(*endpoint, {});
      if (!bound) error = bound.error();
    } else {
      const auto bound = runtime.listen_stream(*endpoint);
      if (!bound) error = bound.error();
    }
    facts.bound = !error;
    if (error) facts.problem = error->message();
    all.push_back(std::move(facts));
  }
  return all;
}

Ipv6Facts look_at_ipv6(runtime::Runtime& runtime) {
  Ipv6Facts facts;
  const auto socket = runtime.bind_datagram({IpAddress::from_bytes(Bytes(16)).value(), 0, 0}, {});
  if (!socket) facts.problem = socket.error().message();
  const auto interfaces = runtime.network_interfaces();
  if (!interfaces) return facts;
  for (const auto& interface : *interfaces) {
    if (!interface.up) continue;
    for (const IpAddress& ip : interface.addresses) {
      if (!ip.is_v6() || ip.is_loopback()) continue;
      (ip.is_private() ? facts.local_only : facts.global)
          .push_back(fmt::format("{} on {}", ip.to_string(), interface.name));
    }
  }
  return facts;
}

}  // namespace warren::node

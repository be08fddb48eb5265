#include "node/discovery_report.hpp"

#include <fmt/format.h>

#include "node/escape.hpp"

namespace warren::node {
namespace {

std::string peers_text(const NodeStatus& status) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(status.uptime).count();
  if (status.peers_connected > 0) {
    return fmt::format("{} connected", status.peers_connected == 1
                                           ? std::string("1 peer")
                                           : fmt::format("{} peers", status.peers_connected));
  }
  if (status.peers_known > 0) {
    return fmt::format("no peer connected ({} s), {} heard of, {} dials failed", seconds,
                       status.peers_known, status.dials_failed);
  }
  return fmt::format("no peers yet ({} s)", seconds);
}

std::string source_text(const DiscoveryView& source) {
  if (!source.problem.empty()) return fmt::format("{}: {}", source.name, source.problem);
  return fmt::format("{}: {}", source.name, escape_line(source.summary));
}

}  // namespace

std::string discovery_report(const NodeStatus& status) {
  std::string text = peers_text(status) + ". ";
  if (status.discovery.empty()) return text + "Discovery is off.";
  for (std::size_t i = 0; i < status.discovery.size(); ++i) {
    if (i > 0) text += "; ";
    text += source_text(status.discovery[i]);
  }
  return text + ".";
}

std::string discovery_advice() {
  return "'warren doctor', or 'warren connect /ip4/ADDRESS/udp/PORT/quic-v1/p2p/ID' with an "
         "address "
         "that 'warren status' lists on the other machine";
}

}  // namespace warren::node

#include "discovery/peer_source.hpp"

#include <fmt/format.h>

namespace warren::discovery {

std::string summary_of(const std::vector<SourceCounters>& counters) {
  std::uint64_t sent = 0;
  std::uint64_t heard = 0;
  std::string interfaces;
  for (const SourceCounters& of : counters) {
    sent += of.sent;
    heard += of.heard_peers;
    if (!of.usable || of.interface.empty()) continue;
    if (!interfaces.empty()) interfaces += ", ";
    interfaces += of.interface;
  }
  return fmt::format("sent {}, heard {} {}", sent, heard,
                     interfaces.empty() ? "(no interface is usable)" : "on " + interfaces);
}

}  // namespace warren::discovery

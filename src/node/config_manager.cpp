// From the configuration to that of the connection manager.

#include <algorithm>

#include "node/config.hpp"

namespace warren::node {

swarm::ManagerConfig manager_config(const Config& config) {
  swarm::ManagerConfig made = swarm::ManagerConfig::of(config.profile);
  // What nobody has set gives way to what somebody has.
  made.high_water = config.connection_manager_high_watermark.value_or(
      std::min(made.high_water, config.connections_max));
  made.low_water =
      config.connection_manager_low_watermark.value_or(std::min(made.low_water, made.high_water));
  made.max_peers =
      config.connection_manager_max_peers.value_or(std::min(made.max_peers, made.high_water));
  made.target_peers =
      config.connection_manager_target_peers.value_or(std::min(made.target_peers, made.max_peers));
  // The others keep half of what is left.
  made.neighbours_max = config.connection_manager_max_neighbours.value_or(
      std::min(made.neighbours_max, (made.high_water - made.max_peers) / 2));
  made.grace = config.connection_manager_grace_period;
  return made;
}

}  // namespace warren::node

#pragma once
// Which peers share a dataset under a name.

#include <string>
#include <vector>

#include "base/limits.hpp"
#include "swarm/swarm.hpp"
#include "transfer/transfer_types.hpp"

namespace warren::transfer {

/// Asks all of `peers` at the same time, and returns what they answered until `deadline`; who does
/// not answer is left out. At most limits.sources_max peers are asked. `swarm` outlives the call.
/// Cancel: returns what there is.
runtime::awaitable<std::vector<Offer>> find_offers(swarm::Swarm& swarm, limits::Transfer limits,
                                                   std::string name, std::vector<PeerId> peers,
                                                   TimePoint deadline);

}  // namespace warren::transfer

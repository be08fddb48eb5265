#pragma once
// The Runtime of one simulated host. Internal to sim/.

#include "sim/network.hpp"
#include "sim/world.hpp"

namespace warren::sim {

std::unique_ptr<runtime::Runtime> make_sim_runtime(World& world, Host host);
std::unique_ptr<runtime::Signal> make_sim_signal(World& world);

Result<std::unique_ptr<runtime::DatagramSocket>> bind_sim_datagram(
    World& world, Host host, Endpoint local, const runtime::DatagramOptions& options);

awaitable<Result<std::unique_ptr<runtime::ByteStream>>> connect_sim_stream(World& world, Host host,
                                                                           Endpoint to,
                                                                           TimePoint deadline);
Result<std::unique_ptr<runtime::StreamListener>> listen_sim_stream(World& world, Host host,
                                                                   Endpoint local);

}  // namespace warren::sim

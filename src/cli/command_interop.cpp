// `warren interop`: one side of a test of libp2p's transport-interop harness.

#include <fmt/format.h>

#include <algorithm>

#include "api/client.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/interop_settings.hpp"
#include "cli/interop_stack.hpp"
#include "cli/redis.hpp"
#include "cli/session.hpp"
#include "protocols/identify.hpp"
#include "protocols/ping.hpp"
#include "runtime/run_task.hpp"

namespace warren::cli {
namespace {

using runtime::awaitable;

struct Measured {
  Duration handshake_plus_one_rtt{};
  Duration ping_rtt{};
};

/// A node with what the harness asks of it: ping, and identify as other implementations expect it.
struct InteropNode {
  InteropNode(runtime::RealRuntime& its_runtime, crypto::PrivateKey its_key)
      : runtime(its_runtime),
        key(std::move(its_key)),
        swarm(runtime, PeerId::from_public_key(key.public_key().protobuf())),
        identify(swarm, key) {
    protocols::serve_ping(swarm);
  }

  runtime::RealRuntime& runtime;
  crypto::PrivateKey key;
  swarm::Swarm swarm;
  protocols::IdentifyService identify;
};

/// An address that another container can reach, when there is one.
Result<Multiaddr> address_to_publish(const swarm::Swarm& swarm) {
  const std::vector<Multiaddr> all = swarm.listen_addresses();
  if (all.empty()) return fail(ErrorCode::kUnsupported, "no address to listen on");
  const auto beyond_this_machine = [](const Multiaddr& address) {
    const auto endpoint = address.endpoint();
    return endpoint && !endpoint->ip.is_loopback();
  };
  const auto found = std::ranges::find_if(all, beyond_this_machine);
  return (found == all.end() ? all.front() : *found).with_peer(swarm.local_peer());
}

awaitable<Result<Measured>> listen(InteropNode& node, RedisClient& redis, std::string key,
                                   Multiaddr where, TimePoint deadline) {
  WARREN_CO_TRY_VOID(node.swarm.listen(where));
  WARREN_CO_TRY(const Multiaddr address, address_to_publish(node.swarm));
  WARREN_CO_TRY_VOID(co_await redis.push(std::move(key), address.to_string(), deadline));
  // The harness kills a listener as soon as the dialler has ended.
  WARREN_CO_TRY_VOID(co_await node.runtime.sleep_until(deadline));
  co_return fail(ErrorCode::kTimedOut, "the time of the test is up");
}

awaitable<Result<Measured>> dial(InteropNode& node, RedisClient& redis, std::string key,
                                 TimePoint deadline) {
  WARREN_CO_TRY(const std::string text, co_await redis.pop(std::move(key), deadline));
  WARREN_CO_TRY(const Multiaddr address, Multiaddr::parse(text));
  const TimePoint began = node.runtime.now();
  WARREN_CO_TRY(const auto connection, co_await node.swarm.connect(address, deadline));
  const PeerId peer = connection->info().remote_peer;
  WARREN_CO_TRY(const Duration rtt, co_await protocols::ping(node.swarm, peer, deadline));
  co_return Measured{.handshake_plus_one_rtt = node.runtime.now() - began, .ping_rtt = rtt};
}

awaitable<Result<Measured>> take_part(InteropNode& node, InteropSettings settings) {
  const TimePoint deadline = node.runtime.now() + settings.timeout;
  WARREN_CO_TRY(const auto redis, co_await RedisClient::connect(node.runtime, settings.redis_host,
                                                                settings.redis_port, deadline));
  WARREN_CO_TRY(Multiaddr where,
                add_interop_stack(node.swarm, node.runtime, node.key, settings.stack, settings.ip));
  if (settings.dialler) {
    co_return co_await dial(node, *redis, std::move(settings.redis_key), deadline);
  }
  co_return co_await listen(node, *redis, std::move(settings.redis_key), std::move(where),
                            deadline);
}

awaitable<Result<Measured>> take_part_and_close(InteropNode& node, InteropSettings settings) {
  auto measured = co_await take_part(node, std::move(settings));
  co_await node.swarm.close();
  co_await node.identify.close();
  co_return measured;
}

ExitCode run_interop(Invocation& invocation) {
  const auto settings = interop_settings(invocation.environment);
  if (!settings) return invocation.output.failure(settings.error());
  if (settings->debug) log::set_level(log::Level::kDebug);
  auto key = crypto::PrivateKey::generate();
  if (!key) return invocation.output.failure(key.error());
  runtime::RealRuntime runtime({.pool_threads = 1});
  InteropNode node(runtime, *std::move(key));
  const auto measured = runtime::run_task(runtime, take_part_and_close(node, *settings));
  if (!measured) return invocation.output.failure(measured.error());
  invocation.output.text(
      interop_result(settings->form, measured->handshake_plus_one_rtt, measured->ping_rtt));
  const auto seconds = [](Duration time) { return std::chrono::duration<double>(time).count(); };
  return invocation.output.success(
      api::Json{{"handshake_plus_one_rtt", seconds(measured->handshake_plus_one_rtt)},
                {"ping_rtt", seconds(measured->ping_rtt)}});
}

}  // namespace

CommandSpec interop_command() {
  return {.name = "interop",
          .summary = "one side of a test of libp2p's transport-interop harness",
          .example = "is_dialer=true transport=quic-v1 redis_addr=127.0.0.1:6379 warren interop",
          .options = {},
          .hidden = true,
          .run = run_interop};
}

}  // namespace warren::cli

// Warren nodes that do what JSON lines on stdin say, and answer each with a JSON line on stdout:
//   {"id":1,"do":"start","node":"a","stack":"quic-v1"}
//   {"id":1,"ok":true,"peer":"12D3...","addresses":["/ip4/127.0.0.1/udp/1234/quic-v1/p2p/12D3..."]}
// js_peer.mjs does the same with js-libp2p. What each action means: README.md beside this file.
// Ends with stdin.

#include <sys/resource.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iostream>

#include "base/log.hpp"
#include "interop_actions.hpp"
#include "runtime/run_task.hpp"

namespace warren::interop {
namespace {

namespace asio = boost::asio;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kRequestsMax = 4096;
constexpr Duration kActionTimeMax = 60s;

using Nodes = std::map<std::string, std::unique_ptr<Node>>;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Result<json> start(runtime::RealRuntime& runtime, Nodes& nodes, const json& request) {
  WARREN_TRY(auto node,
             Node::make(runtime, request.value("stack", ""), request.value("ip", "127.0.0.1"),
                        request.value("listen", true)));
  const PeerId peer = node->swarm.local_peer();
  json addresses = json::array();
  for (const Multiaddr& address : node->swarm.listen_addresses()) {
    addresses.push_back(address.with_peer(peer).to_string());
  }
  nodes[request.value("node", "")] = std::move(node);
  return json{{"peer", peer.to_string()}, {"addresses", std::move(addresses)}};
}

awaitable<Result<json>> answer(runtime::RealRuntime& runtime, Nodes& nodes, json request) {
  const std::string what = request.value("do", "");
  if (what == "start") co_return start(runtime, nodes, request);
  if (what == "cpu") co_return json{{"seconds", cpu_seconds()}};
  const auto found = nodes.find(request.value("node", ""));
  if (found == nodes.end()) co_return fail(ErrorCode::kNotFound, "there is no such node");
  co_return co_await act(*found->second, std::move(request), runtime.now() + kActionTimeMax);
}

awaitable<void> serve_request(runtime::RealRuntime& runtime, Nodes& nodes, json request) {
  json reply{{"id", request.value("id", 0)}};
  const auto result = co_await answer(runtime, nodes, std::move(request));
  reply["ok"] = result.has_value();
  if (result) {
    reply.update(*result);
  } else {
    const Error& error = result.error();
    reply["error"] = std::string(error_name(error.code())) + ": " + error.message();
  }
  std::cout << reply.dump() << std::endl;
}

awaitable<void> run(runtime::RealRuntime& runtime) {
  asio::posix::stream_descriptor input(runtime.executor(), ::dup(0));
  Nodes nodes;
  runtime::TaskGroup tasks(runtime, kRequestsMax);
  std::string buffer;
  for (;;) {
    const auto [error, count] =
        co_await asio::async_read_until(input, asio::dynamic_buffer(buffer), '\n', kToken);
    if (error) break;
    json request = json::parse(buffer.substr(0, count), nullptr, /*allow_exceptions=*/false);
    buffer.erase(0, count);
    if (!request.is_object() || !tasks.spawn(serve_request(runtime, nodes, std::move(request)))) {
      std::cerr << "interop_peer: a line that is no request, or too many of them\n";
      break;
    }
  }
  co_await tasks.join();
  for (const auto& [name, node] : nodes) co_await node->close();
}

}  // namespace
}  // namespace warren::interop

int main() {
  if (std::getenv("INTEROP_DEBUG") != nullptr) warren::log::set_level(warren::log::Level::kDebug);
  warren::runtime::RealRuntime runtime({.pool_threads = 1});
  warren::runtime::run_task(runtime, warren::interop::run(runtime));
}

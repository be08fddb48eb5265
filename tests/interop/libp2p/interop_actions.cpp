#include "interop_actions.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "crypto/sha256.hpp"

namespace warren::interop {
namespace {

constexpr Duration kPollInterval = 10ms;

Result<PeerId> peer_of(const json& request) { return PeerId::parse(request.value("peer", "")); }

awaitable<Result<ProtocolStream>> open(Node& node, json request, std::string_view protocol,
                                       TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, peer_of(request));
  std::vector<std::string> protocols(1, std::string(protocol));
  co_return co_await node.swarm.open_stream(peer, std::move(protocols), deadline);
}

Bytes random_bytes(Node& node, std::size_t count) {
  Bytes bytes(count);
  node.runtime.random_bytes(bytes);
  return bytes;
}

/// Sends and half-closes, beside a coroutine that reads.
awaitable<void> send_and_close(const ProtocolStream& opened, SharedBytes bytes,
                               TimePoint deadline) {
  auto sent = co_await write_all(*opened.stream, std::move(bytes), deadline);
  if (sent) {
    sent =
        co_await protocols::close_write_behind(*opened.stream, opened.connection->info(), deadline);
  }
  if (!sent) opened.stream->reset();
}

/// Reads to the end and returns the hash of what came.
awaitable<Result<crypto::Sha256Digest>> hash_to_end(Stream& stream, TimePoint deadline) {
  crypto::Sha256 hash;
  Bytes buffer(kWriteBytes);
  for (;;) {
    WARREN_CO_TRY(const std::size_t n, co_await stream.read_some(buffer, deadline));
    if (n == 0) co_return hash.finish();
    hash.update(BytesView(buffer).first(n));
  }
}

awaitable<Result<>> echo_once(Node& node, const ProtocolStream& opened, std::size_t count,
                              TimePoint deadline) {
  const SharedBytes sent(random_bytes(node, count));
  runtime::TaskGroup writer(node.runtime, 1);
  if (!writer.spawn(send_and_close(opened, sent, deadline))) {
    co_return fail(ErrorCode::kClosed, "no task for the writer");
  }
  const auto back = co_await hash_to_end(*opened.stream, deadline);
  co_await writer.join();
  WARREN_CO_TRY_VOID(back);
  if (*back != crypto::sha256(sent.view()))
    co_return fail(ErrorCode::kIntegrity, "the echo differs");
  co_return Result<>{};
}

/// One result for many tasks: the first error.
struct Together {
  Together(Node& node, std::size_t count)
      : countdown(node.runtime, count), tasks(node.runtime, count) {}
  Countdown countdown;
  Result<> result;
  runtime::TaskGroup tasks;
};

awaitable<void> note(Together& together, awaitable<Result<>> task) {
  auto done = co_await std::move(task);
  if (!done && together.result) together.result = fail(std::move(done).error());
  together.countdown.done();
}

awaitable<Result<>> finish(Together& together, TimePoint deadline) {
  const auto waited = co_await together.countdown.wait(deadline);
  co_await together.tasks.join();
  WARREN_CO_TRY_VOID(together.result);
  co_return waited;
}

// ----------------------------------------------------------------------------------- actions

awaitable<Result<json>> dial(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const Multiaddr address, Multiaddr::parse(request.value("address", "")));
  WARREN_CO_TRY(const auto connection, co_await node.swarm.connect(address, deadline));
  co_return json{{"peer", connection->info().remote_peer.to_string()}};
}

awaitable<Result<json>> hangup(Node& node, json request, TimePoint) {
  WARREN_CO_TRY(const PeerId peer, peer_of(request));
  co_return json{{"closed", node.swarm.disconnect(peer)}};
}

awaitable<Result<json>> identify(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, peer_of(request));
  const protocols::PeerIdentity* known = nullptr;
  while ((known = node.identify.find(peer)) == nullptr) {
    if (node.runtime.now() > deadline) co_return fail(ErrorCode::kTimedOut, "not identified");
    WARREN_CO_TRY_VOID(co_await node.runtime.sleep_for(kPollInterval));
  }
  json addresses = json::array();
  for (const Multiaddr& address : known->listen_addresses) addresses.push_back(address.to_string());
  co_return json{{"agent", known->agent_version},
                 {"protocols", known->protocols},
                 {"addresses", std::move(addresses)},
                 {"signed", known->addresses_signed},
                 {"observed", known->observed_address ? known->observed_address->to_string() : ""}};
}

awaitable<Result<json>> ping(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, peer_of(request));
  WARREN_CO_TRY(const Duration rtt, co_await protocols::ping(node.swarm, peer, deadline));
  co_return json{{"milliseconds", std::chrono::duration<double, std::milli>(rtt).count()}};
}

awaitable<Result<json>> echo(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await open(node, request, protocols::kEchoProtocol, deadline));
  WARREN_CO_TRY_VOID(
      co_await echo_once(node, opened, request.value("bytes", std::size_t{0}), deadline));
  co_return json::object();
}

awaitable<Result<>> perf_once(Node& node, PeerId peer, std::uint64_t upload, std::uint64_t download,
                              TimePoint deadline) {
  WARREN_CO_TRY_VOID(
      co_await protocols::run_perf(node.swarm, std::move(peer), upload, download, deadline));
  co_return Result<>{};
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

awaitable<Result<json>> perf(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, peer_of(request));
  const auto upload = request.value("upload", std::uint64_t{0});
  const auto download = request.value("download", std::uint64_t{0});
  const auto streams = request.value("streams", std::size_t{1});
  const TimePoint began = node.runtime.now();
  Together together(node, streams);
  for (std::size_t i = 0; i < streams; ++i) {
    const bool spawned =
        together.tasks.spawn(note(together, perf_once(node, peer, upload, download, deadline)));
    if (!spawned) together.countdown.done();
  }
  WARREN_CO_TRY_VOID(co_await finish(together, deadline));
  co_return json{{"seconds", seconds(node.runtime.now() - began)}};
}

awaitable<Result<json>> connect_perf(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const Multiaddr address, Multiaddr::parse(request.value("address", "")));
  const auto upload = request.value("upload", std::uint64_t{0});
  const auto download = request.value("download", std::uint64_t{0});
  json milliseconds = json::array();
  for (std::size_t i = 0; i < request.value("count", std::size_t{1}); ++i) {
    const TimePoint began = node.runtime.now();
    WARREN_CO_TRY(const auto connection, co_await node.swarm.connect(address, deadline));
    const PeerId peer = connection->info().remote_peer;
    WARREN_CO_TRY_VOID(co_await perf_once(node, peer, upload, download, deadline));
    milliseconds.push_back(seconds(node.runtime.now() - began) * 1000);
    node.swarm.disconnect(peer);
  }
  co_return json{{"milliseconds", std::move(milliseconds)}};
}

awaitable<Result<json>> sequential(Node& node, json request, TimePoint deadline) {
  for (std::size_t i = 0; i < request.value("count", std::size_t{0}); ++i) {
    WARREN_CO_TRY(const ProtocolStream opened,
                  co_await open(node, request, protocols::kEchoProtocol, deadline));
    WARREN_CO_TRY_VOID(co_await echo_once(node, opened, 32, deadline));
  }
  co_return json::object();
}

struct Rendezvous {
  Rendezvous(Node& node, std::size_t count) : opened(node.runtime, count), together(node, count) {}
  Countdown opened;
  Together together;
  std::vector<ProtocolStream> streams;
};

/// Opens a stream and waits until one byte has come back.
awaitable<Result<>> open_and_echo(Node& node, json request, Rendezvous& all, TimePoint deadline) {
  WARREN_CO_TRY(ProtocolStream opened,
                co_await open(node, std::move(request), protocols::kEchoProtocol, deadline));
  Bytes byte(1, 7);
  WARREN_CO_TRY_VOID(co_await opened.stream->write(BytesView(byte), deadline));
  WARREN_CO_TRY(const std::size_t n, co_await opened.stream->read_full(byte, deadline));
  if (n != 1) co_return fail(ErrorCode::kClosed, "the stream ended without the echo");
  all.streams.push_back(std::move(opened));
  co_return Result<>{};
}

awaitable<Result<json>> parallel(Node& node, json request, TimePoint deadline) {
  const auto count = request.value("count", std::size_t{0});
  Rendezvous all(node, count);
  for (std::size_t i = 0; i < count; ++i) {
    const bool spawned =
        all.together.tasks.spawn(note(all.together, open_and_echo(node, request, all, deadline)));
    if (!spawned) all.together.countdown.done();
  }
  WARREN_CO_TRY_VOID(co_await finish(all.together, deadline));
  // All are open at this moment.
  Together rest(node, count);
  for (const ProtocolStream& opened : all.streams) {
    const bool spawned = rest.tasks.spawn(note(rest, echo_once(node, opened, 1024, deadline)));
    if (!spawned) rest.countdown.done();
  }
  WARREN_CO_TRY_VOID(co_await finish(rest, deadline));
  co_return json::object();
}

awaitable<Result<json>> reset_sending(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const ProtocolStream opened, co_await open(node, request, kSink, deadline));
  WARREN_CO_TRY_VOID(co_await write_all(*opened.stream, SharedBytes(Bytes(kMiB)), deadline));
  Bytes mark(1);
  WARREN_CO_TRY(const std::size_t n, co_await opened.stream->read_full(mark, deadline));
  if (n != 1) co_return fail(ErrorCode::kClosed, "the stream ended");
  WARREN_CO_TRY_VOID(co_await opened.stream->write(SharedBytes(Bytes(kWriteBytes)), deadline));
  opened.stream->reset();
  co_return json::object();
}

awaitable<Result<json>> reset_receiving(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await open(node, request, protocols::kPerfProtocol, deadline));
  const Bytes header{0, 0, 0, 0, 4, 0, 0, 0};  // 64 MiB.
  WARREN_CO_TRY_VOID(co_await opened.stream->write(BytesView(header), deadline));
  WARREN_CO_TRY_VOID(
      co_await protocols::close_write_behind(*opened.stream, opened.connection->info(), deadline));
  Bytes buffer(kMiB);
  WARREN_CO_TRY(const std::size_t n, co_await opened.stream->read_full(buffer, deadline));
  if (n < kMiB) co_return fail(ErrorCode::kClosed, fmt::format("the end after {} bytes", n));
  opened.stream->reset();
  co_return json::object();
}

/// How the other side's reset shows.
json ending(const Result<>& result) {
  if (result) return "end";
  if (result.error().code() == ErrorCode::kReset) return "reset: " + result.error().message();
  return std::string(error_name(result.error().code())) + ": " + result.error().message();
}

awaitable<Result<json>> reset_by_receiver(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const ProtocolStream opened, co_await open(node, request, kAbortUpload, deadline));
  const SharedBytes piece{Bytes(kMiB)};
  Result<> sent;
  for (int i = 0; i < 64 && sent; ++i) sent = co_await opened.stream->write(piece, deadline);
  co_return json{{"ended", ending(sent)}};
}

awaitable<Result<json>> reset_by_sender(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const ProtocolStream opened,
                co_await open(node, request, kAbortDownload, deadline));
  const Bytes mark(1);
  WARREN_CO_TRY_VOID(co_await opened.stream->write(BytesView(mark), deadline));
  Bytes buffer(kMiB);
  WARREN_CO_TRY(const std::size_t n, co_await opened.stream->read_full(buffer, deadline));
  WARREN_CO_TRY_VOID(co_await opened.stream->write(BytesView(mark), deadline));
  const auto more = co_await opened.stream->read_some(buffer, deadline);
  const Result<> result = more ? Result<>{} : Result<>(fail(more.error()));
  co_return json{{"ended", ending(result)}, {"bytes", n}};
}

awaitable<Result<json>> hold(Node& node, json request, TimePoint deadline) {
  WARREN_CO_TRY(const ProtocolStream opened, co_await open(node, request, kHold, deadline));
  const SharedBytes sent(random_bytes(node, request.value("bytes", std::size_t{0})));
  WARREN_CO_TRY_VOID(co_await opened.stream->write(sent.slice(0, 1), deadline));
  Bytes holding(1);
  WARREN_CO_TRY_VOID(co_await opened.stream->read_full(holding, deadline));
  WARREN_CO_TRY_VOID(co_await write_all(*opened.stream, sent.slice(1), deadline));
  opened.stream->close_write();
  Bytes answer(crypto::Sha256Digest{}.size());
  WARREN_CO_TRY(const std::size_t n, co_await opened.stream->read_full(answer, deadline));
  const auto expected = crypto::sha256(sent.view());
  if (n != answer.size() || !std::ranges::equal(answer, expected)) {
    co_return fail(ErrorCode::kIntegrity, "other bytes arrived than were sent");
  }
  co_return json::object();
}

awaitable<Result<json>> release(Node& node, json, TimePoint deadline) {
  while (node.held.empty() && node.runtime.now() < deadline) {
    WARREN_CO_TRY_VOID(co_await node.runtime.sleep_for(kPollInterval));
  }
  if (node.held.empty()) co_return fail(ErrorCode::kTimedOut, "no stream is held");
  for (const auto& signal : std::exchange(node.held, {})) signal->notify();
  co_return json::object();
}

awaitable<Result<json>> sinks(Node& node, json, TimePoint deadline) {
  const auto ended = [](const auto& sink) { return !sink->ended.empty(); };
  while (node.sinks.empty() || !std::ranges::all_of(node.sinks, ended)) {
    if (node.runtime.now() > deadline) co_return fail(ErrorCode::kTimedOut, "a sink still runs");
    WARREN_CO_TRY_VOID(co_await node.runtime.sleep_for(kPollInterval));
  }
  json all = json::array();
  for (const auto& sink : std::exchange(node.sinks, {})) {
    all.push_back({{"bytes", sink->bytes}, {"ended", sink->ended}});
  }
  co_return json{{"sinks", std::move(all)}};
}

awaitable<Result<json>> stats(Node& node, json, TimePoint) {
  const swarm::SwarmStats stats = node.swarm.stats();
  co_return json{{"connections", stats.connections},
                 {"streams_inbound", stats.streams_inbound},
                 {"negotiations_failed", stats.negotiations_failed},
                 {"tasks_failed", stats.tasks_failed},
                 {"identify_failures", node.identify.failures()}};
}

struct Action {
  std::string_view name;
  awaitable<Result<json>> (*run)(Node&, json, TimePoint);
};
constexpr Action kActions[] = {{"dial", dial},
                               {"hangup", hangup},
                               {"identify", identify},
                               {"ping", ping},
                               {"echo", echo},
                               {"perf", perf},
                               {"connect_perf", connect_perf},
                               {"sequential", sequential},
                               {"parallel", parallel},
                               {"reset_sending", reset_sending},
                               {"reset_receiving", reset_receiving},
                               {"reset_by_receiver", reset_by_receiver},
                               {"reset_by_sender", reset_by_sender},
                               {"hold", hold},
                               {"release", release},
                               {"sinks", sinks},
                               {"stats", stats}};

}  // namespace

awaitable<Result<json>> act(Node& node, json request, TimePoint deadline) {
  const std::string name = request.value("do", "");
  const auto found = std::ranges::find(kActions, name, &Action::name);
  if (found == std::end(kActions)) {
    co_return fail(ErrorCode::kInvalidArgument, fmt::format("there is no action {}", name));
  }
  co_return co_await found->run(node, std::move(request), deadline);
}

}  // namespace warren::interop

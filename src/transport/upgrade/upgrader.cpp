#include "transport/upgrade/upgrader.hpp"

#include <fmt/core.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>

#include "base/check.hpp"
#include "base/log.hpp"
#include "runtime/cancellation.hpp"
#include "transport/upgrade/half_open.hpp"
#include "transport/upgrade/handshake.hpp"
#include "transport/upgrade/muxed_connection.hpp"

namespace warren::transport {
namespace {

using resources::Direction;

// After an accept that failed, for want of a descriptor for example.
constexpr Duration kAcceptPause = 100ms;
constexpr std::size_t kListenersMax = 64;
constexpr unsigned kAcceptTurnsMax = 16;

}  // namespace

struct ListenerState {
  explicit ListenerState(runtime::Runtime& runtime) : arrived(runtime.make_signal()) {}

  std::unique_ptr<runtime::StreamListener> source;
  AcceptOptions options;
  std::deque<std::shared_ptr<Connection>> waiting;
  std::unique_ptr<runtime::Signal> arrived;
  bool closed = false;

  void close() {
    if (std::exchange(closed, true)) return;
    source->close();
    const auto unaccepted = std::exchange(waiting, {});
    arrived->notify();
  }
};

struct Upgrader::Core {
  Core(runtime::Runtime& own_runtime, crypto::PublicKey identity, Securities own_securities,
       std::string_view own_transport, UpgradeConfig config)
      : runtime(own_runtime),
        local_peer(PeerId::from_public_key(identity.protobuf())),
        securities(std::move(own_securities)),
        transport(own_transport),
        host(std::make_shared<ConnectionHost>(own_runtime, config)),
        half_open(own_runtime),
        accepting(own_runtime, config.limits.half_open_max + kListenersMax) {
    WARREN_CHECK(!securities.empty());
  }

  static awaitable<Result<std::shared_ptr<Connection>>> upgrade(std::shared_ptr<Core> core,
                                                                RawStream raw, security::Side side,
                                                                std::optional<PeerId> expected,
                                                                TimePoint deadline);
  static awaitable<void> accept_all(std::shared_ptr<Core> core,
                                    std::shared_ptr<ListenerState> listener);
  static awaitable<void> upgrade_one(std::shared_ptr<Core> core,
                                     std::shared_ptr<ListenerState> listener,
                                     std::unique_ptr<runtime::ByteStream> stream,
                                     std::unique_ptr<resources::ConnectionScope> scope,
                                     std::unique_ptr<HalfOpenTable::Place> place);
  static awaitable<Result<std::shared_ptr<Connection>>> prove(
      std::shared_ptr<Core> core, std::shared_ptr<ListenerState> listener,
      std::unique_ptr<runtime::ByteStream> stream,
      std::unique_ptr<resources::ConnectionScope> scope);
  void make_room();
  void take(const std::shared_ptr<Core>& self, const std::shared_ptr<ListenerState>& listener,
            std::unique_ptr<runtime::ByteStream> stream);
  Result<std::unique_ptr<resources::ConnectionScope>> count(Direction direction,
                                                            const Endpoint& remote,
                                                            const std::optional<PeerId>& expected);

  runtime::Runtime& runtime;
  PeerId local_peer;
  Securities securities;
  std::string_view transport;
  std::shared_ptr<ConnectionHost> host;
  UpgradeCounters counters;
  HalfOpenTable half_open;
  bool closed = false;
  std::vector<std::weak_ptr<ListenerState>> listeners;
  std::vector<std::weak_ptr<MuxedConnection>> connections;
  runtime::TaskGroup accepting;  ///< Accept loops and handshakes.
};

namespace {

class UpgradedListener final : public Listener {
 public:
  explicit UpgradedListener(std::shared_ptr<ListenerState> state) : state_(std::move(state)) {}
  ~UpgradedListener() override { state_->close(); }

  Multiaddr address() const override { return state_->options.address; }
  awaitable<Result<std::shared_ptr<Connection>>> accept() override {
    const std::shared_ptr<ListenerState> self = state_;
    for (;;) {
      const bool stop = co_await runtime::cancelled();
      if (stop) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (self->closed) co_return fail(ErrorCode::kClosed, "the listener is closed");
      if (!self->waiting.empty()) {
        auto connection = std::move(self->waiting.front());
        self->waiting.pop_front();
        co_return connection;
      }
      co_await self->arrived->wait_until(kNever);
    }
  }
  void close() override { state_->close(); }

 private:
  std::shared_ptr<ListenerState> state_;
};

}  // namespace

// --------------------------------------------------------------------------------- upgrade

Result<std::unique_ptr<resources::ConnectionScope>> Upgrader::Core::count(
    Direction direction, const Endpoint& remote, const std::optional<PeerId>& expected) {
  resources::Manager* const manager = host->config.resources;
  if (manager == nullptr) return nullptr;
  return manager->open_connection(direction, remote, /*uses_descriptor=*/true, expected);
}

awaitable<Result<std::shared_ptr<Connection>>> Upgrader::Core::upgrade(
    std::shared_ptr<Core> core, RawStream raw, security::Side side, std::optional<PeerId> expected,
    TimePoint deadline) {
  auto shaken =
      co_await shake_hands(*raw.stream, side, core->securities, std::move(expected), deadline);
  if (!shaken) {
    co_return fail(
        Error(shaken.error()).in(fmt::format("upgrade of {}", raw.remote_address.to_string())));
  }
  if (core->closed) co_return fail(ErrorCode::kClosed, "the transport is closed");
  if (raw.scope) WARREN_CO_TRY_VOID(raw.scope->set_peer(shaken->remote));

  ProvenStream proven{.stream = std::move(raw.stream),
                      .channel = std::move(shaken->channel),
                      .scope = std::move(raw.scope),
                      .info = {.local_peer = core->local_peer,
                               .remote_peer = std::move(shaken->remote),
                               .remote_key = std::move(shaken->remote_key),
                               .local_address = std::move(raw.local_address),
                               .remote_address = std::move(raw.remote_address),
                               .outbound = side == security::Side::kDialler,
                               .transport = core->transport},
                      .ciphertext = std::move(shaken->ciphertext),
                      .plaintext = std::move(shaken->plaintext)};
  auto connection = MuxedConnection::start(core->host, std::move(proven));
  if (!connection) co_return fail(ErrorCode::kLimited, "too many connections");
  std::erase_if(core->connections, [](const auto& weak) { return weak.expired(); });
  core->connections.push_back(connection);
  co_return std::make_shared<MuxedConnectionHandle>(std::move(connection));
}

// ------------------------------------------------------------------------------- accepting

awaitable<void> Upgrader::Core::accept_all(std::shared_ptr<Core> core,
                                           std::shared_ptr<ListenerState> listener) {
  for (unsigned turn = 1; !listener->closed; ++turn) {
    // A flood that never makes accept() wait leaves time for others.
    if (turn % kAcceptTurnsMax == 0) {
      co_await boost::asio::post(core->runtime.executor(), boost::asio::use_awaitable);
    }
    auto stream = co_await listener->source->accept();
    if (stream) {
      core->take(core, listener, std::move(*stream));
      continue;
    }
    const ErrorCode code = stream.error().code();
    if (code == ErrorCode::kCancelled || code == ErrorCode::kClosed) co_return;
    if (core->counters.accept_errors++ == 0) {
      log::warn("transport", "{}: {}", core->transport, stream.error().message());
    }
    const auto slept = co_await core->runtime.sleep_for(kAcceptPause);
    if (!slept) co_return;
  }
}

/// While many handshakes are in progress each new one takes the place of an old one. The limits
/// beyond that are for what comes before an old one has gone.
void Upgrader::Core::make_room() {
  std::size_t most = host->config.limits.half_open_max;
  resources::Manager* const manager = host->config.resources;
  if (manager != nullptr) {
    most = std::min<std::size_t>(most, manager->limits().transient.connections_inbound);
  }
  if (half_open.staying() < std::max<std::size_t>(1, most * 3 / 4)) return;
  const IpAddress whose = half_open.displace_one();
  ++counters.displaced;
  if (manager != nullptr) manager->note_displaced(whose);
}

/// Admits one, or closes it unread.
void Upgrader::Core::take(const std::shared_ptr<Core>& self,
                          const std::shared_ptr<ListenerState>& listener,
                          std::unique_ptr<runtime::ByteStream> stream) {
  ++counters.inbound;
  const IpAddress remote = stream->remote().ip;
  make_room();
  auto scope = count(Direction::kInbound, stream->remote(), std::nullopt);
  if (!scope) {
    ++counters.refused_limit;
    return;
  }
  if (half_open.size() >= host->config.limits.half_open_max ||
      !accepting.spawn(upgrade_one(self, listener, std::move(stream), std::move(*scope),
                                   std::make_unique<HalfOpenTable::Place>(half_open, remote)))) {
    ++counters.refused_half_open;
  }
}

awaitable<Result<std::shared_ptr<Connection>>> Upgrader::Core::prove(
    std::shared_ptr<Core> core, std::shared_ptr<ListenerState> listener,
    std::unique_ptr<runtime::ByteStream> stream,
    std::unique_ptr<resources::ConnectionScope> scope) {
  const TimePoint deadline = core->runtime.now() + core->host->config.limits.handshake_time_max;
  WARREN_CO_TRY(RawStream raw, co_await listener->options.prepare(std::move(stream), deadline));
  raw.scope = std::move(scope);
  co_return co_await upgrade(core, std::move(raw), security::Side::kListener, std::nullopt,
                             deadline);
}

awaitable<void> Upgrader::Core::upgrade_one(std::shared_ptr<Core> core,
                                            std::shared_ptr<ListenerState> listener,
                                            std::unique_ptr<runtime::ByteStream> stream,
                                            std::unique_ptr<resources::ConnectionScope> scope,
                                            std::unique_ptr<HalfOpenTable::Place> place) {
  using namespace boost::asio::experimental::awaitable_operators;
  const Endpoint from = stream->remote();
  auto race =
      runtime::errors_as_values(prove(core, listener, std::move(stream), std::move(scope))) ||
      runtime::errors_as_values(place->wait_until_displaced());
  auto ended = co_await std::move(race);
  if (ended.index() == 1) co_return;  // Displaced, and counted as that.
  auto connection = std::get<0>(std::move(ended));
  if (!connection) {
    ++core->counters.failed_handshakes;
    log::debug("transport", "inbound from {}: {}", from.to_string(), connection.error().message());
    co_return;
  }
  if (listener->closed) co_return;
  if (listener->waiting.size() >= core->host->config.backlog_max) {
    ++core->counters.refused_backlog;
    (*connection)->close(CloseCode::kResourceLimit, "too many connections wait to be accepted");
    co_return;
  }
  ++core->counters.proven;
  listener->waiting.push_back(std::move(*connection));
  listener->arrived->notify();
}

// ---------------------------------------------------------------------------------- public

Upgrader::Upgrader(runtime::Runtime& runtime, crypto::PublicKey identity, Securities securities,
                   std::string_view transport, UpgradeConfig config)
    : core_(std::make_shared<Core>(runtime, std::move(identity), std::move(securities), transport,
                                   config)) {}

Upgrader::~Upgrader() = default;

Result<std::unique_ptr<resources::ConnectionScope>> Upgrader::admit(
    const Endpoint& remote, const std::optional<PeerId>& expected) {
  if (core_->closed) return fail(ErrorCode::kClosed, "the transport is closed");
  return core_->count(Direction::kOutbound, remote, expected);
}

awaitable<Result<std::shared_ptr<Connection>>> Upgrader::dial(RawStream raw,
                                                              std::optional<PeerId> expected,
                                                              TimePoint deadline) {
  const std::shared_ptr<Core> core = core_;
  const Duration most = core->host->config.limits.handshake_time_max;
  deadline = std::min(deadline, core->runtime.now() + most);
  if (!raw.scope) {
    WARREN_CO_TRY(raw.scope, core->count(Direction::kOutbound, raw.stream->remote(), expected));
  }
  co_return co_await Core::upgrade(core, std::move(raw), security::Side::kDialler,
                                   std::move(expected), deadline);
}

Result<std::unique_ptr<Listener>> Upgrader::listen(std::unique_ptr<runtime::StreamListener> source,
                                                   AcceptOptions options) {
  if (core_->closed) return fail(ErrorCode::kClosed, "the transport is closed");
  const auto state = std::make_shared<ListenerState>(core_->runtime);
  state->source = std::move(source);
  state->options = std::move(options);
  if (!core_->accepting.spawn(Core::accept_all(core_, state))) {
    return fail(ErrorCode::kLimited, "too many listeners");
  }
  std::erase_if(core_->listeners, [](const auto& weak) { return weak.expired(); });
  core_->listeners.push_back(state);
  return std::make_unique<UpgradedListener>(state);
}

const UpgradeCounters& Upgrader::counters() const { return core_->counters; }
std::size_t Upgrader::half_open() const { return core_->half_open.size(); }
const UpgradeConfig& Upgrader::config() const { return core_->host->config; }

awaitable<void> Upgrader::close() {
  const std::shared_ptr<Core> core = core_;
  core->closed = true;
  for (const auto& weak : std::exchange(core->listeners, {})) {
    if (const auto listener = weak.lock()) listener->close();
  }
  co_await core->accepting.join();
  for (const auto& weak : std::exchange(core->connections, {})) {
    if (const auto connection = weak.lock()) {
      connection->close(CloseCode::kNone, "the transport is closed");
    }
  }
  // Each has a bounded time for its goodbye; then it is cut short.
  ConnectionHost& host = *core->host;
  const TimePoint deadline = core->runtime.now() + host.config.goodbye_time_max + 500ms;
  co_await host.tasks.drain(deadline);
  co_await host.tasks.join();
}

}  // namespace warren::transport

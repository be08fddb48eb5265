#include "discovery/bootstrap/bootstrap_source.hpp"

#include <utility>

#include "base/check.hpp"
#include "base/log.hpp"
#include "runtime/task_group.hpp"

namespace warren::discovery {

std::vector<Multiaddr> shipped_bootstrap_peers() { return {}; }

class BootstrapSource::Driver {
 public:
  Driver(runtime::Runtime& runtime, PeerId self, BootstrapHooks hooks, BootstrapOptions options)
      : runtime_(runtime),
        hooks_(std::move(hooks)),
        dial_time_max_(options.dial_time_max),
        machine_(std::move(self), options.times, options.limits, runtime.rng()),
        wake_(runtime.make_signal()),
        tasks_(runtime, options.limits.dials_max + 1) {
    machine_.replace(options.peers, runtime.now());
  }

  void start(PeerSink& sink) {
    WARREN_CHECK(sink_ == nullptr);
    sink_ = &sink;
    WARREN_CHECK(tasks_.spawn(run()));
  }
  awaitable<void> stop() {
    stopped_ = true;
    co_await tasks_.join();
  }
  void refresh() {
    machine_.retry_now(runtime_.now());
    wake_->notify();
  }
  void replace(const std::vector<Multiaddr>& peers) {
    machine_.replace(peers, runtime_.now());
    wake_->notify();
  }
  void configure(BootstrapTimes times) {
    machine_.configure(times);
    wake_->notify();
  }
  const BootstrapMachine& machine() const { return machine_; }

 private:
  awaitable<void> run();
  awaitable<void> dial(Multiaddr address);

  runtime::Runtime& runtime_;
  BootstrapHooks hooks_;
  Duration dial_time_max_;
  BootstrapMachine machine_;
  PeerSink* sink_ = nullptr;
  bool stopped_ = false;
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;  // Last.
};

awaitable<void> BootstrapSource::Driver::run() {
  for (;;) {
    for (const Multiaddr& address :
         machine_.next(hooks_.connected_peers(), hooks_.is_connected, runtime_.now())) {
      if (!tasks_.spawn(dial(address))) co_return;  // It stops.
    }
    const runtime::Wake wake = co_await wake_->wait_until(machine_.next_wake());
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

awaitable<void> BootstrapSource::Driver::dial(Multiaddr address) {
  Result<PeerId> answered = co_await hooks_.dial(address, runtime_.now() + dial_time_max_);
  if (stopped_) co_return;
  answered = machine_.dial_ended(address, std::move(answered), runtime_.now());
  if (answered) {
    PeerHint hint;
    hint.peer = *answered;
    hint.addresses.push_back(address.without_peer());
    hint.via = kBootstrapName;
    hint.seen = runtime_.now();
    sink_->peer_found(hint);
  } else if (answered.error().code() == ErrorCode::kIntegrity) {
    log::warn("bootstrap", "{}: {}", address.to_string(), answered.error().message());
  } else {
    log::debug("bootstrap", "{}: {}", address.to_string(), answered.error().message());
  }
  wake_->notify();
}

BootstrapSource::BootstrapSource(runtime::Runtime& runtime, PeerId self, BootstrapHooks hooks,
                                 BootstrapOptions options)
    : driver_(std::make_unique<Driver>(runtime, std::move(self), std::move(hooks),
                                       std::move(options))) {}
BootstrapSource::~BootstrapSource() = default;
Result<> BootstrapSource::start(PeerSink& sink) {
  driver_->start(sink);
  return {};
}
awaitable<void> BootstrapSource::stop() { return driver_->stop(); }
void BootstrapSource::refresh() { driver_->refresh(); }
std::string BootstrapSource::summary() const { return driver_->machine().summary(); }
void BootstrapSource::replace(std::vector<Multiaddr> peers) { driver_->replace(peers); }
void BootstrapSource::configure(BootstrapTimes times) { driver_->configure(times); }
const std::vector<BootstrapEntry>& BootstrapSource::entries() const {
  return driver_->machine().entries();
}

}  // namespace warren::discovery

#include "embed/core.hpp"

#include <pthread.h>
#include <signal.h>

#include <string>
#include <system_error>

#include "base/check.hpp"
#include "embed/convert.hpp"
#include "runtime/run_task.hpp"

namespace warren::embed {
namespace {

/// While it lives, new threads are born with every signal blocked: signals of the program belong
/// to its own threads, and a write to a closed socket cannot kill it with SIGPIPE.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    ::sigfillset(&all);
    WARREN_CHECK(::pthread_sigmask(SIG_SETMASK, &all, &before_) == 0);
  }
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

Result<std::unique_ptr<Core>> Core::make(const node::MachineOptions& options,
                                         const crypto::PrivateKey& identity,
                                         node::InstanceLock lock) {
  const BlockedSignals blocked;
  try {
    WARREN_TRY(auto machine, node::Machine::make(options, identity));
    auto events = std::make_unique<EventThread>();
    std::unique_ptr<Core> core(new Core(std::move(lock)));
    core->machine_ = std::move(machine);
    core->events_ = std::move(events);
    core->calls_ = std::make_unique<runtime::TaskGroup>(core->machine_->runtime(), kCallsMax);
    core->thread_ = std::thread([made = core.get()] { made->run_core(); });
    core->ended_ = false;
    return core;
  } catch (const std::system_error& error) {
    return fail(ErrorCode::kLimited,
                std::string("the threads of the node cannot be made: ") + error.what(),
                "the system limits how many threads this user may have (RLIMIT_NPROC)");
  }
}

Core::~Core() {
  WARREN_CHECK(ended_);
  if (thread_.joinable()) thread_.join();
}

/// The core thread.
void Core::run_core() {
  machine_->runtime().run();
  calls_.reset();
  machine_.reset();
  lock_.reset();
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  events_->close();
}

Result<> Core::check_running() const {
  switch (phase_) {
    case Phase::kMade:
    case Phase::kStarting: return fail(ErrorCode::kClosed, "the node has not been started");
    case Phase::kRunning: return {};
    case Phase::kStopping: break;
  }
  return fail(ErrorCode::kClosed, "the node has been stopped");
}

Error Core::closed_if_stopping(Error error) {
  if (error.code() != ErrorCode::kCancelled) return error;
  const std::lock_guard lock(mutex_);
  const auto running = check_running();
  return running ? std::move(error) : running.error();
}

Result<TimePoint> Core::now() {
  const std::lock_guard lock(mutex_);
  WARREN_TRY_VOID(check_running());
  return machine_->runtime().now();
}

// --------------------------------------------------------------------------------------- start

Result<> Core::start(Duration timeout) {
  const auto call = std::make_shared<Call<void>>();
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::kMade) {
      return fail(ErrorCode::kClosed, "a node can be started once only",
                  "build another one for the same storage");
    }
    phase_ = Phase::kStarting;
    boost::asio::post(machine_->runtime().executor(),
                      [this, promise = Promise<void>(call)]() mutable {
                        static_cast<void>(calls_->spawn(start_node(std::move(promise))));
                      });
  }
  const auto result = call->wait(timeout);
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStarting) return fail(ErrorCode::kClosed, "the node has been stopped");
  if (result && *result) {
    phase_ = Phase::kRunning;
    return {};
  }
  begin_stop();
  return result ? *result : fail(ErrorCode::kTimedOut, "the node did not start in time");
}

awaitable<void> Core::start_node(Promise<void> promise) {
  machine_->node().events().add([this](const node::NodeEvent& event) {
    auto told = to_public(event, machine_->node());
    if (told) events_->push(*std::move(told));
  });
  auto started = co_await machine_->node().start();
  if (started) watch_transfers();
  promise.finish(std::move(started));
}

void Core::watch_transfers() {
  machine_->node().transfers().on_state_changed([this](transfer::TransferId id) {
    const auto progress = machine_->node().transfers().progress(id);
    if (progress) events_->push(change_of(*progress));
  });
}

// ---------------------------------------------------------------------------------------- stop

awaitable<void> Core::stop_node() {
  co_await calls_->join();
  co_await machine_->node().stop();
}

/// Under the lock.
void Core::begin_stop() {
  phase_ = Phase::kStopping;
  boost::asio::post(machine_->runtime().executor(), [this] {
    runtime::start_task(machine_->runtime().executor(), stop_node(),
                        [this] { machine_->runtime().stop(); });
  });
}

Result<> Core::stop(Duration timeout) {
  if (events_->is_this_thread()) {
    return fail(ErrorCode::kConflict, "stop() was called from a callback of the node itself",
                "tell another thread to stop the node");
  }
  {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::kStopping) begin_stop();
  }
  // The events end after the core thread has closed them, which is the last that it does.
  const bool told = events_->wait_ended(timeout);
  const std::lock_guard lock(mutex_);
  if (!told) {
    return fail(ErrorCode::kTimedOut,
                ended_ ? "a callback did not return in time" : "the node did not stop in time");
  }
  if (thread_.joinable()) thread_.join();
  return {};
}

bool Core::ended() {
  const std::lock_guard lock(mutex_);
  return ended_;
}

}  // namespace warren::embed

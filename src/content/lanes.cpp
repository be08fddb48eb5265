#include "content/lanes.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace warren::content {
namespace {

namespace asio = boost::asio;

// Lives in the frame of run_lanes() until the last lane has left.
struct Lanes {
  runtime::WorkerPool& pool;
  std::atomic<bool>& stop;
  std::function<bool()>& unit;
  std::size_t running = 0;
  std::atomic<bool> ended{false};
  asio::cancellation_slot slot;
  std::move_only_function<void()> finished;

  void submit() {
    pool.submit(
        [this] {
          if (stop || ended) return;
          if (!unit()) ended = true;
        },
        [this] { next(); });
  }
  void next() {
    if (!stop && !ended) return submit();
    if (--running > 0) return;
    if (slot.is_connected()) slot.clear();
    // The call ends the frame that holds this object.
    auto last = std::move(finished);
    last();
  }
};

}  // namespace

asio::awaitable<void> run_lanes(runtime::WorkerPool& pool, std::size_t lanes,
                                std::atomic<bool>& stop, std::function<bool()> unit) {
  Lanes state{pool, stop, unit, lanes == 0 ? 1 : lanes, false, {}, {}};
  auto initiate = [&state](auto handler) {
    state.slot = asio::get_associated_cancellation_slot(handler);
    if (state.slot.is_connected()) {
      state.slot.assign([&state](asio::cancellation_type) { state.stop = true; });
    }
    state.finished = std::move(handler);
    const std::size_t count = state.running;
    for (std::size_t i = 0; i < count; ++i) state.submit();
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate,
                                                                       asio::use_awaitable);
}

}  // namespace warren::content

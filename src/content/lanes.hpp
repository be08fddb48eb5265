#pragma once
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <functional>

#include "runtime/worker_pool.hpp"

namespace warren::content {

/// Calls `unit` on the pool, on up to `lanes` threads at a time, again and again until it returns
/// false or `stop` is set. Between two units of a lane other work of the pool has its turn, so a
/// unit should take a few milliseconds. `unit` must be safe to call from several threads.
/// Cancel: sets `stop`; returns when the units in hand have ended, so that they may refer to the
/// caller's frame. `pool` and `stop` must outlive the call. Thread: the core.
boost::asio::awaitable<void> run_lanes(runtime::WorkerPool& pool, std::size_t lanes,
                                       std::atomic<bool>& stop, std::function<bool()> unit);

}  // namespace warren::content

#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "runtime/worker_pool.hpp"

namespace warren::runtime {

/// A pool of `threads` (0: one per processor, at least 4) whose results are posted to `core`.
/// Its destructor finishes the work in hand, drops the rest and joins the threads.
std::unique_ptr<WorkerPool> make_thread_pool(asio::any_io_executor core, std::size_t threads);

}  // namespace warren::runtime

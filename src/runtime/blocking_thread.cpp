#include "runtime/blocking_thread.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <system_error>
#include <utility>

#include "base/check.hpp"

namespace warren::runtime {

BlockingThread::~BlockingThread() { WARREN_CHECK(!thread_.joinable()); }

awaitable<Result<bool>> BlockingThread::next() {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] {
        {
          std::unique_lock lock(mutex_);
          wake_.wait(lock, [this] { return static_cast<bool>(core_); });
        }
        work_();
        give_turn(true);
      });
    } catch (const std::system_error& error) {
      co_return fail(ErrorCode::kLimited, error.what());
    }
  }
  auto initiate = [this](auto handler) {
    {
      const std::lock_guard lock(mutex_);
      core_ = [handler = std::move(handler)]() mutable { std::move(handler)(); };
    }
    wake_.notify_one();
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate,
                                                                       asio::use_awaitable);
  if (!ended_) co_return true;
  thread_.join();
  co_return false;
}

void BlockingThread::give_turn(bool ended) {
  std::unique_lock lock(mutex_);
  ended_ = ended;
  asio::post(executor_, std::exchange(core_, nullptr));
  if (!ended) wake_.wait(lock, [this] { return static_cast<bool>(core_); });
}

}  // namespace warren::runtime

#include "runtime/thread_pool.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace warren::runtime {
namespace {

class ThreadPool final : public WorkerPool {
 public:
  ThreadPool(asio::any_io_executor core, std::size_t threads) : core_(std::move(core)) {
    // More than processors: some of the work waits for disks.
    if (threads == 0) threads = std::max(4u, std::thread::hardware_concurrency());
    for (std::size_t i = 0; i < std::min<std::size_t>(threads, 64); ++i) {
      threads_.emplace_back([this] { work(); });
    }
  }

  ~ThreadPool() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void submit(std::move_only_function<void()> work, std::move_only_function<void()> done) override {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back({std::move(work), std::move(done)});
    }
    wake_.notify_one();
  }

  std::size_t threads() const override { return threads_.size(); }

 private:
  struct Job {
    std::move_only_function<void()> work;
    std::move_only_function<void()> done;
  };

  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job.work();
      asio::post(core_, std::move(job.done));
    }
  }

  asio::any_io_executor core_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<WorkerPool> make_thread_pool(asio::any_io_executor core, std::size_t threads) {
  return std::make_unique<ThreadPool>(std::move(core), threads);
}

}  // namespace warren::runtime

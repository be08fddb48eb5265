#include "transfer/buffer_pool.hpp"

#include <malloc.h>

#include <cstdlib>
#include <new>

#include "base/check.hpp"

namespace warren::transfer {
namespace {

constexpr std::size_t kPageBytes = 4096;

}  // namespace

struct Buffer::Shared {
  Shared(runtime::Runtime& runtime, std::size_t bytes, std::size_t most)
      : buffer_bytes(bytes), buffers_max(most), waiters(runtime) {}

  std::size_t buffer_bytes;
  std::size_t buffers_max;
  std::size_t in_use = 0;
  std::vector<Memory> unused;
  runtime::WaitList waiters;
};

void Buffer::FreeMemory::operator()(std::uint8_t* memory) const noexcept { std::free(memory); }

Buffer::Buffer(std::shared_ptr<Shared> shared, Memory memory)
    : shared_(std::move(shared)), memory_(std::move(memory)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    shared_ = std::move(other.shared_);
    memory_ = std::move(other.memory_);
  }
  return *this;
}

MutableBytes Buffer::bytes() const noexcept { return {memory_.get(), shared_->buffer_bytes}; }

void Buffer::release() noexcept {
  if (!memory_) return;
  --shared_->in_use;
  shared_->unused.push_back(std::move(memory_));
  shared_->waiters.notify_one();
  shared_.reset();
}

BufferPool::BufferPool(runtime::Runtime& runtime, std::size_t buffer_bytes, std::size_t buffers_max)
    : shared_(std::make_shared<Buffer::Shared>(runtime, buffer_bytes, buffers_max)) {
  WARREN_CHECK(buffer_bytes > 0 && buffers_max > 0);
  shared_->unused.reserve(buffers_max);  // So that release() never allocates.
}

awaitable<Result<Buffer>> BufferPool::acquire(TimePoint deadline) {
  const std::shared_ptr<Buffer::Shared> shared = shared_;
  // A newcomer does not overtake those who wait.
  bool waited = false;
  while (shared->in_use >= shared->buffers_max || (!waited && shared->waiters.size() > 0)) {
    const runtime::Wake wake = co_await shared->waiters.wait_until(deadline);
    waited = true;
    if (wake == runtime::Wake::kNotified) continue;
    // A notification that came together with the end of the wait belongs to the next one.
    if (shared->in_use < shared->buffers_max) shared->waiters.notify_one();
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    co_return fail(ErrorCode::kTimedOut, "no buffer came free in time");
  }
  ++shared->in_use;
  Buffer::Memory memory;
  if (!shared->unused.empty()) {
    memory = std::move(shared->unused.back());
    shared->unused.pop_back();
  } else {
    const std::size_t bytes = (shared->buffer_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    memory.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kPageBytes, bytes)));
    if (!memory) throw std::bad_alloc();
  }
  // Others may go on too when several came free at once.
  if (shared->in_use < shared->buffers_max) shared->waiters.notify_one();
  co_return Buffer(shared, std::move(memory));
}

std::size_t BufferPool::buffer_bytes() const noexcept { return shared_->buffer_bytes; }
std::size_t BufferPool::in_use() const noexcept { return shared_->in_use; }
void BufferPool::trim() {
  if (shared_->unused.empty()) return;
  shared_->unused.clear();
  ::malloc_trim(0);  // glibc keeps freed memory between blocks that live.
}

}  // namespace warren::transfer

#include "runtime/inotify_queue.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/file.hpp"

namespace warren::runtime {
namespace {

using Descriptor = asio::posix::stream_descriptor;

}  // namespace

InotifyQueue::InotifyQueue(asio::io_context& context, Runtime& runtime, std::string path)
    : descriptor_(context), ready_(runtime.make_signal()), path_(std::move(path)) {}

Result<std::shared_ptr<InotifyQueue>> InotifyQueue::open(asio::io_context& context,
                                                         Runtime& runtime, std::string path) {
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return fail(system_error("watch " + path + " for changes", errno));
  std::shared_ptr<InotifyQueue> queue(new InotifyQueue(context, runtime, std::move(path)));
  boost::system::error_code error;
  queue->descriptor_.assign(fd.get(), error);
  if (error) {
    return fail(system_error("watch " + queue->path_ + " for changes", error.value()));
  }
  static_cast<void>(fd.release());
  return queue;
}

awaitable<Wake> InotifyQueue::wait() {
  const std::shared_ptr<InotifyQueue> self = shared_from_this();
  if (!std::exchange(armed_, true)) {
    descriptor_.async_wait(Descriptor::wait_read, [self](const boost::system::error_code&) {
      self->armed_ = false;
      self->ready_->notify();
    });
  }
  co_return co_await ready_->wait_until(kNever);
}

Result<bool> InotifyQueue::read(
    int reads_max, const std::function<void(const inotify_event&, std::string_view)>& take) {
  bool any = false;
  alignas(inotify_event) std::array<char, 64 * 1024> buffer;
  for (int i = 0; i < reads_max; ++i) {
    const ssize_t got = ::read(fd(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) return fail(system_error("read changes of " + path_, got == 0 ? EPIPE : errno));
    any = true;
    for (ssize_t at = 0; at < got;) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = buffer.data() + at + sizeof event;
      take(event, event.len > 0 ? std::string_view(name) : std::string_view());
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
  }
  return any;
}

void InotifyQueue::close() {
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

}  // namespace warren::runtime

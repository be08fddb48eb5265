#pragma once
// One inotify instance and the wait for what it tells: the common part of the watches. Linux.

#include <sys/inotify.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/runtime.hpp"

namespace warren::runtime {

/// Shared with a wait of the kernel that outlives the watch by a moment. Core thread only, but
/// read(), which the owner calls on one thread at a time.
class InotifyQueue : public std::enable_shared_from_this<InotifyQueue> {
 public:
  /// `path` is for messages. Errors: of the system: no instances left.
  static Result<std::shared_ptr<InotifyQueue>> open(asio::io_context& context, Runtime& runtime,
                                                    std::string path);

  int fd() { return descriptor_.native_handle(); }
  /// Until read() may find something. Cancel: safe.
  awaitable<Wake> wait();
  /// Takes what waits, at most `reads_max` full buffers, event by event with the name in it (empty:
  /// none). Does not block. Whether there was any. Errors: of the system.
  Result<bool> read(int reads_max,
                    const std::function<void(const inotify_event&, std::string_view name)>& take);
  /// A wait ends; nothing more comes.
  void close();

 private:
  InotifyQueue(asio::io_context& context, Runtime& runtime, std::string path);

  asio::posix::stream_descriptor descriptor_;
  std::unique_ptr<Signal> ready_;
  std::string path_;
  bool armed_ = false;
};

}  // namespace warren::runtime

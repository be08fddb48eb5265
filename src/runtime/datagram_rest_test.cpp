// A reader that rests leaves what comes to the kernel: its thread is not woken for it.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "runtime/run_task.hpp"

namespace warren::runtime {
namespace {

/// Sends to a port of this computer once a millisecond, from a thread of its own, until it goes.
class Chatter {
 public:
  explicit Chatter(std::uint16_t port) : thread_([this, port] { send_to(port); }) {}
  ~Chatter() {
    stop_ = true;
    thread_.join();
  }

 private:
  void send_to(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (!stop_) {
      (void)::sendto(fd, "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
      std::this_thread::sleep_for(1ms);
    }
    ::close(fd);
  }
  std::atomic<bool> stop_ = false;
  std::thread thread_;  // Last.
};

long times_woken() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

struct Rest {
  long woken = 0;
  std::size_t waiting = 0;  ///< Packets that were there afterwards.
};

awaitable<Rest> rest(RealRuntime& runtime) {
  DatagramOptions options;
  options.reuse_port = true;
  const auto socket = runtime.bind_datagram({IpAddress::v4(127, 0, 0, 1), 0, 0}, options).value();
  const Chatter chatter(socket->local().port);
  const auto first = co_await socket->receive();
  EXPECT_TRUE(first);
  const long before = times_woken();
  co_await runtime.sleep_for(200ms);
  Rest rest{times_woken() - before};
  const auto got = co_await socket->receive();
  if (got) rest.waiting = got->size();
  const auto last = co_await socket->receive();
  EXPECT_TRUE(last) << "it goes on as before";
  co_return rest;
}

TEST(RealDatagram, WhatComesToASharedPortWhileNobodyWaitsWakesNobody) {
  RealRuntime runtime;
  const Rest got = run_task(runtime, rest(runtime));
  EXPECT_GT(got.waiting, 1u);
  EXPECT_LE(got.woken, 20) << "some 200 packets came";
}

}  // namespace
}  // namespace warren::runtime

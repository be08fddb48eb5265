#pragma once
// The Runtime with the machine behind it: epoll, CLOCK_MONOTONIC, the kernel's sockets, threads.

#include <boost/asio/io_context.hpp>
#include <memory>

#include "runtime/real_resolver.hpp"
#include "runtime/runtime.hpp"

namespace warren::runtime {

struct RealRuntimeOptions {
  /// Threads for hashing and disk, 1 to 64. 0: one per processor, at least 4.
  std::size_t pool_threads = 0;
  RealResolverOptions resolver{};
};

/// Make it in main(), spawn the root task on executor(), then run().
class RealRuntime final : public Runtime {
 public:
  explicit RealRuntime(RealRuntimeOptions options = {});
  ~RealRuntime() override;

  /// Runs the core thread until stop(), or until no work is left.
  void run();
  /// Ends run(). Safe from any thread.
  void stop();
  asio::io_context& context() { return context_; }

  asio::any_io_executor executor() override { return context_.get_executor(); }
  TimePoint now() const override;
  WallTime wall_now() const override;
  awaitable<Result<>> sleep_until(TimePoint when) override;
  std::unique_ptr<Signal> make_signal() override;
  std::mt19937_64& rng() override { return rng_; }
  void random_bytes(MutableBytes out) override;
  Result<std::unique_ptr<DatagramSocket>> bind_datagram(Endpoint local,
                                                        const DatagramOptions& options) override;
  awaitable<Result<std::unique_ptr<ByteStream>>> connect_stream(Endpoint to,
                                                                TimePoint deadline) override;
  Result<std::unique_ptr<StreamListener>> listen_stream(Endpoint local) override;
  Result<std::vector<NetworkInterface>> network_interfaces() override;
  Result<std::unique_ptr<InterfaceWatch>> watch_interfaces() override;
  Resolver& resolver() override { return *resolver_; }
  WorkerPool& pool() override { return *pool_; }

 private:
  asio::io_context context_;
  std::mt19937_64 rng_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<WorkerPool> pool_;  // Last: its threads post to context_.
};

}  // namespace warren::runtime

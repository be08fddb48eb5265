#pragma once
// The Resolver with the machine's name servers behind it, by c-ares. docs/decisions/0015.

#include <boost/asio/io_context.hpp>
#include <memory>
#include <vector>

#include "base/limits.hpp"
#include "runtime/runtime.hpp"

namespace warren::runtime {

struct RealResolverOptions {
  /// Asked instead of those of /etc/resolv.conf, in this order, by UDP and TCP on the same port.
  std::vector<Endpoint> servers{};
  limits::Resolver limits{};
  /// Until a server that is silent is given up for the next; each is asked twice, the second time
  /// for twice as long. Source: c-ares's default is 5 s and 4 tries, longer than a dial lasts.
  std::chrono::milliseconds answer_time_max{2'000};
};

/// `context` and `runtime`, which gives signals, must outlive it.
std::unique_ptr<Resolver> make_real_resolver(asio::io_context& context, Runtime& runtime,
                                             RealResolverOptions options);

}  // namespace warren::runtime

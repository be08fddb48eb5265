// One stream over TCP between two processes, memory to memory:
//   bench_tcp_stream server noise|tls            prints the address it listens on, serves for ever
//   bench_tcp_stream client noise|tls ADDRESS BYTES   sends, prints one JSON object
#include <sys/resource.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "crypto/keys.hpp"
#include "runtime/real_runtime.hpp"
#include "security/noise/noise_security.hpp"
#include "security/tls/tls_security.hpp"
#include "transport/tcp/tcp_transport.hpp"

namespace {

using namespace warren;
using runtime::awaitable;

constexpr std::size_t kPieceBytes = 1 << 20;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

crypto::PrivateKey new_identity(runtime::Runtime& runtime) {
  Bytes seed(32);
  runtime.random_bytes(seed);
  return crypto::PrivateKey::from_seed(seed);
}

void die(const Error& error) {
  std::cerr << error.message() << '\n';
  std::exit(1);
}

std::shared_ptr<security::SecurityProtocol> make_security(runtime::Runtime& runtime,
                                                          const crypto::PrivateKey& identity,
                                                          const std::string& which) {
  const std::vector<std::string> muxers = {"/yamux/1.0.0"};
  if (which == "noise") {
    const auto random = [&runtime](MutableBytes out) { runtime.random_bytes(out); };
    return security::noise::make_noise_security(
        std::make_shared<const security::noise::Credentials>(identity, muxers, random), random);
  }
  auto made =
      security::make_tls_security(identity, muxers, [&runtime] { return runtime.wall_now(); });
  if (!made) die(made.error());
  return std::move(*made);
}

awaitable<void> serve_connection(std::shared_ptr<transport::Connection> connection) {
  Bytes buffer(kPieceBytes);
  for (;;) {
    auto stream = co_await connection->accept_stream();
    if (!stream) co_return;
    const double cpu = cpu_seconds();
    std::uint64_t total = 0;
    for (;;) {
      const auto got = co_await (*stream)->read_full(buffer, kNever);
      if (!got || *got == 0) break;
      total += *got;
    }
    const nlohmann::json report = {{"bytes", total}, {"cpu_seconds", cpu_seconds() - cpu}};
    const auto sent = co_await (*stream)->write(as_bytes(report.dump()), kNever);
    if (sent) (*stream)->close_write();
    const auto flushed = co_await (*stream)->flush(kNever);
    (void)flushed;
  }
}

awaitable<void> serve(runtime::RealRuntime& runtime, transport::Transport& transport) {
  auto listener = transport.listen(*Multiaddr::parse("/ip4/127.0.0.1/tcp/0"));
  if (!listener) die(listener.error());
  std::cout << (*listener)->address().to_string() << std::endl;
  for (;;) {
    auto connection = co_await (*listener)->accept();
    if (!connection) co_return;
    boost::asio::co_spawn(runtime.executor(), serve_connection(*connection), boost::asio::detached);
  }
}

awaitable<void> send(runtime::RealRuntime& runtime, transport::Transport& transport,
                     std::string address, std::uint64_t bytes) {
  const TimePoint dialled = runtime.now();
  auto connection = co_await transport.dial(*Multiaddr::parse(address), std::nullopt, dialled + 5s);
  if (!connection) die(connection.error());
  const TimePoint start = runtime.now();
  const double cpu = cpu_seconds();
  auto stream = co_await (*connection)->open_stream(kNever);
  if (!stream) die(stream.error());
  Bytes pattern(kPieceBytes);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    pattern[i] = static_cast<std::uint8_t>(i * 0x9e3779b97f4a7c15u >> 56);
  }
  const SharedBytes piece(std::move(pattern));
  for (std::uint64_t sent = 0; sent < bytes;) {
    const auto count = std::min<std::uint64_t>(kPieceBytes, bytes - sent);
    const auto taken = co_await (*stream)->write(piece.slice(0, count), kNever);
    if (!taken) die(taken.error());
    sent += count;
  }
  (*stream)->close_write();
  Bytes reply(4096);
  const auto got = co_await (*stream)->read_full(reply, runtime.now() + 60s);
  if (!got) die(got.error());
  const double seconds = std::chrono::duration<double>(runtime.now() - start).count();
  const auto remote = nlohmann::json::parse(as_text(BytesView(reply).first(*got)));
  const double gigabytes = static_cast<double>(bytes) / 1e9;
  const nlohmann::json report = {
      {"bytes", bytes},
      {"seconds", seconds},
      {"gbit_per_second", gigabytes * 8 / seconds},
      {"handshake_ms", std::chrono::duration<double>(start - dialled).count() * 1e3},
      {"sender_cpu_per_gb", (cpu_seconds() - cpu) / gigabytes},
      {"receiver_cpu_per_gb", remote["cpu_seconds"].get<double>() / gigabytes}};
  std::cout << report.dump() << std::endl;
  co_await transport.close();
  runtime.stop();
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count > 1 ? arguments[1] : "";
  const std::string which = count > 2 ? arguments[2] : "";
  if ((mode != "server" && (mode != "client" || count < 5)) ||
      (which != "noise" && which != "tls")) {
    std::cerr << "usage: bench_tcp_stream server noise|tls | client noise|tls ADDRESS BYTES\n";
    return 2;
  }
  runtime::RealRuntime runtime;
  const crypto::PrivateKey identity = new_identity(runtime);
  transport::tcp::TcpTransport transport(runtime, identity.public_key(),
                                         {make_security(runtime, identity, which)});
  boost::asio::co_spawn(runtime.executor(),
                        mode == "server" ? serve(runtime, transport)
                                         : send(runtime, transport, arguments[3],
                                                std::strtoull(arguments[4], nullptr, 10)),
                        boost::asio::detached);
  runtime.run();
  return 0;
}

#pragma once
// The stage on which the contract of transports is played, and helpers of its tests. Included by
// contract_tests.hpp.

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/task_group.hpp"
#include "transport/transport.hpp"

namespace warren::transport::contract {

/// Two nodes with a transport each, that can reach each other.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual runtime::Runtime& runtime() = 0;  ///< Of both, or of the dialler.
  virtual Transport& dialler() = 0;
  virtual Transport& listener() = 0;
  virtual crypto::PublicKey dialler_key() = 0;
  virtual crypto::PublicKey listener_key() = 0;
  virtual Multiaddr listen_address() = 0;   ///< To listen on; with port or id 0.
  virtual Multiaddr nobody() = 0;           ///< Can be dialled; nobody answers.
  virtual Multiaddr foreign_address() = 0;  ///< Of another transport.
  /// Runs a root task to its end.
  virtual void run(awaitable<void> task) = 0;
};

using StageFactory = std::unique_ptr<Stage> (*)();

class TransportContract : public ::testing::TestWithParam<StageFactory> {
 protected:
  std::unique_ptr<Stage> stage_ = GetParam()();
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TransportContract);

/// Plays one coroutine on the stage.
#define WARREN_CONTRACT_TEST(name, scene) \
  TEST_P(TransportContract, name) { stage_->run(scene(*stage_)); }

inline constexpr Duration kLong = 20s;    // Longer than anything that works may take.
inline constexpr Duration kShort = 50ms;  // For what must not happen.

inline TimePoint soon(Stage& stage) { return stage.runtime().now() + kLong; }

struct Connected {
  std::unique_ptr<Listener> listener;
  std::shared_ptr<Connection> a;  ///< The dialler's side.
  std::shared_ptr<Connection> b;
};

inline awaitable<Connected> connect(Stage& stage) {
  Connected made;
  made.listener = stage.listener().listen(stage.listen_address()).value();
  const PeerId expected = PeerId::from_public_key(stage.listener_key().protobuf());
  auto dialled = co_await stage.dialler().dial(made.listener->address(), expected, soon(stage));
  made.a = std::move(dialled.value());
  auto accepted = co_await made.listener->accept();
  made.b = std::move(accepted.value());
  co_return made;
}

/// A stream that A opened and B has seen. Its first byte is written and read.
struct StreamPair {
  std::unique_ptr<Stream> a;
  std::unique_ptr<Stream> b;
};

inline awaitable<StreamPair> open(Stage& stage, Connection& a, Connection& b) {
  StreamPair pair;
  auto opened = co_await a.open_stream(soon(stage));
  pair.a = std::move(opened.value());
  // Some transports tell the peer of a stream only with its first byte.
  const auto written = co_await pair.a->write(as_bytes("!"), soon(stage));
  written.value();
  auto accepted = co_await b.accept_stream();
  pair.b = std::move(accepted.value());
  Bytes first(1);
  const auto got = co_await pair.b->read_full(first, soon(stage));
  EXPECT_EQ(got.value(), 1u);
  co_return pair;
}

inline Bytes pattern(std::size_t size, std::uint8_t first) {
  Bytes bytes(size);
  std::uint32_t state = first + 1u;
  for (std::uint8_t& byte : bytes) {
    state = state * 1'664'525u + 1'013'904'223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

inline awaitable<Result<Bytes>> read_to_end(Stage& stage, Stream& stream) {
  Bytes all;
  Bytes buffer(64u << 10);
  for (;;) {
    WARREN_CO_TRY(const std::size_t n, co_await stream.read_some(buffer, soon(stage)));
    if (n == 0) co_return all;
    append(all, BytesView(buffer).first(n));
  }
}

inline awaitable<void> read_to_end_into(Stage& stage, Stream& stream, Result<Bytes>* out) {
  *out = co_await read_to_end(stage, stream);
}

}  // namespace warren::transport::contract

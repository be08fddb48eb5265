#include "protocols/half_close.hpp"

#include <gtest/gtest.h>

#include "sim/world.hpp"

namespace warren::protocols {
namespace {

using runtime::awaitable;

/// Notes the order of flush and close_write.
class NotingStream final : public transport::Stream {
 public:
  explicit NotingStream(std::string& order, Result<> flushed) : order_(order), flushed_(flushed) {}
  awaitable<Result<std::size_t>> read_some(MutableBytes, TimePoint) override { co_return 0u; }
  awaitable<Result<std::size_t>> read_full(MutableBytes, TimePoint) override { co_return 0u; }
  awaitable<Result<>> write(BytesView, TimePoint) override { co_return Result<>{}; }
  awaitable<Result<>> write(SharedBytes, TimePoint) override { co_return Result<>{}; }
  awaitable<Result<>> flush(TimePoint) override {
    order_ += "flush ";
    co_return flushed_;
  }
  void close_write() override { order_ += "close"; }
  void reset(transport::CloseCode) override {}
  std::uint64_t id() const override { return 1; }

 private:
  std::string& order_;
  Result<> flushed_;
};

std::string order_on(std::string_view transport, Result<> flushed = {}) {
  sim::World world(sim::seed_from_env(1));
  std::string order;
  NotingStream stream(order, flushed);
  transport::ConnectionInfo info;
  info.transport = transport;
  const auto closed = sim::run(world, close_write_behind(stream, info, kNever));
  EXPECT_EQ(closed.has_value(), flushed.has_value());
  return order;
}

TEST(HalfClose, OverYamuxTheEndFollowsOnceTheRestHasArrived) {
  EXPECT_EQ(order_on("tcp"), "flush close");
  EXPECT_EQ(order_on("ws"), "flush close");
  EXPECT_EQ(order_on("tcp", fail(ErrorCode::kReset, "gone")), "flush ") << "nobody is there";
}

TEST(HalfClose, QuicTellsTheEndApartByItself) {
  EXPECT_EQ(order_on("quic-v1"), "close");
  EXPECT_EQ(order_on("memory"), "close");
}

}  // namespace
}  // namespace warren::protocols

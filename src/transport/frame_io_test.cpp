#include "transport/frame_io.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/varint.hpp"

namespace warren::transport {
namespace {

// Gives `input` in pieces of at most `piece` bytes and keeps what is written. Never waits.
class ScriptedStream final : public Stream {
 public:
  ScriptedStream(Bytes input, std::size_t piece) : input_(std::move(input)), piece_(piece) {}
  awaitable<Result<std::size_t>> read_some(MutableBytes out, TimePoint) override {
    const std::size_t count = std::min({out.size(), piece_, input_.size() - read_});
    std::copy_n(input_.begin() + static_cast<std::ptrdiff_t>(read_), count, out.begin());
    read_ += count;
    co_return count;
  }
  awaitable<Result<std::size_t>> read_full(MutableBytes out, TimePoint) override {
    const std::size_t count = std::min(out.size(), input_.size() - read_);
    std::copy_n(input_.begin() + static_cast<std::ptrdiff_t>(read_), count, out.begin());
    read_ += count;
    co_return count;
  }
  awaitable<Result<>> write(BytesView bytes, TimePoint) override {
    append(written, bytes);
    co_return Result<>();
  }
  awaitable<Result<>> write(SharedBytes bytes, TimePoint) override {
    append(written, bytes.view());
    co_return Result<>();
  }
  awaitable<Result<>> flush(TimePoint) override { co_return Result<>(); }
  void close_write() override {}
  void reset(CloseCode) override {}
  std::uint64_t id() const override { return 0; }
  std::size_t left() const { return input_.size() - read_; }

  Bytes written;

 private:
  Bytes input_;
  std::size_t piece_;
  std::size_t read_ = 0;
};

template <class T>
T run(awaitable<T> task) {
  boost::asio::io_context loop;
  std::optional<T> result;
  boost::asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error, T value) {
    if (error) std::rethrow_exception(error);
    result.emplace(std::move(value));
  });
  loop.run();
  return std::move(*result);
}

Bytes frame(std::string_view text) {
  Bytes out;
  append_uvarint(out, text.size());
  append(out, as_bytes(text));
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) append(out, part);
  return out;
}

TEST(FrameReader, GivesFramesAndRawBytesInTurnForEveryPieceSize) {
  const std::string long_text(5'000, 'x');
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 4'096u, 100'000u}) {
    ScriptedStream stream(joined({frame("hello"), to_bytes("RAW BYTES"), frame(""),
                                  frame(long_text), to_bytes("tail")}),
                          piece);
    FrameReader reader(stream);
    EXPECT_EQ(run(reader.read_frame(100, kNever)).value(), to_bytes("hello"));
    Bytes raw(9);
    EXPECT_TRUE(run(reader.read_exactly(raw, kNever)));
    EXPECT_EQ(raw, to_bytes("RAW BYTES"));
    EXPECT_EQ(run(reader.read_frame(100, kNever)).value(), Bytes());
    EXPECT_EQ(run(reader.read_frame(5'000, kNever)).value(), to_bytes(long_text));
    Bytes tail(10);
    EXPECT_EQ(run(reader.read_full(tail, kNever)).value(), 4u);
    EXPECT_EQ(run(reader.read_frame_or_end(100, kNever)).value(), std::nullopt);
    EXPECT_EQ(run(reader.read_frame(100, kNever)).error().code(), ErrorCode::kClosed);
  }
}

TEST(FrameReader, RefusesALongFrameBeforeItsBytesCome) {
  Bytes input;
  append_uvarint(input, 1u << 30);
  ScriptedStream stream(input, 100);
  FrameReader reader(stream);
  const auto got = run(reader.read_frame(1'000, kNever));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code(), ErrorCode::kTooLarge);
  EXPECT_NE(got.error().message().find("1073741824"), std::string::npos);
}

TEST(FrameReader, CallsACutOffFrameMalformed) {
  for (const Bytes& input : {Bytes{0x80}, Bytes{5, 'a'}, Bytes{0x81, 0x00},
                             Bytes{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}}) {
    ScriptedStream stream(input, 100);
    FrameReader reader(stream);
    EXPECT_EQ(run(reader.read_frame(1'000, kNever)).error().code(), ErrorCode::kMalformed);
    ScriptedStream again(input, 100);
    EXPECT_EQ(run(read_frame(again, 1'000, kNever)).error().code(), ErrorCode::kMalformed);
  }
}

TEST(ReadFrame, LeavesTheBytesBehindTheFrame) {
  ScriptedStream stream(joined({frame(std::string(200, 'y')), to_bytes("rest")}), 1'000);
  EXPECT_EQ(run(read_frame(stream, 200, kNever)).value(), to_bytes(std::string(200, 'y')));
  EXPECT_EQ(stream.left(), 4u);
}

TEST(ReadFrame, TellsTheEndFromACutOffFrame) {
  ScriptedStream stream({}, 10);
  EXPECT_EQ(run(read_frame(stream, 200, kNever)).error().code(), ErrorCode::kClosed);
  ScriptedStream empty({0}, 10);
  EXPECT_EQ(run(read_frame(empty, 200, kNever)).value(), Bytes());
}

TEST(WriteFrame, PutsTheLengthBeforeTheMessage) {
  for (const std::size_t size : {0u, 1u, 127u, 128u, 4'095u, 4'096u, 70'000u}) {
    ScriptedStream stream({}, 10);
    const std::string text(size, 'z');
    EXPECT_TRUE(run(write_frame(stream, as_bytes(text), kNever)));
    EXPECT_EQ(stream.written, frame(text));
  }
}

}  // namespace
}  // namespace warren::transport

#pragma once
// One session with the test as its peer, which writes frames and reads those that come back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "muxer/yamux/session.hpp"

namespace warren::muxer::yamux {

class YamuxSession : public testing::Test, public SessionHandler {
 protected:
  void on_stream(StreamId id) override { log("stream", id); }
  void on_data(StreamId id, BytesView bytes) override {
    data_[id] += as_text(bytes);
    if (on_data_) on_data_(id);
  }
  void on_end(StreamId id) override { log("end", id); }
  void on_reset(StreamId id) override { log("reset", id); }
  void on_window(StreamId id) override { log("window", id); }
  void on_backlog() override {
    ++backlog_calls_;
    if (on_backlog_) on_backlog_();
  }
  void on_go_away(GoAwayCode code) override { log("go-away", static_cast<std::uint32_t>(code)); }
  void on_pong() override { log("pong", 0); }
  void log(std::string what, std::uint32_t id) {
    events_.push_back(what + " " + std::to_string(id));
  }

  /// Starts as the listener, or as the dialer; the first ping is taken away and answered.
  Session& start(SessionConfig config = {}) {
    session_.emplace(std::move(config), *this, now_);
    const auto frames = sent();
    EXPECT_EQ(frames.size(), 1u);
    EXPECT_TRUE(frame(Type::kPing, kAck, 0, frames.at(0).length));
    return *session_;
  }
  Session& start_dialer(SessionConfig config = {}) {
    config.dialer = true;
    return start(std::move(config));
  }

  Result<> frame(Type type, unsigned flags, StreamId id, std::uint32_t length,
                 std::string_view body = {}) {
    Bytes bytes = to_bytes(Header{
        .type = type, .flags = static_cast<std::uint16_t>(flags), .stream = id, .length = length}
                               .encode());
    append(bytes, as_bytes(body));
    return session_->read(bytes, now_);
  }
  Result<> data(StreamId id, std::string_view body, unsigned flags = 0) {
    return frame(Type::kData, flags, id, static_cast<std::uint32_t>(body.size()), body);
  }
  Result<> window(StreamId id, std::uint32_t delta, unsigned flags = 0) {
    return frame(Type::kWindowUpdate, flags, id, delta);
  }

  /// The control frames that wait, which are taken.
  std::vector<Header> sent() {
    const Bytes bytes = std::exchange(session_->output(), {});
    EXPECT_EQ(bytes.size() % kHeaderBytes, 0u);
    std::vector<Header> headers;
    for (std::size_t at = 0; at < bytes.size(); at += kHeaderBytes) {
      headers.push_back(
          *Header::decode(std::span<const std::uint8_t, kHeaderBytes>(&bytes[at], kHeaderBytes)));
    }
    return headers;
  }
  std::vector<std::string> sent_text() {
    std::vector<std::string> texts;
    for (const Header& header : sent()) texts.push_back(text(header));
    return texts;
  }
  static std::string text(const Header& header) {
    static constexpr const char* kTypes[] = {"data", "window", "ping", "go-away"};
    std::string out = kTypes[static_cast<std::size_t>(header.type)];
    if (header.has(kSyn)) out += " SYN";
    if (header.has(kAck)) out += " ACK";
    if (header.has(kFin)) out += " FIN";
    if (header.has(kRst)) out += " RST";
    return out + " " + std::to_string(header.stream) + " " + std::to_string(header.length);
  }
  std::string send(StreamId id, std::size_t count, bool fin = false) {
    return text(*Header::decode(session_->send_data(id, count, fin)));
  }
  std::vector<std::string> events() { return std::exchange(events_, {}); }

  void expect_violation(const Result<>& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::kMalformed) << result.error().message();
    const auto frames = sent();
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ(text(frames.back()), "go-away 0 1");
    EXPECT_FALSE(session_->read({}, now_)) << "the session goes on after an error";
  }

  TimePoint now_{1s};
  std::optional<Session> session_;
  std::vector<std::string> events_;
  std::map<StreamId, std::string> data_;
  std::function<void(StreamId)> on_data_;
  std::function<void()> on_backlog_;
  int backlog_calls_ = 0;
};

}  // namespace warren::muxer::yamux

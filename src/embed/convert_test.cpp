#include "embed/convert.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "crypto/keys.hpp"

namespace warren::embed {
namespace {

TEST(Convert, EveryCodeOfTheInsideKeepsItsNumberAndName) {
  const std::pair<ErrorCode, v1::ErrorCode> same[] = {
      {ErrorCode::kInternal, v1::ErrorCode::kInternal},
      {ErrorCode::kInvalidArgument, v1::ErrorCode::kInvalidArgument},
      {ErrorCode::kMalformed, v1::ErrorCode::kMalformed},
      {ErrorCode::kTooLarge, v1::ErrorCode::kTooLarge},
      {ErrorCode::kNotFound, v1::ErrorCode::kNotFound},
      {ErrorCode::kExists, v1::ErrorCode::kExists},
      {ErrorCode::kConflict, v1::ErrorCode::kConflict},
      {ErrorCode::kDenied, v1::ErrorCode::kDenied},
      {ErrorCode::kTimedOut, v1::ErrorCode::kTimedOut},
      {ErrorCode::kCancelled, v1::ErrorCode::kCancelled},
      {ErrorCode::kClosed, v1::ErrorCode::kClosed},
      {ErrorCode::kReset, v1::ErrorCode::kReset},
      {ErrorCode::kUnreachable, v1::ErrorCode::kUnreachable},
      {ErrorCode::kNoPeer, v1::ErrorCode::kNoPeer},
      {ErrorCode::kNoSpace, v1::ErrorCode::kNoSpace},
      {ErrorCode::kIntegrity, v1::ErrorCode::kIntegrity},
      {ErrorCode::kLimited, v1::ErrorCode::kLimited},
      {ErrorCode::kUnsupported, v1::ErrorCode::kUnsupported},
      {ErrorCode::kIo, v1::ErrorCode::kIo},
  };
  int number = 0;
  for (const auto& [inside, outside] : same) {
    EXPECT_EQ(static_cast<int>(outside), ++number) << error_name(inside) << " is stable";
    EXPECT_EQ(to_public(Error(inside, "what")).code, outside) << error_name(inside);
    EXPECT_EQ(v1::error_name(outside), error_name(inside));
  }
  EXPECT_EQ(number, static_cast<int>(v1::ErrorCode::kIo));
  EXPECT_EQ(to_public(Error(ErrorCode::kNoDaemon, "what")).code, v1::ErrorCode::kInternal);
  EXPECT_EQ(v1::error_name(static_cast<v1::ErrorCode>(99)), "internal");
}

TEST(Convert, HintsForTheCommandLineAreLeftOut) {
  const auto hint = [](std::string text) {
    return to_public(Error(ErrorCode::kNotFound, "what", std::move(text))).hint;
  };
  EXPECT_EQ(hint("'warren peers' lists the peers that are known"), "");
  EXPECT_EQ(hint("name an existing folder with --out"), "");
  EXPECT_EQ(hint("wait until one of them has ended"), "wait until one of them has ended");
}

TEST(Convert, MessagesCannotActOnATerminal) {
  const std::string message = to_public(Error(ErrorCode::kReset, "it said \x1b[2J")).message;
  EXPECT_EQ(message.find('\x1b'), std::string::npos) << message;
}

TEST(Convert, TimeoutsLieBetweenNothingAndAYear) {
  EXPECT_EQ(time_of(v1::Timeout(-5)), Duration::zero());
  EXPECT_EQ(time_of(v1::Timeout(1'500)), 1500ms);
  EXPECT_EQ(time_of(v1::Timeout::max()), std::chrono::hours(24 * 365));
  EXPECT_EQ(time_of(v1::Timeout::min()), Duration::zero());
}

TEST(Convert, APeerWithoutConnectionHasNoTimeOfOne) {
  const Bytes seed(32, 7);
  const Bytes key = crypto::PrivateKey::from_seed(seed).public_key().protobuf();
  node::PeerView view;
  view.peer = PeerId::from_public_key(key);
  view.agent = "evil\x1b[2J";
  view.banned_until = WallTime::max();
  const WallTime now{std::chrono::hours(24 * 365 * 50)};
  const v1::PeerInfo info = to_public(view, now);
  EXPECT_EQ(info.peer_id, view.peer.to_string());
  EXPECT_EQ(info.public_key, std::vector<std::uint8_t>(key.begin(), key.end()));
  EXPECT_FALSE(info.connected_since);
  EXPECT_FALSE(info.last_seen);
  EXPECT_EQ(info.address, "");
  EXPECT_EQ(info.banned_until, v1::Time::max());
  EXPECT_EQ(info.agent.find('\x1b'), std::string::npos);
  view.connected = true;
  view.connected_for = 10s;
  EXPECT_EQ(to_public(view, now).connected_since, to_public(now - 10s));
}

}  // namespace
}  // namespace warren::embed

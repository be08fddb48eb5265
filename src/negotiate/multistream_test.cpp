#include "negotiate/multistream.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace warren::negotiate {
namespace {

using testing::HasSubstr;

constexpr std::string_view kHeaderWire = "\x13/multistream/1.0.0\n";
constexpr std::string_view kRefusalWire = "\x03na\n";

std::string wire(std::string_view text) {
  Bytes out;
  append_message(out, text);
  return std::string(as_text(out));
}

std::string output(auto& machine) { return std::string(as_text(machine.take_output())); }

Responder responder_for(std::vector<std::string> spoken) {
  return Responder([spoken = std::move(spoken)](std::string_view id) {
    return std::ranges::find(spoken, id) != spoken.end();
  });
}

TEST(Message, HasTheBytesOfTheSpecification) {
  EXPECT_EQ(wire(kHeader), kHeaderWire);
  EXPECT_EQ(wire("na"), kRefusalWire);
  EXPECT_EQ(to_hex(as_bytes(wire("na"))), "036e610a");
}

TEST(Initiator, SendsHeaderAndFirstProposalTogether) {
  Initiator initiator({"/noise"});
  EXPECT_EQ(to_hex(as_bytes(output(initiator))),
            "132f6d756c746973747265616d2f312e302e300a072f6e6f6973650a");
  EXPECT_EQ(output(initiator), "");
}

TEST(Initiator, IsDoneAfterTheEchoAndLeavesWhatFollows) {
  Initiator initiator({"/a"});
  const std::string in = std::string(kHeaderWire) + wire("/a") + "data";
  const auto taken = initiator.feed(as_bytes(in));
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, in.size() - 4);
  EXPECT_TRUE(initiator.done());
  EXPECT_EQ(initiator.wants(), 0u);
  EXPECT_EQ(initiator.feed(as_bytes("more")).value(), 0u);
}

TEST(Initiator, ProposesTheNextAfterARefusal) {
  Initiator initiator({"/a", "/b"});
  output(initiator);
  ASSERT_TRUE(initiator.feed(as_bytes(std::string(kHeaderWire) + std::string(kRefusalWire))));
  EXPECT_EQ(output(initiator), wire("/b"));
  ASSERT_TRUE(initiator.feed(as_bytes(wire("/b"))));
  EXPECT_TRUE(initiator.done());
  EXPECT_EQ(initiator.protocol(), "/b");
}

TEST(Initiator, FailsNamingEveryProtocolWhenAllAreRefused) {
  Initiator initiator({"/a", "/b"});
  const auto taken = initiator.feed(
      as_bytes(std::string(kHeaderWire) + std::string(kRefusalWire) + std::string(kRefusalWire)));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(taken.error().message(), HasSubstr("\"/a\", \"/b\""));
  EXPECT_EQ(initiator.wants(), 0u);
}

TEST(Initiator, RefusesAnEchoOfSomethingElse) {
  Initiator initiator({"/a"});
  const auto taken = initiator.feed(as_bytes(std::string(kHeaderWire) + wire("/b\x01")));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(taken.error().message(), HasSubstr("\"/b?\""));
}

TEST(Responder, SendsItsHeaderWithoutWaiting) {
  auto responder = responder_for({"/a"});
  EXPECT_EQ(output(responder), kHeaderWire);
}

TEST(Responder, EchoesAndLeavesDataThatFollowsTheProposal) {
  auto responder = responder_for({"/a"});
  const std::string in = std::string(kHeaderWire) + wire("/a") + "\x04lazy";
  const auto taken = responder.feed(as_bytes(in));
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, in.size() - 5);
  EXPECT_TRUE(responder.done());
  EXPECT_EQ(responder.protocol(), "/a");
  EXPECT_EQ(output(responder), std::string(kHeaderWire) + wire("/a"));
}

TEST(Responder, AnswersNaToUnknownProtocolsAndToLs) {
  auto responder = responder_for({"/b", "ls"});
  ASSERT_TRUE(responder.feed(as_bytes(std::string(kHeaderWire) + wire("/a") + wire("ls"))));
  EXPECT_FALSE(responder.done());
  EXPECT_EQ(responder.refused(), "ls");
  EXPECT_EQ(output(responder),
            std::string(kHeaderWire) + std::string(kRefusalWire) + std::string(kRefusalWire));
  ASSERT_TRUE(responder.feed(as_bytes(wire("/b"))));
  EXPECT_EQ(responder.protocol(), "/b");
}

TEST(Responder, GivesUpAfterManyRefusals) {
  auto responder = responder_for({});
  ASSERT_TRUE(responder.feed(as_bytes(kHeaderWire)));
  for (std::size_t i = 1; i < kProposalsMax; ++i) ASSERT_TRUE(responder.feed(as_bytes(wire("/x"))));
  const auto last = responder.feed(as_bytes(wire("/x")));
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code(), ErrorCode::kUnsupported);
}

TEST(Responder, RefusesAWrongHeader) {
  auto responder = responder_for({"/a"});
  const auto taken = responder.feed(as_bytes(wire("/multistream/2.0.0")));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kMalformed);
  EXPECT_THAT(taken.error().message(), HasSubstr("/multistream/2.0.0"));
}

ErrorCode error_of(std::string_view in) {
  auto responder = responder_for({"/a"});
  const auto taken = responder.feed(as_bytes(in));
  return taken ? ErrorCode::kInternal : taken.error().code();
}

TEST(Responder, RefusesMalformedMessagesAtTheFirstByteThatShowsIt) {
  using namespace std::string_view_literals;
  EXPECT_EQ(error_of("\0"sv), ErrorCode::kMalformed) << "no room for the newline";
  EXPECT_EQ(error_of("\x80\x00"sv), ErrorCode::kMalformed) << "varint not minimal";
  EXPECT_EQ(error_of("G"sv), ErrorCode::kMalformed) << "not as long as the header";
  const std::string header(kHeaderWire);
  EXPECT_EQ(error_of(header + "\x81\x08"), ErrorCode::kTooLarge) << "1,025 bytes";
  EXPECT_EQ(error_of(header + "\x80\x80"), ErrorCode::kTooLarge) << "length of three bytes";
  EXPECT_EQ(error_of(header + "\x03/ab"), ErrorCode::kMalformed) << "no newline";
  EXPECT_EQ(error_of(header + "\x04/\nb\n"), ErrorCode::kMalformed) << "newline inside";
}

TEST(Responder, AcceptsTheLongestProtocolAndNoLonger) {
  const std::string longest = "/" + std::string(kMessageBytesMax - 2, 'x');
  EXPECT_TRUE(is_valid_protocol(longest));
  EXPECT_FALSE(is_valid_protocol(longest + "x"));
  auto responder = responder_for({longest});
  ASSERT_TRUE(responder.feed(as_bytes(std::string(kHeaderWire) + wire(longest))));
  EXPECT_EQ(responder.protocol(), longest);
  EXPECT_EQ(error_of(std::string(kHeaderWire) + wire(longest + "x")), ErrorCode::kTooLarge);
}

// Reads exactly wants() bytes at a time, as a driver does, until the machine is done.
std::string drive(auto& machine, std::string_view in) {
  std::size_t at = 0;
  while (machine.wants() > 0 && at + machine.wants() <= in.size()) {
    const std::size_t n = machine.wants();
    const auto taken = machine.feed(as_bytes(in.substr(at, n)));
    if (!taken || *taken != n) return "the machine did not take what it wanted";
    at += n;
  }
  return std::string(in.substr(at));
}

TEST(BothSides, AgreeWhenReadExactlyAndLeaveTheRest) {
  Initiator initiator({"/x", "/b"});
  auto responder = responder_for({"/a", "/b"});
  EXPECT_EQ(drive(responder, output(initiator)), "");
  EXPECT_EQ(drive(initiator, output(responder)), "");
  EXPECT_FALSE(initiator.done());
  EXPECT_EQ(drive(responder, output(initiator) + "tail"), "tail");
  EXPECT_EQ(drive(initiator, output(responder) + "liat"), "liat");
  EXPECT_TRUE(initiator.done() && responder.done());
  EXPECT_EQ(initiator.protocol(), responder.protocol());
}

TEST(BothSides, TakeTheSameBytesHoweverTheyAreCut) {
  const std::string in = std::string(kHeaderWire) + wire("/no") + wire("/yes") + "tail";
  for (std::size_t step = 1; step <= in.size(); ++step) {
    auto responder = responder_for({"/yes"});
    std::size_t taken = 0;
    for (std::size_t at = 0; at < in.size(); at += step) {
      const auto n = responder.feed(as_bytes(std::string_view(in).substr(at, step)));
      ASSERT_TRUE(n);
      taken += *n;
    }
    EXPECT_EQ(taken, in.size() - 4) << "in steps of " << step;
    EXPECT_EQ(responder.protocol(), "/yes");
  }
}

TEST(Protocol, WordsOfTheNegotiationAreNoNames) {
  EXPECT_FALSE(is_valid_protocol(""));
  EXPECT_FALSE(is_valid_protocol("na"));
  EXPECT_FALSE(is_valid_protocol("ls"));
  EXPECT_FALSE(is_valid_protocol(kHeader));
  EXPECT_FALSE(is_valid_protocol("/a\n"));
  EXPECT_TRUE(is_valid_protocol("/ipfs/ping/1.0.0"));
}

}  // namespace
}  // namespace warren::negotiate

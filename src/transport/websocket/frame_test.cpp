#include "transport/websocket/frame.hpp"

#include <gtest/gtest.h>

#include "multiformats/test_hex.hpp"

namespace warren::transport::websocket {
namespace {

constexpr MaskKey kKey = {0x37, 0xfa, 0x21, 0x3d};

/// The frames of a peer of a `role` of ours, in hexadecimal or made here.
Bytes frame(Role role, std::uint8_t first, BytesView payload) {
  const std::optional<MaskKey> key = role == Role::kServer ? std::optional(kKey) : std::nullopt;
  Bytes bytes = to_bytes(Header(Opcode::kBinary, payload.size(), key).view());
  bytes[0] = first;
  const std::size_t begin = bytes.size();
  append(bytes, payload);
  if (key) mask_into(MutableBytes(bytes).subspan(begin), payload, *key, 0);
  return bytes;
}
Bytes frame(Role role, std::uint8_t first, std::string_view payload) {
  return frame(role, first, as_bytes(payload));
}

Result<std::string> data_of(FrameReader& reader, Bytes bytes) {
  const auto count = reader.read(bytes);
  if (!count) return fail(count.error());
  return std::string(as_text(BytesView(bytes).first(*count)));
}

struct Refusal {
  ErrorCode code = ErrorCode::kInternal;  ///< kInternal: none.
  CloseStatus status = CloseStatus::kNormal;
};
bool operator==(const Refusal& a, const Refusal& b) {
  return a.code == b.code && a.status == b.status;
}
void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << error_name(refusal.code) << " " << static_cast<int>(refusal.status);
}
constexpr Refusal kBroken{ErrorCode::kMalformed, CloseStatus::kProtocolError};

Refusal refusal_of(Role role, const Bytes& bytes) {
  FrameReader reader(role);
  const auto data = data_of(reader, bytes);
  if (data) return {};
  EXPECT_FALSE(data_of(reader, frame(role, 0x82, "x"))) << "it stays failed";
  return {data.error().code(), reader.close_status()};
}
Refusal refusal_of(Role role, std::string_view hex) {
  return refusal_of(role, multiformats::from_hex(hex));
}

// Source: RFC 6455, section 5.7.
TEST(FrameHeader, MakesTheExamplesOfTheStandard) {
  EXPECT_EQ(to_hex(Header(Opcode::kBinary, 5, std::nullopt).view()), "8205");
  EXPECT_EQ(to_hex(Header(Opcode::kBinary, 256, std::nullopt).view()), "827e0100");
  EXPECT_EQ(to_hex(Header(Opcode::kBinary, 65'536, std::nullopt).view()), "827f0000000000010000");
  EXPECT_EQ(to_hex(Header(Opcode::kBinary, 5, kKey).view()), "828537fa213d");
  EXPECT_EQ(to_hex(control_frame(Opcode::kPong, as_bytes("Hello"), kKey)),
            "8a8537fa213d7f9f4d5158");
  EXPECT_EQ(to_hex(control_frame(Opcode::kClose, close_payload(CloseStatus::kNormal), {})),
            "880203e8");
}

TEST(FrameHeader, IsAsShortAsItCanBe) {
  const auto size = [](std::uint64_t bytes) {
    return Header(Opcode::kBinary, bytes, std::nullopt).size;
  };
  EXPECT_EQ(size(0), 2u);
  EXPECT_EQ(size(125), 2u);
  EXPECT_EQ(size(126), 4u);
  EXPECT_EQ(size(65'535), 4u);
  EXPECT_EQ(size(65'536), 10u);
  EXPECT_EQ(Header(Opcode::kBinary, 1u << 20, kKey).size, kHeaderBytesMax);
}

TEST(FrameReader, MakesOneStreamOfFramesAndPieces) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    FrameReader reader(role);
    Bytes bytes = frame(role, 0x82, "one ");
    append(bytes, frame(role, 0x02, "two "));
    append(bytes, frame(role, 0x89, "ping"));
    append(bytes, frame(role, 0x00, ""));
    append(bytes, frame(role, 0x80, "three"));
    append(bytes, frame(role, 0x8a, "pong"));
    append(bytes, frame(role, 0x82, std::string(300, 'x')));
    append(bytes, frame(role, 0x82, std::string(70'000, 'y')));
    EXPECT_EQ(data_of(reader, bytes).value(),
              "one two three" + std::string(300, 'x') + std::string(70'000, 'y'));
    EXPECT_EQ(as_text(reader.take_ping().value()), "ping");
    EXPECT_FALSE(reader.take_ping());
    EXPECT_FALSE(reader.closed());
  }
}

TEST(FrameReader, GivesTheSameWhereverTheBytesAreCut) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    Bytes bytes = frame(role, 0x02, "one ");
    append(bytes, frame(role, 0x89, "ping"));
    append(bytes, frame(role, 0x80, std::string(150, 'z')));
    append(bytes, frame(role, 0x88, "\x03\xe8"));
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      FrameReader reader(role);
      const auto begin = bytes.begin();
      const auto middle = begin + static_cast<std::ptrdiff_t>(cut);
      const auto first = data_of(reader, Bytes(begin, middle));
      const auto second = data_of(reader, Bytes(middle, bytes.end()));
      ASSERT_EQ(first.value() + second.value(), "one " + std::string(150, 'z')) << cut;
      ASSERT_TRUE(reader.closed() && reader.take_ping());
    }
    FrameReader reader(role);
    std::string text;
    for (const std::uint8_t byte : bytes) text += data_of(reader, Bytes{byte}).value();
    EXPECT_EQ(text, "one " + std::string(150, 'z'));
  }
}

TEST(FrameReader, DropsWhatComesBehindAClose) {
  FrameReader reader(Role::kClient);
  Bytes bytes = frame(Role::kClient, 0x82, "last");
  append(bytes, frame(Role::kClient, 0x88, ""));
  append(bytes, frame(Role::kClient, 0x82, "late"));
  append(bytes, Bytes(10, 0xff));
  EXPECT_EQ(data_of(reader, bytes).value(), "last");
  EXPECT_TRUE(reader.closed());
  EXPECT_EQ(data_of(reader, Bytes(10, 0xff)).value(), "");
}

TEST(FrameReader, RefusesText) {
  EXPECT_EQ(refusal_of(Role::kClient, frame(Role::kClient, 0x81, "hi")),
            (Refusal{ErrorCode::kUnsupported, CloseStatus::kUnsupportedData}));
  EXPECT_EQ(refusal_of(Role::kServer, frame(Role::kServer, 0x01, "hi")),
            (Refusal{ErrorCode::kUnsupported, CloseStatus::kUnsupportedData}));
}

TEST(FrameReader, RefusesTheWrongMasking) {
  EXPECT_EQ(refusal_of(Role::kServer, frame(Role::kClient, 0x82, "plain")), kBroken);
  EXPECT_EQ(refusal_of(Role::kClient, frame(Role::kServer, 0x82, "masked")), kBroken);
  EXPECT_EQ(refusal_of(Role::kServer, "8200"), kBroken) << "even an empty one";
  EXPECT_EQ(refusal_of(Role::kServer, "8900"), kBroken) << "even a ping";
}

TEST(FrameReader, RefusesBrokenControlFrames) {
  EXPECT_EQ(refusal_of(Role::kClient, "0900"), kBroken) << "in pieces";
  EXPECT_EQ(refusal_of(Role::kClient, "0800"), kBroken);
  EXPECT_EQ(refusal_of(Role::kClient, "897e007e"), kBroken) << "126 bytes";
  EXPECT_EQ(refusal_of(Role::kClient, "897f7fffffffffffffff"), kBroken);
  EXPECT_EQ(refusal_of(Role::kClient, "880103"), kBroken) << "half a status";
  EXPECT_EQ(refusal_of(Role::kClient, "880203ed"), kBroken) << "1005 is never sent";
  EXPECT_EQ(refusal_of(Role::kClient, "88020000"), kBroken);
  EXPECT_EQ(refusal_of(Role::kClient, "88021388"), kBroken) << "5000";
  EXPECT_EQ(refusal_of(Role::kClient, frame(Role::kClient, 0x89, std::string(125, 'p'))), Refusal{})
      << "125 bytes are the most";
}

TEST(FrameReader, RefusesBrokenHeaders) {
  for (const std::string_view hex : {"c200", "a200", "9200"}) {
    EXPECT_EQ(refusal_of(Role::kClient, hex), kBroken) << "a reserved bit: " << hex;
  }
  for (const std::string_view hex : {"8300", "8700", "8b00", "8f00"}) {
    EXPECT_EQ(refusal_of(Role::kClient, hex), kBroken) << "an unknown opcode: " << hex;
  }
  EXPECT_EQ(refusal_of(Role::kClient, "827e007d"), kBroken) << "125 in two bytes";
  EXPECT_EQ(refusal_of(Role::kClient, "827f000000000000ffff"), kBroken) << "65,535 in eight";
  EXPECT_EQ(refusal_of(Role::kClient, "827f8000000000000000"), kBroken) << "the highest bit";
}

TEST(FrameReader, RefusesMessagesWithinMessages) {
  EXPECT_EQ(refusal_of(Role::kClient, "8000"), kBroken) << "the rest of nothing";
  EXPECT_EQ(refusal_of(Role::kClient, "02018282018202"), kBroken);
  EXPECT_EQ(refusal_of(Role::kClient,
                       "020182800182"
                       "8000"),
            kBroken);
}

TEST(FrameReader, StreamsAFrameOfAnyLengthWithoutHoldingIt) {
  FrameReader reader(Role::kClient);
  EXPECT_EQ(data_of(reader, multiformats::from_hex("827f7fffffffffffffff")).value(), "");
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(data_of(reader, Bytes(1'000, 'd')).value().size(), 1'000u);
  }
}

TEST(FrameReader, KeepsOnlyTheLastOfManyPings) {
  FrameReader reader(Role::kClient);
  Bytes bytes;
  for (char c = 'a'; c <= 'z'; ++c) append(bytes, frame(Role::kClient, 0x89, std::string(1, c)));
  EXPECT_EQ(data_of(reader, bytes).value(), "");
  EXPECT_EQ(as_text(reader.take_ping().value()), "z");
}

}  // namespace
}  // namespace warren::transport::websocket

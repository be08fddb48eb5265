#include "discovery/mdns/dns_codec.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/time.hpp"

namespace warren::discovery {
namespace {

DnsName name(std::string_view text) { return DnsName::parse(text).value(); }

/// Puts a packet together byte by byte, so that tests do not depend on the encoder.
struct Raw {
  Bytes bytes;
  Raw& u16(int value) {
    bytes.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(value));
    return *this;
  }
  Raw& header(int flags, int questions, int answers, int authorities = 0, int additionals = 0) {
    return u16(0).u16(flags).u16(questions).u16(answers).u16(authorities).u16(additionals);
  }
  Raw& text(std::string_view part) {
    append(bytes, as_bytes(part));
    return *this;
  }
  Raw& label(std::string_view part) {
    bytes.push_back(static_cast<std::uint8_t>(part.size()));
    return text(part);
  }
  Raw& byte(int value) {
    bytes.push_back(static_cast<std::uint8_t>(value));
    return *this;
  }
  Raw& end() { return byte(0); }
  /// Type, class IN, ttl 120, length.
  Raw& record(int type, int length, int record_class = 1) {
    return u16(type).u16(record_class).u16(0).u16(120).u16(length);
  }
};

constexpr int kResponse = 0x8400;

TEST(DnsDecode, ReadsTheQuestionOfOtherImplementations) {
  // The question as dns-packet of js-libp2p writes it.
  const Bytes packet =
      Raw().header(0, 1, 0).label("_p2p").label("_udp").label("local").end().u16(12).u16(1).bytes;
  const DnsMessage message = decode_dns(packet).value();
  EXPECT_FALSE(message.response);
  ASSERT_EQ(message.questions.size(), 1u);
  EXPECT_EQ(message.questions[0].name, name("_p2p._udp.local"));
  EXPECT_EQ(message.questions[0].type, DnsType::kPtr);
  EXPECT_FALSE(message.questions[0].unicast);
  EXPECT_EQ(encode_dns(message).value(), packet);
}

TEST(DnsDecode, SeesTheBitForUnicastAnswers) {
  const Bytes packet = Raw().header(0, 1, 0).label("x").end().u16(255).u16(0x8001).bytes;
  const DnsMessage message = decode_dns(packet).value();
  ASSERT_EQ(message.questions.size(), 1u);
  EXPECT_TRUE(message.questions[0].unicast);
  EXPECT_EQ(message.questions[0].type, DnsType::kAny);
}

TEST(DnsDecode, ReadsAnAnswerWithoutCompressionAndWithTxtAmongTheAnswers) {
  // As js-libp2p answers: every name in full, one TXT record per address.
  Raw raw;
  raw.header(kResponse, 0, 2);
  raw.label("_p2p").label("_udp").label("local").end().record(12, 21);
  raw.label("abc").label("_p2p").label("_udp").label("local").end();
  raw.label("abc").label("_p2p").label("_udp").label("local").end().record(16, 9);
  raw.label("dnsaddr=");
  const DnsMessage message = decode_dns(raw.bytes).value();
  EXPECT_TRUE(message.response);
  EXPECT_TRUE(message.authoritative);
  ASSERT_EQ(message.answers.size(), 2u);
  EXPECT_EQ(message.answers[0].ttl, std::chrono::seconds(120));
  EXPECT_EQ(std::get<PtrData>(message.answers[0].data).target, name("abc._p2p._udp.local"));
  EXPECT_EQ(std::get<TxtData>(message.answers[1].data).strings,
            std::vector<std::string>{"dnsaddr="});
}

TEST(DnsDecode, FollowsPointersBackwards) {
  Raw raw;
  raw.header(kResponse, 0, 1, 0, 3);
  raw.label("_p2p").label("_udp").label("local").end().record(12, 6);  // The name at byte 12.
  raw.label("abc").u16(0xc00c);                                        // abc. + byte 12, at 39.
  raw.u16(0xc027).record(33, 6 + 6).u16(0).u16(0).u16(4001).label("abc").u16(0xc016);
  raw.u16(0xc027).record(1, 4, 0x8001).byte(192).byte(0).byte(2).byte(7);
  raw.u16(0xc027).record(28, 16).text(std::string(15, '\0')).byte(1);
  const DnsMessage message = decode_dns(raw.bytes).value();
  ASSERT_EQ(message.answers.size(), 1u);
  EXPECT_EQ(std::get<PtrData>(message.answers[0].data).target, name("abc._p2p._udp.local"));
  ASSERT_EQ(message.additionals.size(), 3u);
  EXPECT_EQ(message.additionals[0].name, name("abc._p2p._udp.local"));
  EXPECT_EQ(std::get<SrvData>(message.additionals[0].data),
            (SrvData{0, 0, 4001, name("abc.local")}));
  EXPECT_TRUE(message.additionals[1].flush);
  EXPECT_EQ(std::get<AddressData>(message.additionals[1].data).ip, IpAddress::v4(192, 0, 2, 7));
  EXPECT_EQ(std::get<AddressData>(message.additionals[2].data).ip.to_string(), "::1");
}

TEST(DnsDecode, RefusesPointersThatLoopOrLeadForwards) {
  const auto question = [](auto&& write) {
    Raw raw;
    raw.header(0, 1, 0);
    write(raw);
    return decode_dns(raw.u16(12).u16(1).bytes);
  };
  const auto at_itself = question([](Raw& raw) { raw.u16(0xc00c); });
  ASSERT_FALSE(at_itself);
  EXPECT_EQ(at_itself.error().code(), ErrorCode::kMalformed);
  EXPECT_FALSE(question([](Raw& raw) { raw.label("a").u16(0xc00c); }));  // To its own start.
  EXPECT_FALSE(question([](Raw& raw) { raw.label("a").u16(0xc00e); }));  // To the pointer.
  EXPECT_FALSE(question([](Raw& raw) { raw.u16(0xc00e).end(); }));       // Forwards.
  EXPECT_FALSE(question([](Raw& raw) { raw.u16(0xffff); }));             // Outside.
  EXPECT_FALSE(question([](Raw& raw) { raw.byte(0x40).end(); }));        // A label of a new kind.
}

TEST(DnsDecode, RefusesTwoPointersAtEachOther) {
  Raw raw;
  raw.header(0, 2, 0).u16(0xc012).u16(12).u16(1).u16(0xc00c).u16(12).u16(1);
  EXPECT_FALSE(decode_dns(raw.bytes));
}

TEST(DnsDecode, BoundsAChainOfPointers) {
  // Pointers that lead one to the next, 12 to 46, and a name at the end of them.
  const auto chain = [](int pointers) {
    Raw raw;
    raw.header(kResponse, 0, 1).label("a").end().record(16, 1 + 2 * pointers);
    const int text_at = static_cast<int>(raw.bytes.size());
    raw.byte(2 * pointers).u16(0xc00c);
    for (int i = 1; i < pointers; ++i) raw.u16(0xc000 | (text_at + 1 + 2 * (i - 1)));
    raw.bytes[7] = 2;
    raw.u16(0xc000 | (text_at + 1 + 2 * (pointers - 1))).record(16, 0);
    return decode_dns(raw.bytes);
  };
  EXPECT_TRUE(chain(15));
  EXPECT_FALSE(chain(16));
}

TEST(DnsDecode, BoundsANameThatGrowsByPointers) {
  // Each name is one label in front of the one before: the 6th passes 255 bytes.
  Raw raw;
  raw.header(0, 6, 0);
  std::size_t before = raw.bytes.size();
  raw.label(std::string(50, 'a')).end().u16(12).u16(1);
  for (int i = 0; i < 5; ++i) {
    const std::size_t here = raw.bytes.size();
    raw.label(std::string(50, 'a')).u16(static_cast<int>(0xc000 | before)).u16(12).u16(1);
    before = here;
  }
  EXPECT_FALSE(decode_dns(raw.bytes));
  Raw shorter = raw;
  shorter.bytes[5] = 4;  // Only the first four questions: 204 bytes.
  EXPECT_TRUE(decode_dns(shorter.bytes));
}

TEST(DnsDecode, RefusesEveryCutOffPacket) {
  Raw raw;
  raw.header(kResponse, 1, 1, 0, 2);
  raw.label("_p2p").end().u16(12).u16(1);
  raw.u16(0xc00c).record(12, 5).label("ab").u16(0xc00c);
  raw.u16(0xc00c).record(16, 6).label("hello");
  raw.u16(0xc00c).record(33, 8).u16(1).u16(2).u16(3).u16(0xc00c);
  ASSERT_TRUE(decode_dns(raw.bytes));
  for (std::size_t size = 0; size < raw.bytes.size(); ++size) {
    const auto result = decode_dns(BytesView(raw.bytes).first(size));
    ASSERT_FALSE(result) << size;
    EXPECT_EQ(result.error().code(), ErrorCode::kMalformed);
  }
}

TEST(DnsDecode, RefusesDataThatDoesNotFillItsRecord) {
  const auto record = [](int type, int length, std::string_view data) {
    Raw raw;
    raw.header(kResponse, 0, 1).label("a").end().record(type, length).text(data);
    return decode_dns(raw.bytes);
  };
  using namespace std::string_view_literals;
  EXPECT_TRUE(record(12, 3, "\1b\0"sv));
  EXPECT_FALSE(record(12, 4, "\1b\0x"sv));  // A byte behind the name.
  EXPECT_FALSE(record(12, 2, "\1b\0"sv));   // The name goes on behind the record.
  EXPECT_FALSE(record(16, 2, "\5hello"sv));
  EXPECT_FALSE(record(1, 5, "12345"sv));
  EXPECT_FALSE(record(28, 4, "1234"sv));
  EXPECT_TRUE(record(16, 0, ""sv));
}

TEST(DnsDecode, SkipsWhatItDoesNotKnow) {
  Raw raw;
  raw.header(kResponse, 1, 4);
  raw.label("q").end().u16(12).u16(3);                     // Class CHAOS.
  raw.label("a").end().record(47, 3).text("xyz");          // NSEC.
  raw.label("a").end().record(12, 3, 3).label("b").end();  // PTR, class CHAOS.
  raw.label("a").end().record(28, 16).text(std::string(10, '\0')).u16(0xffff).u16(1).u16(2);
  raw.label("a").end().record(16, 2).label("t");
  const DnsMessage message = decode_dns(raw.bytes).value();
  EXPECT_TRUE(message.questions.empty());
  ASSERT_EQ(message.answers.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<TxtData>(message.answers[0].data));
}

TEST(DnsDecode, BoundsCountsAndSize) {
  EXPECT_EQ(decode_dns(Bytes(9'001)).error().code(), ErrorCode::kTooLarge);
  EXPECT_TRUE(decode_dns(Bytes(9'000)));  // An empty query with padding behind it.
  EXPECT_EQ(decode_dns(Raw().header(0, 65, 0).bytes).error().code(), ErrorCode::kTooLarge);
  EXPECT_EQ(decode_dns(Raw().header(0, 0, 100, 0, 29).bytes).error().code(), ErrorCode::kTooLarge);
  Raw strings;
  strings.header(kResponse, 0, 1).end().record(16, 257).text(std::string(257, '\0'));
  EXPECT_EQ(decode_dns(strings.bytes).error().code(), ErrorCode::kTooLarge);
}

TEST(DnsDecode, RefusesOtherOpcodesAndErrorAnswers) {
  EXPECT_EQ(decode_dns(Raw().header(0x2800, 0, 0).bytes).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(decode_dns(Raw().header(0x8403, 0, 0).bytes).error().code(), ErrorCode::kUnsupported);
  EXPECT_FALSE(decode_dns({}));
}

DnsMessage full_message() {
  DnsMessage message;
  message.id = 7;
  message.response = message.authoritative = message.truncated = true;
  const DnsName service = name("_p2p._udp.local");
  const DnsName instance = name("abc._p2p._udp.local");
  message.questions.push_back({service, DnsType::kPtr, true});
  message.answers.push_back({service, 120s, false, PtrData{instance}});
  message.authorities.push_back(
      {instance, 4'294'967'295s, true, SrvData{1, 2, 3, name("h.local")}});
  message.additionals.push_back({instance, 0s, true, TxtData{{"dnsaddr=/x", "", "\xff"}}});
  message.additionals.push_back(
      {name("h.local"), 1s, true, AddressData{IpAddress::v4(1, 2, 3, 4)}});
  message.additionals.push_back(
      {name("h.local"), 1s, true, AddressData{IpAddress::parse("fe80::1").value()}});
  return message;
}

TEST(DnsEncode, IsReadBackAsItWas) {
  const DnsMessage message = full_message();
  const Bytes packet = encode_dns(message).value();
  EXPECT_EQ(decode_dns(packet).value(), message);
}

TEST(DnsEncode, WritesEveryNameOnce) {
  const Bytes packet = encode_dns(full_message()).value();
  const std::string_view text = as_text(packet);
  EXPECT_NE(text.find("_udp"), text.npos);
  EXPECT_EQ(text.find("_udp"), text.rfind("_udp"));
  EXPECT_EQ(text.find("local"), text.rfind("local"));
}

TEST(DnsEncode, RefusesWhatDoesNotFit) {
  DnsMessage message = full_message();
  EXPECT_EQ(encode_dns(message, 50).error().code(), ErrorCode::kTooLarge);
  message.additionals.push_back({name("x"), 1s, false, TxtData{{std::string(256, 'x')}}});
  EXPECT_EQ(encode_dns(message).error().code(), ErrorCode::kInvalidArgument);
  message = full_message();
  message.answers[0].ttl = -1s;
  EXPECT_EQ(encode_dns(message).error().code(), ErrorCode::kInvalidArgument);
  message = full_message();
  message.questions.resize(kDnsQuestionsMax + 1);
  EXPECT_EQ(encode_dns(message).error().code(), ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace warren::discovery

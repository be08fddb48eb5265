// Names in addresses: what is asked, what becomes of the answers, and that it always ends.

#include "swarm/resolve.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "swarm/fakes_for_test.hpp"

namespace warren::swarm {
namespace {

using fakes::address;
using runtime::AddressFamily;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using Kind = NameQuestion::Kind;

const IpAddress kV4 = IpAddress::v4(192, 0, 2, 1);
const IpAddress kV6 = *IpAddress::parse("2001:db8::1");

using Hosts = Result<std::vector<IpAddress>>;
using Texts = Result<std::vector<std::string>>;

class ResolveTest : public testing::Test {
 protected:
  /// Answers every question out of the two tables and returns how many there were.
  std::size_t drive(AddressExpansion& names) {
    std::size_t asked = 0;
    while (auto question = names.next_question()) {
      ++asked;
      if (question->kind == Kind::kHost) {
        const auto found = hosts.find(question->name);
        names.answer(*question, found == hosts.end()
                                    ? Hosts(fail(ErrorCode::kNotFound, "no such name"))
                                    : Hosts(found->second));
      } else {
        names.answer(*question, Texts(texts_of(question->name)));
      }
    }
    EXPECT_TRUE(names.done());
    return asked;
  }

  std::vector<std::string> resolve(std::vector<std::string> addresses) {
    AddressExpansion names{limits};
    for (const std::string& text : addresses) names.add(address(text));
    lookups = drive(names);
    std::vector<std::string> out;
    for (const Multiaddr& found : names.take_addresses()) out.push_back(found.to_string());
    failures.clear();
    for (const auto& [at, error] : names.take_failures()) failures.push_back(error.message());
    return out;
  }

  limits::AddressResolution limits;
  std::map<std::string, std::vector<IpAddress>> hosts;
  std::function<std::vector<std::string>(const std::string&)> texts_of = [](const std::string&) {
    return std::vector<std::string>();
  };
  std::vector<std::string> failures;
  std::size_t lookups = 0;
};

TEST_F(ResolveTest, TheRestOfAnAddressStaysAsItWas) {
  hosts["h.example"] = {kV4};
  EXPECT_THAT(resolve({"/dns4/h.example/tcp/4001", "/dns4/h.example/udp/4001/quic-v1",
                       "/dns4/h.example/tcp/443/ws", "/dns4/h.example"}),
              ElementsAre("/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.1/udp/4001/quic-v1",
                          "/ip4/192.0.2.1/tcp/443/ws", "/ip4/192.0.2.1"));
  EXPECT_EQ(lookups, 1u) << "one question for all four";
  const std::string peer = fakes::peer(1).to_string();
  EXPECT_THAT(resolve({"/dns4/H.Example./udp/1/quic-v1/p2p/" + peer + "/p2p-circuit/p2p/" + peer}),
              ElementsAre("/ip4/192.0.2.1/udp/1/quic-v1/p2p/" + peer + "/p2p-circuit/p2p/" + peer));
}

TEST_F(ResolveTest, TheFamilyIsTheOneThatTheAddressNames) {
  AddressExpansion names{limits};
  names.add(address("/dns/h.example/tcp/1"));
  names.add(address("/dns4/h.example/tcp/1"));
  names.add(address("/dns6/h.example/tcp/1"));
  names.add(address("/dnsaddr/h.example"));
  EXPECT_EQ(names.next_question(), (NameQuestion{Kind::kHost, "h.example", AddressFamily::kAny}));
  EXPECT_EQ(names.next_question(), (NameQuestion{Kind::kHost, "h.example", AddressFamily::kV4}));
  EXPECT_EQ(names.next_question(), (NameQuestion{Kind::kHost, "h.example", AddressFamily::kV6}));
  EXPECT_EQ(names.next_question(),
            (NameQuestion{Kind::kText, "_dnsaddr.h.example", AddressFamily::kAny}));
  EXPECT_FALSE(names.next_question());
  EXPECT_FALSE(names.done());
  EXPECT_THAT(names.open(), SizeIs(4));
}

TEST_F(ResolveTest, AWebSocketOverTlsKeepsTheNameForTheCertificate) {
  hosts["h.example"] = {kV4};
  EXPECT_THAT(resolve({"/dns4/h.example/tcp/443/wss", "/dns4/h.example/tcp/444/tls/ws",
                       "/dns4/h.example/tcp/445/tls/sni/other.example/ws"}),
              ElementsAre("/ip4/192.0.2.1/tcp/443/tls/sni/h.example/ws",
                          "/ip4/192.0.2.1/tcp/444/tls/sni/h.example/ws",
                          "/ip4/192.0.2.1/tcp/445/tls/sni/other.example/ws"));
}

TEST_F(ResolveTest, AddressesThatNobodyCanDialAreLeftOut) {
  hosts["h.example"] = {IpAddress(), IpAddress::v4(224, 0, 0, 1), *IpAddress::parse("fe80::1"),
                        kV6};
  EXPECT_THAT(resolve({"/dns/h.example/tcp/1"}), ElementsAre("/ip6/2001:db8::1/tcp/1"));
  hosts["h.example"].pop_back();
  EXPECT_THAT(resolve({"/dns/h.example/tcp/1"}), IsEmpty());
  EXPECT_THAT(failures, ElementsAre(HasSubstr("h.example")));
}

TEST_F(ResolveTest, OnlyAddressesBehindANameAreResolved) {
  EXPECT_TRUE(begins_with_name(address("/dns/h/tcp/1")));
  EXPECT_TRUE(begins_with_name(address("/dnsaddr/h")));
  EXPECT_FALSE(begins_with_name(address("/ip4/192.0.2.1/tcp/1")));
  EXPECT_FALSE(begins_with_name(address("/ip4/192.0.2.1/tcp/1/tls/sni/h/ws")));
  EXPECT_FALSE(begins_with_name(Multiaddr()));
}

// --------------------------------------------------------------------------------- /dnsaddr

TEST_F(ResolveTest, ADnsaddrGivesWhatItsTextsNameAndFollowsNamesInThem) {
  hosts["h.example"] = {kV4};
  texts_of = [](const std::string& name) -> std::vector<std::string> {
    if (name == "_dnsaddr.boot.example") {
      return {"dnsaddr=/dnsaddr/eu.boot.example",
              "dnsaddr=/ip4/198.51.100.1/tcp/1",
              "v=spf1 -all",
              "dnsaddr=",
              "dnsaddr=not an address",
              "/ip4/198.51.100.2/tcp/1"};
    }
    return {"dnsaddr=/dns4/h.example/tcp/2"};
  };
  EXPECT_THAT(resolve({"/dnsaddr/boot.example"}),
              UnorderedElementsAre("/ip4/198.51.100.1/tcp/1", "/ip4/192.0.2.1/tcp/2"));
  EXPECT_EQ(lookups, 3u);
  EXPECT_THAT(failures, IsEmpty());
}

TEST_F(ResolveTest, ADnsaddrWithAPeerTakesOnlyWhatEndsInThatPeer) {
  const std::string wanted = "/p2p/" + fakes::peer(1).to_string();
  const std::string other = "/p2p/" + fakes::peer(2).to_string();
  texts_of = [&](const std::string& name) -> std::vector<std::string> {
    if (name == "_dnsaddr.boot.example") {
      return {"dnsaddr=/dnsaddr/one.example" + wanted, "dnsaddr=/dnsaddr/two.example" + other,
              "dnsaddr=/ip4/198.51.100.1/tcp/1"};
    }
    return {"dnsaddr=/ip4/198.51.100.2/tcp/1" + wanted, "dnsaddr=/ip4/198.51.100.3/tcp/1" + other};
  };
  EXPECT_THAT(resolve({"/dnsaddr/boot.example" + wanted}),
              ElementsAre("/ip4/198.51.100.2/tcp/1" + wanted));
  EXPECT_EQ(lookups, 2u);
  const std::string third = "/p2p/" + fakes::peer(3).to_string();
  EXPECT_THAT(resolve({"/dnsaddr/boot.example" + third}), IsEmpty());
  ASSERT_THAT(failures, SizeIs(1));
  EXPECT_THAT(failures[0], HasSubstr("/dnsaddr/boot.example"));
  EXPECT_THAT(failures[0], HasSubstr("3 texts name no address that ends in /p2p/"));
}

TEST_F(ResolveTest, ALoopOfNamesIsWalkedOnce) {
  texts_of = [](const std::string& name) -> std::vector<std::string> {
    const bool a = name == "_dnsaddr.a.example";
    return {"dnsaddr=/dnsaddr/a.example", "dnsaddr=/dnsaddr/b.example",
            a ? "dnsaddr=/ip4/192.0.2.1/tcp/1" : "dnsaddr=/ip4/192.0.2.2/tcp/1"};
  };
  EXPECT_THAT(resolve({"/dnsaddr/a.example"}),
              UnorderedElementsAre("/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1"));
  EXPECT_EQ(lookups, 2u);
}

TEST_F(ResolveTest, NamesThatLeadToNamesEndAtTheDepth) {
  std::size_t deepest = 0;
  texts_of = [&](const std::string& name) -> std::vector<std::string> {
    const std::size_t depth = std::stoul(name.substr(std::string("_dnsaddr.n").size()));
    deepest = std::max(deepest, depth);
    return {fmt::format("dnsaddr=/dnsaddr/n{}.example", depth + 1)};
  };
  EXPECT_THAT(resolve({"/dnsaddr/n1.example"}), IsEmpty());
  EXPECT_EQ(lookups, 4u);
  EXPECT_EQ(deepest, 4u);
  EXPECT_THAT(failures, ElementsAre(HasSubstr("n5.example: names that lead to names")));
}

TEST_F(ResolveTest, AFloodOfNamesEndsAfterTheMostLookups) {
  // Each name leads to 64 new ones, without end.
  std::size_t serial = 0;
  texts_of = [&](const std::string&) {
    std::vector<std::string> texts;
    for (int i = 0; i < 64; ++i) {
      texts.push_back(fmt::format("dnsaddr=/dnsaddr/n{}.example", ++serial));
    }
    return texts;
  };
  EXPECT_THAT(resolve({"/dnsaddr/a.example"}), IsEmpty());
  EXPECT_EQ(lookups, 32u);
  EXPECT_LE(failures.size(), 256u);
  EXPECT_THAT(failures, testing::Contains(HasSubstr("32 lookups for one peer are the most")));
}

TEST_F(ResolveTest, AFloodOfAddressesIsCut) {
  texts_of = [&](const std::string&) {
    std::vector<std::string> texts;
    for (int i = 0; i < 1000; ++i) texts.push_back(fmt::format("dnsaddr=/ip4/10.0.0.1/tcp/{}", i));
    return texts;
  };
  EXPECT_THAT(resolve({"/dnsaddr/a.example", "/dnsaddr/b.example"}), SizeIs(64));
}

TEST_F(ResolveTest, AnAnswerThatNobodyAskedForChangesNothing) {
  AddressExpansion names{limits};
  const NameQuestion stray{Kind::kHost, "h.example", AddressFamily::kV4};
  names.answer(stray, Hosts(std::vector(1, kV4)));
  names.add(address("/dns4/h.example/tcp/1"));
  EXPECT_EQ(names.next_question(), stray);
  names.answer(stray, Hosts(std::vector(1, kV4)));
  names.answer(stray, Hosts(std::vector(1, kV6)));
  EXPECT_THAT(names.take_addresses(), ElementsAre(address("/ip4/192.0.2.1/tcp/1")));
  names.add(address("/dns4/h.example/tcp/2"));
  EXPECT_TRUE(names.done()) << "what was answered is not asked again";
  EXPECT_THAT(names.take_addresses(), ElementsAre(address("/ip4/192.0.2.1/tcp/2")));
}

}  // namespace
}  // namespace warren::swarm

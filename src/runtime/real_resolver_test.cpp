// The resolver of the machine against a name server of the test, on loopback.

#include "runtime/real_resolver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <filesystem>
#include <fstream>

#include "runtime/deadline.hpp"
#include "runtime/dns_server_for_test.hpp"
#include "runtime/run_task.hpp"

namespace warren::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const IpAddress kV4 = IpAddress::v4(192, 0, 2, 1);
const IpAddress kOtherV4 = IpAddress::v4(192, 0, 2, 2);
const IpAddress kV6 = *IpAddress::parse("2001:db8::1");

class RealResolverTest : public testing::Test {
 protected:
  explicit RealResolverTest(limits::Resolver limits = {})
      : resolver(make_real_resolver(
            runtime.context(), runtime,
            {.servers = {server.endpoint()}, .limits = limits, .answer_time_max = 40ms})) {}
  ~RealResolverTest() override { run_task(runtime, server.stop()); }

  Result<std::vector<IpAddress>> host(std::string name,
                                      AddressFamily family = AddressFamily::kAny) {
    return run_task(runtime, resolver->resolve_host(std::move(name), family, runtime.now() + 10s));
  }
  Result<std::vector<std::string>> text(std::string name) {
    return run_task(runtime, resolver->resolve_text(std::move(name), runtime.now() + 10s));
  }

  RealRuntime runtime{RealRuntimeOptions{.pool_threads = 1}};
  DnsServer server{runtime};
  std::unique_ptr<Resolver> resolver;
};

TEST_F(RealResolverTest, FindsTheAddressesOfAHostByFamily) {
  server.zones["node.example"] = {.addresses = {kV4, kV6, kOtherV4}};
  const auto any = host("node.example");
  ASSERT_TRUE(any) << any.error().message();
  EXPECT_THAT(*any, testing::UnorderedElementsAre(kV4, kOtherV4, kV6));
  EXPECT_THAT(host("node.example", AddressFamily::kV4).value(), ElementsAre(kV4, kOtherV4));
  EXPECT_THAT(host("node.example", AddressFamily::kV6).value(), ElementsAre(kV6));
  EXPECT_THAT(server.asked_tcp, IsEmpty());
}

TEST_F(RealResolverTest, JoinsTheStringsOfEachTextRecord) {
  server.zones["_dnsaddr.example"] = {
      .texts = {{"dnsaddr=", "/ip4/192.0.2.1", "/tcp/1"}, {"dnsaddr=/ip4/192.0.2.2/tcp/2"}, {""}}};
  const auto texts = text("_dnsaddr.example");
  ASSERT_TRUE(texts) << texts.error().message();
  EXPECT_THAT(*texts,
              ElementsAre("dnsaddr=/ip4/192.0.2.1/tcp/1", "dnsaddr=/ip4/192.0.2.2/tcp/2", ""));
}

TEST_F(RealResolverTest, SaysWhenThereIsNoSuchNameOrNoSuchRecordAndNamesIt) {
  server.zones["six.example"] = {.addresses = {kV6}};
  for (const auto& error :
       {host("nobody.example").error(), text("nobody.example").error(),
        host("six.example", AddressFamily::kV4).error(), text("six.example").error()}) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound) << error.message();
    EXPECT_THAT(error.message(), HasSubstr(".example"));
  }
}

TEST_F(RealResolverTest, TimesOutOnSilentServersAfterAskingThemTwice) {
  server.zones["silent.example"] = {.silent = true};
  const auto found = text("silent.example");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kTimedOut);
  EXPECT_THAT(found.error().message(), HasSubstr("silent.example"));
  EXPECT_FALSE(found.error().hint().empty());
  EXPECT_THAT(server.asked_udp, ElementsAre("silent.example/16", "silent.example/16"));
}

TEST_F(RealResolverTest, TheDeadlineOfTheCallerComesFirst) {
  server.zones["silent.example"] = {.silent = true};
  const TimePoint start = runtime.now();
  const auto found =
      run_task(runtime, resolver->resolve_host("silent.example", AddressFamily::kAny, start + 5ms));
  EXPECT_EQ(found.error().code(), ErrorCode::kTimedOut);
  server.zones["node.example"] = {.addresses = {kV4}};
  EXPECT_TRUE(host("node.example")) << "the one left behind disturbs no other";
}

TEST_F(RealResolverTest, ACancelledQuestionEndsAtOnce) {
  server.zones["silent.example"] = {.silent = true};
  const auto found = run_task(
      runtime,
      with_deadline(runtime, runtime.now() + 5ms,
                    resolver->resolve_host("silent.example", AddressFamily::kAny, kNever)));
  EXPECT_EQ(found.error().code(), ErrorCode::kTimedOut);
}

TEST_F(RealResolverTest, GarbageAndFailuresAreErrors) {
  server.zones["garbage.example"] = {.garbage = true};
  for (const auto& error : {text("garbage.example").error(), host("garbage.example").error()}) {
    EXPECT_EQ(error.code(), ErrorCode::kMalformed) << error.message();
  }
  server.zones["failing.example"] = {.rcode = 2};
  EXPECT_EQ(text("failing.example").error().code(), ErrorCode::kUnreachable);
  server.zones["refused.example"] = {.rcode = 5};
  EXPECT_EQ(text("refused.example").error().code(), ErrorCode::kUnreachable);
}

TEST_F(RealResolverTest, ATruncatedAnswerIsFetchedByTcp) {
  server.zones["large.example"] = {.addresses = {kV4},
                                   .texts = {{std::string(200, 'x'), std::string(200, 'y')}},
                                   .truncate = true};
  const auto texts = text("large.example");
  ASSERT_TRUE(texts) << texts.error().message();
  EXPECT_THAT(*texts, ElementsAre(std::string(200, 'x') + std::string(200, 'y')));
  EXPECT_THAT(server.asked_tcp, ElementsAre("large.example/16"));
  EXPECT_THAT(host("large.example", AddressFamily::kV4).value(), ElementsAre(kV4));
}

TEST_F(RealResolverTest, AnAddressStandsForItselfAndLocalhostNeedsNoServer) {
  EXPECT_THAT(host("192.0.2.1").value(), ElementsAre(kV4));
  EXPECT_EQ(host("192.0.2.1", AddressFamily::kV6).error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(host("localhost", AddressFamily::kV4).value(),
              ElementsAre(IpAddress::v4(127, 0, 0, 1)));
  EXPECT_THAT(server.asked_udp, IsEmpty());
}

TEST_F(RealResolverTest, NamesThatAreNoHostNamesAreNotAskedFor) {
  for (const std::string& name :
       {std::string(""), std::string("."), std::string("a..b"), std::string(".a"),
        std::string("a b"), std::string("a\\046b"), std::string("a\0b", 3), std::string("a/b"),
        std::string(64, 'a'), std::string(254, 'a')}) {
    EXPECT_EQ(host(name).error().code(), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(text(name).error().code(), ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_THAT(server.asked_udp, IsEmpty());
  EXPECT_TRUE(check_host_name("_dnsaddr.Node-1.example.org."));
  EXPECT_TRUE(check_host_name(std::string(63, 'a')));
}

TEST_F(RealResolverTest, TheFileOfHostsComesBeforeTheServers) {
  const auto file =
      std::filesystem::temp_directory_path() / ("warren-hosts-" + std::to_string(runtime.rng()()));
  std::ofstream(file) << "192.0.2.2 shelf.example shelf\n2001:db8::1 shelf\n";
  ::setenv("CARES_HOSTS", file.c_str(), 1);
  EXPECT_THAT(host("shelf").value(), testing::UnorderedElementsAre(kOtherV4, kV6));
  EXPECT_THAT(host("shelf.example", AddressFamily::kV4).value(), ElementsAre(kOtherV4));
  EXPECT_THAT(server.asked_udp, IsEmpty());
  ::unsetenv("CARES_HOSTS");
  std::filesystem::remove(file);
}

TEST_F(RealResolverTest, AnswersAreBoundedInNumberAndBytes) {
  std::vector<IpAddress>& many = server.zones["many.example"].addresses;
  for (int i = 0; i < 200; ++i)
    many.push_back(IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(i)));
  server.zones["many.example"].truncate = true;
  EXPECT_THAT(host("many.example", AddressFamily::kV4).value(), SizeIs(64));
  DnsServer::Zone& wordy = server.zones["wordy.example"];
  wordy.truncate = true;
  for (int i = 0; i < 50; ++i) {
    wordy.texts.push_back({std::string(250, 'x'), std::string(250, 'y')});
  }
  EXPECT_THAT(text("wordy.example").value(), SizeIs((16u << 10) / 500));
}

class SmallResolverTest : public RealResolverTest {
 protected:
  SmallResolverTest() : RealResolverTest({.queries_max = 1, .waiting_max = 1}) {}
};

using Found = Result<std::vector<IpAddress>>;
awaitable<std::vector<Found>> three_at_once(Resolver& resolver, TimePoint deadline) {
  using namespace boost::asio::experimental::awaitable_operators;
  auto together =
      errors_as_values(resolver.resolve_host("a.example", AddressFamily::kV4, deadline)) &&
      errors_as_values(resolver.resolve_host("b.example", AddressFamily::kV4, deadline)) &&
      errors_as_values(resolver.resolve_host("c.example", AddressFamily::kV4, deadline));
  auto results = co_await std::move(together);
  std::vector<Found> all;
  all.push_back(std::get<0>(std::move(results)));
  all.push_back(std::get<1>(std::move(results)));
  all.push_back(std::get<2>(std::move(results)));
  co_return all;
}

TEST_F(SmallResolverTest, OneIsAskedOneWaitsAndTheThirdIsRefused) {
  for (const char* name : {"a.example", "b.example", "c.example"}) {
    server.zones[name] = {.addresses = {kV4}};
  }
  const auto found = run_task(runtime, three_at_once(*resolver, runtime.now() + 10s));
  EXPECT_TRUE(found[0]);
  EXPECT_TRUE(found[1]);
  ASSERT_FALSE(found[2]);
  EXPECT_EQ(found[2].error().code(), ErrorCode::kLimited);
  EXPECT_THAT(server.asked_udp, ElementsAre("a.example/1", "b.example/1"));
}

TEST_F(RealResolverTest, EndsQuestionsThatAreUnderWayWhenItGoes) {
  server.zones["silent.example"] = {.silent = true};
  const auto outcome = start_task(
      runtime.executor(), resolver->resolve_host("silent.example", AddressFamily::kAny, kNever),
      [this] { runtime.stop(); });
  runtime.context().poll();
  ASSERT_FALSE(outcome->done);
  resolver.reset();
  runtime.context().restart();
  runtime.run();
  EXPECT_EQ(outcome->get().error().code(), ErrorCode::kClosed);
}

}  // namespace
}  // namespace warren::runtime

#include "security/tls/web_client.hpp"

#include <gtest/gtest.h>

#include "security/tls/test_authority.hpp"
#include "security/tls/test_raw_peer.hpp"

namespace warren::security {
namespace {

std::unique_ptr<WebTls> client_of(const Authority& authority) {
  return WebTls::create([] { return kNow; }, authority.pem()).value();
}

Result<> play_web(WebHandshake& ours, RawPeer& server) {
  for (int i = 0; i < 10; ++i) {
    server.feed(ours.take_output());
    if (ours.done()) break;
    server.advance();
    Bytes bytes = server.take_output();
    while (!bytes.empty() && !ours.done()) {
      const auto taken = ours.feed(bytes);
      if (!taken) return fail(taken.error());
      bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*taken));
    }
    server.put_back(std::move(bytes));
  }
  return {};
}

Result<> dial(const Authority& authority, const Recipe& recipe, const std::string& name) {
  const auto tls = client_of(authority);
  const auto handshake = tls->start(name);
  RawPeer server(Side::kListener, recipe,
                 [](SSL_CTX* context) { ::SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr); });
  auto result = play_web(*handshake, server);
  EXPECT_EQ(result.has_value(), handshake->done());
  return result;
}

TEST(WebTls, TalksToAServerWhoseNameAnAuthorityVouchesFor) {
  const Authority authority;
  const auto tls = client_of(authority);
  const auto handshake = tls->start("node.example");
  RawPeer server(Side::kListener, authority.server("DNS:node.example"),
                 [](SSL_CTX* context) { ::SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr); });
  const auto result = play_web(*handshake, server);
  ASSERT_TRUE(result) << result.error().message();
  ASSERT_TRUE(handshake->done());
  EXPECT_EQ(handshake->wants(), 0u);
  EXPECT_STREQ(::SSL_get_servername(server.ssl(), TLSEXT_NAMETYPE_host_name), "node.example");
  const auto channel = handshake->take_channel();
  server.advance();
  server.feed(sealed(*channel, as_bytes("GET /")));
  EXPECT_EQ(as_text(server.advance()), "GET /");
  server.write(as_bytes("HTTP/1.1 101"));
  Bytes bytes = server.take_output();
  EXPECT_EQ(as_text(opened(*channel, bytes).value()), "HTTP/1.1 101");
}

TEST(WebTls, TakesTheNamesThatStandInTheCertificate) {
  const Authority authority;
  EXPECT_TRUE(dial(authority, authority.server("DNS:a.example,DNS:b.example"), "b.example"));
  EXPECT_TRUE(dial(authority, authority.server("DNS:*.id.example"), "192-0-2-1.id.example"));
  EXPECT_TRUE(dial(authority, authority.server("IP:192.0.2.1"), "192.0.2.1"));
  EXPECT_TRUE(dial(authority, authority.server("IP:2001:db8::1"), "2001:db8::1"));
}

TEST(WebTls, RefusesOtherNamesDatesAndAuthorities) {
  const Authority authority;
  const auto expect_refused = [&](const Recipe& recipe, const std::string& name) {
    const auto result = dial(authority, recipe, name);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::kIntegrity) << result.error().message();
    EXPECT_NE(result.error().message().find(name), std::string::npos) << result.error().message();
  };
  expect_refused(authority.server("DNS:node.example"), "other.example");
  expect_refused(authority.server("DNS:*.id.example"), "a.b.id.example");
  expect_refused(authority.server("DNS:n*.example"), "node.example");
  expect_refused(authority.server(nullptr), "subject.example");
  expect_refused(authority.server("DNS:192.0.2.1"), "192.0.2.1");
  expect_refused(authority.server("IP:192.0.2.1"), "192.0.2.2");
  Recipe expired = authority.server("DNS:node.example");
  expired.to = kNow - 1s;
  expect_refused(expired, "node.example");
  Recipe early = authority.server("DNS:node.example");
  early.from = kNow + 1s;
  expect_refused(early, "node.example");
  expect_refused(Authority().server("DNS:node.example"), "node.example");
  // A peer's certificate of libp2p is nobody's name.
  expect_refused(Recipe{}, "node.example");
}

TEST(WebTls, TrustsNobodyByDefaultButTheSystem) {
  const Authority authority;
  const auto tls = WebTls::create([] { return kNow; }).value();
  const auto handshake = tls->start("node.example");
  RawPeer server(Side::kListener, authority.server("DNS:node.example"),
                 [](SSL_CTX* context) { ::SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr); });
  const auto result = play_web(*handshake, server);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kIntegrity);
}

TEST(WebTls, RefusesAuthoritiesThatAreNone) {
  const auto made = WebTls::create([] { return kNow; }, "no PEM");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kInvalidArgument);
}

TEST(WebTls, RefusesNamesThatAreNone) {
  const auto tls = client_of(Authority());
  for (const std::string& name : {std::string(), std::string(300, 'a')}) {
    const auto handshake = tls->start(name);
    EXPECT_TRUE(handshake->take_output().empty());
    const auto fed = handshake->feed(Bytes(1));
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code(), ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace warren::security

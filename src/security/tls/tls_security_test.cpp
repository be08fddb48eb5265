#include "security/tls/tls_security.hpp"

#include <gtest/gtest.h>

#include "security/tls/test_raw_peer.hpp"

namespace warren::security {
namespace {

using Names = std::vector<std::string>;

std::string agreed(Names dialler_muxers, Names listener_muxers) {
  const auto a = protocol_of(1, std::move(dialler_muxers));
  const auto b = protocol_of(2, std::move(listener_muxers));
  const auto dialler = a->start(Side::kDialler, peer_of(2));
  const auto listener = b->start(Side::kListener, std::nullopt);
  const Played played = play(*dialler, *listener);
  EXPECT_TRUE(played.dialler && played.listener && dialler->done() && listener->done());
  if (!dialler->done() || !listener->done()) return "not done";
  const std::string muxer = dialler->take_outcome().muxer;
  EXPECT_EQ(listener->take_outcome().muxer, muxer);
  return muxer;
}

void offer(SSL_CTX* context, std::string_view list) {
  ::SSL_CTX_set_alpn_protos(context, as_bytes(list).data(), static_cast<unsigned>(list.size()));
}

template <char... kList>
int choose(SSL*, const unsigned char** out, unsigned char* length, const unsigned char*, unsigned,
           void*) {
  static constexpr unsigned char kChosen[] = {kList...};
  *out = kChosen;
  *length = sizeof kChosen;
  return SSL_TLSEXT_ERR_OK;
}

TEST(TlsSecurity, ProvesBothPeersAndAgreesOnTheMuxer) {
  const auto a = protocol_of(1);
  const auto b = protocol_of(2);
  EXPECT_EQ(a->name(), "/tls/1.0.0");
  const auto dialler = a->start(Side::kDialler, peer_of(2));
  const auto listener = b->start(Side::kListener, std::nullopt);
  const Played played = play(*dialler, *listener);
  ASSERT_TRUE(played.dialler) << played.dialler.error().message();
  ASSERT_TRUE(played.listener) << played.listener.error().message();
  EXPECT_EQ(dialler->wants() + listener->wants(), 0u);
  EXPECT_TRUE(played.for_dialler.empty()) << "no ticket";
  const auto at_a = dialler->take_outcome();
  const auto at_b = listener->take_outcome();
  EXPECT_EQ(at_a.remote, peer_of(2));
  EXPECT_EQ(at_b.remote, peer_of(1));
  EXPECT_EQ(at_a.remote_key, identity(2).public_key());
  EXPECT_EQ(at_b.remote_key, identity(1).public_key());
  EXPECT_EQ(at_a.muxer, "/yamux/1.0.0");
  EXPECT_EQ(at_b.muxer, "/yamux/1.0.0");
}

TEST(TlsSecurity, TakesTheFirstMuxerOfTheDiallerThatTheListenerHas) {
  EXPECT_EQ(agreed({"/a", "/b"}, {"/b", "/a"}), "/a");
  EXPECT_EQ(agreed({"/x", "/b", "/a"}, {"/a", "/b"}), "/b");
}

TEST(TlsSecurity, LeavesTheMuxerToMultistreamSelectWhenNoneIsCommon) {
  EXPECT_EQ(agreed({}, {"/yamux/1.0.0"}), "");
  EXPECT_EQ(agreed({"/yamux/1.0.0"}, {}), "");
  EXPECT_EQ(agreed({"/a"}, {"/b"}), "");
}

TEST(TlsSecurity, TakesDiallersWithoutAlpn) {
  const auto protocol = protocol_of(2);
  const auto listener = protocol->start(Side::kListener, std::nullopt);
  RawPeer dialler(Side::kDialler, Recipe{});
  ASSERT_TRUE(play(*listener, dialler));
  ASSERT_TRUE(listener->done() && dialler.done());
  EXPECT_EQ(listener->take_outcome().muxer, "");
}

TEST(TlsSecurity, TakesListenersWithoutAlpn) {
  const auto protocol = protocol_of(2);
  const auto dialler = protocol->start(Side::kDialler, peer_of(1));
  RawPeer listener(Side::kListener, Recipe{});
  ASSERT_TRUE(play(*dialler, listener));
  ASSERT_TRUE(dialler->done() && listener.done());
  EXPECT_EQ(dialler->take_outcome().muxer, "");
}

TEST(TlsSecurity, RefusesADiallerOfAnotherApplication) {
  const auto protocol = protocol_of(2);
  const auto listener = protocol->start(Side::kListener, std::nullopt);
  RawPeer dialler(Side::kDialler, Recipe{},
                  [](SSL_CTX* context) { offer(context, "\x02h2\x08http/1.1"); });
  const auto result = play(*listener, dialler);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kUnsupported) << result.error().message();
  EXPECT_EQ(dialler.alert(), SSL_AD_NO_APPLICATION_PROTOCOL);
}

TEST(TlsSecurity, RefusesAMuxerThatItDidNotOffer) {
  const auto protocol = protocol_of(2);
  const auto dialler = protocol->start(Side::kDialler, peer_of(1));
  RawPeer listener(Side::kListener, Recipe{}, [](SSL_CTX* context) {
    ::SSL_CTX_set_alpn_select_cb(context, choose<'/', 'z'>, nullptr);
  });
  const auto result = play(*dialler, listener);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kMalformed) << result.error().message();
}

TEST(TlsSecurity, PrefersAesButHonoursADiallerThatPrefersChaCha) {
  const auto cipher_with = [](const char* suites) {
    const auto protocol = protocol_of(2);
    const auto listener = protocol->start(Side::kListener, std::nullopt);
    RawPeer dialler(Side::kDialler, Recipe{},
                    [suites](SSL_CTX* context) { ::SSL_CTX_set_ciphersuites(context, suites); });
    EXPECT_TRUE(play(*listener, dialler));
    return std::string(::SSL_get_cipher_name(dialler.ssl()));
  };
  EXPECT_EQ(cipher_with("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"),
            "TLS_CHACHA20_POLY1305_SHA256");
  EXPECT_EQ(cipher_with("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"),
#if defined(__x86_64__)
            __builtin_cpu_supports("aes") ? "TLS_AES_128_GCM_SHA256" : "TLS_AES_256_GCM_SHA384");
#else
            "TLS_AES_128_GCM_SHA256");
#endif
}

TEST(TlsSecurity, AgreesOnEachOfItsTwoGroups) {
  for (const char* group : {"X25519", "P-256"}) {
    const auto protocol = protocol_of(2);
    const auto listener = protocol->start(Side::kListener, std::nullopt);
    RawPeer dialler(Side::kDialler, Recipe{},
                    [group](SSL_CTX* context) { ::SSL_CTX_set1_groups_list(context, group); });
    EXPECT_TRUE(play(*listener, dialler)) << group;
    EXPECT_TRUE(listener->done() && dialler.done());
  }
}

TEST(TlsSecurity, IgnoresTheNameOfAServer) {
  const auto protocol = protocol_of(2);
  const auto listener = protocol->start(Side::kListener, std::nullopt);
  RawPeer dialler(Side::kDialler, Recipe{});
  ::SSL_set_tlsext_host_name(dialler.ssl(), "l");
  EXPECT_TRUE(play(*listener, dialler));
  EXPECT_TRUE(listener->done());
}

TEST(TlsSecurity, ShowsNoNameInItsFirstMessage) {
  const auto protocol = protocol_of(2);
  const auto dialler = protocol->start(Side::kDialler, peer_of(1));
  RawPeer listener(Side::kListener, Recipe{});
  ASSERT_TRUE(play(*dialler, listener));
  EXPECT_EQ(::SSL_get_servername(listener.ssl(), TLSEXT_NAMETYPE_host_name), nullptr);
}

TEST(TlsSecurity, RefusesMuxersThatAlpnCannotName) {
  const auto code_for = [](Names muxers) {
    const auto made = make_tls_security(identity(), std::move(muxers), [] { return kNow; });
    return made ? ErrorCode::kInternal : made.error().code();
  };
  EXPECT_EQ(code_for({""}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_for({std::string(256, 'm')}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_for({"libp2p"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_for(Names(17, "/m")), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace warren::security

#include "crypto/sha256.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <utility>

namespace warren::crypto {
namespace {

// Source: NIST FIPS 180-4 examples.
constexpr std::string_view kOfNothing =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kOfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kOfMillionA =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(to_hex(sha256({})), kOfNothing);
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))), kOfAbc);
  EXPECT_EQ(to_hex(sha256(Bytes(1'000'000, 'a'))), kOfMillionA);
}

TEST(Sha256, TakesItsInputInPieces) {
  Sha256 hash;
  for (int i = 0; i < 1000; ++i) hash.update(Bytes(1000, 'a'));
  EXPECT_EQ(to_hex(hash.finish()), kOfMillionA);
}

TEST(Sha256, StartsAnewAfterFinish) {
  Sha256 hash;
  hash.update(as_bytes("something else"));
  hash.finish();
  EXPECT_EQ(to_hex(hash.finish()), kOfNothing);
  hash.update(as_bytes("abc"));
  Sha256 moved = std::move(hash);
  EXPECT_EQ(to_hex(moved.finish()), kOfAbc);
}

TEST(Sha256, WorksOnThreadsAtOnce) {
  std::vector<std::jthread> threads;
  std::array<Sha256Digest, 4> digests{};
  for (auto& digest : digests) {
    threads.emplace_back([&digest] {
      for (int i = 0; i < 100; ++i) digest = sha256(Bytes(10'000, 'a'));
    });
  }
  threads.clear();
  for (const auto& digest : digests) EXPECT_EQ(digest, sha256(Bytes(10'000, 'a')));
}

}  // namespace
}  // namespace warren::crypto

// Goal: `local/` and the reserved names of an entry are never given to a peer, whatever it asks and
// whatever happens to the entry meanwhile. Method: streams of random requests, operations and
// changes of the disk against a real data server; SIM_SEED and SIM_SEEDS choose others. The same
// streams are what fuzz/served_library_fuzz.cpp makes better ones of.

#include <gtest/gtest.h>

#include <iostream>
#include <random>

#include "tests/sim/library_asker.hpp"

namespace warren::served {
namespace {

constexpr std::size_t kStreams = 2'000;

Bytes random_script(std::mt19937_64& random) {
  Bytes script(20 + random() % 300);
  for (std::uint8_t& byte : script) byte = static_cast<std::uint8_t>(random());
  return script;
}

TEST(ReservedNames, AreNeverGivenWhateverIsAsked) {
  std::vector<std::uint64_t> seeds = sim::seeds_from_env(1, 2);
  seeds.push_back(std::random_device{}());
  LibraryAsker asker;
  for (const std::uint64_t seed : seeds) {
    std::cout << "streams of seed " << seed << '\n';
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < kStreams / seeds.size(); ++i) {
      const Bytes script = random_script(random);
      ASSERT_EQ(asker.play(script), "") << "stream " << i << ", SIM_SEED=" << seed;
    }
  }
  std::cout << asker.requests() << " requests, " << asker.leaves_given() << " leaves and "
            << asker.nodes_given() << " blocks given, " << asker.leaves_missing()
            << " leaves missing, " << asker.refusals() << " refusals\n";
  // Else nothing was shown.
  EXPECT_GT(asker.leaves_given(), kStreams / 2);
  EXPECT_GT(asker.nodes_given(), kStreams / 2);
  EXPECT_GT(asker.leaves_missing(), kStreams / 100);
  EXPECT_GT(asker.refusals(), kStreams / 2);
}

// What this would find: an entry that is hashed with all that lies in it.
TEST(ReservedNames, WouldBeNoticed) {
  LibraryAsker asker([](std::string_view) { return false; });
  std::mt19937_64 random(1);
  std::string found;
  for (std::size_t i = 0; i < 200 && found.empty(); ++i) found = asker.play(random_script(random));
  EXPECT_NE(found, "");
}

}  // namespace
}  // namespace warren::served

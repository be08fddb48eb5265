// What transfers tell of peers while they run and when they end.

#include "transfer/peer_notes.hpp"

#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

struct Notes final : PeerNotes {
  void transfer_began(const PeerId& peer, TransferDirection) override {
    began[peer] += 1;
    running[peer] += 1;
  }
  void transfer_ended(const PeerId& peer, TransferDirection) override { running[peer] -= 1; }
  void gave(const PeerId& peer, std::uint64_t bytes) override { given[peer] += bytes; }
  void took(const PeerId& peer, std::uint64_t bytes) override { taken[peer] += bytes; }
  void noted(const PeerId& peer, peers::ReputationEvent event) override { events[peer][event]++; }

  std::map<PeerId, int> began, running;
  std::map<PeerId, std::uint64_t> given, taken;
  std::map<PeerId, std::map<peers::ReputationEvent, int>> events;
};

TransferConfig with(Notes& notes) {
  TransferConfig config;
  config.notes = &notes;
  return config;
}

using enum peers::ReputationEvent;

TEST(PeerNotes, BothSidesTellOfATransferThatGoesWell) {
  TestNet net;
  const std::string content = random_text((5u << 20) + 123, 8);
  write_file(net.path() / "file", content);
  Notes notes_of_a;
  Notes notes_of_b;
  const auto a = net.node(1, with(notes_of_a));
  const auto b = net.node(2, with(notes_of_b));
  const Cid root = a->share(net.path() / "file", "file");
  b->connect(*a);
  ASSERT_EQ(b->get(root).state, State::kCompleted);
  EXPECT_EQ(notes_of_b.given[a->peer()], content.size());
  EXPECT_GT(notes_of_b.events[a->peer()][kVerifiedChunk], 0);
  EXPECT_GT(notes_of_b.events[a->peer()][kUsefulAnswer], 0);
  EXPECT_EQ(notes_of_b.events[a->peer()].size(), 2u) << "something bad was told of an honest peer";
  EXPECT_EQ(notes_of_a.taken[b->peer()], content.size());
  EXPECT_GT(notes_of_a.began[b->peer()], 0);
  EXPECT_GT(notes_of_b.began[a->peer()], 0);
  EXPECT_EQ(notes_of_a.running[b->peer()], 0) << "a mark has outlived its transfer";
  EXPECT_EQ(notes_of_b.running[a->peer()], 0) << "a mark has outlived its transfer";
}

TEST(PeerNotes, ALiarIsTold) {
  TestNet net;
  write_file(net.path() / "file", random_text(8u << 20, 8));
  Notes notes;
  const auto a = net.node(1);
  const auto b = net.node(2, with(notes));
  const Cid root = a->share(net.path() / "file", "file");
  const auto time = fs::last_write_time(net.path() / "file");
  std::fstream(net.path() / "file", std::ios::binary | std::ios::in | std::ios::out)
      << random_text(8u << 20, 9);
  fs::last_write_time(net.path() / "file", time);
  b->connect(*a);
  ASSERT_EQ(b->get(root).state, State::kFailed);
  EXPECT_GE(notes.events[a->peer()][kFailedVerification], 3);
  EXPECT_EQ(notes.given[a->peer()], 0u);
  EXPECT_EQ(notes.running[a->peer()], 0);
}

}  // namespace
}  // namespace warren::transfer

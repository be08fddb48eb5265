// Who may fetch what, seen by a peer that knows the CID.

#include "transfer/raw_peer_for_test.hpp"

namespace warren::transfer {
namespace {

using peers::Access;
using peers::AccessRule;

const AccessRule kAnyone{Access::kAnyone, {}};
const AccessRule kTrusted{Access::kTrusted, {}};

AccessRule only(const PeerId& peer) { return {Access::kListed, {peer}}; }

class DataAccessTest : public testing::Test {
 protected:
  DataAccessTest() {
    write_file(net_.path() / "thing" / "sub" / "file", random_text(3'000'000, 1));
    write_file(net_.path() / "open" / "file", "for everybody");
    root_ = server_->share(net_.path() / "thing", "thing");
    open_ = server_->share(net_.path() / "open", "open");
    EXPECT_TRUE(server_->store().set_audience("open", kAnyone));
    peer_->connect(*server_);
  }
  void set(const AccessRule& rule) { EXPECT_TRUE(server_->store().set_audience("thing", rule)); }

  TestNet net_;
  std::set<PeerId> trusted_;
  std::map<std::string, AccessRule, std::less<>> entries_;
  std::unique_ptr<TestNode> server_ = net_.node(1, [this] {
    TransferConfig config;
    config.trusted = [this](const PeerId& peer) { return trusted_.contains(peer); };
    config.entry_audience = [this](std::string_view id, std::string_view) {
      const auto rule = entries_.find(id);
      return rule == entries_.end() ? nullptr : &rule->second;
    };
    return config;
  }());
  std::unique_ptr<TestNode> peer_ = net_.node(2);
  Cid root_;
  Cid open_;
};

TEST_F(DataAccessTest, ToOthersADatasetDoesNotExist) {
  const auto nodes = server_->store().nodes(root_, 0, 100, 1 << 20);
  ASSERT_GE(nodes->size(), 3u);
  const Cid node = nodes->at(1).cid;
  Cid unknown = root_;
  unknown.digest.bytes[0] = static_cast<std::uint8_t>(unknown.digest.bytes[0] ^ 1);
  const auto all_answers = [&](const Cid& root, const std::string& name) {
    RawPeer raw(net_, *peer_, server_->peer());
    std::vector<Response> answers;
    answers.push_back(raw.ask(FindRequest{name}));
    answers.push_back(raw.ask(HaveRequest{root}));
    answers.push_back(raw.ask(NodesRequest{root, {}}));
    answers.push_back(raw.ask(NodesRequest{root, {root}}));
    answers.push_back(raw.ask(NodesRequest{root, {node}}));
    answers.push_back(raw.ask(RangeRequest{root, 0, 1}));
    answers.push_back(raw.ask(RangeRequest{root, 1'000'000, 1}));
    // The texts have the CID that was asked for in them, and no other difference.
    for (Response& answer : answers) {
      auto* refusal = std::get_if<RefusalResponse>(&answer);
      if (refusal == nullptr) continue;
      const std::size_t at = refusal->text.find(root.to_string());
      if (at != std::string::npos) refusal->text.replace(at, root.to_string().size(), "CID");
    }
    return answers;
  };
  const std::vector<Response> of_nothing = all_answers(unknown, "nothing");
  EXPECT_NE(all_answers(root_, "thing"), of_nothing) << "it is for the LAN";
  set(kTrusted);
  EXPECT_EQ(all_answers(root_, "thing"), of_nothing);
  set(only(server_->peer()));
  EXPECT_EQ(all_answers(root_, "thing"), of_nothing);
  ASSERT_TRUE(server_->store().unshare("thing"));
  EXPECT_EQ(all_answers(root_, "thing"), of_nothing);
}

TEST_F(DataAccessTest, WhoIsNamedMayFetchIt) {
  set(kTrusted);
  trusted_.insert(peer_->peer());
  EXPECT_EQ(peer_->get(root_).state, State::kCompleted);
  fs::remove_all(peer_->got());
  fs::create_directories(peer_->got());
  trusted_.clear();
  set(only(peer_->peer()));
  EXPECT_EQ(peer_->get(root_).state, State::kCompleted);
}

TEST_F(DataAccessTest, TheNextRequestSeesTheNewRule) {
  RawPeer raw(net_, *peer_, server_->peer());
  EXPECT_EQ(raw.have(root_), Extent::kComplete);
  set(kTrusted);
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  EXPECT_TRUE(refused(raw.ask(RangeRequest{root_, 0, 1})));
  trusted_.insert(peer_->peer());
  EXPECT_EQ(raw.have(root_), Extent::kComplete);
  trusted_.clear();
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  set(kAnyone);
  EXPECT_EQ(raw.have(root_), Extent::kComplete);
  ASSERT_TRUE(server_->store().unshare("thing"));
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  EXPECT_TRUE(refused(raw.ask(RangeRequest{root_, 0, 1})));
}

TEST_F(DataAccessTest, ARangeThatIsBeingSentStops) {
  write_file(net_.path() / "big", random_text(48u << 20, 2));
  const Cid big = server_->share(net_.path() / "big", "big");
  RawPeer raw(net_, *peer_, server_->peer());
  raw.send(RangeRequest{big, 0, 48});
  std::uint64_t came = std::get<SegmentResponse>(raw.receive()).leaf_count;
  ASSERT_TRUE(server_->store().set_audience("big", kTrusted));
  for (;;) {
    const Response response = raw.receive();
    const auto* segment = std::get_if<SegmentResponse>(&response);
    if (segment == nullptr) {
      EXPECT_TRUE(refused(response));
      break;
    }
    came += segment->leaf_count;
    ASSERT_LE(came, 48u);
  }
  EXPECT_LT(came, 40u) << "more than was on its way";
  EXPECT_EQ(raw.have(open_), Extent::kComplete) << "the stream goes on";
}

TEST_F(DataAccessTest, ABlockIsGivenOnlyOfTheTreeThatWasNamed) {
  const auto nodes = server_->store().nodes(root_, 0, 100, 1 << 20);
  set(kTrusted);
  RawPeer raw(net_, *peer_, server_->peer());
  for (const content::NodeBlock& node : *nodes) {
    EXPECT_TRUE(refused(raw.ask(NodesRequest{open_, {node.cid}})));
  }
  EXPECT_FALSE(refused(raw.ask(NodesRequest{open_, {open_}})));
}

TEST_F(DataAccessTest, OnePlaceThatAllowsItIsEnough) {
  set(kTrusted);
  RawPeer raw(net_, *peer_, server_->peer());
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  const auto share = server_->store().find_share("thing");
  const auto imported = server_->store().imported(share->id);
  ASSERT_TRUE(server_->store().add_entry("entry", **imported, WallTime{}));
  EXPECT_EQ(raw.have(root_), Extent::kNone) << "nobody said that it may be fetched";
  entries_["entry"] = kTrusted;
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  entries_["entry"] = only(peer_->peer());
  const auto holding = std::get<HoldingResponse>(raw.ask(HaveRequest{root_}));
  EXPECT_EQ(holding.extent, Extent::kComplete);
  EXPECT_EQ(holding.name, "entry") << "the name of what it may not see";
  EXPECT_TRUE(std::get<FoundResponse>(raw.ask(FindRequest{"thing"})).datasets.empty());
  for (const std::string& name : {std::string("entry"), std::string("/entry"), root_.to_string()}) {
    EXPECT_TRUE(std::get<FoundResponse>(raw.ask(FindRequest{name})).datasets.empty()) << name;
  }
  EXPECT_EQ(peer_->get(root_).state, State::kCompleted);
  entries_.clear();
  EXPECT_EQ(raw.have(root_), Extent::kNone) << "on the same stream";
}

TEST_F(DataAccessTest, WhatIsForSomePeersAloneIsNotPassedOn) {
  const auto third = net_.node(3);
  third->connect(*peer_);
  third->connect(*server_);
  set(only(peer_->peer()));
  const TransferId id = peer_->start_get(by_root(root_));
  EXPECT_EQ(peer_->wait(id).state, State::kCompleted);
  EXPECT_EQ(peer_->get(open_).state, State::kCompleted);
  RawPeer raw(net_, *third, peer_->peer());
  EXPECT_EQ(raw.have(open_), Extent::kComplete) << "for the LAN: that may go on";
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  EXPECT_TRUE(refused(raw.ask(RangeRequest{root_, 0, 1})));
  // Asking again does not widen it, also when nothing has to be fetched any more.
  EXPECT_EQ(peer_->start_get(by_root(root_)), id);
  EXPECT_EQ(peer_->wait(id).state, State::kCompleted);
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  ASSERT_TRUE(sim::run(net_.world, peer_->manager().cancel(id)));
  EXPECT_EQ(peer_->get(root_).state, State::kCompleted);
  EXPECT_EQ(raw.have(root_), Extent::kNone);
  // Who has it from one that lets it go on may pass it on.
  ASSERT_TRUE(peer_->store().add_share(
      "mine", **server_->store().imported(server_->store().find_share("thing")->id), WallTime{},
      AccessRule{Access::kAnyone, {}}));
  const auto holding = std::get<HoldingResponse>(raw.ask(HaveRequest{root_}));
  EXPECT_EQ(holding.passing, Passing::kAnyone);
}

TEST_F(DataAccessTest, AHolderSaysToWhomItMayGoOn) {
  RawPeer raw(net_, *peer_, server_->peer());
  const auto passing = [&] {
    return std::get<HoldingResponse>(raw.ask(HaveRequest{root_})).passing;
  };
  EXPECT_EQ(passing(), Passing::kLan);
  set({Access::kAnyone, {}});
  EXPECT_EQ(passing(), Passing::kAnyone);
  set(only(peer_->peer()));
  EXPECT_EQ(passing(), Passing::kNobody);
  trusted_.insert(peer_->peer());
  set(kTrusted);
  EXPECT_EQ(passing(), Passing::kNobody);
}

}  // namespace
}  // namespace warren::transfer

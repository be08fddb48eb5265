#include "node/node.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "node/testing/sim_host.hpp"

namespace warren::node {
namespace {

using Host = testing::SimHost;

class NodeTest : public ::testing::Test {
 protected:
  NodeTest() {
    start(a_);
    start(b_);
  }
  ~NodeTest() override {
    sim::run(world_, a_.node->stop());
    sim::run(world_, b_.node->stop());
  }

  void start(Host& host) {
    const auto started = sim::run(world_, host.node->start());
    ASSERT_TRUE(started) << started.error().message();
  }
  Result<PeerId> connect() {
    return sim::run(world_, b_.node->connect(a_.address(1), world_.now() + 5s));
  }
  bool run_until(const std::function<bool()>& done) { return world_.run_until(done, 10min); }

  sim::World world_{sim::seed_from_env(11)};
  transport::memory::Hub hub_{std::make_shared<sim::MemoryLink>(world_)};
  Host a_{world_, hub_, 1, {{Multiaddr::memory(1), true}}};
  Host b_{world_, hub_, 2, {{Multiaddr::memory(2), true}}};
};

TEST_F(NodeTest, ItsStatusHasIdAndAddresses) {
  const NodeStatus status = a_.node->status();
  EXPECT_EQ(status.peer, a_.node->id());
  ASSERT_EQ(status.listen.size(), 1u);
  EXPECT_EQ(status.listen[0].to_string(), a_.address(1));
  EXPECT_EQ(status.peers_connected, 0u);
}

TEST_F(NodeTest, ConnectedPeersSeeEachOther) {
  const auto peer = connect();
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_EQ(*peer, a_.node->id());
  ASSERT_TRUE(run_until([&] {
    const auto view = a_.node->peer(b_.node->id());
    return view && view->connected && !view->agent.empty();
  }));
  const auto seen = b_.node->peers();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].connected);
  EXPECT_EQ(seen[0].via, "manual");
  EXPECT_EQ(seen[0].path, "lan/memory");
  ASSERT_FALSE(seen[0].addresses.empty());
  EXPECT_EQ(seen[0].addresses[0].to_string(), a_.address(1));
  const auto inbound = a_.node->peer(b_.node->id());
  EXPECT_EQ(inbound->via, "inbound");
  EXPECT_TRUE(inbound->agent.starts_with("warren/")) << inbound->agent;
}

TEST_F(NodeTest, AnotherIdentityThanTheOneDialledIsRefused) {
  const std::string lie = Multiaddr::memory(1).with_peer(b_.node->id()).to_string();
  EXPECT_EQ(sim::run(world_, b_.node->connect(lie, world_.now() + 5s)).error().code(),
            ErrorCode::kInvalidArgument)
      << "that is the node itself";
  Host third(world_, hub_, 3, {});
  start(third);
  const auto connected = sim::run(world_, third.node->connect(lie, world_.now() + 5s));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code(), ErrorCode::kIntegrity) << connected.error().message();
  sim::run(world_, third.node->stop());
}

TEST_F(NodeTest, APeerIsMeantByTheEndOfItsId) {
  ASSERT_TRUE(connect());
  const std::string id = a_.node->id().to_string();
  EXPECT_EQ(b_.node->find_peer(id).value(), a_.node->id());
  EXPECT_EQ(b_.node->find_peer(id.substr(id.size() - 6)).value(), a_.node->id());
  EXPECT_FALSE(b_.node->find_peer(id.substr(id.size() - 5)));
  EXPECT_FALSE(b_.node->find_peer("zzzzzzzz"));
}

TEST_F(NodeTest, PingAndPerfReachAConnectedPeer) {
  const auto peer = connect();
  ASSERT_TRUE(peer);
  auto session = sim::run(world_, b_.node->open_ping(*peer, world_.now() + 5s));
  ASSERT_TRUE(session) << session.error().message();
  const auto rtt = sim::run(world_, (*session)->ping(world_.now() + 5s));
  ASSERT_TRUE(rtt) << rtt.error().message();
  EXPECT_GT(*rtt, Duration::zero());
  session->reset();
  const auto perf = sim::run(world_, b_.node->perf(*peer, 100'000, 200'000, world_.now() + 60s));
  ASSERT_TRUE(perf) << perf.error().message();
  EXPECT_EQ(perf->uploaded_bytes, 100'000u);
  EXPECT_EQ(perf->downloaded_bytes, 200'000u);
  // What a connection has moved still counts when it is gone.
  ASSERT_TRUE(sim::run(world_, b_.node->disconnect(peer->to_string())));
  ASSERT_TRUE(run_until([&] { return b_.node->status().peers_connected == 0; }));
  EXPECT_GE(b_.node->status().bytes_sent, 100'000u);
  EXPECT_GE(b_.node->status().bytes_received, 200'000u);
}

TEST_F(NodeTest, ADisconnectedPeerStaysAway) {
  const auto peer = connect();
  ASSERT_TRUE(peer);
  ASSERT_TRUE(sim::run(world_, b_.node->disconnect(peer->to_string())));
  ASSERT_TRUE(run_until([&] { return b_.node->status().peers_connected == 0; }));
  world_.run_for(5min);
  EXPECT_EQ(b_.node->status().peers_connected, 0u);
  EXPECT_EQ(sim::run(world_, b_.node->disconnect(peer->to_string())).error().code(),
            ErrorCode::kNotFound);
}

TEST_F(NodeTest, APeerThatAPersonConnectedToIsDialledAgain) {
  const auto peer = connect();
  ASSERT_TRUE(peer);
  ASSERT_TRUE(run_until([&] { return a_.node->status().peers_connected == 1; }));
  ASSERT_TRUE(sim::run(world_, a_.node->disconnect(b_.node->id().to_string())));
  ASSERT_TRUE(run_until([&] { return b_.node->status().peers_connected == 0; }));
  // A left it alone for ManagerConfig::left_alone, and so did b.
  EXPECT_TRUE(world_.run_until([&] { return b_.node->status().peers_connected == 1; }, 10min + 5s));
}

TEST_F(NodeTest, AShareCrossesByItsNameAndByItsCid) {
  a_.folder.write("photos/one.jpg", std::string(3'000'000, 'x'));
  a_.folder.write("photos/deep/two.jpg", "small");
  const auto job = a_.node->share(a_.folder.path() + "/photos", "");
  ASSERT_TRUE(job);
  ASSERT_TRUE(run_until([&] { return (*job)->result().has_value(); }));
  const auto& shared = *(*job)->result();
  ASSERT_TRUE(shared) << shared.error().message();
  EXPECT_EQ(shared->info.name, "photos");
  EXPECT_EQ(a_.node->status().shares, 1u);
  ASSERT_TRUE(connect());

  for (const std::string& what : {std::string("photos"), shared->info.root.to_string()}) {
    GetOptions options;
    options.what = what;
    options.save_as = "by-" + what.substr(0, 4);
    const auto id = sim::run(world_, b_.node->get(options));
    ASSERT_TRUE(id) << id.error().message();
    const auto ended = sim::run(world_, b_.node->transfers().wait(*id, world_.now() + 10min));
    ASSERT_TRUE(ended) << ended.error().message();
    EXPECT_EQ(ended->state, transfer::State::kCompleted)
        << what << ": " << (ended->error ? ended->error->message() : "");
    EXPECT_EQ(std::filesystem::file_size(ended->path + "/one.jpg"), 3'000'000u);
    EXPECT_EQ(std::filesystem::file_size(ended->path + "/deep/two.jpg"), 5u);
  }
}

TEST_F(NodeTest, AVerificationFindsAChangedFile) {
  const std::string file = a_.folder.write("data/one", "first");
  const auto job = a_.node->share(a_.folder.path() + "/data", "d");
  ASSERT_TRUE(job);
  ASSERT_TRUE(run_until([&] { return (*job)->result().has_value(); }));
  a_.folder.write("data/one", "other content");
  const auto verification = a_.node->verify("d");
  ASSERT_TRUE(verification);
  ASSERT_TRUE(run_until([&] { return (*verification)->result().has_value(); }));
  const auto& verified = *(*verification)->result();
  ASSERT_TRUE(verified) << verified.error().message();
  EXPECT_EQ(verified->bad_count, 1u);
  EXPECT_EQ(a_.node->verify("nothing").has_value(), true) << "the job says that there is none";
  world_.run_for(1s);
}

TEST_F(NodeTest, AChangedShareIsHashedAgainByItself) {
  a_.folder.write("data/one", "first");
  const auto job = a_.node->share(a_.folder.path() + "/data", "d");
  ASSERT_TRUE(job);
  ASSERT_TRUE(run_until([&] { return (*job)->result().has_value(); }));
  const Cid before = (*(*job)->result())->info.root;
  a_.folder.write("data/one", "other content");
  const auto verification = a_.node->verify("d");
  ASSERT_TRUE(run_until([&] { return (*verification)->result().has_value(); }));
  world_.run_for(1min);
  const auto shares = sim::run(world_, a_.node->shares());
  ASSERT_TRUE(shares);
  ASSERT_EQ(shares->size(), 1u);
  EXPECT_EQ(shares->front().state, content::ShareState::kReady);
  EXPECT_NE(shares->front().root, before);
}

TEST_F(NodeTest, AGetThatNobodyHasEndsWhenItsTimeIsOver) {
  ASSERT_TRUE(connect());
  GetOptions options;
  options.what = Cid{Codec::kRaw, Digest{.bytes = {1, 2, 3}}}.to_string();
  options.wait = 30s;
  const TimePoint begun = world_.now();
  const auto id = sim::run(world_, b_.node->get(options));
  ASSERT_TRUE(id) << id.error().message();
  const auto ended = sim::run(world_, b_.node->transfers().wait(*id, world_.now() + 10min));
  ASSERT_TRUE(ended) << ended.error().message();
  EXPECT_EQ(ended->state, transfer::State::kFailed);
  ASSERT_TRUE(ended->error);
  EXPECT_EQ(ended->error->code(), ErrorCode::kNoPeer) << ended->error->message();
  EXPECT_GE(world_.now() - begun, 30s);
  EXPECT_LE(world_.now() - begun, 40s);
}

TEST_F(NodeTest, AnUnsupportedCidIsRefusedInsteadOfLookedUpAsAName) {
  GetOptions options;
  options.what = "bafyrmihkpmcoesgvvphe7ldmahn5nqr2lw7pjjmqqhkvyz2ryb5bkl6xl4";  // blake3.
  const auto id = sim::run(world_, b_.node->get(options));
  ASSERT_FALSE(id);
}

TEST_F(NodeTest, APortInUseNamesTheAddress) {
  Host third(world_, hub_, 3, {{Multiaddr::memory(1), false}});
  const auto started = sim::run(world_, third.node->start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), ErrorCode::kConflict);
  EXPECT_NE(started.error().message().find("cannot listen on /memory/1"), std::string::npos)
      << started.error().message();
  sim::run(world_, third.node->stop());
}

TEST_F(NodeTest, AnAddressThatCannotBeHadIsAWarningUnlessRequired) {
  const Multiaddr quic = Multiaddr::quic({IpAddress::v4(127, 0, 0, 1), 4001, 0});
  Host third(world_, hub_, 3, {{Multiaddr::memory(3), true}, {quic, false}});
  start(third);
  ASSERT_EQ(third.node->status().warnings.size(), 1u);
  EXPECT_NE(third.node->status().warnings[0].find(quic.to_string()), std::string::npos);
  sim::run(world_, third.node->stop());

  Host fourth(world_, hub_, 4, {{quic, true}});
  EXPECT_FALSE(sim::run(world_, fourth.node->start()));
  sim::run(world_, fourth.node->stop());
}

}  // namespace
}  // namespace warren::node

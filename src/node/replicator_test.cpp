// What a whole node fetches by itself of another one's library, on the virtual clock.

#include "node/replicator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "catalog/catalog_service.hpp"
#include "node/testing/sim_host.hpp"

namespace warren::node {
namespace {

using Host = testing::SimHost;
using State = catalog::SyncDirection::State;
namespace fs = std::filesystem;

class ReplicatorTest : public ::testing::Test {
 protected:
  ReplicatorTest() {
    start(a_);
    start(b_);
    fs::create_directory(a_.folder.path() + "/data");
    library::FolderSettings settings;
    settings.path = fs::canonical(a_.folder.path() + "/data");
    data_ = settings.path;
    EXPECT_TRUE(sim::run(world_, a_.node->libraries().add_folder(std::move(settings))));
  }
  ~ReplicatorTest() override {
    sim::run(world_, a_.node->stop());
    sim::run(world_, b_.node->stop());
  }

  void start(Host& host) {
    const auto started = sim::run(world_, host.node->start());
    ASSERT_TRUE(started) << started.error().message();
  }
  void connect() {
    const auto peer = sim::run(world_, b_.node->connect(a_.address(1), world_.now() + 5s));
    ASSERT_TRUE(peer) << peer.error().message();
  }
  void subscribe(const std::string& pattern) {
    ASSERT_TRUE(sim::run(world_, b_.node->subscribe(pattern, false)));
  }
  /// Of a. Found by a scan: what is there is not to be half written.
  void publish(const std::string& id, const std::string& text, const std::string& version = "1",
               const std::string& topic = "weather/eu") {
    a_.folder.write("data/" + id + "/data", text);
    a_.folder.write("data/" + id + "/version.ini",
                    "version = " + version + "\ntopic = " + topic + "\n");
    ASSERT_TRUE(a_.node->libraries().scan(""));
  }
  void remove(const std::string& id) {
    fs::remove_all(data_ + "/" + id);
    ASSERT_TRUE(a_.node->libraries().scan(""));
  }
  std::string replica(const std::string& id) const { return b_.folder.path() + "/replica/" + id; }
  std::string text_of(const std::string& id) const {
    std::ifstream file(replica(id) + "/data", std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  bool run_until(const std::function<bool()>& done, Duration within = 2min) {
    return world_.run_until(done, within);
  }
  bool comes(const std::string& id, const std::string& text, Duration within = 2min) {
    return run_until([&] { return text_of(id) == text; }, within);
  }
  /// Whether b knows that a has it ready.
  bool is_listed(const std::string& id) {
    const auto offers = sim::run(world_, b_.node->catalog().find(id));
    return offers && std::ranges::any_of(*offers, [&](const catalog::Offer& offer) {
             return offer.peer == a_.node->id() && offer.listing.root;
           });
  }
  void wait_until_listed(const std::string& id) {
    for (int i = 0; i < 200 && !is_listed(id); ++i) world_.run_for(100ms);
    ASSERT_TRUE(is_listed(id));
  }
  /// What b itself lists under this id is all there.
  bool is_ready(const std::string& id) {
    const auto here = b_.node->libraries().find(id);
    return here && here->entry.published.listing.root.has_value();
  }
  catalog::SyncDirection missing_here() {
    for (const catalog::PeerSync& sync : b_.node->catalog().sync()) {
      if (sync.peer == a_.node->id()) return sync.here;
    }
    return {};
  }
  const ReplicatorView& view() const { return b_.node->replication(); }
  std::vector<transfer::Progress> transfers() { return b_.node->transfers().list(); }
  void set_mode(catalog::Mode mode, const std::string& folder = "replica") {
    NodeSettings settings;
    settings.bandwidth = bandwidth_;
    settings.replication = {mode, b_.folder.path() + "/" + folder};
    static_cast<void>(sim::run(world_, b_.node->reconfigure(std::move(settings))));
  }
  /// So slow that it can be seen on its way.
  void slow_down(std::uint64_t bytes_a_second) {
    bandwidth_.down_bytes_per_second = bytes_a_second;
    bandwidth_.lan_exempt = false;
    b_.node->transfers().set_bandwidth(bandwidth_);
  }

  sim::World world_{sim::seed_from_env(11)};
  transport::memory::Hub hub_{std::make_shared<sim::MemoryLink>(world_)};
  Host a_{world_, hub_, 1, {{Multiaddr::memory(1), true}}};
  Host b_{world_, hub_, 2, {{Multiaddr::memory(2), true}}, [](NodeOptions& options) {
            const std::string folder = fs::path(options.download_dir).parent_path();
            options.catalog.replication = {catalog::Mode::kSelective, folder + "/replica"};
          }};
  std::string data_;
  transfer::BandwidthLimits bandwidth_;
};

TEST_F(ReplicatorTest, ANewEntryOfASubscribedTopicComesByItselfAndNoOther) {
  subscribe("weather/*");
  connect();
  publish("rain", "drops");
  publish("chess", "kings", "1", "games");
  ASSERT_TRUE(comes("rain", "drops"));
  wait_until_listed("chess");
  world_.run_for(1min);
  EXPECT_FALSE(fs::exists(replica("chess")));
  EXPECT_EQ(view().fetched, 1u);
  EXPECT_EQ(view().failed, 0u);
  EXPECT_TRUE(transfers().empty()) << "the library has it from then on";
  ASSERT_TRUE(run_until([&] { return missing_here().state == State::kUpToDate; }));
  subscribe("games");
  EXPECT_TRUE(comes("chess", "kings"));
}

TEST_F(ReplicatorTest, AnUpdateReplacesWhatWasFetched) {
  subscribe("weather/*");
  connect();
  publish("rain", "drops");
  ASSERT_TRUE(comes("rain", "drops"));
  ASSERT_TRUE(run_until([&] { return is_ready("rain"); }));
  publish("rain", "more drops", "2");
  ASSERT_TRUE(comes("rain", "more drops", 10min));
  EXPECT_EQ(view().fetched, 2u);
  ASSERT_TRUE(run_until([&] { return missing_here().state == State::kUpToDate; }));
  // What a no longer lists stays here.
  remove("rain");
  world_.run_for(10min);
  EXPECT_EQ(text_of("rain"), "more drops");
}

TEST_F(ReplicatorTest, WhatAPersonChangedHereIsNotReplacedAndIsAConflict) {
  subscribe("weather/*");
  connect();
  publish("rain", "drops");
  ASSERT_TRUE(comes("rain", "drops"));
  ASSERT_TRUE(run_until([&] { return is_ready("rain"); }));
  b_.folder.write("replica/rain/data", "my own");
  ASSERT_TRUE(b_.node->libraries().scan(""));
  world_.run_for(10s);
  publish("rain", "more drops", "2");
  world_.run_for(10min);
  EXPECT_EQ(text_of("rain"), "my own");
  const catalog::SyncDirection missing = missing_here();
  EXPECT_EQ(missing.state, State::kWaiting);
  EXPECT_EQ(missing.reason, catalog::Reason::kConflict);
}

TEST_F(ReplicatorTest, AnUpdateOfWhatSomebodyWorksOnWaits) {
  subscribe("weather/*");
  connect();
  publish("rain", "drops");
  ASSERT_TRUE(comes("rain", "drops"));
  ASSERT_TRUE(run_until([&] { return is_ready("rain"); }));
  auto operation = b_.node->libraries().begin_operation("rain");
  ASSERT_TRUE(operation);
  publish("rain", "more drops", "2");
  world_.run_for(1min);
  EXPECT_EQ(text_of("rain"), "drops");
  operation->end();
  EXPECT_TRUE(comes("rain", "more drops", 10min));
}

TEST_F(ReplicatorTest, WhatAPersonCancelledIsLeftAloneForAWhileAndSaysSo) {
  subscribe("weather/*");
  slow_down(64u << 10);
  connect();
  publish("rain", std::string(8u << 20, 'r'));
  ASSERT_TRUE(run_until([&] {
    const auto all = transfers();
    return all.size() == 1 && all[0].phase == transfer::Phase::kDownloading;
  }));
  ASSERT_TRUE(sim::run(world_, b_.node->transfers().cancel(transfers()[0].id)));
  world_.run_for(4min);
  EXPECT_TRUE(transfers().empty());
  EXPECT_EQ(missing_here().state, State::kWaiting);
  EXPECT_EQ(missing_here().reason, catalog::Reason::kPerson);
  EXPECT_EQ(missing_here().need.count, 1u);
  slow_down(0);
  EXPECT_TRUE(run_until([&] { return fs::exists(replica("rain")); }, 15min));
}

TEST_F(ReplicatorTest, WhatFailsIsTriedAgainLessAndLessOften) {
  // A file is in the way of the folder in which it is to appear.
  subscribe("weather/*");
  connect();
  publish("rain", "drops");
  fs::create_directory(b_.folder.path() + "/replica");
  b_.folder.write("replica/rain", "in the way");
  ASSERT_TRUE(run_until([&] { return view().failed == 1; }, 2min));
  world_.run_for(4min);
  EXPECT_EQ(view().failed, 1u);
  EXPECT_EQ(missing_here().state, State::kWaiting);
  EXPECT_EQ(missing_here().reason, catalog::Reason::kConflict);
  world_.run_for(1h);
  EXPECT_GE(view().failed, 3u);
  EXPECT_LE(view().failed, 5u) << "after 5, 10, 20, 40 minutes";
  fs::remove(replica("rain"));
  EXPECT_TRUE(comes("rain", "drops", 6h));
}

TEST_F(ReplicatorTest, AProblemThatIsMendedIsNoReasonWhileThePassGoesOn) {
  subscribe("weather/*");
  b_.folder.write("blocked", "in the way");
  set_mode(catalog::Mode::kSelective, "blocked/replica");
  connect();
  publish("rain", std::string(8u << 20, 'r'));
  publish("snow", "flakes");
  ASSERT_TRUE(run_until([&] { return missing_here().items.size() == 2; }));
  EXPECT_FALSE(view().problem.empty());
  EXPECT_NE(missing_here().items[1].reason, catalog::Reason::kNone);
  slow_down(64u << 10);
  fs::remove(b_.folder.path() + "/blocked");
  ASSERT_TRUE(run_until([&] { return view().fetching == "rain"; }, 10min));
  EXPECT_EQ(view().problem, "");
  world_.run_for(10s);
  ASSERT_EQ(view().fetching, "rain");
  ASSERT_EQ(missing_here().items.size(), 2u);
  EXPECT_EQ(missing_here().items[1].reason, catalog::Reason::kNone);
}

TEST_F(ReplicatorTest, AnUpdateThatCannotBePutDownKeepsNothingElseBack) {
  subscribe("weather/*");
  connect();
  publish("rain", "drops");
  ASSERT_TRUE(comes("rain", "drops"));
  ASSERT_TRUE(run_until([&] { return is_ready("rain"); }));
  // Where updates are put first.
  b_.folder.write("replica/.warren-new", "in the way");
  publish("rain", "more drops", "2");
  ASSERT_TRUE(run_until([&] { return view().failed == 1; }, 10min));
  publish("snow", "flakes");
  ASSERT_TRUE(comes("snow", "flakes"));
  EXPECT_EQ(view().problem, "");
  ASSERT_TRUE(run_until([&] { return missing_here().need.count == 1; }));
  ASSERT_EQ(missing_here().items.size(), 1u);
  EXPECT_EQ(missing_here().items[0].id, "rain");
  EXPECT_EQ(missing_here().items[0].reason, catalog::Reason::kError);
  fs::remove(replica(".warren-new"));
  EXPECT_TRUE(comes("rain", "more drops", 1h));
}

TEST_F(ReplicatorTest, OneEntryIsFetchedAtATimeAndNoneTwice) {
  subscribe("weather/*");
  slow_down(1u << 20);
  connect();
  for (int i = 0; i < 4; ++i) publish("rain" + std::to_string(i), std::string(3u << 20, "abcd"[i]));
  std::size_t most = 0;
  ASSERT_TRUE(run_until(
      [&] {
        most = std::max(most, transfers().size());
        return view().fetched == 4;
      },
      5min));
  EXPECT_EQ(most, 1u);
  world_.run_for(20min);
  EXPECT_EQ(view().fetched, 4u);
  EXPECT_EQ(view().failed, 0u);
}

TEST_F(ReplicatorTest, ALesserModeKeepsWhatIsHereAndPausesWhatIsUnderWay) {
  subscribe("weather/*");
  connect();
  publish("rain", "drops");
  ASSERT_TRUE(comes("rain", "drops"));
  slow_down(64u << 10);
  publish("snow", std::string(8u << 20, 's'));
  ASSERT_TRUE(run_until([&] {
    const auto all = transfers();
    return all.size() == 1 && all[0].phase == transfer::Phase::kDownloading;
  }));
  ASSERT_TRUE(run_until([&] { return missing_here().need.count == 1; }));
  set_mode(catalog::Mode::kProxy);
  ASSERT_TRUE(run_until([&] { return transfers()[0].state == transfer::State::kPaused; }));
  ASSERT_TRUE(run_until([&] { return missing_here().state == State::kUpToDate; }))
      << "nothing of it is wanted any more";
  slow_down(0);
  world_.run_for(10min);
  EXPECT_EQ(text_of("rain"), "drops");
  EXPECT_FALSE(fs::exists(replica("snow")));
  set_mode(catalog::Mode::kSelective);
  EXPECT_TRUE(run_until([&] { return fs::exists(replica("snow")); }, 15min));
}

}  // namespace
}  // namespace warren::node

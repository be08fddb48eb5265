// Many nodes that fetch the same dataset from one seed, each behind an uplink of its own. The
// ordinary sizes keep the proportions of 1 GiB in chunks of 1 MiB and take seconds; SWARM_MIB=1024
// is the full size, with content that takes no room (all zeros, and holes made of it).

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "transfer/net_for_test.hpp"
#include "transport/frame_io.hpp"
#include "uplinks.hpp"

namespace warren::transfer {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr sim::Host kSeed = 1;

struct Plan {
  std::size_t nodes = 50;
  std::uint64_t chunks = 256;
  std::uint64_t chunk_bytes = 256u << 10;
  std::uint64_t uplink = 4 * kMiB;  ///< Bytes a second, of each node.
  std::size_t liars = 0;            ///< Have all, and send other bytes.
  std::size_t stallers = 0;         ///< Have all, and send nothing.
  bool hollow = false;              ///< All content is zeros, and takes no room.
  std::uint64_t bytes() const { return chunks * chunk_bytes; }
};

// SWARM_MIB and SWARM_NODES make it larger; then with chunks of 1 MiB.
Plan plan_from_env(Plan plan) {
  if (const char* nodes = std::getenv("SWARM_NODES")) plan.nodes = std::stoul(nodes);
  if (const char* size = std::getenv("SWARM_MIB")) {
    plan.chunk_bytes = kMiB;
    plan.chunks = std::stoul(size);
    plan.uplink = 16 * kMiB;
    plan.hollow = true;
  }
  return plan;
}

// Says that it has everything, and never sends a chunk.
class Staller {
 public:
  Staller(sim::World& world, const transport::memory::Hub& hub, sim::Host host,
          std::uint64_t chunks)
      : world_(world), runtime_(world.make_runtime(host)), chunks_(chunks) {
    swarm_ = make_swarm(*runtime_, hub, host);
    swarm_->set_handler(std::string(kDataProtocol),
                        [this](swarm::ProtocolStream stream) { return serve(std::move(stream)); });
  }
  ~Staller() { sim::run(world_, swarm_->close()); }

 private:
  awaitable<void> serve(swarm::ProtocolStream stream) {
    transport::FrameReader reader(*stream.stream);
    for (;;) {
      const auto frame = co_await reader.read_frame_or_end(1u << 20, kNever);
      if (!frame || !*frame) co_return;
      const auto request = decode_request(**frame);
      if (!request || !std::holds_alternative<HaveRequest>(*request)) continue;
      const Bytes answer = encode(HoldingResponse{Extent::kComplete, "thing", chunks_, {}});
      const auto written = co_await transport::write_frame(*stream.stream, answer, kNever);
      if (!written) co_return;
    }
  }

  sim::World& world_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::uint64_t chunks_;
  std::unique_ptr<swarm::Swarm> swarm_;
};

// Other bytes, and size, time and inode as before.
void corrupt(const fs::path& folder) {
  for (const auto& item : fs::directory_iterator(folder)) {
    const auto time = fs::last_write_time(item.path());
    std::fstream(item.path(), std::ios::binary | std::ios::in | std::ios::out) << "a lie";
    fs::last_write_time(item.path(), time);
  }
}

class SwarmNetwork {
 public:
  SwarmNetwork(Plan plan, std::uint64_t seed)
      : plan_(plan),
        world_(seed),
        uplinks_(std::make_shared<sim::Uplinks>(world_, plan.uplink)),
        hub_(uplinks_) {
    write_dataset(source());
    nodes_[kSeed] = make_node(kSeed);
    root_ = nodes_[kSeed]->share(source(), "thing");
    for (sim::Host host = 2; host < 2 + plan_.nodes; ++host) add(host);
    for (sim::Host a = 1; a < 2 + plan_.nodes; ++a) {
      for (sim::Host b = a + 1; b < 2 + plan_.nodes; ++b) {
        if (nodes_.contains(a)) {
          connect(*nodes_.at(a), b);
        } else if (nodes_.contains(b)) {
          connect(*nodes_.at(b), a);
        }
      }
    }
  }

  // Everybody fetches; returns when the last honest one has ended.
  void run() {
    sent_before_ = uplinks_->bytes_sent(kSeed);
    const TimePoint start = world_.now();
    std::map<sim::Host, TransferId> ids;
    GetRequest request;
    request.root = root_;
    for (const auto& [host, node] : nodes_) {
      if (!fetches(host)) continue;
      ids[host] = node->start_get(request);
    }
    for (const auto& [host, id] : ids) {
      while (!ended(host, id)) {
        world_.run_for(1s);
        if (plan_.hollow) make_holes();
        ASSERT_LT(world_.now() - start, 1h) << world_.replay_hint();
      }
      const Progress got = *nodes_.at(host)->manager().progress(id);
      EXPECT_EQ(got.state, State::kCompleted) << (got.error ? got.error->message() : "");
      last_ = std::max(last_, got.elapsed);
      bad_chunks_ += got.bad_chunks;
      retries_ += got.retries;
    }
    for (const auto& [host, id] : ids) {
      if (!plan_.hollow) {
        EXPECT_EQ(difference(source(), nodes_.at(host)->got() / "thing"), "");
      }
    }
  }

  double copies_sent() const {
    return static_cast<double>(uplinks_->bytes_sent(kSeed) - sent_before_) /
           static_cast<double>(plan_.bytes());
  }
  // In times of one copy at the uplink of the seed.
  double time_taken() const {
    return std::chrono::duration<double>(last_).count() * static_cast<double>(plan_.uplink) /
           static_cast<double>(plan_.bytes());
  }
  void tell() const {
    std::cout << plan_.nodes << " nodes, " << plan_.bytes() / kMiB << " MiB, " << plan_.liars
              << " liars, " << plan_.stallers << " stallers: done in " << time_taken()
              << " times one copy at the uplink of the seed ("
              << std::chrono::duration<double>(last_).count() << " s); the seed sent "
              << copies_sent() << " copies; " << bad_chunks_ << " bad chunks, " << retries_
              << " repeated requests\n";
  }
  std::uint32_t bad_chunks() const { return bad_chunks_; }
  sim::World& world() { return world_; }

 private:
  fs::path source() const { return folder_.path() / "source" / "thing"; }
  bool fetches(sim::Host host) const { return host >= 2 + plan_.liars; }

  void write_dataset(const fs::path& folder) const {
    fs::create_directories(folder);
    for (std::uint64_t i = 0; i < plan_.chunks; ++i) {
      const fs::path path = folder / ("c" + std::to_string(10'000 + i));
      if (plan_.hollow) {
        std::ofstream(path).flush();
        fs::resize_file(path, plan_.chunk_bytes);
      } else {
        write_file(path, random_text(plan_.chunk_bytes, i));
      }
    }
  }
  std::unique_ptr<TestNode> make_node(sim::Host host) {
    TransferConfig config;
    config.scheduler.request_bytes_min = plan_.chunk_bytes;
    return std::make_unique<TestNode>(world_, hub_, host,
                                      folder_.path() / ("node" + std::to_string(host)), config);
  }
  void add(sim::Host host) {
    if (host >= 2 + plan_.liars && host < 2 + plan_.liars + plan_.stallers) {
      stallers_.push_back(std::make_unique<Staller>(world_, hub_, host, plan_.chunks));
      return;
    }
    nodes_[host] = make_node(host);
    if (fetches(host)) return;
    const fs::path copy = nodes_[host]->folder() / "thing";
    fs::copy(source(), copy);
    EXPECT_EQ(nodes_[host]->share(copy, "thing"), root_);
    corrupt(copy);
  }
  void connect(TestNode& node, sim::Host to) {
    const auto connected = sim::run(world_, node.swarm().connect(Multiaddr::memory(to), kNever));
    EXPECT_TRUE(connected) << connected.error().message();
  }
  bool ended(sim::Host host, TransferId id) const {
    return nodes_.at(host)->manager().progress(id)->state != State::kActive;
  }
  // What has come is zeros; holes read the same.
  void make_holes() const {
    for (const auto& item : fs::recursive_directory_iterator(folder_.path())) {
      if (!item.is_regular_file() || !item.path().filename().string().starts_with('c')) continue;
      const int file = ::open(item.path().c_str(), O_RDWR | O_CLOEXEC);
      if (file < 0) continue;
      const auto bytes = static_cast<off_t>(plan_.chunk_bytes);
      ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes);
      ::close(file);
    }
  }

  Plan plan_;
  TemporaryFolder folder_;
  sim::World world_;
  std::shared_ptr<sim::Uplinks> uplinks_;
  transport::memory::Hub hub_;
  Cid root_;
  std::map<sim::Host, std::unique_ptr<TestNode>> nodes_;
  std::vector<std::unique_ptr<Staller>> stallers_;
  std::uint64_t sent_before_ = 0;
  Duration last_{};
  std::uint32_t bad_chunks_ = 0;
  std::uint32_t retries_ = 0;
};

// Goal: a swarm is about as fast as one copy, and does not cost the seed much more than one.
TEST(Swarm, FiftyNodesAreDoneInLittleMoreThanTheTimeOfOneCopy) {
  for (const std::uint64_t seed : sim::seeds_from_env(1, 1)) {
    SwarmNetwork network(plan_from_env({}), seed);
    network.run();
    network.tell();
    EXPECT_LE(network.time_taken(), 1.5) << network.world().replay_hint();
    EXPECT_LE(network.copies_sent(), 1.3) << network.world().replay_hint();
  }
}

// Goal: a fifth that lies or is silent costs time and nothing else.
TEST(Swarm, IsDoneAlthoughAFifthLiesOrSendsNothing) {
  Plan plan;
  plan.liars = 5;
  plan.stallers = 5;
  for (const std::uint64_t seed : sim::seeds_from_env(1, 1)) {
    SwarmNetwork network(plan, seed);
    network.run();
    network.tell();
    EXPECT_GT(network.bad_chunks(), 0u) << "nobody asked a liar";
    EXPECT_LE(network.time_taken(), 2.5) << network.world().replay_hint();
    EXPECT_LE(network.copies_sent(), 2.0) << network.world().replay_hint();
  }
}

}  // namespace
}  // namespace warren::transfer

#pragma once
// Nodes with a store and a transfer manager on the simulated network, for the tests of this folder.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "content/store.hpp"
#include "content/verify.hpp"
#include "crypto/keys.hpp"
#include "sim/memory_link.hpp"
#include "sim/world.hpp"
#include "swarm/swarm.hpp"
#include "transfer/transfer_manager.hpp"
#include "transport/memory/memory_transport.hpp"

namespace warren::transfer {

namespace fs = std::filesystem;

/// A folder that goes with the object; in memory where the machine has that, because these tests
/// wait for the disk often.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const fs::path memory = "/dev/shm";
    const fs::path parent = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    std::string name = (parent / "warren-transfer-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline std::string random_text(std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text(bytes, '\0');
  for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(text.data() + at, &word, std::min(sizeof word, bytes - at));
  }
  return text;
}

inline void write_file(const fs::path& path, std::string_view content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(fs::file_size(path), '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  return text;
}

/// "" when both trees are equal, else where they differ.
inline std::string difference(const fs::path& a, const fs::path& b) {
  if (fs::symlink_status(a).type() != fs::symlink_status(b).type()) return b.string() + " (kind)";
  if (fs::is_symlink(a)) {
    return fs::read_symlink(a) == fs::read_symlink(b) ? "" : b.string() + " (target)";
  }
  if (!fs::is_directory(a)) return read_file(a) == read_file(b) ? "" : b.string() + " (content)";
  std::set<fs::path> names;
  for (const auto& item : fs::directory_iterator(a)) names.insert(item.path().filename());
  for (const auto& item : fs::directory_iterator(b)) names.insert(item.path().filename());
  for (const fs::path& name : names) {
    std::string found = difference(a / name, b / name);
    if (!found.empty()) return found;
  }
  return "";
}

inline GetRequest by_root(const Cid& root) {
  GetRequest request;
  request.root = root;
  return request;
}

/// The swarm of a host; listens at /memory/<host>.
inline std::unique_ptr<swarm::Swarm> make_swarm(runtime::Runtime& runtime,
                                                const transport::memory::Hub& hub, sim::Host host,
                                                transport::memory::MemoryConfig config = {}) {
  const auto key = crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(host)));
  auto swarm =
      std::make_unique<swarm::Swarm>(runtime, PeerId::from_public_key(key.public_key().protobuf()));
  config.node = host;
  swarm->add_transport(
      std::make_unique<transport::memory::MemoryTransport>(runtime, hub, key.public_key(), config));
  EXPECT_TRUE(swarm->listen(Multiaddr::memory(host)));
  return swarm;
}

/// Host `host` of the world; listens at /memory/<host>.
class TestNode {
 public:
  TestNode(sim::World& world, transport::memory::Hub& hub, sim::Host host, fs::path folder,
           TransferConfig config = {})
      : world_(world),
        hub_(hub),
        host_(host),
        folder_(std::move(folder)),
        config_(std::move(config)) {
    fs::create_directories(folder_ / "got");
    config_.free_bytes_min = 0;
    start();
  }
  ~TestNode() { stop(); }

  void start() {
    runtime_ = world_.make_runtime(host_);
    store_ = std::move(*content::Store::open((folder_ / "warren.db").string()));
    swarm_ = make_swarm(*runtime_, hub_, host_, {.stream_window_bytes = 2u << 20});
    manager_ = std::make_unique<TransferManager>(*runtime_, *swarm_, *store_, config_);
    const Result<> opened = sim::run(world_, manager_->open());
    EXPECT_TRUE(opened) << opened.error().message();
  }
  void stop() {
    if (!manager_) return;
    sim::run(world_, manager_->close());
    sim::run(world_, swarm_->close());
    manager_.reset();
    swarm_.reset();
    store_.reset();
    runtime_.reset();
  }

  Cid share(const fs::path& path, const std::string& name) {
    auto shared = sim::run(world_, content::share_path(*runtime_, *store_, path.string(), name,
                                                       std::make_shared<content::Progress>()));
    EXPECT_TRUE(shared) << shared.error().message();
    return shared->info.root;
  }
  void connect(const TestNode& other) {
    const auto connected =
        sim::run(world_, swarm_->connect(Multiaddr::memory(other.host_), kNever));
    EXPECT_TRUE(connected) << connected.error().message();
  }
  TransferId start_get(GetRequest request) {
    if (request.directory.empty()) request.directory = (folder_ / "got").string();
    const auto id = sim::run(world_, manager_->start(std::move(request)));
    EXPECT_TRUE(id) << id.error().message();
    return id.value_or(0);
  }
  Progress wait(TransferId id, Duration max = std::chrono::hours(1)) {
    const auto ended = sim::run(world_, manager_->wait(id, world_.now() + max));
    EXPECT_TRUE(ended) << ended.error().message();
    return ended.value_or(Progress{});
  }
  Progress get(GetRequest request) { return wait(start_get(std::move(request))); }
  Progress get(const Cid& root) { return get(by_root(root)); }

  TransferManager& manager() { return *manager_; }
  content::Store& store() { return *store_; }
  swarm::Swarm& swarm() { return *swarm_; }
  runtime::Runtime& runtime() { return *runtime_; }
  const PeerId& peer() const { return swarm_->local_peer(); }
  fs::path got() const { return folder_ / "got"; }
  const fs::path& folder() const { return folder_; }

 private:
  sim::World& world_;
  transport::memory::Hub& hub_;
  sim::Host host_;
  fs::path folder_;
  TransferConfig config_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<content::Store> store_;
  std::unique_ptr<swarm::Swarm> swarm_;
  std::unique_ptr<TransferManager> manager_;
};

/// A world, and folders for its nodes.
class TestNet {
 public:
  explicit TestNet(std::uint64_t seed = 1) : world(sim::seed_from_env(seed)) {}

  std::unique_ptr<TestNode> node(sim::Host host, TransferConfig config = {}) {
    return std::make_unique<TestNode>(world, hub, host, path() / ("node" + std::to_string(host)),
                                      std::move(config));
  }
  const fs::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;

 public:
  sim::World world;
  transport::memory::Hub hub{std::make_shared<sim::MemoryLink>(world)};
};

}  // namespace warren::transfer

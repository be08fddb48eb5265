#pragma once
// Whole nodes (node::Node) on the memory transport and the simulated network, each with a folder
// of its own on the real disk.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "node/node.hpp"
#include "runtime/task_group.hpp"
#include "sim/memory_link.hpp"
#include "sim/world.hpp"
#include "transport/memory/memory_transport.hpp"

namespace warren::sim {

/// In memory where there is such a place. The caller removes it.
std::filesystem::path make_temporary_folder();
/// The identity of the node on `host`.
crypto::PrivateKey key_of(Host host);

/// One file of a dataset made for a test.
struct TestFile {
  std::string path;  ///< Relative.
  std::size_t bytes = 0;
};

/// Writes the files under `folder`, their content derived from `seed` and their path. All of them
/// have one fixed time of change, so that no run depends on when it runs.
void write_files(const std::filesystem::path& folder, const std::vector<TestFile>& files,
                 std::uint64_t seed);
/// Changes some bytes in the middle of every file, but neither size nor time: a disk that lies.
void corrupt_files(const std::filesystem::path& folder, const std::vector<TestFile>& files);
/// The first path that differs between two folders; empty when they are the same.
std::string first_difference(const std::filesystem::path& a, const std::filesystem::path& b,
                             const std::vector<TestFile>& files);

/// Host `host` of the world, running a node that listens at /memory/<host>.
struct Member {
  Host host = 0;
  std::filesystem::path folder;  ///< What it shares is in "shared", what it gets in "got".
  std::unique_ptr<runtime::Runtime> runtime;
  std::unique_ptr<node::Node> node;
  transfer::TransferId transfer = 0;
  bool ended = false;  ///< It has, and shares, what it was to get; or `error` says why not.
  std::optional<Error> error;
  std::uint64_t bad_chunks = 0;  ///< That it was sent.
  std::unique_ptr<runtime::TaskGroup> tasks;

  std::string address() const;
};

/// How the nodes of a network speak to each other.
enum class Wire {
  kMemory,   ///< The memory transport at /memory/<host>. Every run with one seed is the same.
  kQuicLan,  ///< QUIC on port 4001, and mDNS. GnuTLS draws its own random numbers: runs differ.
};

class NodeNetwork {
 public:
  /// Starts `count` nodes on the hosts 1 to `count`.
  NodeNetwork(std::uint64_t seed, std::size_t count, Wire wire = Wire::kMemory);
  ~NodeNetwork();
  NodeNetwork(const NodeNetwork&) = delete;
  NodeNetwork& operator=(const NodeNetwork&) = delete;

  /// With kMemory: a ring, and from every node one connection to a random other.
  void connect_all();
  /// Shares the folder "shared" of a member and returns its root.
  Cid share(Member& member, const std::string& name);
  /// Every member of `who` begins to fetch `what`, a CID or a name, from whom it is connected to,
  /// and serves it in turn, as every node does.
  void get(const std::vector<Member*>& who, const std::string& what);
  /// Runs until every one of `who` has ended; false when that takes longer than `max`.
  bool run_until_ended(const std::vector<Member*>& who, Duration max);
  /// How the transfers of `who` stand, for the message of a failure.
  std::string describe(const std::vector<Member*>& who) const;

  World world;
  std::vector<std::unique_ptr<Member>> members;

 private:
  awaitable<void> get_one(Member& member, std::string what);
  void start(Member& member, Wire wire);

  std::filesystem::path folder_;
  transport::memory::Hub hub_;
  std::uint64_t ended_ = 0;  ///< Members so far.
};

}  // namespace warren::sim

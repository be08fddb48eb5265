#include "node_network.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/check.hpp"
#include "transport/quic/quic_transport.hpp"

namespace warren::sim {
namespace {

namespace fs = std::filesystem;

constexpr std::time_t kFileTime = 1'700'000'000;  // Older than every simulated day.

void set_time(const fs::path& path) {
  const timespec times[2] = {{kFileTime, 0}, {kFileTime, 0}};
  WARREN_CHECK(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

Bytes content_of(const TestFile& file, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ull + 1;
  for (const char letter : file.path) state = state * 31 + static_cast<std::uint8_t>(letter);
  Bytes bytes(file.bytes);
  for (std::uint8_t& byte : bytes) {
    state = state * 6'364'136'223'846'793'005ull + 1'442'695'040'888'963'407ull;
    byte = static_cast<std::uint8_t>(state >> 56);
  }
  return bytes;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

awaitable<Result<Cid>> share_and_wait(Member& member, std::string path, std::string name) {
  WARREN_CO_TRY(const auto job, member.node->share(std::move(path), std::move(name)));
  const TimePoint deadline = member.runtime->now() + 1h;
  const bool done = co_await job->wait_until(deadline);
  if (!done) co_return fail(ErrorCode::kTimedOut, "the import has not ended");
  if (!*job->result()) co_return fail(job->result()->error());
  co_return (*job->result())->info.root;
}

/// Fetches `what` into "got/it", waiting as long as it takes. When only peers that lie were there,
/// tries again after a while, as a person would.
awaitable<Result<>> fetch(Member& member, std::string what) {
  node::GetOptions options;
  options.what = std::move(what);
  options.save_as = "it";
  options.wait = Duration::zero();
  WARREN_CO_TRY(member.transfer, co_await member.node->get(options));
  for (;;) {
    const auto done = co_await member.node->transfers().wait(member.transfer, kNever);
    if (!done) co_return fail(done.error());
    member.bad_chunks += done->bad_chunks;
    if (done->state == transfer::State::kCompleted) co_return Result<>{};
    const Error error = done->error.value_or(Error(ErrorCode::kInternal, "it was paused"));
    if (error.code() != ErrorCode::kIntegrity) co_return fail(error);
    WARREN_CO_TRY_VOID(co_await member.runtime->sleep_for(5s));
    WARREN_CO_TRY_VOID(co_await member.node->transfers().resume(member.transfer));
  }
}

template <class T>
T value_of(Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(fmt::format("{}: {}", what, result.error().message()));
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

}  // namespace

fs::path make_temporary_folder() {
  // In memory where there is such a place: hundreds of syncs of a real disk are not the matter
  // here.
  const fs::path memory = "/dev/shm";
  const fs::path base = fs::is_directory(memory) ? memory : fs::temp_directory_path();
  std::string pattern = (base / "warren-sim-XXXXXX").string();
  WARREN_CHECK(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

crypto::PrivateKey key_of(Host host) {
  Bytes seed(32, 0);
  seed[0] = static_cast<std::uint8_t>(host & 0xff);
  seed[1] = static_cast<std::uint8_t>(host >> 8);
  return crypto::PrivateKey::from_seed(seed);
}

void write_files(const fs::path& folder, const std::vector<TestFile>& files, std::uint64_t seed) {
  for (const TestFile& file : files) {
    const fs::path path = folder / file.path;
    fs::create_directories(path.parent_path());
    const Bytes bytes = content_of(file, seed);
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    set_time(path);
  }
}

void corrupt_files(const fs::path& folder, const std::vector<TestFile>& files) {
  for (const TestFile& file : files) {
    const fs::path path = folder / file.path;
    std::string content = read_file(path);
    for (std::size_t at = content.size() / 4; at < content.size(); at += 500'000) {
      content[at] = static_cast<char>(content[at] ^ 0x20);
    }
    // In place: the same inode.
    std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
        .write(content.data(), static_cast<std::streamsize>(content.size()));
    set_time(path);
  }
}

std::string first_difference(const fs::path& a, const fs::path& b,
                             const std::vector<TestFile>& files) {
  for (const TestFile& file : files) {
    if (!fs::is_regular_file(b / file.path)) return file.path + " is not there";
    if (read_file(a / file.path) != read_file(b / file.path)) return file.path;
  }
  const auto count = [](const fs::path& folder) {
    return std::distance(fs::recursive_directory_iterator(folder), {});
  };
  return count(a) == count(b) ? "" : "number of entries";
}

std::string Member::address() const {
  return Multiaddr::memory(host).with_peer(node->id()).to_string();
}

NodeNetwork::NodeNetwork(std::uint64_t seed, std::size_t count, Wire wire)
    : world(seed), folder_(make_temporary_folder()), hub_(std::make_shared<MemoryLink>(world)) {
  for (Host host = 1; host <= count; ++host) {
    members.push_back(std::make_unique<Member>());
    members.back()->host = host;
    start(*members.back(), wire);
  }
}

void NodeNetwork::start(Member& member, Wire wire) {
  const Host host = member.host;
  member.folder = folder_ / fmt::format("{:03}", host);
  fs::create_directories(member.folder / "got");
  member.runtime = world.make_runtime(host);
  const crypto::PrivateKey key = key_of(host);
  node::NodeOptions options;
  options.keeper.book.simulated = true;
  options.database = ":memory:";
  options.download_dir = (member.folder / "got").string();
  std::unique_ptr<transport::Transport> transport;
  switch (wire) {
    case Wire::kMemory:
      options.listen.push_back({Multiaddr::memory(host), true});
      transport = std::make_unique<transport::memory::MemoryTransport>(
          *member.runtime, hub_, key.public_key(), transport::memory::MemoryConfig{.node = host});
      break;
    case Wire::kQuicLan:
      options.listen.push_back({Multiaddr::quic({IpAddress(), 4'001}), true});
      options.mdns = discovery::MdnsOptions{};
      transport = value_of(transport::quic::make_quic_transport(*member.runtime, key), "QUIC");
      break;
  }
  member.node = std::make_unique<node::Node>(*member.runtime, key, std::move(options));
  member.node->add_transport(std::move(transport));
  value_of(run(world, member.node->start()), "start");
  member.tasks = std::make_unique<runtime::TaskGroup>(*member.runtime, 1);
}

NodeNetwork::~NodeNetwork() {
  world.heal();
  for (const auto& member : members) run(world, member->tasks->join());
  for (const auto& member : members) run(world, member->node->stop());
  members.clear();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void NodeNetwork::connect_all() {
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::size_t next = (i + 1) % members.size();
    const std::size_t any = world.rng()() % members.size();
    for (const std::size_t other : {next, any}) {
      if (other == i) continue;
      value_of(run(world, members[i]->node->connect(members[other]->address(), world.now() + 10s)),
               "connect");
    }
  }
}

Cid NodeNetwork::share(Member& member, const std::string& name) {
  return value_of(run(world, share_and_wait(member, (member.folder / "shared").string(), name)),
                  "share");
}

awaitable<void> NodeNetwork::get_one(Member& member, std::string what) {
  auto got = co_await fetch(member, std::move(what));
  if (!got) member.error = std::move(got).error();
  member.ended = true;
  ++ended_;
}

void NodeNetwork::get(const std::vector<Member*>& who, const std::string& what) {
  for (Member* member : who) WARREN_CHECK(member->tasks->spawn(get_one(*member, what)));
}

bool NodeNetwork::run_until_ended(const std::vector<Member*>& who, Duration max) {
  const auto all_ended = [&] {
    return ended_ >= who.size() && std::ranges::all_of(who, &Member::ended);
  };
  return world.run_until(all_ended, max);
}

std::string NodeNetwork::describe(const std::vector<Member*>& who) const {
  std::string text = world.replay_hint();
  for (const Member* member : who) {
    if (member->ended && !member->error) continue;
    fmt::format_to(std::back_inserter(text), "\nhost {}: {}", member->host,
                   member->error ? member->error->message() : "still at it");
    const auto progress = member->node->transfers().progress(member->transfer);
    if (!progress) continue;
    fmt::format_to(std::back_inserter(text), ", {} {}, {} of {} bytes, waits for '{}'",
                   transfer::state_name(progress->state), transfer::phase_name(progress->phase),
                   progress->bytes_done, progress->bytes_total, progress->waiting_for);
  }
  return text;
}

}  // namespace warren::sim

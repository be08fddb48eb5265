// A transfer on the machine's own clock and threads, so that a race detector sees the pool at work.

#include "runtime/run_task.hpp"
#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

crypto::PublicKey key_of(std::uint8_t number) {
  return crypto::PrivateKey::from_seed(Bytes(32, number)).public_key();
}

/// A node without a world.
struct ThreadedNode {
  ThreadedNode(runtime::RealRuntime& runtime, transport::memory::Hub& hub, std::uint8_t number,
               const fs::path& path)
      : folder(path), swarm(runtime, PeerId::from_public_key(key_of(number).protobuf())) {
    fs::create_directories(folder / "got");
    store = std::move(*content::Store::open((folder / "warren.db").string()));
    swarm.add_transport(std::make_unique<transport::memory::MemoryTransport>(
        runtime, hub, key_of(number),
        transport::memory::MemoryConfig{.node = number, .stream_window_bytes = 4u << 20}));
    EXPECT_TRUE(swarm.listen(Multiaddr::memory(number)));
    TransferConfig config;
    config.free_bytes_min = 0;
    manager = std::make_unique<TransferManager>(runtime, swarm, *store, std::move(config));
  }

  fs::path folder;
  std::unique_ptr<content::Store> store;
  swarm::Swarm swarm;
  std::unique_ptr<TransferManager> manager;
};

// Fetches twice, the second time paused and resumed midway.
awaitable<Result<>> play(runtime::RealRuntime& runtime, ThreadedNode& a, ThreadedNode& b,
                         fs::path data) {
  WARREN_CO_TRY_VOID(co_await a.manager->open());
  WARREN_CO_TRY_VOID(co_await b.manager->open());
  const auto shared = co_await content::share_path(runtime, *a.store, data.string(), "data",
                                                   std::make_shared<content::Progress>());
  if (!shared) co_return fail(shared.error());
  const auto connected = co_await b.swarm.connect(Multiaddr::memory(1), runtime.now() + 10s);
  if (!connected) co_return fail(connected.error());
  for (const std::string name : {"first", "second"}) {
    GetRequest request;
    request.root = shared->info.root;
    request.directory = (b.folder / "got").string();
    request.save_as = name;
    const TimePoint deadline = runtime.now() + 60s;
    WARREN_CO_TRY(const TransferId id, co_await b.manager->start(request));
    if (name == "second") {
      WARREN_CO_TRY_VOID(co_await runtime.sleep_for(20ms));
      (void)co_await b.manager->pause(id);
      (void)co_await b.manager->resume(id);
    }
    WARREN_CO_TRY(const Progress got, co_await b.manager->wait(id, deadline));
    if (got.state != State::kCompleted) {
      co_return fail(ErrorCode::kInternal, got.error ? got.error->message() : "not completed");
    }
  }
  co_return Result<>();
}

awaitable<void> close(ThreadedNode& a, ThreadedNode& b) {
  co_await b.manager->close();
  co_await a.manager->close();
  co_await b.swarm.close();
  co_await a.swarm.close();
}

TEST(TransferThreads, MoveAFolderWithTheRealPool) {
  TemporaryFolder folder;
  const fs::path data = folder.path() / "data";
  write_file(data / "large", random_text((24u << 20) + 7, 1));
  for (std::uint64_t i = 0; i < 500; ++i) {
    write_file(data / "many" / std::to_string(i), random_text(3'000, i));
  }
  runtime::RealRuntime runtime{{.pool_threads = 4}};
  transport::memory::Hub hub{runtime.executor()};
  ThreadedNode a(runtime, hub, 1, folder.path() / "a");
  ThreadedNode b(runtime, hub, 2, folder.path() / "b");
  const Result<> played = runtime::run_task(runtime, play(runtime, a, b, data));
  EXPECT_TRUE(played) << played.error().message();
  runtime::run_task(runtime, close(a, b));
  EXPECT_EQ(difference(data, b.folder / "got/first"), "");
  EXPECT_EQ(difference(data, b.folder / "got/second"), "");
}

}  // namespace
}  // namespace warren::transfer

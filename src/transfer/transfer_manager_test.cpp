// Whole transfers between nodes on the simulated network, with real files.

#include "transfer/transfer_manager.hpp"

#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

void write_sample(const fs::path& folder) {
  write_file(folder / "empty", "");
  write_file(folder / "small.txt", "hello");
  write_file(folder / "one", random_text(1u << 20, 1));
  write_file(folder / "large.bin", random_text((5u << 20) + 123, 2));
  write_file(folder / "sub/deep/file", random_text(300'000, 3));
  for (std::uint64_t i = 0; i < 200; ++i) {
    write_file(folder / "many" / ("f" + std::to_string(i)), random_text(1'000, 100 + i));
  }
  fs::create_directories(folder / "nothing");
  fs::create_symlink("small.txt", folder / "link");
}

TEST(TransferManager, FetchesAFolderFromOneSource) {
  TestNet net;
  write_sample(net.path() / "data");
  const auto a = net.node(1);
  const auto b = net.node(2);
  const Cid root = a->share(net.path() / "data", "data");
  b->connect(*a);
  const Progress got = b->get(root);
  EXPECT_EQ(got.state, State::kCompleted) << (got.error ? got.error->message() : "");
  EXPECT_EQ(got.path, (b->got() / "data").string());
  EXPECT_EQ(got.bytes_done, got.bytes_total);
  EXPECT_EQ(got.files_done, got.files_total);
  EXPECT_EQ(difference(net.path() / "data", b->got() / "data"), "");
}

}  // namespace
}  // namespace warren::transfer

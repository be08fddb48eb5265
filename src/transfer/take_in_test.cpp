// Downloads to where somebody owns what stands there, with something of his own in it.

#include "transfer/net_for_test.hpp"

namespace warren::transfer {
namespace {

awaitable<bool> has_local_alone(std::string path) {
  const bool there = fs::is_directory(path + "/local");
  co_return there&& std::distance(fs::directory_iterator(path), fs::directory_iterator()) == 1;
}
awaitable<Result<>> move_in(std::string from, std::string to) {
  for (const auto& item : fs::directory_iterator(from)) {
    fs::rename(item.path(), fs::path(to) / item.path().filename());
  }
  fs::remove(from);
  co_return Result<>();
}

TransferConfig owned() {
  TransferConfig config;
  config.has_owner = [](std::string_view) { return true; };
  config.is_owners = [](std::string_view name) { return name == "local"; };
  config.takes_in = [](std::string directory, std::string name) {
    return has_local_alone(directory + "/" + name);
  };
  config.take_in = [](std::string directory, std::string temporary_name, std::string name) {
    return move_in(directory + "/" + temporary_name, directory + "/" + name);
  };
  return config;
}

class TakeInTest : public testing::Test {
 protected:
  TakeInTest() {
    write_file(net_.path() / "data" / "big", random_text(8u << 20, 1));
    write_file(net_.path() / "data" / "sub" / "local", "below the top it is a name like others");
    root_ = a_->share(net_.path() / "data", "data");
    b_->connect(*a_);
  }
  // What the owner made, and then nothing else but the dataset.
  std::string difference_beside_local() {
    EXPECT_EQ(read_file(b_->got() / "data" / "local" / "own"), "mine");
    fs::remove_all(b_->got() / "data" / "local");
    return difference(net_.path() / "data", b_->got() / "data");
  }
  void make_local() { write_file(b_->got() / "data" / "local" / "own", "mine"); }

  TestNet net_;
  std::unique_ptr<TestNode> a_ = net_.node(1);
  std::unique_ptr<TestNode> b_ = net_.node(2, owned());
  Cid root_;
};

TEST_F(TakeInTest, WhatIsThereBeforeTakesItIn) {
  make_local();
  const Progress got = b_->get(root_);
  EXPECT_EQ(got.state, State::kCompleted) << got.error->message();
  EXPECT_EQ(difference_beside_local(), "");
}

TEST_F(TakeInTest, WhatAppearsWhileItComesTakesItInToo) {
  b_->manager().set_bandwidth({0, 2u << 20, false});
  const TransferId id = b_->start_get(by_root(root_));
  net_.world.run_for(1s);
  ASSERT_EQ(b_->manager().progress(id)->phase, Phase::kDownloading);
  make_local();
  const Progress got = b_->wait(id);
  EXPECT_EQ(got.state, State::kCompleted) << got.error->message();
  EXPECT_EQ(difference_beside_local(), "");
}

TEST_F(TakeInTest, WhatIsNotTheOwnersAloneStaysInTheWay) {
  b_->manager().set_bandwidth({0, 2u << 20, false});
  const TransferId id = b_->start_get(by_root(root_));
  net_.world.run_for(1s);
  make_local();
  write_file(b_->got() / "data" / "other", "of a person");
  const Progress got = b_->wait(id);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kExists);
}

TEST_F(TakeInTest, WhatWasTakenInBeforeIsNotFetchedAgain) {
  fs::copy(net_.path() / "data", b_->got() / "data", fs::copy_options::recursive);
  make_local();
  const Progress got = b_->get(root_);
  EXPECT_EQ(got.state, State::kCompleted) << got.error->message();
  EXPECT_EQ(got.bytes_reused, got.bytes_total);
  // Of other names each counts, and of others' folders every one.
  write_file(b_->got() / "data" / "other", "of a person");
  EXPECT_EQ(b_->get(root_).error->code(), ErrorCode::kExists);
  const auto c = net_.node(3);
  c->connect(*a_);
  fs::copy(net_.path() / "data", c->got() / "data", fs::copy_options::recursive);
  write_file(c->got() / "data" / "local" / "own", "");
  EXPECT_EQ(c->get(root_).error->code(), ErrorCode::kExists);
}

}  // namespace
}  // namespace warren::transfer

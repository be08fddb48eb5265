#include "content/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "content/test_support.hpp"

namespace warren::content {
namespace {

namespace fs = std::filesystem;
using test::patterned_bytes;

class VerifyTest : public testing::Test {
 protected:
  Result<Shared> share(const std::string& path, const std::string& name = {}) {
    return runtime::run_task(runtime_, share_path(runtime_, *store_, folder_.at(path), name,
                                                  std::make_shared<Progress>()));
  }
  Result<Verified> verify(const std::string& name) {
    return runtime::run_task(
        runtime_, content::verify(
                      runtime_, *store_, [&](Store& store) { return store.find_share(name); },
                      std::make_shared<Progress>()));
  }

  test::TempFolder folder_;
  runtime::RealRuntime runtime_;
  std::unique_ptr<Store> store_ = *Store::open(":memory:");
};

TEST_F(VerifyTest, SharesUnderTheLastNameOfThePath) {
  folder_.write("photos/a", "x");
  const auto shared = share("photos/");
  ASSERT_TRUE(shared) << shared.error().message();
  EXPECT_EQ(shared->info.name, "photos");
  EXPECT_EQ(shared->info.files, 1u);
  EXPECT_EQ(shared->bytes_hashed, 1u);
  EXPECT_EQ(share("none").error().code(), ErrorCode::kNotFound);
  folder_.write("other/photos/a", "y");
  EXPECT_EQ(share("other/photos").error().code(), ErrorCode::kConflict);
  EXPECT_TRUE(share("other/photos", "other photos"));
}

TEST_F(VerifyTest, SharingAgainReadsOnlyWhatChanged) {
  folder_.write("f/old", patterned_bytes(2 << 20, 1));
  folder_.write("f/new", "1");
  folder_.age("f/old");
  folder_.age("f/new");
  const auto before = share("f");
  folder_.write("f/new", "22");
  const auto after = share("f");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->bytes_hashed, 2u);
  EXPECT_NE(after->info.root, before->info.root);
  EXPECT_EQ(store_->shares()->size(), 1u);
}

TEST_F(VerifyTest, SoundSharesAreSound) {
  folder_.write("f/a", patterned_bytes((3 << 20) + 1, 1));
  folder_.write("f/b", "");
  ASSERT_TRUE(share("f"));
  const auto verified = verify("f");
  ASSERT_TRUE(verified) << verified.error().message();
  EXPECT_EQ(verified->files_ok, 2u);
  EXPECT_EQ(verified->bad_count, 0u);
  EXPECT_EQ(verified->bytes_read, (3u << 20) + 1);
  EXPECT_EQ(verify("g").error().code(), ErrorCode::kNotFound);
}

TEST_F(VerifyTest, NamesEachKindOfDamage) {
  for (const std::string name : {"changed", "gone", "ok", "rotten", "z-empty"}) {
    folder_.write("f/" + name, name == "z-empty" ? "" : "data");
    folder_.age("f/" + name);
  }
  ASSERT_TRUE(share("f"));
  folder_.write("f/changed", "datum");
  fs::remove(folder_.path() / "f/gone");
  fs::remove(folder_.path() / "f/z-empty");
  // The same size, time and inode, other bytes: as a failing disk would give them.
  const auto time = fs::last_write_time(folder_.path() / "f/rotten");
  folder_.write("f/rotten", "dAta");
  fs::last_write_time(folder_.path() / "f/rotten", time);

  const auto verified = verify("f");
  ASSERT_TRUE(verified) << verified.error().message();
  std::vector<std::pair<std::string, ErrorCode>> bad;
  for (const Skipped& item : verified->bad) bad.emplace_back(item.path, item.error.code());
  using testing::Pair;
  EXPECT_THAT(bad, testing::UnorderedElementsAre(Pair("changed", ErrorCode::kConflict),
                                                 Pair("gone", ErrorCode::kNotFound),
                                                 Pair("z-empty", ErrorCode::kNotFound),
                                                 Pair("rotten", ErrorCode::kIntegrity)));
  EXPECT_EQ(verified->files_ok, 1u);
  EXPECT_EQ(verified->bad_count, 4u);
  EXPECT_EQ(store_->find_share("f")->state, ShareState::kChanged);
  EXPECT_EQ(store_->find_share("f")->files_changed, 4u);

  const auto again = share("f");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->bytes_hashed, 5u + 4) << "what was found bad is read, although its stamp is old";
  EXPECT_EQ(again->info.state, ShareState::kReady);
  EXPECT_EQ(verify("f")->bad_count, 0u);
}

}  // namespace
}  // namespace warren::content

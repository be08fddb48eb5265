#include "crypto/identity.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>
#include <vector>

namespace warren::crypto {
namespace {

class Identity : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "warren-identity-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ / "identity.pem";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static mode_t mode_of(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    return status.st_mode & 07777;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  void write(std::string_view text) const {
    std::ofstream(path_, std::ios::binary) << text;
    ::chmod(path_.c_str(), 0600);
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(Identity, IsMadeOnFirstStartAndKeptAfterwards) {
  const auto first = load_or_create_identity(path_);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(mode_of(path_), 0600u);
  EXPECT_EQ(files(), 1u) << "nothing but the identity is left";
  const auto second = load_or_create_identity(path_);
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_EQ(first->public_key(), second->public_key());
  EXPECT_EQ(first->to_protobuf(), second->to_protobuf());
}

TEST_F(Identity, IsPrivateWhateverTheUmask) {
  const mode_t before = ::umask(0);
  const auto key = load_or_create_identity(path_);
  ::umask(before);
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(mode_of(path_), 0600u);
}

TEST_F(Identity, IsRefusedWhenOthersCanReadOrWriteIt) {
  ASSERT_TRUE(load_or_create_identity(path_));
  for (const mode_t mode : {0640u, 0604u, 0620u, 0602u, 0644u, 0777u}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    const auto key = load_or_create_identity(path_);
    ASSERT_FALSE(key) << std::oct << mode;
    EXPECT_EQ(key.error().code(), ErrorCode::kDenied);
    EXPECT_NE(key.error().hint().find("chmod 600"), std::string::npos);
    EXPECT_NE(key.error().message().find(path_.string()), std::string::npos);
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0400), 0);
  EXPECT_TRUE(load_or_create_identity(path_)) << "read-only for its owner is fine";
}

TEST_F(Identity, IsRefusedWhenItBelongsToSomebodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving a file away takes root";
  ASSERT_TRUE(load_or_create_identity(path_));
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  const auto key = load_or_create_identity(path_);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code(), ErrorCode::kDenied);
  EXPECT_NE(key.error().message().find("12345"), std::string::npos);
}

TEST_F(Identity, IsRefusedWhenItIsNoRegularFile) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(load_or_create_identity(path_).error().code(), ErrorCode::kDenied) << "a pipe";
  std::filesystem::remove(path_);
  ASSERT_TRUE(std::filesystem::create_directory(path_));
  ::chmod(path_.c_str(), 0700);
  EXPECT_EQ(load_or_create_identity(path_).error().code(), ErrorCode::kDenied) << "a folder";
  std::filesystem::remove(path_);
  ASSERT_TRUE(load_or_create_identity(folder_ / "real.pem"));
  std::filesystem::create_symlink("real.pem", path_);
  EXPECT_EQ(load_or_create_identity(path_).error().code(), ErrorCode::kDenied) << "a link";
}

TEST_F(Identity, IsNeverReplacedWhenItCannotBeRead) {
  for (const std::string& text : {std::string(), std::string("garbage"),
                                  std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n")}) {
    write(text);
    const auto key = load_or_create_identity(path_);
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code(), ErrorCode::kMalformed);
    EXPECT_FALSE(key.error().hint().empty());
    EXPECT_EQ(std::filesystem::file_size(path_), text.size());
  }
  write(std::string(1 << 20, 'A'));
  EXPECT_EQ(load_or_create_identity(path_).error().code(), ErrorCode::kTooLarge);
}

TEST_F(Identity, NamesAMissingFolder) {
  const auto key = load_or_create_identity(folder_ / "missing" / "identity.pem");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(key.error().message().find("missing"), std::string::npos);
}

TEST_F(Identity, IsOneForAllWhoStartAtOnce) {
  std::vector<Result<PrivateKey>> keys(8, fail(ErrorCode::kInternal, "not run"));
  {
    std::vector<std::jthread> threads;
    for (auto& key : keys) {
      threads.emplace_back([this, &key] { key = load_or_create_identity(path_); });
    }
  }
  for (const auto& key : keys) {
    ASSERT_TRUE(key) << key.error().message();
    EXPECT_EQ(key->public_key(), keys[0]->public_key());
  }
  EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace warren::crypto

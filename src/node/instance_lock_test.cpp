#include "node/instance_lock.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "node/testing/temporary_directory.hpp"

namespace warren::node {
namespace {

TEST(InstanceLock, TheSecondIsToldWhoHoldsIt) {
  const testing::TemporaryDirectory state;
  const auto first = InstanceLock::acquire(state.path());
  ASSERT_TRUE(first);
  const auto second = InstanceLock::acquire(state.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  const std::string& message = second.error().message();
  EXPECT_NE(message.find("process " + std::to_string(::getpid())), std::string::npos) << message;
  EXPECT_NE(message.find(state.path()), std::string::npos) << message;
}

TEST(InstanceLock, IsFreeAgainOnceItsHolderIsGone) {
  const testing::TemporaryDirectory state;
  {
    const auto first = InstanceLock::acquire(state.path());
    ASSERT_TRUE(first);
  }
  EXPECT_TRUE(InstanceLock::acquire(state.path()));
}

TEST(InstanceLock, AGarbageLockFileWithoutHolderIsTaken) {
  const testing::TemporaryDirectory state;
  state.write("lock", "not a number, and longer than any process id");
  EXPECT_TRUE(InstanceLock::acquire(state.path()));
}

TEST(InstanceLock, AMissingDirectoryIsAnErrorWithItsPath) {
  const auto lock = InstanceLock::acquire("/nonexistent/warren");
  ASSERT_FALSE(lock);
  EXPECT_NE(lock.error().message().find("/nonexistent/warren"), std::string::npos);
}

}  // namespace
}  // namespace warren::node

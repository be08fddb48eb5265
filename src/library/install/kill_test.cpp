// kill -9 of a real process before and after every change that it makes on a real disk, and of the
// one that recovers.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/check.hpp"
#include "library/install/disk_files.hpp"
#include "library/install/operations_for_test.hpp"

namespace warren::install {
namespace {

using namespace test;
namespace fs = std::filesystem;

/// Kills its own process before the change number `allowed`, from inside.
class FatalFiles final : public EntryFiles {
 public:
  FatalFiles(EntryFiles& files, std::size_t allowed) : files_(files), allowed_(allowed) {}
  Result<What> look(std::string_view path) override { return files_.look(path); }
  Result<std::vector<std::string>> names(std::string_view path) override {
    return files_.names(path);
  }
  Result<Bytes> read(std::string_view path, std::size_t most) override {
    return files_.read(path, most);
  }
  Result<> write(std::string_view path, BytesView bytes) override {
    count();
    WARREN_TRY_VOID(files_.write(path, bytes.first(bytes.size() / 2)));
    count();
    return files_.write(path, bytes);
  }
  Result<> make_folder(std::string_view path) override {
    count();
    return files_.make_folder(path);
  }
  Result<> rename(std::string_view from, std::string_view to) override {
    count();
    return files_.rename(from, to);
  }
  Result<> replace(std::string_view from, std::string_view to) override {
    count();
    return files_.replace(from, to);
  }
  Result<> remove(std::string_view path) override {
    count();
    return files_.remove(path);
  }
  Result<> remove_tree(std::string_view path) override {  // Name by name.
    WARREN_TRY(const What what, files_.look(path));
    if (what == What::kNothing) return {};
    if (what == What::kFolder) {
      WARREN_TRY(const auto inner, files_.names(path));
      for (const std::string& name : inner) {
        WARREN_TRY_VOID(remove_tree(std::string(path) + '/' + name));
      }
    }
    count();
    return files_.remove_tree(path);
  }
  Result<> sync_file(std::string_view path) override { return files_.sync_file(path); }
  Result<> sync_folder(std::string_view path) override { return files_.sync_folder(path); }
  Result<> sync_tree(std::string_view path) override { return files_.sync_tree(path); }

 private:
  void count() {
    if (calls_++ == allowed_) ::raise(SIGKILL);
  }
  EntryFiles& files_;
  std::size_t allowed_;
  std::size_t calls_ = 0;
};

/// In memory where there is such a place: a kill needs no disk, and there are many.
fs::path temporary_place() {
  const fs::path memory = "/dev/shm";
  std::error_code error;
  const bool usable = ::access(memory.c_str(), W_OK) == 0;
  std::string pattern = ((usable ? memory : fs::temp_directory_path(error)) / "warren-kill-XXXXXX");
  WARREN_CHECK(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

void make_tree(const fs::path& place, const Tree& tree) {
  fs::remove_all(place);
  fs::create_directories(place);
  for (const auto& [path, content] : tree) {
    if (path.ends_with('/')) {
      fs::create_directories(place / path);
    } else {
      std::ofstream(place / path, std::ios::binary) << content;
    }
  }
}

Tree read_tree(const fs::path& place) {
  Tree out;
  for (const auto& item : fs::recursive_directory_iterator(place)) {
    const std::string path = item.path().lexically_relative(place).string();
    if (item.is_directory()) {
      out[path + '/'] = "";
    } else {
      std::stringstream text;
      text << std::ifstream(item.path(), std::ios::binary).rdbuf();
      out[path] = text.str();
    }
  }
  return out;
}

/// Runs `action` in a process of its own. True: it ended by itself, and well.
template <class Action>
bool in_a_process(const fs::path& place, std::size_t allowed, Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto folder = runtime::Directory::open(place);
    if (!folder) ::_exit(2);
    DiskFiles disk(std::move(*folder));
    FatalFiles files(disk, allowed);
    ::_exit(action(files) ? 0 : 1);
  }
  int status = 0;
  WARREN_CHECK(child > 0 && ::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) {
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    return false;
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return true;
}

TEST(Kill, AtEveryChangeOfAnOperationAndOfItsRecovery) {
  const fs::path place = temporary_place();
  const auto recovering = [](EntryFiles& files) { return recover(files).has_value(); };
  for (const Operation& operation : operations()) {
    const auto acting = [&](EntryFiles& files) {
      return perform(files, operation.plan).has_value();
    };
    std::size_t kills = 0;
    bool ended = false;
    for (std::size_t allowed = 0; !ended; ++allowed) {
      bool recovered = false;
      for (std::size_t more = 0; !recovered; ++more) {
        make_tree(place, operation.before);
        ended = in_a_process(place, allowed, acting);
        recovered = in_a_process(place, more, recovering);
        ASSERT_TRUE(in_a_process(place, static_cast<std::size_t>(-1), recovering));
        const Tree found = read_tree(place);
        ASSERT_TRUE(found == operation.before || found == operation.after)
            << operation.name << ": killed before change " << allowed
            << ", its recovery before change " << more << ": " << testing::PrintToString(found);
        ++kills;
        if (ended) ASSERT_EQ(found, operation.after);
      }
    }
    EXPECT_GT(kills, 15u) << operation.name;
  }
  fs::remove_all(place);
}

}  // namespace
}  // namespace warren::install

#pragma once
// A real library in a real folder, and the installer on it, for the tests of its operations.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "content/test_support.hpp"
#include "library/install/installer.hpp"
#include "library/test_support.hpp"
#include "runtime/run_task.hpp"

namespace warren::install::test {

namespace fs = std::filesystem;

/// The library folder is things/; what the tests are about is its entry quake.
class InstallerStage {
 protected:
  ~InstallerStage() { stop(); }

  /// `sentinel`: entries need a version.ini. `leave`: of InstallerOptions.
  void start(bool sentinel, std::function<awaitable<void>(std::string)> leave = {}) {
    library::LibraryOptions options;
    options.database = disk_.at("library.db");
    options.times.settle = 10ms;
    options.times.quiet = 20ms;
    options.times.retry_min = 10ms;
    options.hash = [](std::string, std::string id) { return hash(std::move(id)); };
    options.forget = [](std::string) { return forget(); };
    options.recover = [this](std::string folder, std::string id) {
      return installer_->recover(std::move(folder), std::move(id));
    };
    service_ = std::make_unique<library::LibraryService>(runtime_, std::move(options));
    InstallerOptions more;
    more.limits.free_bytes_min = 0;
    if (leave) more.leave = std::move(leave);
    installer_ = std::make_unique<Installer>(runtime_, *service_, more);
    ASSERT_TRUE(run(service_->open()));
    if (service_->folders().empty()) {
      library::FolderSettings settings;
      settings.path = disk_.at("things");
      settings.sentinel.required = sentinel;
      ASSERT_TRUE(run(service_->add_folder(settings)));
    }
    settle();
  }
  void stop() {
    if (!service_) return;
    run(service_->close());
    installer_.reset();
    service_.reset();
  }
  template <class T>
  T run(awaitable<T> task) {
    return runtime::run_task(runtime_, std::move(task));
  }
  void settle() { EXPECT_TRUE(run(service_->wait_settled(runtime_.now() + 20s))); }

  fs::path entry() const { return disk_.path() / "things" / "quake"; }
  std::string text(const std::string& path) const {
    std::ifstream in(entry() / path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Of what is in `folder`; nothing when it is not there.
  static std::set<std::string> names_in(const fs::path& folder) {
    std::set<std::string> out;
    if (!fs::exists(folder)) return out;
    for (const auto& item : fs::directory_iterator(folder)) out.insert(item.path().filename());
    return out;
  }
  library::Listing listing() const { return service_->find("quake")->entry.published.listing; }

  runtime::RealRuntime runtime_{runtime::RealRuntimeOptions{.pool_threads = 2}};
  content::test::TempFolder disk_;
  Installer::Progress progress_ = std::make_shared<content::Progress>();
  std::unique_ptr<library::LibraryService> service_;
  std::unique_ptr<Installer> installer_;

 private:
  static awaitable<Result<Cid>> hash(std::string id) { co_return library::test::root(id); }
  static awaitable<void> forget() { co_return; }
};

}  // namespace warren::install::test

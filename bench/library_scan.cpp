// A library of many entries: the first scan, a start with nothing changed, and one changed file
// until it is published. Prints one JSON object. `make bench` runs it in memory-backed storage.
//
//   bench_library_scan FOLDER [ENTRIES]     makes FOLDER, and removes it at the end

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "crypto/sha256.hpp"
#include "library/library_service.hpp"
#include "library/reserved.hpp"
#include "runtime/run_task.hpp"

namespace {

namespace fs = std::filesystem;
using namespace warren;
using namespace warren::library;

[[noreturn]] void die(const Error& error) {
  std::cerr << error.message() << '\n';
  std::exit(1);
}

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

double rss_mib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

double rss_peak_mib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

awaitable<Result<Cid>> name_as_root(std::string folder, std::string id) {
  // What it costs to hash is measured elsewhere (`get`): this is about all the rest.
  co_return Cid{Codec::kDagPb, Digest{crypto::sha256(as_bytes(folder + "/" + id))}};
}
awaitable<void> forget(std::string) { co_return; }

class Bench {
 public:
  explicit Bench(fs::path place) : place_(std::move(place)) {}

  void make(int entries) {
    for (int i = 0; i < entries; ++i) {
      const fs::path entry = place_ / "things" / ("entry-" + std::to_string(i));
      fs::create_directories(entry);
      std::ofstream(entry / "version.ini") << "version = 1\n";
      std::ofstream(entry / "file") << i;
    }
  }
  void open(bool watched) {
    LibraryOptions options;
    options.database = place_ / "library.db";
    options.times.settle = 100ms;
    options.hash = name_as_root;
    options.forget = forget;
    if (watched) {
      options.watch = [this](std::string path) {
        return runtime::make_tree_watch(runtime_.context(), runtime_, std::move(path), 131'072,
                                        is_reserved);
      };
    }
    service_ = std::make_unique<LibraryService>(runtime_, std::move(options));
    if (const auto opened = run(service_->open()); !opened) die(opened.error());
  }
  void close() {
    run(service_->close());
    service_.reset();
    ::malloc_trim(0);  // So that what is measured next is not what was needed before.
  }
  void add() {
    FolderSettings settings;
    settings.path = place_ / "things";
    if (const auto added = run(service_->add_folder(settings)); !added) die(added.error());
  }
  void settle() {
    const auto settled = run(service_->wait_settled(runtime_.now() + 600s));
    if (!settled) die(settled.error());
  }
  /// What the machine needs to look at each entry's folder once.
  double stat_seconds() const {
    const TimePoint began = now();
    for (const auto& entry : fs::directory_iterator(place_ / "things")) {
      struct stat status{};
      if (::lstat(entry.path().c_str(), &status) != 0) die(Error(ErrorCode::kIo, "lstat failed"));
    }
    return seconds(now() - began);
  }
  /// Until the next change of what is published.
  void wait_changed() { run(changed()); }
  awaitable<void> changed() {
    const auto signal = runtime_.make_signal();
    const auto end = service_->published().on_changed([&] { signal->notify(); });
    const runtime::Wake how = co_await signal->wait_until(runtime_.now() + 60s);
    if (how != runtime::Wake::kNotified) die(Error(ErrorCode::kTimedOut, "nothing was published"));
    end();
  }
  /// Until the folder is watched.
  void wait_watched() { run(watched()); }
  awaitable<void> watched() {
    while (!service_->folders().front().watched) {
      const auto slept = co_await runtime_.sleep_for(1ms);
      if (!slept) co_return;
    }
  }
  template <class T>
  T run(runtime::awaitable<T> task) {
    return runtime::run_task(runtime_, std::move(task));
  }
  TimePoint now() const { return runtime_.now(); }
  std::size_t size() const { return service_->published().size(); }
  const fs::path& place() const { return place_; }

 private:
  runtime::RealRuntime runtime_;
  fs::path place_;
  std::unique_ptr<LibraryService> service_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "usage: bench_library_scan FOLDER [ENTRIES]\n";
    return 2;
  }
  const int entries = count > 2 ? std::atoi(arguments[2]) : 100'000;
  Bench bench(arguments[1]);
  bench.make(entries);
  nlohmann::json report = {{"entries", entries}, {"rss_empty_mib", rss_mib()}};

  TimePoint began = bench.now();
  bench.open(true);
  bench.add();
  bench.settle();
  report["first_scan_seconds"] = seconds(bench.now() - began);
  report["listed"] = bench.size();
  report["rss_after_first_scan_mib"] = rss_mib();
  bench.close();

  for (const bool watched : {false, true}) {
    const std::string name = watched ? "start_watched_seconds" : "start_seconds";
    began = bench.now();
    bench.open(watched);
    bench.settle();
    report[name] = seconds(bench.now() - began);
    if (!watched) bench.close();
  }
  report["rss_after_start_mib"] = rss_mib();
  bench.wait_watched();
  report["until_watched_seconds"] = seconds(bench.now() - began);
  bench.settle();

  report["stat_seconds"] = bench.stat_seconds();

  began = bench.now();
  std::ofstream(bench.place() / "things" / "entry-7" / "file") << "another text";
  bench.wait_changed();
  report["changed_file_published_seconds"] = seconds(bench.now() - began);
  bench.close();
  report["rss_peak_mib"] = rss_peak_mib();
  std::cout << report.dump(2) << std::endl;
  fs::remove_all(bench.place());
  return 0;
}

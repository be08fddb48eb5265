#include "node/config_reload.hpp"

#include <fmt/format.h>

#include "node/config_schema.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::node {

using runtime::awaitable;

namespace {

/// Held by the reading that is in progress; the next one begins when it goes.
class Busy {
 public:
  Busy(bool& busy, runtime::WaitList& waiting) : busy_(busy), waiting_(waiting) { busy_ = true; }
  ~Busy() {
    busy_ = false;
    waiting_.notify_all();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  bool& busy_;
  runtime::WaitList& waiting_;
};

/// While a file is being saved, and after a save that failed, it may be gone or have nothing in it.
Result<LoadedConfig> still_written(Result<LoadedConfig> loaded, const LoadedConfig& before) {
  if (!loaded || loaded->written || !before.written) return loaded;
  return fail(ErrorCode::kNotFound, "the configuration file is gone, or nothing is in it",
              "for a node with the defaults, leave a comment in it");
}

}  // namespace

std::string reloaded_text(const Reloaded& reloaded) {
  if (!reloaded.anything()) return "configuration reloaded: nothing has changed";
  std::vector<std::string> parts = reloaded.applied;
  if (!reloaded.after_restart.empty()) {
    parts.push_back(fmt::format("{} {} effect after a restart",
                                fmt::join(reloaded.after_restart, ", "),
                                reloaded.after_restart.size() == 1 ? "takes" : "take"));
  }
  return fmt::format("configuration reloaded: {}", fmt::join(parts, "; "));
}

ConfigReload::ConfigReload(runtime::Runtime& runtime, LoadedConfig started, Load load, Apply apply,
                           Told told)
    : runtime_(runtime),
      file_(std::move(started)),
      in_force_(file_.config),
      origins_(file_.origins),
      load_(std::move(load)),
      apply_(std::move(apply)),
      told_(std::move(told)),
      waiting_(runtime) {}

awaitable<Result<Reloaded>> ConfigReload::reload() {
  while (busy_) {
    const auto wake = co_await waiting_.wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
  const Busy busy(busy_, waiting_);
  Result<Reloaded> reloaded = co_await read_and_apply();
  told_(reloaded);
  co_return reloaded;
}

awaitable<Result<Reloaded>> ConfigReload::read_and_apply() {
  Result<LoadedConfig> loaded = co_await runtime::run(runtime_.pool(), load_);
  loaded = still_written(std::move(loaded), file_);
  if (!loaded) {
    problem_ = loaded.error();
    co_return fail(loaded.error());
  }
  problem_.reset();
  const Config before = in_force_;
  const Reloaded reloaded = take(*std::move(loaded));
  if (in_force_ != before) {
    const Result<> applied = co_await apply_(before, in_force_);
    if (!applied) {
      co_return fail(Error(applied.error()).in("the configuration is in force, but for one thing"));
    }
  }
  co_return reloaded;
}

Reloaded ConfigReload::take(LoadedConfig loaded) {
  const Config before = in_force_;
  file_ = std::move(loaded);
  in_force_ = node::in_force(before, file_.config);
  Reloaded reloaded;
  for (const Setting* setting : changed_settings(before, in_force_)) {
    reloaded.applied.push_back(fmt::format("{} {} -> {}", setting->key,
                                           setting_text(setting->get(before)),
                                           setting_text(setting->get(in_force_))));
  }
  auto origins = file_.origins;
  for (const Setting* setting : changed_settings(in_force_, file_.config)) {
    reloaded.after_restart.emplace_back(setting->key);
    const auto old = origins_.find(setting->key);
    origins.erase(std::string(setting->key));
    if (old != origins_.end()) origins.insert(*old);
  }
  origins_ = std::move(origins);
  return reloaded;
}

std::vector<Effective> ConfigReload::effective() const {
  std::vector<Effective> all = node::effective({in_force_, origins_});
  for (const Setting* setting : changed_settings(in_force_, file_.config)) {
    for (Effective& one : all) {
      if (one.key == setting->key) one.pending = setting_text(setting->get(file_.config));
    }
  }
  return all;
}

}  // namespace warren::node

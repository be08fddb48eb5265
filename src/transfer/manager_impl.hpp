#pragma once
// The inside of TransferManager. Included by transfer_manager.cpp, transfer_reading.cpp and
// transfer_serving.cpp alone.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "content/store.hpp"
#include "runtime/task_group.hpp"
#include "runtime/wait_list.hpp"
#include "transfer/bad_peers.hpp"
#include "transfer/data_server.hpp"
#include "transfer/download.hpp"
#include "transfer/remote_reader.hpp"
#include "transfer/transfer_manager.hpp"

namespace warren::transfer {

class TransferManager::Impl {
 public:
  Impl(runtime::Runtime& runtime, swarm::Swarm& swarm, content::Store& store,
       TransferConfig config);

  awaitable<Result<>> open();
  awaitable<void> close();
  awaitable<Result<TransferId>> start(GetRequest request);
  awaitable<Result<TransferId>> start_alone(GetRequest request);
  awaitable<Result<>> pause(TransferId id);
  awaitable<Result<>> resume(TransferId id);
  awaitable<Result<>> cancel(TransferId id);
  void set_bandwidth(const BandwidthLimits& limits) { bandwidth_.set(limits); }
  std::vector<Progress> list() const;
  std::optional<Progress> progress(TransferId id) const;
  awaitable<Result<Progress>> wait(TransferId id, TimePoint deadline);
  std::shared_ptr<RemoteReader> read(const Cid& root, std::string name, std::vector<PeerId> from,
                                     Duration wait);
  awaitable<Result<std::vector<Offer>>> find(std::string name, std::vector<PeerId> from,
                                             TimePoint deadline);
  void on_state_changed(std::function<void(TransferId)> listener) {
    listeners_.push_back(std::move(listener));
  }
  awaitable<void> leave(std::string path) { return server_.leave(std::move(path)); }
  const ServerStats& server_stats() const { return server_.stats(); }

 private:
  struct Entry {
    explicit Entry(runtime::Runtime& runtime) : wake(runtime.make_signal()), idle(runtime) {}
    content::TransferRecord record;
    std::vector<PeerId> from;
    Duration wait = Duration::zero();
    State state = State::kActive;
    std::optional<Error> error;
    std::uint64_t bytes_needed = 0;         ///< Free bytes to wait for.
    std::unique_ptr<Download> download;     ///< While a run is under way.
    std::weak_ptr<PartialDataset> resting;  ///< What is here when none is; as long as it is read.
    Progress last;                          ///< Of the run before.
    bool counted_as_user = false;           ///< In running_users_.
    bool driving = false;                   ///< A task drives it.
    bool halted = false;                    ///< That task is to end.
    bool look_now = false;                  ///< A person says that there is room again.
    bool gone = false;                      ///< Cancelled.
    std::unique_ptr<runtime::Signal> wake;
    runtime::WaitList idle;  ///< Notified when state, driving or gone change.
  };

  Result<> check(const GetRequest& request) const;
  std::optional<std::shared_ptr<Entry>> find_same(const GetRequest& request,
                                                  const std::string& directory) const;
  awaitable<Result<>> make_room();
  void launch(const std::shared_ptr<Entry>& entry);
  awaitable<Result<>> restart(std::shared_ptr<Entry> entry);
  awaitable<void> halt(std::shared_ptr<Entry> entry);
  awaitable<void> drive(std::shared_ptr<Entry> entry);
  awaitable<bool> wait_for_turn(std::shared_ptr<Entry> entry);
  DownloadContext context();
  bool user_moves_bytes() const;
  void trim_buffers();
  awaitable<Outcome> run_once(std::shared_ptr<Entry> entry);
  awaitable<bool> on_outcome(std::shared_ptr<Entry> entry, Outcome outcome);
  awaitable<bool> wait_for_space(std::shared_ptr<Entry> entry);
  awaitable<std::shared_ptr<PartialDataset>> find_partial(Cid root, peers::Visitor visitor);
  awaitable<std::shared_ptr<PartialDataset>> load_partial(std::shared_ptr<Entry> entry);
  awaitable<Result<>> save(std::shared_ptr<Entry> entry);
  awaitable<Result<>> set_state(std::shared_ptr<Entry> entry, State state);
  void notify(TransferId id);
  Progress progress_of(const Entry& entry) const;

  runtime::Runtime& runtime_;
  swarm::Swarm& swarm_;
  content::Store& store_;
  TransferConfig config_;
  Bandwidth bandwidth_;
  DataServer server_;
  BufferPool buffers_;
  BadPeers bad_peers_;
  std::map<TransferId, std::shared_ptr<Entry>> entries_;
  std::vector<std::weak_ptr<RemoteReader>> readers_;
  std::vector<std::function<void(TransferId)>> listeners_;
  std::size_t running_ = 0;        ///< Runs of any priority.
  std::size_t running_users_ = 0;  ///< Of these, not in the background.
  runtime::WaitList slots_;
  bool starting_ = false;
  runtime::WaitList start_free_;
  bool closing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  runtime::TaskGroup tasks_;
};

}  // namespace warren::transfer

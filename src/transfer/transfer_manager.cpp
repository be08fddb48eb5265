#include "transfer/transfer_manager.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/log.hpp"
#include "content/path_rules.hpp"
#include "content/store.hpp"
#include "content/unixfs.hpp"
#include "runtime/file.hpp"
#include "runtime/worker_pool.hpp"
#include "swarm/swarm.hpp"
#include "transfer/data_server.hpp"
#include "transfer/download.hpp"
#include "transfer/manager_impl.hpp"
#include "transfer/offers.hpp"

namespace warren::transfer {
namespace {

using content::TransferRecord;

// Between looks at a full volume. Source: quality statement TR-7 (goes on within 10 s).
constexpr auto kSpacePollTime = 3s;
constexpr std::size_t kTemporaryIdBytes = 6;
constexpr std::size_t kTasksMax = 2048;

State state_of(content::TransferState state) {
  switch (state) {
    case content::TransferState::kActive: return State::kActive;
    case content::TransferState::kPaused: return State::kPaused;
    case content::TransferState::kCompleted: return State::kCompleted;
    case content::TransferState::kFailed: return State::kFailed;
  }
  return State::kFailed;
}

content::TransferState stored_state(State state) {
  switch (state) {
    case State::kActive: return content::TransferState::kActive;
    case State::kPaused: return content::TransferState::kPaused;
    case State::kCompleted: return content::TransferState::kCompleted;
    case State::kFailed: return content::TransferState::kFailed;
  }
  return content::TransferState::kFailed;
}

std::unexpected<Error> unknown(TransferId id) {
  return fail(ErrorCode::kNotFound, fmt::format("there is no transfer {}", id),
              "`warren transfers` lists them");
}

// In the words of quality statement SY-1; empty where none of them says it.
std::string_view reason_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kNoPeer:
    case ErrorCode::kNotFound: return stuck::kNoPeer;
    case ErrorCode::kNoSpace: return stuck::kDiskFull;
    case ErrorCode::kDenied: return stuck::kPermission;
    case ErrorCode::kExists:
    case ErrorCode::kConflict: return stuck::kConflict;
    default: return {};
  }
}

}  // namespace

std::string_view state_name(State state) noexcept {
  return content::transfer_state_name(stored_state(state));
}

std::string_view phase_name(Phase phase) noexcept {
  switch (phase) {
    case Phase::kQueued: return "queued";
    case Phase::kResolving: return "resolving";
    case Phase::kFindingSources: return "finding sources";
    case Phase::kMetadata: return "metadata";
    case Phase::kDownloading: return "downloading";
    case Phase::kVerifying: return "verifying";
    case Phase::kPlacing: return "placing";
    case Phase::kDone: return "done";
  }
  return "done";
}

// ------------------------------------------------------------------------------------ interface

TransferManager::TransferManager(runtime::Runtime& runtime, swarm::Swarm& swarm,
                                 content::Store& store, TransferConfig config)
    : impl_(std::make_unique<Impl>(runtime, swarm, store, std::move(config))) {}
TransferManager::~TransferManager() = default;

awaitable<Result<>> TransferManager::open() { return impl_->open(); }
awaitable<Result<TransferId>> TransferManager::start(GetRequest request) {
  return impl_->start(std::move(request));
}
awaitable<Result<>> TransferManager::pause(TransferId id) { return impl_->pause(id); }
awaitable<Result<>> TransferManager::resume(TransferId id) { return impl_->resume(id); }
awaitable<Result<>> TransferManager::cancel(TransferId id) { return impl_->cancel(id); }
std::vector<Progress> TransferManager::list() const { return impl_->list(); }
std::optional<Progress> TransferManager::progress(TransferId id) const {
  return impl_->progress(id);
}
awaitable<Result<Progress>> TransferManager::wait(TransferId id, TimePoint deadline) {
  return impl_->wait(id, deadline);
}
awaitable<Result<std::vector<Offer>>> TransferManager::find(std::string name,
                                                            std::vector<PeerId> from,
                                                            TimePoint deadline) {
  return impl_->find(std::move(name), std::move(from), deadline);
}
void TransferManager::on_state_changed(std::function<void(TransferId)> listener) {
  impl_->on_state_changed(std::move(listener));
}
std::shared_ptr<RemoteReader> TransferManager::read(const Cid& root, std::string name,
                                                    std::vector<PeerId> from, Duration wait) {
  return impl_->read(root, std::move(name), std::move(from), wait);
}
awaitable<void> TransferManager::leave(std::string path) { return impl_->leave(std::move(path)); }

void TransferManager::set_bandwidth(const BandwidthLimits& limits) { impl_->set_bandwidth(limits); }
awaitable<void> TransferManager::close() { return impl_->close(); }

// ---------------------------------------------------------------------------------- life cycle

TransferManager::Impl::Impl(runtime::Runtime& runtime, swarm::Swarm& swarm, content::Store& store,
                            TransferConfig config)
    : runtime_(runtime),
      swarm_(swarm),
      store_(store),
      config_(std::move(config)),
      bandwidth_(runtime, config_.bandwidth),
      server_(runtime, store, config_.limits,
              {config_.trusted, config_.entry_audience,
               [this](Cid root, peers::Visitor visitor) {
                 return find_partial(root, std::move(visitor));
               },
               config_.notes, &bandwidth_}),
      buffers_(runtime, content::kLeafBytesMax,
               std::max<std::size_t>(1, config_.limits.receive_bytes_max / content::kLeafBytesMax)),
      slots_(runtime),
      start_free_(runtime),
      tasks_(runtime, kTasksMax) {}

awaitable<Result<>> TransferManager::Impl::open() {
  auto records = co_await runtime::run(runtime_.pool(), [this] { return store_.transfers(); });
  if (!records) co_return fail(std::move(records).error());
  for (TransferRecord& record : *records) {
    auto entry = std::make_shared<Entry>(runtime_);
    entry->state = state_of(record.state);
    entry->error = record.error;
    for (const std::string& text : record.sources) {
      if (auto peer = PeerId::parse(text)) entry->from.push_back(*peer);
    }
    // After a start nobody waits at the terminal: sources may take their time to come.
    entry->wait = Duration::zero();
    entry->record = std::move(record);
    entries_[static_cast<TransferId>(entry->record.id)] = entry;
    const bool full = entry->state == State::kPaused && entry->error &&
                      entry->error->code() == ErrorCode::kNoSpace;
    if (entry->state == State::kActive || full) launch(entry);
  }
  swarm_.on_connection(
      [alive = std::weak_ptr<bool>(alive_), this](const swarm::ConnectionEvent& event) {
        if (alive.expired() || !event.first_or_last) return;
        const PeerId& peer = event.connection->info().remote_peer;
        for (const auto& [id, entry] : entries_) {
          if (entry->download) entry->download->peer_changed(peer);
        }
        for (const auto& known : readers_) {
          if (const auto reader = known.lock()) reader->peer_changed(peer);
        }
      });
  const limits::Transfer& limits = config_.limits;
  swarm_.set_handler(
      std::string(kDataProtocol),
      [this](swarm::ProtocolStream stream) { return server_.serve(std::move(stream)); },
      {limits.serve_streams_per_peer_max, limits.serve_streams_max});
  co_return Result<>();
}

awaitable<void> TransferManager::Impl::close() {
  closing_ = true;
  swarm_.remove_handler(kDataProtocol);
  for (const auto& [id, entry] : entries_) {
    if (entry->download) entry->download->stop();
  }
  co_await tasks_.join();
  bandwidth_.set({});  // Nobody waits for his turn any more.
  co_await server_.close();
  alive_.reset();
}

void TransferManager::Impl::launch(const std::shared_ptr<Entry>& entry) {
  entry->driving = tasks_.spawn(drive(entry));
}

// ------------------------------------------------------------------------------------- commands

// One at a time: two that want the same thing in the same place are one transfer.
awaitable<Result<TransferId>> TransferManager::Impl::start(GetRequest request) {
  while (starting_) {
    const runtime::Wake wake = co_await start_free_.wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
  starting_ = true;
  auto started = co_await start_alone(std::move(request));
  starting_ = false;
  start_free_.notify_one();
  co_return started;
}

awaitable<Result<TransferId>> TransferManager::Impl::start_alone(GetRequest request) {
  WARREN_CO_TRY_VOID(check(request));
  std::string directory = std::move(request.directory);
  const auto real = co_await runtime::run(
      runtime_.pool(), [&directory] { return runtime::canonical_path(directory); });
  if (!real) co_return fail(Error(real.error()).in("the folder for the download"));
  const auto info =
      co_await runtime::run(runtime_.pool(), [&real] { return runtime::file_info(*real); });
  if (!info || info->kind != runtime::FileKind::kDirectory) {
    co_return fail(ErrorCode::kInvalidArgument, *real + " is not a folder",
                   "name an existing folder with --out");
  }
  directory = *real == "/" ? "" : *real;
  if (const auto same = find_same(request, directory)) {
    (*same)->wait = request.wait;
    (*same)->from = request.from;
    // What a person wants stays so; the node itself does not change that.
    const bool background = request.priority == Priority::kBackground;
    if (!background || (*same)->record.background) {
      TransferRecord& record = (*same)->record;
      // What peers have narrowed stays so.
      const bool narrowed = !((*same)->download ? (*same)->download->record() : record).audience;
      record.audience = narrowed ? std::nullopt : request.audience;
      record.background = background;
      if ((*same)->download) (*same)->download->set_terms(record.audience, background);
      slots_.notify_all();
    }
    const auto id = static_cast<TransferId>((*same)->record.id);
    if ((*same)->state != State::kActive) {
      WARREN_CO_TRY_VOID(co_await restart(*same));
    }
    co_return id;
  }
  WARREN_CO_TRY_VOID(co_await make_room());
  auto entry = std::make_shared<Entry>(runtime_);
  entry->wait = request.wait;
  entry->from = request.from;
  TransferRecord& record = entry->record;
  record.root = request.root.value_or(Cid{});
  record.name = request.root ? request.save_as : request.name;
  record.out_path = directory + "/" + request.save_as;
  Bytes random(kTemporaryIdBytes);
  runtime_.random_bytes(random);
  record.temporary_path = fmt::format("{}/.warren-{}.part", directory, to_hex(random));
  record.created_at = runtime_.wall_now();
  record.audience = std::move(request.audience);
  record.background = request.priority == Priority::kBackground;
  for (const PeerId& peer : request.from) record.sources.push_back(peer.to_string());
  const auto id = co_await runtime::run(runtime_.pool(),
                                        [this, &record] { return store_.add_transfer(record); });
  if (!id) co_return fail(id.error());
  record.id = *id;
  entries_[static_cast<TransferId>(*id)] = entry;
  launch(entry);
  notify(static_cast<TransferId>(*id));
  co_return static_cast<TransferId>(*id);
}

Result<> TransferManager::Impl::check(const GetRequest& request) const {
  if (!request.root && request.name.empty()) {
    return fail(ErrorCode::kInvalidArgument, "neither a CID nor a name was given");
  }
  if (!request.directory.starts_with('/')) {
    return fail(ErrorCode::kInvalidArgument,
                "the folder '" + request.directory + "' is not an absolute path");
  }
  if (!request.save_as.empty()) {
    if (auto named = content::check_name(request.save_as); !named) {
      return fail(ErrorCode::kInvalidArgument, named.error().message());
    }
  }
  if (closing_) return fail(ErrorCode::kClosed, "the node is stopping");
  return {};
}

// The same dataset to the same place.
std::optional<std::shared_ptr<TransferManager::Impl::Entry>> TransferManager::Impl::find_same(
    const GetRequest& request, const std::string& directory) const {
  for (const auto& [id, entry] : entries_) {
    const TransferRecord& record = entry->record;
    const std::filesystem::path out(record.out_path);
    if (std::filesystem::path(record.temporary_path).parent_path() !=
        std::filesystem::path(directory.empty() ? "/" : directory)) {
      continue;
    }
    const std::string file_name = out.filename().string();
    const bool same_place = request.save_as.empty() || file_name == request.save_as;
    const bool same_dataset =
        request.root ? record.root == *request.root : record.name == request.name;
    if (same_place && same_dataset) return entry;
  }
  return std::nullopt;
}

// Forgets the oldest one that is over when there are too many.
awaitable<Result<>> TransferManager::Impl::make_room() {
  if (entries_.size() < config_.limits.transfers_known_max) co_return Result<>();
  for (const auto& [id, entry] : entries_) {
    // What a person wants stays; what the node itself gave up it can begin anew.
    const bool over = entry->state == State::kCompleted ||
                      (entry->record.background && entry->state != State::kActive);
    if (!over || entry->driving) continue;
    co_return co_await cancel(id);
  }
  co_return fail(ErrorCode::kLimited,
                 fmt::format("there are {} transfers already", entries_.size()),
                 "cancel those that are not needed");
}

awaitable<Result<>> TransferManager::Impl::pause(TransferId id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) co_return unknown(id);
  const std::shared_ptr<Entry> entry = found->second;
  const bool full = entry->state == State::kPaused && entry->driving;
  if (entry->state == State::kPaused && !full) co_return Result<>();
  if (entry->state != State::kActive && !full) {
    co_return fail(ErrorCode::kConflict,
                   fmt::format("transfer {} is {}", id, state_name(entry->state)));
  }
  co_await halt(entry);
  if (entry->state == State::kCompleted || entry->gone) co_return Result<>();
  entry->error.reset();
  co_return co_await set_state(entry, State::kPaused);
}

awaitable<Result<>> TransferManager::Impl::resume(TransferId id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) co_return unknown(id);
  const std::shared_ptr<Entry> entry = found->second;
  if (entry->state == State::kCompleted) {
    co_return fail(ErrorCode::kConflict, fmt::format("transfer {} is completed", id));
  }
  if (entry->state == State::kActive) co_return Result<>();
  co_return co_await restart(entry);
}

awaitable<Result<>> TransferManager::Impl::restart(std::shared_ptr<Entry> entry) {
  if (entry->driving) {  // It waits for space: let it look now.
    entry->look_now = true;
    entry->wake->notify();
    co_return Result<>();
  }
  entry->error.reset();
  WARREN_CO_TRY_VOID(co_await set_state(entry, State::kActive));
  if (!entry->driving && !entry->gone) launch(entry);
  co_return Result<>();
}

awaitable<Result<>> TransferManager::Impl::cancel(TransferId id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) co_return unknown(id);
  const std::shared_ptr<Entry> entry = found->second;
  co_await halt(entry);
  if (std::exchange(entry->gone, true)) co_return Result<>();
  const std::filesystem::path temporary(entry->record.temporary_path);
  const DestinationPaths paths{temporary.parent_path().string(), temporary.filename().string(), {}};
  const Result<> removed =
      co_await runtime::run(runtime_.pool(), [&paths] { return Destination::remove(paths); });
  if (!removed) {
    entry->gone = false;
    co_return fail(Error(removed.error()).in("remove " + entry->record.temporary_path));
  }
  const std::int64_t record_id = entry->record.id;
  const Result<> forgotten = co_await runtime::run(
      runtime_.pool(), [this, record_id] { return store_.remove_transfer(record_id); });
  entries_.erase(id);
  entry->idle.notify_all();
  notify(id);
  co_return forgotten;
}

// Ends the run of a transfer, if there is one, and waits until it has ended.
awaitable<void> TransferManager::Impl::halt(std::shared_ptr<Entry> entry) {
  entry->halted = true;
  while (entry->driving) {
    if (entry->download) entry->download->stop();
    entry->wake->notify();
    slots_.notify_all();
    const runtime::Wake wake = co_await entry->idle.wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) break;
  }
  entry->halted = false;
}

// --------------------------------------------------------------------------------------- a run

// Runs one transfer until it is over, paused or halted; waits for its turn before and for space
// in between.
awaitable<void> TransferManager::Impl::drive(std::shared_ptr<Entry> entry) {
  bool again = entry->state == State::kActive;
  if (!again) again = co_await wait_for_space(entry);  // It was paused so when the node stopped.
  while (again && !entry->halted && !closing_) {
    const bool turn = co_await wait_for_turn(entry);
    if (!turn) break;
    const Outcome outcome = co_await run_once(entry);
    --running_;
    if (std::exchange(entry->counted_as_user, false)) --running_users_;
    slots_.notify_all();
    again = co_await on_outcome(entry, outcome);
  }
  entry->driving = false;
  entry->idle.notify_all();
}

// What a person wants does not wait for what goes on in the background.
awaitable<bool> TransferManager::Impl::wait_for_turn(std::shared_ptr<Entry> entry) {
  while ((entry->record.background ? running_ : running_users_) >= config_.limits.transfers_max) {
    const runtime::Wake wake = co_await slots_.wait_until(kNever);
    if (wake == runtime::Wake::kCancelled || entry->halted || closing_) co_return false;
  }
  ++running_;
  entry->counted_as_user = !entry->record.background;
  if (entry->counted_as_user) ++running_users_;
  co_return true;
}

awaitable<Outcome> TransferManager::Impl::run_once(std::shared_ptr<Entry> entry) {
  entry->resting.reset();
  entry->download = std::make_unique<Download>(context(), entry->record, entry->from, entry->wait);
  if (entry->halted || closing_) entry->download->stop();
  Outcome outcome = co_await entry->download->run();
  entry->record = entry->download->record();
  entry->last = Progress{};
  entry->download->report(entry->last);
  entry->download.reset();
  trim_buffers();
  co_return outcome;
}

// Whether to run once more.
awaitable<bool> TransferManager::Impl::on_outcome(std::shared_ptr<Entry> entry, Outcome outcome) {
  entry->error = outcome.error;
  entry->bytes_needed = outcome.bytes_needed;
  Result<> saved;
  bool again = false;
  switch (outcome.kind) {
    case Outcome::Kind::kStopped:
      saved = co_await save(entry);  // Its state is set by whoever stopped it.
      break;
    case Outcome::Kind::kCompleted:
      entry->record.finished_at = runtime_.wall_now();
      saved = co_await set_state(entry, State::kCompleted);
      break;
    case Outcome::Kind::kFailed:
      entry->record.finished_at = runtime_.wall_now();
      saved = co_await set_state(entry, State::kFailed);
      break;
    case Outcome::Kind::kNoSpace:
      log::warn("transfer", "{} is paused: {}", entry->record.name, entry->error->message());
      saved = co_await set_state(entry, State::kPaused);
      again = co_await wait_for_space(entry);
      break;
  }
  if (!saved) {
    log::error("transfer", "the state of transfer {} could not be saved: {}", entry->record.id,
               saved.error().message());
  }
  co_return again;
}

awaitable<bool> TransferManager::Impl::wait_for_space(std::shared_ptr<Entry> entry) {
  const std::string directory =
      std::filesystem::path(entry->record.temporary_path).parent_path().string();
  while (!entry->halted && !closing_) {
    const runtime::Wake wake = co_await entry->wake->wait_until(runtime_.now() + kSpacePollTime);
    if (wake == runtime::Wake::kCancelled || entry->halted || closing_) co_return false;
    const auto available = co_await runtime::run(runtime_.pool(), [this, &directory] {
      return Destination::free_bytes(directory, config_.disk_hooks);
    });
    const bool look = std::exchange(entry->look_now, false);
    if (!look && (!available || *available < entry->bytes_needed)) continue;
    entry->error.reset();
    const Result<> saved = co_await set_state(entry, State::kActive);
    if (!saved) log::warn("transfer", "{}", saved.error().message());
    co_return true;
  }
  co_return false;
}

awaitable<Result<>> TransferManager::Impl::save(std::shared_ptr<Entry> entry) {
  entry->record.state = stored_state(entry->state);
  entry->record.error = entry->error;
  const TransferRecord record = entry->record;
  co_return co_await runtime::run(runtime_.pool(),
                                  [this, &record] { return store_.update_transfer(record); });
}

awaitable<Result<>> TransferManager::Impl::set_state(std::shared_ptr<Entry> entry, State state) {
  entry->state = state;
  const Result<> saved = co_await save(entry);
  notify(static_cast<TransferId>(entry->record.id));
  entry->idle.notify_all();
  co_return saved;
}

void TransferManager::Impl::notify(TransferId id) {
  for (const auto& listener : listeners_) listener(id);
}

// ------------------------------------------------------------------------------------- answers

Progress TransferManager::Impl::progress_of(const Entry& entry) const {
  Progress progress = entry.last;
  if (entry.download) {
    progress = Progress{};
    entry.download->report(progress);
  } else {
    progress.phase = entry.state == State::kActive ? Phase::kQueued : Phase::kDone;
    progress.rate = 0;
    progress.eta.reset();
    progress.reason = entry.error ? reason_of(*entry.error) : std::string_view();
    const content::TransferRecord& record = entry.record;
    if (record.root != Cid{}) progress.root = record.root;
    progress.name = record.name;
    progress.bytes_total = record.bytes_total;
    progress.bytes_done = std::max(progress.bytes_done, record.bytes_done);
  }
  const content::TransferRecord& record = entry.download ? entry.download->record() : entry.record;
  progress.id = static_cast<TransferId>(entry.record.id);
  progress.priority = entry.record.background ? Priority::kBackground : Priority::kUser;
  progress.state = entry.state;
  if (!std::filesystem::path(record.out_path).filename().empty()) progress.path = record.out_path;
  progress.error = entry.error;
  return progress;
}

std::vector<Progress> TransferManager::Impl::list() const {
  std::vector<Progress> all;
  for (const auto& [id, entry] : entries_) all.push_back(progress_of(*entry));
  return all;
}

std::optional<Progress> TransferManager::Impl::progress(TransferId id) const {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return std::nullopt;
  return progress_of(*found->second);
}

awaitable<Result<Progress>> TransferManager::Impl::wait(TransferId id, TimePoint deadline) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) co_return unknown(id);
  const std::shared_ptr<Entry> entry = found->second;
  for (;;) {
    if (entry->gone) co_return unknown(id);
    const bool goes_on = entry->state == State::kActive || entry->driving;
    if (!goes_on) co_return progress_of(*entry);
    if (closing_) co_return fail(ErrorCode::kClosed, "the node is stopping");
    const runtime::Wake wake = co_await entry->idle.wait_until(deadline);
    if (wake == runtime::Wake::kTimedOut) {
      co_return fail(ErrorCode::kTimedOut, fmt::format("transfer {} is not over yet", id));
    }
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  }
}

awaitable<Result<std::vector<Offer>>> TransferManager::Impl::find(std::string name,
                                                                  std::vector<PeerId> from,
                                                                  TimePoint deadline) {
  if (name.empty() || name.size() > content::kNameBytesMax) {
    co_return fail(ErrorCode::kInvalidArgument, "a name has 1 to 255 bytes");
  }
  std::vector<PeerId> peers = std::move(from);
  if (peers.empty() && config_.peers) {
    peers = config_.peers();
  } else if (peers.empty()) {
    for (const auto& connection : swarm_.connections()) {
      peers.push_back(connection->info().remote_peer);
    }
  }
  std::ranges::sort(peers);
  const auto repeated = std::ranges::unique(peers);
  peers.erase(repeated.begin(), repeated.end());
  co_return co_await find_offers(swarm_, config_.limits, std::move(name), std::move(peers),
                                 deadline);
}

}  // namespace warren::transfer

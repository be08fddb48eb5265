#pragma once
// The serving side of /warren/data/1.0.0: answers from the content store, leaf bytes straight from
// the shared files or from those of a download. What a peer may not see does not exist for it.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "content/dataset.hpp"
#include "content/store.hpp"
#include "peers/access_rule.hpp"
#include "swarm/swarm.hpp"
#include "transfer/buffer_pool.hpp"
#include "transfer/data_messages.hpp"
#include "transfer/partial_dataset.hpp"
#include "transfer/peer_notes.hpp"
#include "transfer/rate_limit.hpp"
#include "transfer/serve_gate.hpp"
#include "transport/frame_io.hpp"

namespace warren::transfer {

struct ServerStats {
  std::uint64_t bytes_served = 0;    ///< Of leaves, handed to streams.
  std::uint64_t leaves_missing = 0;  ///< Asked for and not given: changed, unreadable.
  std::uint64_t requests_refused = 0;
  std::size_t streams = 0;  ///< Being served now.
};

/// What the server asks of others.
struct ServerHooks {
  /// Whether a person gave the key of this peer. Unset: of none.
  std::function<bool(const PeerId&)> trusted;
  /// Who may fetch what lies at `path` as the entry `id` of a library now; null, or unset: nobody.
  /// Read at once.
  std::function<const peers::AccessRule*(std::string_view id, std::string_view path)>
      entry_audience;
  /// A download of the dataset that this peer may see, as far as it is; null when there is none.
  /// Unset: none.
  std::function<awaitable<std::shared_ptr<PartialDataset>>(Cid root, peers::Visitor visitor)>
      find_partial;
  PeerNotes* notes = nullptr;
  /// Null: no limits. Outlives the server.
  Bandwidth* bandwidth = nullptr;
};

/// Core thread only. `runtime`, `store` and what `hooks` need outlive it; it outlives every
/// serve().
class DataServer {
 public:
  DataServer(runtime::Runtime& runtime, content::Store& store, limits::Transfer limits,
             ServerHooks hooks);

  /// Serves the requests on one stream to its end, and closes or resets it. The peer's reading is
  /// the brake: at most limits.serve_bytes_max are read ahead for all peers together.
  /// Cancel: the stream is reset.
  awaitable<void> serve(swarm::ProtocolStream stream);

  /// Returns when nothing of the folder `path` is being read, and nothing of it is held open for
  /// the next request. Nobody begins to read what ServerHooks::may_fetch_entry does not allow.
  awaitable<void> leave(std::string path);

  /// Resets every stream that is being served and waits until the last serve() has left.
  awaitable<void> close();

  const ServerStats& stats() const noexcept { return stats_; }

 private:
  struct Session;
  struct HeldBuffer;
  struct Given;

  awaitable<Result<>> serve_requests(Session& session);
  awaitable<Result<>> answer(Session& session, const FindRequest& request);
  awaitable<Result<>> answer(Session& session, const HaveRequest& request);
  awaitable<Result<>> answer(Session& session, const NodesRequest& request);
  awaitable<Result<>> answer(Session& session, const RangeRequest& request);
  awaitable<Result<std::shared_ptr<const HeldBuffer>>> acquire(Session& session,
                                                               const content::Tree& tree,
                                                               std::uint64_t first,
                                                               std::uint64_t count);
  std::shared_ptr<Given> given_of(Session& session, const content::Tree& tree);
  void close_older_connections(const Session& session);
  awaitable<Result<>> send(Session& session, Response response);
  awaitable<Result<>> send_bytes(Session& session, SharedBytes bytes);
  awaitable<Result<>> refuse(Session& session, RefusalReason reason, std::string text);
  awaitable<Result<>> send_nodes(Session& session, std::vector<content::NodeBlock> nodes);
  peers::Visitor visitor_of(const Session& session) const;
  const peers::AccessRule* audience_of(const content::ShareInfo& place) const;
  bool may_fetch(const content::ShareInfo& place, const peers::Visitor& visitor) const;
  awaitable<Result<>> find_visible(Session& session, Cid root);
  awaitable<Result<std::shared_ptr<const content::Dataset>>> dataset_of(Session& session, Cid root);

  runtime::Runtime& runtime_;
  content::Store& store_;
  limits::Transfer limits_;
  ServerHooks hooks_;
  std::size_t buffers_max_;
  BufferPool buffers_;
  ServeGate gate_;
  /// Open ones, shared by the streams that read the same; they own them.
  std::map<Cid, std::weak_ptr<const content::Dataset>> datasets_;
  ServerStats stats_;
  std::set<Session*> sessions_;
  std::uint64_t session_serial_ = 0;
  std::map<PeerId, std::weak_ptr<ServeGate::Peer>> shares_;
  std::map<Cid, std::weak_ptr<Given>> given_;
  std::multiset<std::string> reading_;  ///< Paths of datasets, one for each read in the pool.
  runtime::WaitList read_;
  bool closing_ = false;
  runtime::WaitList left_;
};

}  // namespace warren::transfer

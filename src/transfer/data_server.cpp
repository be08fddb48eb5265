#include "transfer/data_server.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "content/unixfs.hpp"
#include "runtime/worker_pool.hpp"

namespace warren::transfer {
namespace {

using content::Dataset;
using content::NodeBlock;
using transport::CloseCode;
using transport::Stream;

constexpr std::size_t kNodesPerMessage = 1024;
constexpr std::size_t kNodeBytesPerMessage = 256u << 10;
// Leaves in one segment; the bytes are bounded by the buffer.
constexpr std::uint64_t kLeavesPerSegment = 4096;
constexpr std::size_t kHoldingBytesMax = 1024;  // Of a Holding without its bitmap.
constexpr auto kHoldBackTime = 5s;              // An answer that would say nothing new.
constexpr auto kOlderStillTime = 2s;
// Written at a time: a peer that takes so much in serve_time_max is slow, and no more.
constexpr std::size_t kPieceBytesMax = 256u << 10;

// A part of a batch: leaves that lie in the buffer from `offset` on, or are missing.
struct Piece {
  SegmentResponse header;
  std::size_t offset = 0;
};

Missing why_missing(const Error& error) {
  return error.code() == ErrorCode::kNotFound ? Missing::kChanged : Missing::kUnreadable;
}

void add_piece(std::vector<Piece>& pieces, const Piece& piece) {
  if (!pieces.empty()) {
    Piece& last = pieces.back();
    if (last.header.missing == piece.header.missing) {
      last.header.leaf_count += piece.header.leaf_count;
      last.header.bytes += piece.header.bytes;
      return;
    }
  }
  pieces.push_back(piece);
}

// Where the leaves of one request come from: one of the two.
struct Source {
  std::shared_ptr<const Dataset> whole;
  std::shared_ptr<PartialDataset> partial;

  // Which of the leaves a download has; on the core thread, before read().
  std::vector<bool> held(std::uint64_t first, std::uint64_t count) const {
    std::vector<bool> held(static_cast<std::size_t>(count), true);
    for (std::size_t i = 0; partial && i < held.size(); ++i) {
      held[i] = partial->held().contains(first + i);
    }
    return held;
  }
  // Reads the leaves [first, first + count) into `out`, all at once if it goes, else one by one, so
  // that a changed file costs no more than its own leaves. On a pool thread.
  std::vector<Piece> read(std::uint64_t first, std::uint64_t count, const std::vector<bool>& held,
                          MutableBytes out) const {
    if (whole) {
      const auto all = whole->read_leaves(first, count, out);
      if (all) return {{{first, count, *all, Missing::kNo}, 0}};
      if (count == 1) return {{{first, 1, 0, why_missing(all.error())}, 0}};
    }
    std::vector<Piece> pieces;
    std::size_t offset = 0;
    for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
      if (!held[static_cast<std::size_t>(leaf - first)]) {
        add_piece(pieces, {{leaf, 1, 0, Missing::kNotHeld}, offset});
        continue;
      }
      const auto read = whole ? whole->read_leaves(leaf, 1, out.subspan(offset))
                              : partial->read_leaf(leaf, out.subspan(offset));
      if (read) {
        add_piece(pieces, {{leaf, 1, *read, Missing::kNo}, offset});
        offset += *read;
      } else {
        add_piece(pieces, {{leaf, 1, 0, why_missing(read.error())}, offset});
      }
    }
    return pieces;
  }
  // A download does not promise again what could not be read. What was not there a moment ago may
  // be by now.
  void forget(const SegmentResponse& missing) const {
    if (!partial || missing.missing != Missing::kUnreadable) return;
    for (std::uint64_t i = 0; i < missing.leaf_count; ++i) {
      partial->remove(missing.first_leaf + i);
    }
  }
};

// What a peer that may have it may do with it: a list of peers is no secret of theirs to share.
Passing passing_of(const peers::AccessRule& audience) {
  switch (audience.access) {
    case peers::Access::kAnyone: return Passing::kAnyone;
    case peers::Access::kLan: return Passing::kLan;
    case peers::Access::kTrusted:
    case peers::Access::kListed: break;
  }
  return Passing::kNobody;
}

// As many leaves from `first` on as fit into `bytes_max`.
std::uint64_t batch_of(const content::Tree& tree, std::uint64_t first, std::uint64_t end,
                       std::size_t bytes_max) {
  end = std::min(end, first + kLeavesPerSegment);
  std::uint64_t bytes = 0;
  std::uint64_t leaf = first;
  while (leaf < end && bytes + tree.leaves[leaf].bytes <= bytes_max) {
    bytes += tree.leaves[leaf++].bytes;
  }
  return leaf - first;
}

}  // namespace

// A buffer of the pool that has its place until the transport lets it go.
struct DataServer::HeldBuffer {
  ServeGate::Place place;
  Buffer buffer;
};

// How often each leaf was given while somebody fetches from this dataset.
struct DataServer::Given {
  std::vector<std::uint8_t> times;  ///< By leaf.
};

struct DataServer::Session {
  explicit Session(swarm::ProtocolStream opened)
      : stream(std::move(opened)), reader(*stream.stream) {}

  Stream& out() { return *stream.stream; }

  swarm::ProtocolStream stream;
  transport::FrameReader reader;
  std::uint64_t serial = 0;
  TimePoint progressed_at{};  ///< The stream took bytes, or began.
  std::shared_ptr<ServeGate::Peer> share;
  std::shared_ptr<const Dataset> dataset;  ///< Of the last request.
  std::shared_ptr<Given> given;            ///< Same.

  // Where the store had `root` when its generation was this one.
  std::optional<Cid> root;
  std::uint64_t generation = 0;
  std::vector<content::ShareInfo> places;
  /// Set when the peer may see only this of it.
  std::shared_ptr<PartialDataset> partial;
};

DataServer::DataServer(runtime::Runtime& runtime, content::Store& store, limits::Transfer limits,
                       ServerHooks hooks)
    : runtime_(runtime),
      store_(store),
      limits_(limits),
      hooks_(std::move(hooks)),
      buffers_max_(std::max<std::size_t>(1, limits.serve_bytes_max / content::kLeafBytesMax)),
      buffers_(runtime, content::kLeafBytesMax, buffers_max_),
      gate_(runtime, buffers_max_),
      read_(runtime),
      left_(runtime) {}

awaitable<void> DataServer::serve(swarm::ProtocolStream stream) {
  if (closing_) co_return;
  ++stats_.streams;
  Session session(std::move(stream));
  sessions_.insert(&session);
  session.serial = ++session_serial_;
  session.progressed_at = runtime_.now();
  std::weak_ptr<ServeGate::Peer>& share = shares_[session.stream.peer()];
  session.share = share.lock();
  if (!session.share) share = session.share = std::make_shared<ServeGate::Peer>();
  const Result<> served = co_await serve_requests(session);
  if (served) {
    session.out().close_write();
    // Until the peer has it all, or its time is up: then what it does not take is given up.
    const auto flushed = co_await session.out().flush(runtime_.now() + limits_.serve_time_max);
    if (!flushed) session.out().reset(CloseCode::kNone);
  } else {
    const ErrorCode code = served.error().code();
    const bool theirs = code == ErrorCode::kMalformed || code == ErrorCode::kTooLarge;
    if (theirs) {
      log::info("transfer", "peer {} broke the data protocol: {}",
                session.stream.peer().to_string(), served.error().message());
      if (hooks_.notes != nullptr) {
        hooks_.notes->noted(session.stream.peer(), peers::ReputationEvent::kMalformedMessage);
      }
    }
    session.out().reset(theirs ? CloseCode::kProtocolViolation : CloseCode::kNone);
  }
  session.dataset.reset();
  session.given.reset();
  session.share.reset();
  std::erase_if(shares_, [](const auto& entry) { return entry.second.expired(); });
  std::erase_if(given_, [](const auto& entry) { return entry.second.expired(); });
  sessions_.erase(&session);
  if (--stats_.streams > 0) co_return;
  datasets_.clear();
  buffers_.trim();
  left_.notify_all();
}

awaitable<void> DataServer::leave(std::string path) {
  while (reading_.contains(path)) {
    const runtime::Wake wake = co_await read_.wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) break;
  }
  for (Session* session : sessions_) {
    if (session->dataset && session->dataset->path() == path) session->dataset.reset();
  }
  std::erase_if(datasets_, [&](const auto& entry) {
    const auto dataset = entry.second.lock();
    return !dataset || dataset->path() == path;
  });
}

awaitable<void> DataServer::close() {
  closing_ = true;
  gate_.close();
  for (Session* session : sessions_) {
    session->out().reset();
    if (session->partial) session->partial->wake();
  }
  while (stats_.streams > 0) {
    const runtime::Wake wake = co_await left_.wait_until(kNever);
    if (wake == runtime::Wake::kCancelled) break;
  }
}

awaitable<Result<>> DataServer::serve_requests(Session& session) {
  for (;;) {
    const TimePoint deadline = runtime_.now() + limits_.idle_time_max;
    auto frame = co_await session.reader.read_frame_or_end(limits_.request_bytes_max, deadline);
    if (!frame) co_return fail(std::move(frame).error());
    if (!*frame) co_return Result<>();
    WARREN_CO_TRY(const Request request, decode_request(**frame, limits_));
    Result<> answered;
    if (const auto* find = std::get_if<FindRequest>(&request)) {
      answered = co_await answer(session, *find);
    } else if (const auto* have = std::get_if<HaveRequest>(&request)) {
      answered = co_await answer(session, *have);
    } else if (const auto* nodes = std::get_if<NodesRequest>(&request)) {
      answered = co_await answer(session, *nodes);
    } else if (const auto* range = std::get_if<RangeRequest>(&request)) {
      answered = co_await answer(session, *range);
    }
    if (!answered) co_return answered;
  }
}

// ------------------------------------------------------------------------------------ answers

awaitable<Result<>> DataServer::answer(Session& session, const FindRequest& request) {
  const std::string name = request.name;
  const auto share =
      co_await runtime::run(runtime_.pool(), [this, &name] { return store_.find_share(name); });
  if (!share && share.error().code() != ErrorCode::kNotFound) {
    co_return co_await refuse(session, RefusalReason::kBusy, "the store failed");
  }
  FoundResponse found;
  // A CID finds a share too; it is asked for by name here.
  if (share && share->name == name && share->audience.allows(visitor_of(session))) {
    found.datasets.push_back({share->root, share->name, share->bytes, share->files});
  }
  co_return co_await send(session, std::move(found));
}

awaitable<Result<>> DataServer::answer(Session& session, const HaveRequest& request) {
  const Cid root = request.root;
  HoldingResponse holding;
  Result<> visible = co_await find_visible(session, root);
  if (visible && session.partial && request.known == session.partial->held().count()) {
    const TimePoint deadline = runtime_.now() + kHoldBackTime;
    const std::shared_ptr<PartialDataset> partial = session.partial;
    const runtime::Wake wake = co_await partial->wait_for_more(deadline);
    if (wake == runtime::Wake::kCancelled || closing_) {
      co_return fail(ErrorCode::kCancelled, "cancelled");
    }
    visible = co_await find_visible(session, root);
  }
  if (!visible) co_return co_await send(session, std::move(holding));
  if (session.partial) {
    const LeafSet& held = session.partial->held();
    if (held.bytes().size() + kHoldingBytesMax <= limits_.response_bytes_max) {
      holding.extent = Extent::kPartial;
      holding.leaf_count = held.size();
      holding.leaves = to_bytes(held.bytes());
      holding.name = session.partial->name();
      holding.passing = passing_of(session.partial->audience());
    }
    co_return co_await send(session, std::move(holding));
  }
  const auto dataset = co_await dataset_of(session, root);
  if (dataset) {
    holding.extent = Extent::kComplete;
    holding.leaf_count = (*dataset)->tree().leaves.size();
    holding.passing = Passing::kNobody;
    const peers::Visitor visitor = visitor_of(session);
    for (const content::ShareInfo& place : session.places) {
      const peers::AccessRule* audience = audience_of(place);
      if (audience == nullptr || !audience->allows(visitor)) continue;
      if (holding.name.empty()) holding.name = place.shared_as();
      holding.passing = std::min(holding.passing, passing_of(*audience));
    }
  }
  co_return co_await send(session, std::move(holding));
}

awaitable<Result<>> DataServer::answer(Session& session, const NodesRequest& request) {
  const Cid root = request.root;
  const Result<> visible = co_await find_visible(session, root);
  if (!visible) {
    co_return co_await refuse(session, RefusalReason::kNotFound, "no dataset " + root.to_string());
  }
  if (!request.cids.empty()) {
    for (const Cid& cid : request.cids) {
      auto node = co_await runtime::run(runtime_.pool(),
                                        [this, root, cid] { return store_.read_node(root, cid); });
      if (!node) {
        co_return co_await refuse(session, RefusalReason::kNotFound, "no block " + cid.to_string());
      }
      std::vector<NodeBlock> one;
      one.push_back({cid, std::move(*node)});
      WARREN_CO_TRY_VOID(co_await send_nodes(session, std::move(one)));
    }
    co_return co_await send(session, DoneResponse{});
  }
  const auto total =
      co_await runtime::run(runtime_.pool(), [this, root] { return store_.node_count(root); });
  if (!total) {
    co_return co_await refuse(session, RefusalReason::kNotFound, "no dataset " + root.to_string());
  }
  for (std::uint64_t sent = 0; sent < *total;) {
    auto nodes = co_await runtime::run(runtime_.pool(), [this, root, sent] {
      return store_.nodes(root, sent, kNodesPerMessage, kNodeBytesPerMessage);
    });
    if (!nodes || nodes->empty()) {
      co_return co_await refuse(session, RefusalReason::kNotFound,
                                "no dataset " + root.to_string());
    }
    sent += nodes->size();
    WARREN_CO_TRY_VOID(co_await send_nodes(session, std::move(*nodes)));
  }
  co_return co_await send(session, DoneResponse{});
}

awaitable<Result<>> DataServer::answer(Session& session, const RangeRequest& request) {
  Source source;
  const Result<> seen = co_await find_visible(session, request.root);
  if (seen) source.partial = session.partial;
  if (seen && !source.partial) {
    const auto opened = co_await dataset_of(session, request.root);
    if (opened) source.whole = *opened;
  }
  if (!source.whole && !source.partial) {
    co_return co_await refuse(session, RefusalReason::kNotFound,
                              "no dataset " + request.root.to_string());
  }
  const content::Tree& tree = source.whole ? source.whole->tree() : source.partial->tree();
  const std::uint64_t leaves = tree.leaves.size();
  if (request.first_leaf >= leaves || request.leaf_count > leaves - request.first_leaf) {
    co_return co_await refuse(session, RefusalReason::kBadRequest,
                              "the dataset has " + std::to_string(leaves) + " leaves");
  }
  const std::uint64_t end = request.first_leaf + request.leaf_count;
  const TransferMark mark(hooks_.notes, session.stream.peer(), TransferDirection::kTo);
  bool any_missing = false;
  for (std::uint64_t leaf = request.first_leaf; leaf < end;) {
    const std::uint64_t count = batch_of(tree, leaf, end, content::kLeafBytesMax);
    if (count == 0) co_return fail(ErrorCode::kInternal, "a leaf is larger than a buffer");
    WARREN_CO_TRY(const auto held, co_await acquire(session, tree, leaf, count));
    const Result<> visible = co_await find_visible(session, request.root);
    if (!visible) {
      co_return co_await refuse(session, RefusalReason::kNotFound,
                                "no dataset " + request.root.to_string());
    }
    const MutableBytes room = held->buffer.bytes();
    const std::vector<bool> here = source.held(leaf, count);
    const auto reading = reading_.insert(source.whole ? source.whole->path() : std::string());
    const std::vector<Piece> pieces = co_await runtime::run(
        runtime_.pool(),
        [&source, &here, leaf, count, room] { return source.read(leaf, count, here, room); });
    reading_.erase(reading);
    read_.notify_all();
    for (const Piece& piece : pieces) {
      WARREN_CO_TRY_VOID(co_await send(session, piece.header));
      if (piece.header.missing != Missing::kNo) {
        any_missing = true;
        stats_.leaves_missing += piece.header.leaf_count;
        source.forget(piece.header);
        continue;
      }
      const auto bytes = static_cast<std::size_t>(piece.header.bytes);
      WARREN_CO_TRY_VOID(
          co_await send_bytes(session, SharedBytes(held, room.subspan(piece.offset, bytes))));
      stats_.bytes_served += bytes;
      if (hooks_.notes != nullptr) hooks_.notes->took(session.stream.peer(), bytes);
    }
    leaf += count;
  }
  if (any_missing) {  // The next request opens it anew: it may have been hashed again meanwhile.
    session.dataset.reset();
    datasets_.erase(request.root);
  }
  co_return Result<>();
}

// -------------------------------------------------------------------------------------- parts

// A buffer for the leaves [first, first + count), when it is their turn.
awaitable<Result<std::shared_ptr<const DataServer::HeldBuffer>>> DataServer::acquire(
    Session& session, const content::Tree& tree, std::uint64_t first, std::uint64_t count) {
  const TimePoint deadline = runtime_.now() + limits_.serve_time_max;
  std::uint64_t bytes = 0;
  for (std::uint64_t leaf = first; leaf < first + count; ++leaf) bytes += tree.leaves[leaf].bytes;
  const std::shared_ptr<Given> given = given_of(session, tree);
  HeldBuffer held;
  WARREN_CO_TRY(held.place, co_await gate_.enter(session.share, bytes, given->times[first],
                                                 deadline, [this, &session] {
                                                   if (!gate_.is_full(*session.share)) return;
                                                   close_older_connections(session);
                                                 }));
  for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
    std::uint8_t& times = given->times[leaf];
    times = static_cast<std::uint8_t>(std::min(255, times + 1));
  }
  WARREN_CO_TRY(held.buffer, co_await buffers_.acquire(deadline));
  co_return std::make_shared<const HeldBuffer>(std::move(held));
}

std::shared_ptr<DataServer::Given> DataServer::given_of(Session& session,
                                                        const content::Tree& tree) {
  std::weak_ptr<Given>& known = given_[tree.root];
  session.given = known.lock();
  if (!session.given) {
    known = session.given = std::make_shared<Given>();
    session.given->times.resize(tree.leaves.size());
  }
  return session.given;
}

// A peer that was killed and comes back finds its buffers held by connections that have not timed
// out yet. What is older than this connection, and has not moved for a while, is given up.
void DataServer::close_older_connections(const Session& session) {
  struct Known {
    std::uint64_t since = 0;
    TimePoint progressed_at{};
  };
  std::map<std::shared_ptr<swarm::Connection>, Known> connections;
  for (const Session* other : sessions_) {
    if (other->share != session.share) continue;
    const auto [found, added] =
        connections.try_emplace(other->stream.connection, other->serial, other->progressed_at);
    found->second.since = std::min(found->second.since, other->serial);
    found->second.progressed_at = std::max(found->second.progressed_at, other->progressed_at);
  }
  const std::uint64_t own_since = connections.at(session.stream.connection).since;
  const TimePoint still_since = runtime_.now() - kOlderStillTime;
  for (const auto& [connection, known] : connections) {
    if (known.since >= own_since || known.progressed_at > still_since) continue;
    connection->close(CloseCode::kSupplanted, "a newer connection of the same peer is in use");
  }
}

awaitable<Result<>> DataServer::send(Session& session, Response response) {
  const Bytes message = encode(response);
  const TimePoint deadline = runtime_.now() + limits_.serve_time_max;
  co_return co_await transport::write_frame(session.out(), message, deadline);
}

// No faster than the limit allows.
awaitable<Result<>> DataServer::send_bytes(Session& session, SharedBytes bytes) {
  const Multiaddr& remote = session.stream.connection->info().remote_address;
  for (std::size_t at = 0; at < bytes.size();) {
    std::size_t piece = std::min(bytes.size() - at, kPieceBytesMax);
    RateLimit* limit = hooks_.bandwidth == nullptr ? nullptr : hooks_.bandwidth->up(remote);
    if (limit != nullptr) {
      piece = std::min<std::size_t>(piece, limit->piece_bytes());
      const TimePoint may_take = runtime_.now() + limits_.serve_time_max;
      WARREN_CO_TRY_VOID(co_await limit->take(piece, Priority::kUser, may_take));
    }
    const TimePoint stalled = runtime_.now() + limits_.serve_time_max;
    WARREN_CO_TRY_VOID(co_await session.out().write(bytes.slice(at, piece), stalled));
    session.progressed_at = runtime_.now();
    at += piece;
  }
  co_return Result<>();
}

awaitable<Result<>> DataServer::refuse(Session& session, RefusalReason reason, std::string text) {
  ++stats_.requests_refused;
  co_return co_await send(session, RefusalResponse{reason, std::move(text)});
}

awaitable<Result<>> DataServer::send_nodes(Session& session, std::vector<NodeBlock> nodes) {
  NodesResponse header;
  Bytes bytes;
  for (const NodeBlock& node : nodes) {
    header.nodes.push_back({node.cid, static_cast<std::uint32_t>(node.bytes.size())});
    append(bytes, node.bytes);
  }
  WARREN_CO_TRY_VOID(co_await send(session, std::move(header)));
  const TimePoint deadline = runtime_.now() + limits_.serve_time_max;
  SharedBytes shared(std::move(bytes));
  co_return co_await session.out().write(std::move(shared), deadline);
}

peers::Visitor DataServer::visitor_of(const Session& session) const {
  const PeerId& peer = session.stream.peer();
  return {peer, peers::is_on_lan(session.stream.connection->info().remote_address),
          hooks_.trusted && hooks_.trusted(peer)};
}

const peers::AccessRule* DataServer::audience_of(const content::ShareInfo& place) const {
  const std::string_view entry = place.entry_id();
  if (entry.empty()) return &place.audience;
  return hooks_.entry_audience ? hooks_.entry_audience(entry, place.path) : nullptr;
}

bool DataServer::may_fetch(const content::ShareInfo& place, const peers::Visitor& visitor) const {
  const peers::AccessRule* audience = audience_of(place);
  return audience != nullptr && audience->allows(visitor);
}

// Whether the peer may see the dataset at this moment, all of it or what a download has
// (session.partial); cheap while nothing changed. Errors: kNotFound, those of the database.
awaitable<Result<>> DataServer::find_visible(Session& session, Cid root) {
  const std::uint64_t generation = store_.generation();
  if (session.root != root || session.generation != generation) {
    session.root.reset();
    WARREN_CO_TRY(session.places, co_await runtime::run(runtime_.pool(), [this, root] {
                    return store_.places(root);
                  }));
    session.root = root;
    session.generation = generation;
  }
  const peers::Visitor visitor = visitor_of(session);
  // Kept while it is looked for: what rests is loaded as long as somebody reads it.
  const auto before = std::exchange(session.partial, nullptr);
  for (const content::ShareInfo& place : session.places) {
    if (may_fetch(place, visitor)) co_return Result<>();
  }
  if (hooks_.find_partial) session.partial = co_await hooks_.find_partial(root, visitor);
  if (!session.partial) co_return fail(ErrorCode::kNotFound, "there is no such dataset");
  co_return Result<>();
}

awaitable<Result<std::shared_ptr<const Dataset>>> DataServer::dataset_of(Session& session,
                                                                         Cid root) {
  if (session.dataset && session.dataset->tree().root == root) co_return session.dataset;
  const auto known = datasets_.find(root);
  if (known != datasets_.end()) {
    if (auto dataset = known->second.lock()) {
      session.dataset = dataset;
      co_return dataset;
    }
  }
  auto opened =
      co_await runtime::run(runtime_.pool(), [this, root] { return store_.open_dataset(root); });
  if (!opened) co_return opened;
  std::erase_if(datasets_, [](const auto& entry) { return entry.second.expired(); });
  datasets_[root] = *opened;
  session.dataset = *opened;
  co_return opened;
}

}  // namespace warren::transfer

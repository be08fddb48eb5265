#include "transfer/data_server.hpp"

#include <algorithm>

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
constexpr auto kLookAtOlderTime = 500ms;
constexpr auto kOlderStillTime = 2s;

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

// Reads the leaves [first, first + count) into `out`, all at once if it goes, else one by one, so
// that a changed file costs no more than its own leaves. On a pool thread.
std::vector<Piece> read_pieces(const Dataset& dataset, std::uint64_t first, std::uint64_t count,
                               MutableBytes out) {
  const auto whole = dataset.read_leaves(first, count, out);
  if (whole) return {{{first, count, *whole, Missing::kNo}, 0}};
  if (count == 1) return {{{first, 1, 0, why_missing(whole.error())}, 0}};
  std::vector<Piece> pieces;
  std::size_t offset = 0;
  for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
    const auto read = dataset.read_leaves(leaf, 1, out.subspan(offset));
    if (read) {
      add_piece(pieces, {{leaf, 1, *read, Missing::kNo}, offset});
      offset += *read;
    } else {
      add_piece(pieces, {{leaf, 1, 0, why_missing(read.error())}, offset});
    }
  }
  return pieces;
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

struct DataServer::PeerShare {
  explicit PeerShare(runtime::Runtime& runtime) : released(runtime) {}
  std::size_t buffers = 0;
  runtime::WaitList released;
};

// A buffer of the pool that counts for a peer until the transport lets it go.
struct DataServer::HeldBuffer {
  HeldBuffer(Buffer held, std::shared_ptr<PeerShare> counted_for)
      : buffer(std::move(held)), share(std::move(counted_for)) {}
  ~HeldBuffer() {
    --share->buffers;
    share->released.notify_one();
  }
  HeldBuffer(const HeldBuffer&) = delete;
  HeldBuffer& operator=(const HeldBuffer&) = delete;

  Buffer buffer;
  std::shared_ptr<PeerShare> share;
};

struct DataServer::Session {
  explicit Session(swarm::ProtocolStream opened)
      : stream(std::move(opened)), reader(*stream.stream) {}

  Stream& out() { return *stream.stream; }

  swarm::ProtocolStream stream;
  transport::FrameReader reader;
  std::uint64_t serial = 0;
  TimePoint progressed_at{};  ///< The stream took bytes, or began.
  std::shared_ptr<PeerShare> share;
  std::shared_ptr<const Dataset> dataset;  ///< Of the last request.

  // Where the store had `root` when its generation was this one.
  std::optional<Cid> root;
  std::uint64_t generation = 0;
  std::vector<content::ShareInfo> places;
};

DataServer::DataServer(runtime::Runtime& runtime, content::Store& store, limits::Transfer limits,
                       std::function<bool(const PeerId&)> trusted, PeerNotes* notes)
    : runtime_(runtime),
      store_(store),
      limits_(limits),
      trusted_(std::move(trusted)),
      notes_(notes),
      buffers_max_(std::max<std::size_t>(1, limits.serve_bytes_max / content::kLeafBytesMax)),
      buffers_(runtime, content::kLeafBytesMax, buffers_max_),
      read_(runtime),
      left_(runtime) {}

awaitable<void> DataServer::serve(swarm::ProtocolStream stream) {
  if (closing_) co_return;
  ++stats_.streams;
  Session session(std::move(stream));
  sessions_.insert(&session);
  session.serial = ++session_serial_;
  session.progressed_at = runtime_.now();
  std::weak_ptr<PeerShare>& share = shares_[session.stream.peer()];
  session.share = share.lock();
  if (!session.share) share = session.share = std::make_shared<PeerShare>(runtime_);
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
      if (notes_ != nullptr) {
        notes_->noted(session.stream.peer(), peers::ReputationEvent::kMalformedMessage);
      }
    }
    session.out().reset(theirs ? CloseCode::kProtocolViolation : CloseCode::kNone);
  }
  session.dataset.reset();
  session.share.reset();
  std::erase_if(shares_, [](const auto& entry) { return entry.second.expired(); });
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
  for (Session* session : sessions_) session->out().reset();
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
  const auto dataset = co_await dataset_of(session, root);
  if (dataset) {
    holding.extent = Extent::kComplete;
    holding.leaf_count = (*dataset)->tree().leaves.size();
    const peers::Visitor visitor = visitor_of(session);
    for (const content::ShareInfo& place : session.places) {
      if (!place.audience.allows(visitor)) continue;
      holding.name = place.shared_as();
      break;
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
  const auto opened = co_await dataset_of(session, request.root);
  if (!opened) {
    co_return co_await refuse(session, RefusalReason::kNotFound,
                              "no dataset " + request.root.to_string());
  }
  const std::shared_ptr<const Dataset> dataset = *opened;
  const content::Tree& tree = dataset->tree();
  const std::uint64_t leaves = tree.leaves.size();
  if (request.first_leaf >= leaves || request.leaf_count > leaves - request.first_leaf) {
    co_return co_await refuse(session, RefusalReason::kBadRequest,
                              "the dataset has " + std::to_string(leaves) + " leaves");
  }
  const std::uint64_t end = request.first_leaf + request.leaf_count;
  const TransferMark mark(notes_, session.stream.peer(), TransferDirection::kTo);
  bool any_missing = false;
  for (std::uint64_t leaf = request.first_leaf; leaf < end;) {
    WARREN_CO_TRY(const auto held, co_await acquire(session));
    const Result<> visible = co_await find_visible(session, request.root);
    if (!visible) {
      co_return co_await refuse(session, RefusalReason::kNotFound,
                                "no dataset " + request.root.to_string());
    }
    const MutableBytes room = held->buffer.bytes();
    const std::uint64_t count = batch_of(tree, leaf, end, room.size());
    if (count == 0) co_return fail(ErrorCode::kInternal, "a leaf is larger than a buffer");
    const auto reading = reading_.insert(dataset->path());
    const std::vector<Piece> pieces = co_await runtime::run(
        runtime_.pool(),
        [&dataset, leaf, count, room] { return read_pieces(*dataset, leaf, count, room); });
    reading_.erase(reading);
    read_.notify_all();
    for (const Piece& piece : pieces) {
      WARREN_CO_TRY_VOID(co_await send(session, piece.header));
      if (piece.header.missing != Missing::kNo) {
        any_missing = true;
        stats_.leaves_missing += piece.header.leaf_count;
        continue;
      }
      const auto bytes = static_cast<std::size_t>(piece.header.bytes);
      SharedBytes shared(held, room.subspan(piece.offset, bytes));
      const TimePoint stalled = runtime_.now() + limits_.serve_time_max;
      WARREN_CO_TRY_VOID(co_await session.out().write(std::move(shared), stalled));
      session.progressed_at = runtime_.now();
      stats_.bytes_served += bytes;
      if (notes_ != nullptr) notes_->took(session.stream.peer(), bytes);
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

// A peer may hold half of the buffers, so that one that takes nothing leaves the others some.
awaitable<Result<std::shared_ptr<const DataServer::HeldBuffer>>> DataServer::acquire(
    Session& session) {
  const TimePoint deadline = runtime_.now() + limits_.serve_time_max;
  PeerShare& share = *session.share;
  while (share.buffers >= std::max<std::size_t>(1, buffers_max_ / 2)) {
    const TimePoint look = std::min(deadline, runtime_.now() + kLookAtOlderTime);
    const runtime::Wake wake = co_await share.released.wait_until(look);
    if (wake == runtime::Wake::kNotified) continue;
    share.released.notify_one();
    if (wake == runtime::Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
    if (look == deadline) co_return fail(ErrorCode::kTimedOut, "the peer takes nothing");
    close_older_connections(session);
  }
  ++share.buffers;
  auto buffer = co_await buffers_.acquire(deadline);
  if (!buffer) {
    --share.buffers;
    share.released.notify_one();
    co_return fail(std::move(buffer).error());
  }
  co_return std::make_shared<const HeldBuffer>(std::move(*buffer), session.share);
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
          trusted_ && trusted_(peer)};
}

// Whether the peer may see the dataset at this moment; cheap while nothing changed. Errors:
// kNotFound, those of the database.
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
  for (const content::ShareInfo& place : session.places) {
    if (place.audience.allows(visitor)) co_return Result<>();
  }
  co_return fail(ErrorCode::kNotFound, "there is no such dataset");
}

awaitable<Result<std::shared_ptr<const Dataset>>> DataServer::dataset_of(Session& session,
                                                                         Cid root) {
  WARREN_CO_TRY_VOID(co_await find_visible(session, root));
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

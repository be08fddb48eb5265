#pragma once
// A peer that asks a served library for what a script of bytes says. Finds what must never be
// given: anything of `local/` and the other reserved names, a leaf or a block that is not of a
// dataset that the peer may see, more than was asked for. For a fuzzer and for a test.

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "crypto/sha256.hpp"
#include "library/test_support.hpp"
#include "tests/sim/served_library.hpp"
#include "transport/frame_io.hpp"

namespace warren::served {

using library::test::Script;

/// What no answer may have in it. `local` alone may stand in a CID; a folder of that name would be
/// in a block that is of no tree.
inline constexpr std::array<std::string_view, 4> kNever{kCanary, kOwnName, ".local", ".warren"};

class LibraryAsker {
 public:
  /// `leave_out`: see ServedLibrary. Others than the reserved names are for showing that this finds
  /// what is wrong.
  explicit LibraryAsker(ServedLibrary::LeaveOut leave_out = library::is_reserved)
      : leave_out_(std::move(leave_out)) {}
  ~LibraryAsker() { close_stream(); }
  LibraryAsker(const LibraryAsker&) = delete;
  LibraryAsker& operator=(const LibraryAsker&) = delete;

  /// Empty: nothing was given that must not be; else what.
  std::string play(BytesView script) {
    if (!library_ || library_->dirty()) {
      library_.reset();
      library_ = std::make_unique<ServedLibrary>(leave_out_);
    }
    finding_.clear();
    Script in(script);
    for (std::size_t steps = 0; !in.done() && finding_.empty() && steps < kStepsMax; ++steps) {
      step(in);
    }
    read_pending();
    close_stream();
    library_->put_back();
    library_->set_trusted(false);
    if (library_->held()) {
      library_->hold(false);
      library_->settle();
    }
    return finding_;
  }

  std::uint64_t requests() const { return requests_; }
  std::uint64_t leaves_given() const { return leaves_given_; }
  std::uint64_t nodes_given() const { return nodes_given_; }
  std::uint64_t refusals() const { return refusals_; }
  std::uint64_t leaves_missing() const { return leaves_missing_; }

 private:
  static constexpr std::size_t kStepsMax = 64;
  static constexpr std::size_t kPendingMax = 4;
  static constexpr std::uint64_t kRawBytesMax = 64u << 20;

  struct Asked {
    Request request;
    std::set<Cid> visible;  ///< At some time since it was sent.
    TimePoint at{};
  };

  TimePoint now() const { return library_->world().now(); }
  /// After each change of who may see what.
  void note_visible() {
    for (Asked& asked : pending_) asked.visible.merge(library_->visible_now());
  }

  // ---------------------------------------------------------------------------------- the script

  void step(Script& in) {
    switch (in.below(16)) {
      case 0: ask(FindRequest{name(in)}); break;
      case 1: ask(HaveRequest{root(in)}); break;
      case 2: ask(HaveRequest{root(in), number(in)}); break;
      case 3: ask(NodesRequest{root(in), {}}); break;
      case 4: {
        NodesRequest request{root(in), {}};
        for (std::size_t i = in.below(8); i > 0; --i) request.cids.push_back(cid(in));
        ask(std::move(request));
        break;
      }
      case 5: {
        const Cid of = root(in);
        const auto known = library_->known().find(of);
        const std::size_t leaves =
            known == library_->known().end() ? 1 : known->second.tree->leaves.size();
        const std::size_t first = in.below(std::max<std::size_t>(1, leaves));
        ask(RangeRequest{of, first, 1 + in.below(std::max<std::size_t>(1, leaves - first))});
        break;
      }
      case 6: ask(RangeRequest{root(in), in.below(3), 1 + in.below(4)}); break;
      case 7: {
        const Cid of = root(in);
        const std::uint64_t first = number(in);
        ask(RangeRequest{of, first, number(in)});
        break;
      }
      case 8: send_garbage(in.take(in.below(40))); break;
      case 9: send_raw(in.take(in.below(40))); break;
      case 10: read_pending(); break;
      case 11: close_stream(); break;
      case 12: {
        const std::size_t what = in.below(ServedLibrary::kChanges);
        library_->change(what, in.byte());
        note_visible();
        break;
      }
      case 13:
        library_->hold(!library_->held());
        note_visible();
        break;
      case 14:
        library_->set_trusted(!library_->trusted());
        note_visible();
        break;
      default: library_->world().run_for(std::chrono::microseconds(100 * in.byte())); break;
    }
  }
  std::string name(Script& in) {
    constexpr std::array<const char*, 13> kNames{
        "open",       "shared",    "secret", "broken", "local", ".warren.json", "/open",
        "open/local", "../shared", "//1",    ".",      "",      ".local.backup"};
    const std::size_t choice = in.below(kNames.size() + 2);
    if (choice < kNames.size()) return kNames[choice];
    if (choice == kNames.size()) return root(in).to_string();
    return std::string(as_text(in.take(in.byte())));
  }
  Cid root(Script& in) {
    const std::vector<Cid>& roots = library_->roots();
    const std::size_t choice = in.byte();
    if (choice < 128) return roots[choice % 4];  // Those that somebody may have.
    const std::size_t any = (choice - 128) % (roots.size() + 2);
    return any < roots.size() ? roots[any] : cid(in);
  }
  Cid cid(Script& in) {
    const std::vector<Cid>& cids = library_->cids();
    const std::size_t choice = in.below(256);
    if (choice < 250) return cids[choice % cids.size()];
    Cid made = cids.front();
    made.digest.bytes[0] = in.byte();
    return made;
  }
  static std::uint64_t number(Script& in) {
    if (in.below(3) != 0) return in.below(6);
    std::uint64_t value = 0;
    for (const std::uint8_t byte : in.take(8)) value = value << 8 | byte;
    return value;
  }

  // --------------------------------------------------------------------------------- the stream

  bool open_stream() {
    if (reader_) return true;
    auto opened = library_->open_stream();
    if (!opened) return false;
    stream_ = std::move(*opened);
    reader_ = std::make_unique<transport::FrameReader>(*stream_.stream);
    return true;
  }
  void close_stream() {
    pending_.clear();
    if (!reader_) return;
    stream_.stream->reset();
    reader_.reset();
    stream_ = {};
    library_->world().run_for(10ms);
  }
  void ask(const Request& request) {
    const Bytes message = encode(request);
    if (!decode_request(message, library_->limits())) return send_garbage(message);
    const bool may_be_closed = now() - asked_at_ > library_->limits().idle_time_max / 2;
    if (pending_.size() == kPendingMax || may_be_closed) read_pending();
    if (may_be_closed) close_stream();
    if (!open_stream()) return;
    ++requests_;
    asked_at_ = now();
    pending_.push_back({request, library_->visible_now(), now()});
    static_cast<void>(library_->run(transport::write_frame(*stream_.stream, message, now() + 10s)));
  }
  void send_garbage(BytesView bytes) {
    if (const auto request = decode_request(bytes, library_->limits())) return ask(*request);
    read_pending();
    if (!open_stream()) return;
    static_cast<void>(library_->run(transport::write_frame(*stream_.stream, bytes, now() + 10s)));
    read_to_the_end();
  }
  void send_raw(BytesView bytes) {
    read_pending();
    if (!open_stream()) return;
    static_cast<void>(library_->run(stream_.stream->write(bytes, now() + 10s)));
    stream_.stream->close_write();
    read_to_the_end();
  }
  void read_to_the_end() {
    library_->run(scan_to_the_end());
    close_stream();
  }
  awaitable<void> scan_to_the_end() {
    Bytes window;
    Bytes chunk(64u << 10);
    for (std::uint64_t total = 0;;) {
      const auto count = co_await stream_.stream->read_some(chunk, now() + 10s);
      if (!count || *count == 0) co_return;
      window.insert(window.end(), chunk.begin(),
                    chunk.begin() + static_cast<std::ptrdiff_t>(*count));
      look_for_secrets(window);
      constexpr std::size_t kKept = 32;
      if (window.size() > kKept) {
        window.erase(window.begin(), window.end() - static_cast<std::ptrdiff_t>(kKept));
      }
      total += *count;
      if (total > kRawBytesMax) co_return found("answers without end");
    }
  }
  void read_pending() {
    while (!pending_.empty() && finding_.empty()) {
      Asked asked = std::move(pending_.front());
      pending_.pop_front();
      if (!library_->run(read_answer(std::move(asked)))) close_stream();
    }
  }

  // -------------------------------------------------------------------------------- the answers

  void found(std::string what) {
    if (finding_.empty()) finding_ = std::move(what);
  }
  void look_for_secrets(BytesView bytes) {
    const std::string_view text = as_text(bytes);
    for (const std::string_view never : kNever) {
      if (text.find(never) != std::string_view::npos) {
        found("an answer has '" + std::string(never) + "' in it");
      }
    }
  }
  /// The dataset, when the peer may have it.
  const ServedLibrary::Known* allowed(const Asked& asked, const Cid& root, std::string_view what) {
    if (asked.visible.contains(root)) return &library_->known().at(root);
    found(std::string(what) + " of " + root.to_string() + ", which is not for this peer");
    return nullptr;
  }
  /// False when the stream is at its end.
  awaitable<bool> read_answer(Asked asked) {
    std::size_t parts = 0;
    std::uint64_t next = 0;
    for (;; ++parts) {
      const TimePoint deadline = now() + 30s;
      const auto frame =
          co_await reader_->read_frame(library_->limits().response_bytes_max, deadline);
      if (!frame) {
        const bool late = now() - asked.at > 60s;
        if (!late) found("no answer: " + frame.error().message());
        co_return false;
      }
      look_for_secrets(*frame);
      const auto response = decode_response(*frame, library_->limits());
      if (!response) {
        found("an answer that cannot be read: " + response.error().message());
        co_return false;
      }
      if (std::holds_alternative<RefusalResponse>(*response)) {
        ++refusals_;
        co_return true;
      }
      std::uint64_t behind = 0;
      if (const auto* segment = std::get_if<SegmentResponse>(&*response)) behind = segment->bytes;
      if (const auto* nodes = std::get_if<NodesResponse>(&*response)) {
        for (const NodeHeader& node : nodes->nodes) behind += node.bytes;
      }
      if (behind > 4 * library_->limits().response_bytes_max) {
        found("more than a buffer behind one message");
        co_return false;
      }
      Bytes raw(static_cast<std::size_t>(behind));
      const auto read = co_await reader_->read_exactly(raw, deadline);
      if (!read) {
        found("an answer is cut off");
        co_return false;
      }
      look_for_secrets(raw);
      const bool more = check(asked, *response, raw, parts, next);
      if (!more || !finding_.empty()) co_return true;
    }
  }
  /// Whether more belongs to the answer.
  bool check(const Asked& asked, const Response& response, BytesView raw, std::size_t parts,
             std::uint64_t& next) {
    if (std::holds_alternative<FindRequest>(asked.request)) {
      const auto* names = std::get_if<FoundResponse>(&response);
      if (names == nullptr || names->datasets.size() > 1) found("no answer to a name");
      if (names == nullptr) return false;
      for (const OfferedDataset& dataset : names->datasets) {
        allowed(asked, dataset.root, "the name");
        if (dataset.name != "shared") found("a name that was not shared: " + dataset.name);
      }
      return false;
    }
    if (const auto* have = std::get_if<HaveRequest>(&asked.request)) {
      const auto* holding = std::get_if<HoldingResponse>(&response);
      if (holding == nullptr) {
        found("no answer to what is held");
      } else if (holding->extent != Extent::kNone) {
        const ServedLibrary::Known* known = allowed(asked, have->root, "a holding");
        if (known != nullptr && holding->leaf_count != known->tree->leaves.size()) {
          found("another number of leaves");
        }
      }
      return false;
    }
    if (const auto* nodes = std::get_if<NodesRequest>(&asked.request)) {
      return check_nodes(asked, *nodes, response, raw, next);
    }
    return check_segment(asked, std::get<RangeRequest>(asked.request), response, raw, parts, next);
  }
  bool check_nodes(const Asked& asked, const NodesRequest& request, const Response& response,
                   BytesView raw, std::uint64_t& next) {
    if (std::holds_alternative<DoneResponse>(response)) return false;
    const auto* nodes = std::get_if<NodesResponse>(&response);
    const ServedLibrary::Known* known = allowed(asked, request.root, "blocks");
    if (nodes == nullptr || known == nullptr) {
      found("no answer to blocks");
      return false;
    }
    for (const NodeHeader& header : nodes->nodes) {
      const BytesView block = raw.first(header.bytes);
      raw = raw.subspan(header.bytes);
      const auto node = known->nodes.find(header.cid);
      if (node == known->nodes.end() || !std::ranges::equal(node->second, block)) {
        found("a block that is not of the tree");
      }
      const bool wanted =
          request.cids.empty() || (next < request.cids.size() && request.cids[next] == header.cid);
      if (!wanted) found("a block that was not asked for");
      ++next;
      ++nodes_given_;
    }
    if (next > std::max(known->nodes.size(), request.cids.size())) found("blocks without end");
    return true;
  }
  bool check_segment(const Asked& asked, const RangeRequest& request, const Response& response,
                     BytesView raw, std::size_t parts, std::uint64_t& next) {
    const auto* segment = std::get_if<SegmentResponse>(&response);
    const ServedLibrary::Known* known = allowed(asked, request.root, "leaves");
    if (segment == nullptr || known == nullptr) {
      found("no answer to a range");
      return false;
    }
    if (parts == 0) next = request.first_leaf;
    const std::uint64_t end = request.first_leaf + request.leaf_count;
    const auto& leaves = known->tree->leaves;
    if (segment->first_leaf != next || segment->leaf_count > end - next || end > leaves.size()) {
      found("leaves that were not asked for");
      return false;
    }
    next += segment->leaf_count;
    if (segment->missing != Missing::kNo) {
      leaves_missing_ += segment->leaf_count;
      return next < end;
    }
    for (std::uint64_t leaf = segment->first_leaf; leaf < next; ++leaf) {
      if (leaves[leaf].bytes > raw.size()) {
        found("a leaf is cut off");
        return false;
      }
      const BytesView bytes = raw.first(leaves[leaf].bytes);
      raw = raw.subspan(leaves[leaf].bytes);
      if (crypto::sha256(bytes) != leaves[leaf].digest.bytes) found("a leaf is another one");
      ++leaves_given_;
    }
    if (!raw.empty()) found("more bytes than leaves");
    return next < end;
  }

  ServedLibrary::LeaveOut leave_out_;
  std::unique_ptr<ServedLibrary> library_;
  swarm::ProtocolStream stream_;
  std::unique_ptr<transport::FrameReader> reader_;
  std::deque<Asked> pending_;
  TimePoint asked_at_{};
  std::string finding_;
  std::uint64_t requests_ = 0;
  std::uint64_t leaves_given_ = 0;
  std::uint64_t nodes_given_ = 0;
  std::uint64_t refusals_ = 0;
  std::uint64_t leaves_missing_ = 0;
};

}  // namespace warren::served

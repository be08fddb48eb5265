// Peers that break the protocol or send trees that no honest node makes.

#include <functional>
#include <map>

#include "base/varint.hpp"
#include "content/dag_pb.hpp"
#include "content/path_corpus.hpp"
#include "content/unixfs.hpp"
#include "crypto/sha256.hpp"
#include "transfer/data_messages.hpp"
#include "transfer/net_for_test.hpp"
#include "transport/frame_io.hpp"

namespace warren::transfer {
namespace {

using content::PbNode;
using content::UnixfsData;

Cid cid_of(Codec codec, BytesView bytes) { return {codec, {crypto::sha256(bytes)}}; }

/// Serves what the test says, without a store.
class HostilePeer {
 public:
  HostilePeer(TestNet& net, sim::Host host)
      : world_(net.world), runtime_(net.world.make_runtime(host)) {
    swarm_ = make_swarm(*runtime_, net.hub, host);
    swarm_->set_handler(std::string(kDataProtocol),
                        [this](swarm::ProtocolStream stream) { return serve(std::move(stream)); });
  }
  ~HostilePeer() { sim::run(world_, swarm_->close()); }

  Cid add(Codec codec, Bytes bytes) {
    const Cid cid = cid_of(codec, bytes);
    blocks[cid] = std::move(bytes);
    return cid;
  }
  // A folder with one entry, which is a leaf with this content.
  Cid add_folder(const std::string& name, std::string_view content) {
    const Cid leaf = cid_of(Codec::kRaw, as_bytes(content));
    PbNode node;
    node.data = content::encode_unixfs(UnixfsData());
    node.links.push_back({leaf, name, content.size()});
    leaves = to_bytes(content);
    return add(Codec::kDagPb, content::encode_node(node));
  }
  const PeerId& peer() const { return swarm_->local_peer(); }

  std::string shared_as = "thing";
  std::map<Cid, Bytes> blocks;  ///< Sent in answer to GetNodes.
  Bytes leaves;                 ///< Sent in answer to GetRange, all at once.
  /// In place of an honest answer to GetRange or GetNodes.
  std::function<std::optional<std::vector<Response>>(const Request&)> instead;
  std::size_t requests = 0;

 private:
  awaitable<void> serve(swarm::ProtocolStream stream) {
    const Result<> ended = co_await answer_all(*stream.stream);
    if (ended) stream.stream->close_write();
  }

  awaitable<Result<>> answer_all(transport::Stream& stream) {
    transport::FrameReader reader(stream);
    for (;;) {
      WARREN_CO_TRY(const auto frame, co_await reader.read_frame_or_end(1u << 20, kNever));
      if (!frame) co_return Result<>();
      WARREN_CO_TRY(const Request request, decode_request(*frame));
      ++requests;
      const Bytes bytes = answer(request);
      WARREN_CO_TRY_VOID(co_await stream.write(BytesView(bytes), kNever));
    }
  }

  static void put(Bytes& out, const Response& response) {
    const Bytes message = encode(response);
    append_uvarint(out, message.size());
    append(out, message);
  }

  Bytes answer(const Request& request) {
    Bytes out;
    if (instead) {
      if (const auto responses = instead(request)) {
        for (const Response& response : *responses) put(out, response);
        return out;
      }
    }
    if (std::holds_alternative<HaveRequest>(request)) {
      put(out, HoldingResponse{Extent::kComplete, shared_as, 1, {}});
    } else if (std::holds_alternative<NodesRequest>(request)) {
      for (const auto& [cid, bytes] : blocks) {
        put(out, NodesResponse{{{cid, static_cast<std::uint32_t>(bytes.size())}}});
        append(out, bytes);
      }
      put(out, DoneResponse{});
    } else if (const auto* range = std::get_if<RangeRequest>(&request)) {
      put(out, SegmentResponse{range->first_leaf, range->leaf_count, leaves.size(), Missing::kNo});
      append(out, leaves);
    } else {
      put(out, FoundResponse{});
    }
    return out;
  }

  sim::World& world_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<swarm::Swarm> swarm_;
};

class HostilePeerTest : public ::testing::Test {
 protected:
  void connect() {
    const auto connected =
        sim::run(net.world, victim->swarm().connect(Multiaddr::memory(2), kNever));
    ASSERT_TRUE(connected) << connected.error().message();
  }
  std::vector<std::string> everything_got() const {
    std::vector<std::string> names;
    for (const auto& item : fs::recursive_directory_iterator(net.path())) {
      const std::string name = fs::relative(item.path(), net.path()).string();
      if (name.find("warren.db") == std::string::npos) names.push_back(name);
    }
    std::ranges::sort(names);
    return names;
  }

  TestNet net;
  std::unique_ptr<TestNode> victim = net.node(1);
  HostilePeer hostile{net, 2};
};

TEST_F(HostilePeerTest, AnHonestAnswerOfThisPeerIsTaken) {
  connect();
  const Progress got = victim->get(hostile.add_folder("file", "hello"));
  EXPECT_EQ(got.state, State::kCompleted) << got.error->message();
  EXPECT_EQ(read_file(victim->got() / "thing/file"), "hello");
}

TEST_F(HostilePeerTest, EveryNameThatIsNoneIsRefusedAndNothingIsMade) {
  connect();
  const auto before = everything_got();
  std::size_t names = 0;
  for (const std::string& name : content::test::refused_names()) {
    hostile.blocks.clear();
    const Progress got = victim->get(hostile.add_folder(name, "evil"));
    ASSERT_EQ(got.state, State::kFailed) << "'" << name << "'";
    EXPECT_TRUE(got.error->code() == ErrorCode::kDenied ||
                got.error->code() == ErrorCode::kMalformed)
        << "'" << name << "': " << got.error->message();
    ASSERT_TRUE(sim::run(net.world, victim->manager().cancel(got.id)));
    ++names;
  }
  EXPECT_GE(names, 50u);
  EXPECT_EQ(everything_got(), before);
}

TEST_F(HostilePeerTest, ANameOfTheSharerIsTakenOnlyIfItIsOne) {
  connect();
  for (const std::string& name : content::test::refused_names()) {
    if (name.size() > 255) continue;  // The decoder refuses it before.
    hostile.shared_as = name;
    const Cid root = hostile.add_folder("file", "hello");
    const Progress got = victim->get(root);
    ASSERT_EQ(got.state, State::kCompleted) << "'" << name << "': " << got.error->message();
    EXPECT_EQ(got.path, (victim->got() / root.to_string()).string());
    ASSERT_TRUE(sim::run(net.world, victim->manager().cancel(got.id)));
  }
}

TEST_F(HostilePeerTest, ABlockThatDoesNotHashToItsNameIsNoBlock) {
  connect();
  const Cid root = hostile.add_folder("file", "hello");
  hostile.blocks[root].back() ^= 1;
  const Progress got = victim->get(root);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kIntegrity) << got.error->message();
  EXPECT_NE(got.error->message().find(hostile.peer().to_string()), std::string::npos);
}

TEST_F(HostilePeerTest, ABadTreeIsTakenFromAnotherPeer) {
  const auto honest = net.node(3);
  write_file(net.path() / "thing/file", "hello");
  const Cid root = honest->share(net.path() / "thing", "thing");
  EXPECT_EQ(hostile.add_folder("file", "hello"), root);
  hostile.blocks[root].back() ^= 1;
  connect();
  victim->connect(*honest);
  const Progress got = victim->get(root);
  EXPECT_EQ(got.state, State::kCompleted) << got.error->message();
  EXPECT_EQ(read_file(victim->got() / "thing/file"), "hello");
}

TEST_F(HostilePeerTest, AnswersOutOfPlaceEndTheStreamAndNothingElse) {
  connect();
  const Cid root = hostile.add_folder("file", "hello");
  const std::vector<std::vector<Response>> answers = {
      {SegmentResponse{0, 2, 5, Missing::kNo}},  // More leaves than were asked for.
      {SegmentResponse{1, 1, 5, Missing::kNo}},  // Others.
      {SegmentResponse{0, 1, 6, Missing::kNo}},  // Another size.
      {SegmentResponse{0, 1, 1ull << 60, Missing::kNo}},
      {DoneResponse{}},
      {FoundResponse{}},
      {HoldingResponse{}},
      {RefusalResponse{RefusalReason::kBadRequest, "no"}},
      {RefusalResponse{RefusalReason::kNotFound, "no"}},
      {RefusalResponse{RefusalReason::kBusy, "no"}},
      {},  // Nothing at all.
  };
  for (const auto& answer : answers) {
    hostile.requests = 0;
    hostile.instead = [&answer](const Request& request) -> std::optional<std::vector<Response>> {
      if (!std::holds_alternative<RangeRequest>(request)) return std::nullopt;
      return answer;
    };
    const Progress got = victim->get(root);
    ASSERT_EQ(got.state, State::kFailed);
    EXPECT_EQ(got.error->code(), ErrorCode::kNoPeer) << got.error->message();
    EXPECT_LT(hostile.requests, 200u) << "it asks again and again";
    ASSERT_TRUE(sim::run(net.world, victim->manager().cancel(got.id)));
  }
  hostile.instead = nullptr;
  net.world.run_for(2min);
  EXPECT_EQ(victim->get(root).state, State::kCompleted);
}

TEST_F(HostilePeerTest, LeavesThatItHasNotAreSaidSo) {
  connect();
  const Cid root = hostile.add_folder("file", "hello");
  hostile.instead = [](const Request& request) -> std::optional<std::vector<Response>> {
    const auto* range = std::get_if<RangeRequest>(&request);
    if (range == nullptr) return std::nullopt;
    return std::vector<Response>{
        SegmentResponse{range->first_leaf, range->leaf_count, 0, Missing::kNotHeld}};
  };
  const Progress got = victim->get(root);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kNotFound) << got.error->message();
  EXPECT_NE(got.error->message().find("'file'"), std::string::npos) << got.error->message();
}

TEST_F(HostilePeerTest, APartThatIsListedAndNeverGivenIsNotAskedForWithoutEnd) {
  connect();
  const Cid root = hostile.add_folder("file", "hello");
  hostile.instead = [](const Request& request) -> std::optional<std::vector<Response>> {
    if (std::holds_alternative<HaveRequest>(request)) {
      return std::vector<Response>{HoldingResponse{Extent::kPartial, "thing", 1, {1}}};
    }
    if (const auto* range = std::get_if<RangeRequest>(&request)) {
      return std::vector<Response>{
          SegmentResponse{range->first_leaf, range->leaf_count, 0, Missing::kNotHeld}};
    }
    return std::nullopt;
  };
  const TransferId id = victim->start_get(by_root(root));
  net.world.run_for(10min);
  EXPECT_LT(hostile.requests, 5'000u) << "a few at a time, with longer and longer pauses";
  EXPECT_EQ(victim->manager().progress(id)->bytes_done, 0u);
}

TEST_F(HostilePeerTest, PeersThatAreSilentInTurnsAreNotWaitedForWithoutEnd) {
  connect();
  HostilePeer second(net, 3);
  const auto met = sim::run(net.world, victim->swarm().connect(Multiaddr::memory(3), kNever));
  ASSERT_TRUE(met) << met.error().message();
  const auto silent = [](const Request& request) -> std::optional<std::vector<Response>> {
    if (!std::holds_alternative<RangeRequest>(request)) return std::nullopt;
    return std::vector<Response>();
  };
  hostile.instead = second.instead = silent;
  const Cid root = hostile.add_folder("file", "hello");
  EXPECT_EQ(second.add_folder("file", "hello"), root);
  GetRequest request = by_root(root);
  request.wait = 30s;
  const Progress got = victim->wait(victim->start_get(std::move(request)), 5min);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kNoPeer) << got.error->message();
}

TEST_F(HostilePeerTest, ATreeWithoutEndComesToAnEnd) {
  connect();
  const Cid root = hostile.add_folder("file", "hello");
  const Cid empty = cid_of(Codec::kDagPb, {});
  hostile.instead = [&](const Request& request) -> std::optional<std::vector<Response>> {
    if (!std::holds_alternative<NodesRequest>(request)) return std::nullopt;
    // Blocks that nobody asked for, 4,096 a message, and never what was asked for.
    const std::vector<NodeHeader> headers(4'096, NodeHeader{empty, 0});
    std::vector<Response> endless(20, NodesResponse{headers});
    endless.push_back(DoneResponse{});
    return endless;
  };
  const Progress got = victim->get(root);
  ASSERT_EQ(got.state, State::kFailed);
  EXPECT_EQ(got.error->code(), ErrorCode::kNoPeer) << got.error->message();
}

// ------------------------------------------------------------------- the serving side's peers

awaitable<Result<Bytes>> send_raw(swarm::Swarm& swarm, PeerId peer, Bytes bytes) {
  std::vector<std::string> protocols(1, std::string(kDataProtocol));
  WARREN_CO_TRY(auto stream, co_await swarm.open_stream(peer, std::move(protocols), kNever));
  WARREN_CO_TRY_VOID(co_await stream.stream->write(BytesView(bytes), kNever));
  stream.stream->close_write();
  Bytes answer(1u << 20);
  WARREN_CO_TRY(const std::size_t count, co_await stream.stream->read_full(answer, kNever));
  answer.resize(count);
  co_return answer;
}

Bytes framed(const Request& request) {
  const Bytes message = encode(request);
  Bytes out;
  append_uvarint(out, message.size());
  append(out, message);
  return out;
}

TEST_F(HostilePeerTest, TheServerResetsGarbageAndGoesOnServing) {
  const auto asker = net.node(3);
  asker->connect(*victim);
  write_file(net.path() / "file", "hello");
  const Cid root = victim->share(net.path() / "file", "file");
  const auto ask = [&](const Bytes& bytes) {
    return sim::run(net.world, send_raw(asker->swarm(), victim->peer(), bytes));
  };
  for (const Bytes& garbage : {Bytes{0x05, 1, 2, 3, 4, 5}, Bytes(100, 0xff),
                               Bytes{0xff, 0xff, 0xff, 0x7f}, Bytes{0x10, 1}, Bytes{0x00}}) {
    const auto answer = ask(garbage);
    EXPECT_FALSE(answer && !answer->empty()) << to_hex(garbage);
  }
  // The exchange of the protocol page, as far as the digest of "hello" goes.
  const auto honest = ask(framed(RangeRequest{root, 0, 1}));
  ASSERT_TRUE(honest) << honest.error().message();
  EXPECT_EQ(to_hex(*honest), "0622041001180568656c6c6f");
  const auto beyond = ask(framed(RangeRequest{root, 0, 2}));
  ASSERT_TRUE(beyond);
  const auto refused = decode_response(BytesView(*beyond).subspan(1));
  ASSERT_TRUE(refused && std::holds_alternative<RefusalResponse>(*refused));
  const auto unknown = ask(framed(RangeRequest{cid_of(Codec::kRaw, as_bytes("x")), 0, 1}));
  ASSERT_TRUE(unknown);
}

}  // namespace
}  // namespace warren::transfer

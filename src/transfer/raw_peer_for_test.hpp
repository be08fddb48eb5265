#pragma once
// A peer that asks for what it likes, for the tests of this folder.

#include <memory>
#include <vector>

#include "transfer/net_for_test.hpp"
#include "transport/frame_io.hpp"

namespace warren::transfer {

/// One stream to a server.
class RawPeer {
 public:
  RawPeer(TestNet& net, TestNode& node, const PeerId& server) : net_(net) {
    std::vector<std::string> protocols(1, std::string(kDataProtocol));
    auto opened =
        sim::run(net_.world, node.swarm().open_stream(server, std::move(protocols), kNever));
    EXPECT_TRUE(opened);
    stream_ = std::move(*opened);
    reader_ = std::make_unique<transport::FrameReader>(*stream_.stream);
  }
  void send(const Request& request) {
    const Bytes message = encode(request);
    EXPECT_TRUE(sim::run(net_.world, transport::write_frame(*stream_.stream, message, deadline())));
  }
  /// The raw bytes behind it are in `raw`.
  Response receive() {
    const auto frame = sim::run(net_.world, reader_->read_frame(1u << 20, deadline()));
    EXPECT_TRUE(frame) << frame.error().message();
    if (!frame) return DoneResponse{};
    auto response = decode_response(*frame);
    EXPECT_TRUE(response);
    std::uint64_t behind = 0;
    if (const auto* segment = std::get_if<SegmentResponse>(&*response)) behind = segment->bytes;
    if (const auto* nodes = std::get_if<NodesResponse>(&*response)) {
      for (const NodeHeader& node : nodes->nodes) behind += node.bytes;
    }
    raw.resize(behind);
    EXPECT_TRUE(sim::run(net_.world, reader_->read_exactly(raw, deadline())));
    return std::move(*response);
  }
  Response ask(const Request& request) {
    send(request);
    return receive();
  }
  HoldingResponse holding(const Cid& root) {
    return std::get<HoldingResponse>(ask(HaveRequest{root}));
  }
  Extent have(const Cid& root) { return holding(root).extent; }

  Bytes raw;

 private:
  TimePoint deadline() const { return net_.world.now() + 1min; }

  TestNet& net_;
  swarm::ProtocolStream stream_;
  std::unique_ptr<transport::FrameReader> reader_;
};

inline bool refused(const Response& response) {
  const auto* refusal = std::get_if<RefusalResponse>(&response);
  return refusal != nullptr && refusal->reason == RefusalReason::kNotFound;
}

}  // namespace warren::transfer

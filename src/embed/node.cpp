// warren::Node: its life, itself and its events. Peers: node_peers.cpp. Content: node_content.cpp.

#include "warren/node.hpp"

#include "base/check.hpp"
#include "embed/convert.hpp"
#include "embed/node_impl.hpp"
#include "node/version.hpp"
#include "warren/version.hpp"

namespace warren::v1 {
namespace {

constexpr Timeout kStopTimeMax = std::chrono::seconds(5);

std::unexpected<Error> moved_from() {
  return embed::fail_public(ErrorCode::kClosed, "this Node was moved from");
}

}  // namespace

std::string_view version() noexcept { return node::version(); }

Node::Impl::~Impl() {
  const auto stopped = core_->stop(kStopTimeMax);
  // Destroyed by its own callback: the thread that runs it could never be joined.
  WARREN_CHECK(stopped || stopped.error().code() != warren::ErrorCode::kConflict);
  // What still runs must find what it uses.
  if (!core_->ended()) static_cast<void>(core_.release());
}

Node::Node(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Node::Node(Node&& other) noexcept = default;
Node& Node::operator=(Node&& other) noexcept = default;
Node::~Node() = default;

Result<> Node::start(Timeout timeout) {
  if (!impl_) return moved_from();
  return embed::to_public(impl_->core().start(embed::time_of(timeout)));
}

Result<> Node::stop(Timeout timeout) {
  if (!impl_) return {};
  return embed::to_public(impl_->core().stop(embed::time_of(timeout)));
}

std::string Node::peer_id() const { return impl_ ? impl_->self().peer_id : std::string(); }

std::vector<std::uint8_t> Node::public_key() const {
  return impl_ ? impl_->self().public_key : std::vector<std::uint8_t>();
}

Result<std::vector<std::string>> Node::listen_addresses() const {
  using Texts = std::vector<std::string>;
  if (!impl_) return moved_from();
  return embed::to_public(impl_->core().look<Texts>([](node::Node& node) -> warren::Result<Texts> {
    Texts texts;
    for (const Multiaddr& address : node.status().listen) texts.push_back(address.to_string());
    return texts;
  }));
}

Result<std::vector<DiscoverySource>> Node::discovery() const {
  using Sources = std::vector<DiscoverySource>;
  if (!impl_) return moved_from();
  return embed::to_public(
      impl_->core().look<Sources>([](node::Node& node) -> warren::Result<Sources> {
        Sources sources;
        for (node::DiscoveryView& view : node.discovery()) {
          sources.push_back({.name = std::move(view.name),
                             .problem = std::move(view.problem),
                             .summary = std::move(view.summary)});
        }
        return sources;
      }));
}

Result<Subscription> Node::subscribe(EventCallback callback) {
  if (!impl_) return moved_from();
  if (!callback) {
    return embed::fail_public(ErrorCode::kInvalidArgument, "subscribe() was given no callback");
  }
  auto made = std::make_shared<Subscription::Impl>(std::move(callback));
  switch (impl_->core().events().add(made)) {
    case embed::EventThread::Added::kYes: return Subscription(std::move(made));
    case embed::EventThread::Added::kTooMany:
      return embed::fail_public(ErrorCode::kLimited, "64 callbacks are told of events already",
                                "end a subscription first");
    case embed::EventThread::Added::kClosed: break;
  }
  return embed::fail_public(ErrorCode::kClosed, "the node has been stopped");
}

}  // namespace warren::v1

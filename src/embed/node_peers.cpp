// warren::Node: its peers.

#include <algorithm>

#include "crypto/keys.hpp"
#include "embed/convert.hpp"
#include "embed/node_impl.hpp"
#include "node/key_text.hpp"
#include "warren/node.hpp"

namespace warren::v1 {
namespace {

using embed::awaitable;
using embed::fail_public;
using embed::to_public;
using Infos = std::vector<PeerInfo>;

constexpr std::size_t kEd25519KeyBytes = 32;
/// Longest ban with an end; keeps its sum with the time of day in range.
constexpr std::chrono::seconds kBanTimeMax = std::chrono::hours(24 * 365 * 10);

std::unexpected<Error> moved_from() {
  return fail_public(ErrorCode::kClosed, "this Node was moved from");
}

/// As node::AddPeer wants a key. `key`: 32 bytes of Ed25519, or libp2p's message.
warren::Result<std::string> text_of_key(const std::vector<std::uint8_t>& key) {
  if (key.empty()) return std::string();
  if (key.size() == kEd25519KeyBytes) {
    return node::key_text(crypto::PublicKey::from_ed25519(key).protobuf());
  }
  auto parsed = crypto::PublicKey::from_protobuf(key);
  if (!parsed) {
    return warren::fail(warren::ErrorCode::kInvalidArgument,
                        "the expected public key: " + parsed.error().message());
  }
  return node::key_text(parsed->protobuf());
}

/// Those that are connected, or those that are not; in the order of `views`.
void add_infos(Infos& infos, const std::vector<node::PeerView>& views, bool connected,
               WallTime now) {
  for (const node::PeerView& view : views) {
    if (view.connected == connected) infos.push_back(to_public(view, now));
  }
}

awaitable<warren::Result<std::string>> add(node::Node* node, node::AddPeer wanted,
                                           TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, co_await node->add_peer(std::move(wanted), deadline));
  co_return peer.to_string();
}

awaitable<warren::Result<>> remove(node::Node* node, std::string peer) {
  WARREN_CO_TRY_VOID(co_await node->remove_peer(std::move(peer)));
  co_return warren::Result<>();
}

awaitable<warren::Result<>> ban_peer(node::Node* node, std::string peer,
                                     std::optional<Duration> duration, std::string reason) {
  // What the node takes besides are networks.
  WARREN_CO_TRY(const PeerId id, node->find_peer(peer));
  WARREN_CO_TRY_VOID(co_await node->ban(id.to_string(), duration, std::move(reason)));
  co_return warren::Result<>();
}

awaitable<warren::Result<>> unban_peer(node::Node* node, std::string peer) {
  WARREN_CO_TRY(const PeerId id, node->find_peer(peer));
  co_return co_await node->unban(id.to_string());
}

warren::Result<PeerInfo> info_of(node::Node& node, const std::string& text) {
  WARREN_TRY(const PeerId peer, node.find_peer(text));
  const auto view = node.peer(peer);
  if (!view) {
    return warren::fail(warren::ErrorCode::kNotFound,
                        "nothing is known of peer " + peer.to_string());
  }
  return to_public(*view, node.runtime().wall_now());
}

peers::ReputationEvent event_of(Conduct conduct) {
  switch (conduct) {
    case Conduct::kUsefulAnswer: return peers::ReputationEvent::kUsefulAnswer;
    case Conduct::kFailedVerification: return peers::ReputationEvent::kFailedVerification;
    case Conduct::kMalformedMessage: return peers::ReputationEvent::kMalformedMessage;
    case Conduct::kTimeout: return peers::ReputationEvent::kTimeout;
  }
  return peers::ReputationEvent::kTimeout;
}

}  // namespace

Result<std::string> Node::add_peer(std::string_view address, const AddPeerOptions& options,
                                   Timeout timeout) {
  if (!impl_) return moved_from();
  node::AddPeer wanted{.address = std::string(address), .expected_key = {}, .name = options.name};
  WARREN_TRY(wanted.expected_key, to_public(text_of_key(options.expected_public_key)));
  return to_public(impl_->core().run<std::string>(
      embed::time_of(timeout),
      [wanted](node::Node& node, TimePoint deadline) { return add(&node, wanted, deadline); }));
}

Result<> Node::remove_peer(std::string_view peer_id) {
  if (!impl_) return moved_from();
  return to_public(impl_->core().run<void>(
      embed::kCoreTimeMax,
      [text = std::string(peer_id)](node::Node& node, TimePoint) { return remove(&node, text); }));
}

Result<> Node::ban(std::string_view peer_id, std::optional<std::chrono::seconds> duration,
                   std::string_view reason) {
  if (!impl_) return moved_from();
  std::optional<Duration> time;
  if (duration) time = std::clamp<std::chrono::seconds>(*duration, 0s, kBanTimeMax);
  return to_public(impl_->core().run<void>(
      embed::kCoreTimeMax,
      [text = std::string(peer_id), time, why = std::string(reason)](node::Node& node, TimePoint) {
        return ban_peer(&node, text, time, why);
      }));
}

Result<> Node::unban(std::string_view peer_id) {
  if (!impl_) return moved_from();
  return to_public(impl_->core().run<void>(
      embed::kCoreTimeMax, [text = std::string(peer_id)](node::Node& node, TimePoint) {
        return unban_peer(&node, text);
      }));
}

Result<double> Node::report_peer(std::string_view peer_id, Conduct conduct) {
  if (!impl_) return moved_from();
  return to_public(impl_->core().look<double>(
      [text = std::string(peer_id), conduct](node::Node& node) -> warren::Result<double> {
        WARREN_TRY(const PeerInfo info, info_of(node, text));
        WARREN_TRY(const PeerId peer, PeerId::parse(info.peer_id));
        node.note(peer, event_of(conduct));
        return node.keeper().book().score(peer, node.runtime().wall_now());
      }));
}

Result<std::vector<PeerInfo>> Node::list_peers() const {
  if (!impl_) return moved_from();
  return to_public(impl_->core().look<Infos>([](node::Node& node) -> warren::Result<Infos> {
    Infos infos;
    add_infos(infos, node.peers(), true, node.runtime().wall_now());
    return infos;
  }));
}

Result<std::vector<PeerInfo>> Node::known_peers() const {
  if (!impl_) return moved_from();
  return to_public(impl_->core().look<Infos>([](node::Node& node) -> warren::Result<Infos> {
    const std::vector<node::PeerView> views = node.known_peers();
    const WallTime now = node.runtime().wall_now();
    Infos infos;
    add_infos(infos, views, true, now);
    add_infos(infos, views, false, now);
    return infos;
  }));
}

Result<PeerInfo> Node::find_peer(std::string_view peer_id) const {
  if (!impl_) return moved_from();
  return to_public(impl_->core().look<PeerInfo>(
      [text = std::string(peer_id)](node::Node& node) { return info_of(node, text); }));
}

}  // namespace warren::v1

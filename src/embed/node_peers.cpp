// warren::Node: its peers.

#include "base/check.hpp"
#include "crypto/keys.hpp"
#include "embed/convert.hpp"
#include "embed/node_impl.hpp"
#include "warren/node.hpp"

namespace warren::v1 {
namespace {

using embed::fail_public;
using embed::to_public;
using Infos = std::vector<PeerInfo>;

constexpr std::size_t kEd25519KeyBytes = 32;

std::unexpected<Error> moved_from() {
  return fail_public(ErrorCode::kClosed, "this Node was moved from");
}

/// The peer whose key is `key`: 32 bytes of Ed25519, or libp2p's message.
warren::Result<PeerId> peer_of_key(const std::vector<std::uint8_t>& key) {
  if (key.size() == kEd25519KeyBytes) {
    return PeerId::from_public_key(crypto::PublicKey::from_ed25519(key).protobuf());
  }
  auto parsed = crypto::PublicKey::from_protobuf(key);
  if (!parsed) return warren::fail(std::move(parsed).error().in("the expected public key"));
  return PeerId::from_public_key(parsed->protobuf());
}

warren::Result<Infos> infos(node::Node& node, bool connected_only) {
  Infos list;
  const WallTime now = node.runtime().wall_now();
  for (const node::PeerView& view : node.peers()) {
    if (view.connected || !connected_only) list.push_back(to_public(view, now));
  }
  return list;
}

/// `target` so that only `expected` may answer there.
warren::Result<std::string> with_expected(const std::string& target, const PeerId& expected) {
  if (!target.starts_with('/')) {
    WARREN_TRY(const PeerId named, PeerId::parse(target));
    if (named == expected) return target;
    return warren::fail(warren::ErrorCode::kIntegrity,
                        "peer " + named.to_string() + " has another key than the expected one of " +
                            expected.to_string());
  }
  WARREN_TRY(const Multiaddr address, Multiaddr::parse(target));
  const auto named = address.peer_id();
  if (named && *named != expected) {
    return warren::fail(warren::ErrorCode::kIntegrity,
                        "the address names peer " + named->to_string() +
                            ", the expected key is that of " + expected.to_string());
  }
  return address.with_peer(expected).to_string();
}

embed::awaitable<warren::Result<std::string>> connect(node::Node* node, std::string target,
                                                      TimePoint deadline) {
  WARREN_CO_TRY(const PeerId peer, co_await node->connect(std::move(target), deadline));
  co_return peer.to_string();
}

}  // namespace

Result<std::string> Node::add_peer(std::string_view address, const AddPeerOptions& options,
                                   Timeout timeout) {
  if (!impl_) return moved_from();
  std::string target(address);
  if (!options.expected_public_key.empty()) {
    WARREN_TRY(const PeerId expected, to_public(peer_of_key(options.expected_public_key)));
    WARREN_TRY(target, to_public(with_expected(target, expected)));
  }
  return to_public(impl_->core().run<std::string>(
      timeout,
      [target](node::Node& node, TimePoint deadline) { return connect(&node, target, deadline); }));
}

Result<> Node::remove_peer(std::string_view peer_id) {
  if (!impl_) return moved_from();
  return to_public(
      impl_->core().look<void>([text = std::string(peer_id)](node::Node& node) -> warren::Result<> {
        WARREN_TRY_VOID(node.disconnect(text));
        return {};
      }));
}

Result<std::vector<PeerInfo>> Node::list_peers() const {
  if (!impl_) return moved_from();
  return to_public(impl_->core().look<Infos>([](node::Node& node) { return infos(node, true); }));
}

Result<std::vector<PeerInfo>> Node::known_peers() const {
  if (!impl_) return moved_from();
  return to_public(impl_->core().look<Infos>([](node::Node& node) { return infos(node, false); }));
}

Result<PeerInfo> Node::find_peer(std::string_view peer_id) const {
  if (!impl_) return moved_from();
  return to_public(impl_->core().look<PeerInfo>(
      [text = std::string(peer_id)](node::Node& node) -> warren::Result<PeerInfo> {
        WARREN_TRY(const PeerId peer, node.find_peer(text));
        const auto view = node.peer(peer);
        if (!view) {
          return warren::fail(warren::ErrorCode::kNotFound,
                              "nothing is known of peer " + peer.to_string());
        }
        return to_public(*view, node.runtime().wall_now());
      }));
}

}  // namespace warren::v1

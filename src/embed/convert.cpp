#include "embed/convert.hpp"

#include <algorithm>
#include <chrono>

#include "multiformats/multibase.hpp"
#include "node/escape.hpp"

namespace warren::embed {
namespace {

/// Longest text of a person or peer that is handed on, in characters.
constexpr std::size_t kTextColumnsMax = 256;
/// Addresses in one PeerDiscovered.
constexpr std::size_t kAddressesToldMax = 32;

/// The numbers are the same, which a test sees to; kNoDaemon and what may follow are not public.
v1::ErrorCode to_public(ErrorCode code) {
  return code > ErrorCode::kIo ? v1::ErrorCode::kInternal : static_cast<v1::ErrorCode>(code);
}

bool speaks_of_command_line(std::string_view hint) {
  return hint.find("warren ") != std::string_view::npos ||
         hint.find("--") != std::string_view::npos;
}

v1::TransferChanged::State to_public(transfer::State state) {
  switch (state) {
    case transfer::State::kActive: return v1::TransferChanged::State::kActive;
    case transfer::State::kPaused: return v1::TransferChanged::State::kPaused;
    case transfer::State::kCompleted: return v1::TransferChanged::State::kCompleted;
    case transfer::State::kFailed: return v1::TransferChanged::State::kFailed;
  }
  return v1::TransferChanged::State::kFailed;
}

std::string safe(std::string_view text) { return node::escape_for_display(text, kTextColumnsMax); }

/// Ids of Ed25519 keys hold the key; of others the view has it in hexadecimal.
std::vector<std::uint8_t> public_key_of(const node::PeerView& view) {
  const BytesView inside = view.peer.inline_key();
  if (!inside.empty()) return {inside.begin(), inside.end()};
  const auto bytes = multiformats::decode_bare(multiformats::Base::kBase16, view.public_key);
  if (!bytes) return {};
  return {bytes->begin(), bytes->end()};
}

v1::PeerDiscovered discovered(const node::NodeEvent& event, const node::Node& node) {
  v1::PeerDiscovered made{.peer_id = event.peer.to_string(), .addresses = {}, .via = event.via};
  for (const node::SeenPeer& seen : node.keeper().sightings().of(event.via, TimePoint())) {
    if (seen.peer != event.peer) continue;
    for (const Multiaddr& address : seen.addresses) {
      if (made.addresses.size() == kAddressesToldMax) break;
      made.addresses.push_back(address.with_peer(event.peer).to_string());
    }
  }
  return made;
}

v1::PeerConnected connected(const node::NodeEvent& event, const node::Node& node) {
  v1::PeerConnected made{.peer_id = event.peer.to_string(),
                         .address = event.address.with_peer(event.peer).to_string()};
  if (const auto view = node.peer(event.peer)) made.outbound = view->outbound;
  return made;
}

v1::PeerBanned banned(const node::NodeEvent& event, const node::Node& node) {
  v1::PeerBanned made{
      .peer_id = event.peer.to_string(), .until = v1::Time::max(), .reason = safe(event.reason)};
  if (const auto view = node.peer(event.peer); view && view->banned_until) {
    made.until = embed::to_public(*view->banned_until);
  }
  return made;
}

}  // namespace

Duration time_of(v1::Timeout timeout) {
  constexpr auto kMost = std::chrono::duration_cast<v1::Timeout>(std::chrono::hours(24 * 365));
  return std::clamp(timeout, v1::Timeout::zero(), kMost);
}

std::optional<v1::Event> to_public(const node::NodeEvent& event, const node::Node& node) {
  switch (event.kind) {
    case node::NodeEvent::Kind::kPeerFound: return discovered(event, node);
    case node::NodeEvent::Kind::kPeerLost: break;
    case node::NodeEvent::Kind::kPeerConnected: return connected(event, node);
    case node::NodeEvent::Kind::kPeerDisconnected:
      return v1::PeerDisconnected{.peer_id = event.peer.to_string(), .reason = safe(event.reason)};
    case node::NodeEvent::Kind::kPeerBanned: return banned(event, node);
  }
  return std::nullopt;
}

v1::Error to_public(Error error) {
  v1::Error made{to_public(error.code()), node::escape_line(error.message()), {}};
  if (!speaks_of_command_line(error.hint())) made.hint = error.hint();
  return made;
}

std::unexpected<v1::Error> fail_public(v1::ErrorCode code, std::string message, std::string hint) {
  return std::unexpected(v1::Error{code, std::move(message), std::move(hint)});
}

v1::Time to_public(WallTime time) {
  if (time == WallTime::max()) return v1::Time::max();
  return std::chrono::time_point_cast<v1::Time::duration>(time);
}

v1::PeerInfo to_public(const node::PeerView& view, WallTime now) {
  v1::PeerInfo info;
  info.peer_id = view.peer.to_string();
  info.public_key = public_key_of(view);
  if (!view.addresses.empty()) {
    info.address = view.addresses.front().with_peer(view.peer).to_string();
  }
  info.connected = view.connected;
  if (view.connected && view.connected_for) {
    info.connected_since = to_public(now - *view.connected_for);
  }
  info.bytes_sent = view.bytes_sent;
  info.bytes_received = view.bytes_received;
  if (view.last_seen) info.last_seen = to_public(*view.last_seen);
  info.reputation = view.reputation;
  if (view.rtt) info.round_trip = std::chrono::ceil<std::chrono::microseconds>(*view.rtt);
  info.via = view.via;
  info.name = safe(view.name);
  info.agent = safe(view.agent);
  info.kept = view.kept;
  if (view.banned_until) info.banned_until = to_public(*view.banned_until);
  return info;
}

v1::ShareInfo to_public(const content::ShareInfo& info) {
  return {.cid = info.root.to_string(),
          .name = info.name,
          .path = info.path,
          .files = info.files,
          .bytes = info.bytes};
}

v1::GetProgress progress_of(const transfer::Progress& progress) {
  const auto asked = std::ranges::count_if(
      progress.peers, [](const transfer::PeerProgress& peer) { return peer.connected; });
  return {.bytes_total = progress.bytes_total,
          .bytes_done = progress.bytes_done,
          .bytes_per_second = progress.rate,
          .peers = static_cast<std::size_t>(asked),
          .waiting_for = node::escape_line(progress.waiting_for)};
}

v1::TransferChanged change_of(const transfer::Progress& progress) {
  v1::TransferChanged change{.id = progress.id, .state = to_public(progress.state)};
  if (progress.root) change.cid = progress.root->to_string();
  change.name = safe(progress.name);
  change.path = progress.path;
  change.bytes_total = progress.bytes_total;
  change.bytes_done = progress.bytes_done;
  if (progress.error) change.error = to_public(*progress.error);
  return change;
}

}  // namespace warren::embed

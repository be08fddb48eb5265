#include "peers/access_rule.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace warren::peers {

bool AccessRule::allows(const Visitor& visitor) const {
  switch (access) {
    case Access::kLan: return visitor.on_lan;
    case Access::kAnyone: return true;
    case Access::kTrusted: return visitor.trusted;
    case Access::kListed: return std::ranges::binary_search(peers, visitor.peer);
  }
  return false;
}

std::string AccessRule::to_string() const {
  switch (access) {
    case Access::kLan: return "lan";
    case Access::kAnyone: return "anyone";
    case Access::kTrusted: return "trusted";
    case Access::kListed: break;
  }
  std::string text;
  for (const PeerId& peer : peers) {
    if (!text.empty()) text += ',';
    text += peer.to_string();
  }
  return text;
}

Result<AccessRule> AccessRule::parse(
    std::string_view text, const std::function<Result<PeerId>(std::string_view)>& find_name) {
  if (text == "lan") return AccessRule{};
  if (text == "anyone") return AccessRule{Access::kAnyone, {}};
  if (text == "trusted") return AccessRule{Access::kTrusted, {}};
  AccessRule rule{Access::kListed, {}};
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    begin = end + 1;
    if (word.empty()) {
      return fail(ErrorCode::kInvalidArgument, "an empty word in a list of peers",
                  "'lan', 'anyone', 'trusted', or peers separated by commas");
    }
    if (const auto peer = PeerId::parse(word)) {
      rule.peers.push_back(*peer);
    } else {
      WARREN_TRY(const PeerId found, find_name(word));
      rule.peers.push_back(found);
    }
    if (rule.peers.size() > kPeersMax) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("more than {} peers in a list", kPeersMax));
    }
  }
  std::ranges::sort(rule.peers);
  rule.peers.erase(std::ranges::unique(rule.peers).begin(), rule.peers.end());
  return rule;
}

bool is_on_lan(const Multiaddr& remote) {
  if (remote.has(multiformats::Protocol::kP2pCircuit)) return false;
  if (remote.memory_id()) return true;
  const auto endpoint = remote.endpoint();
  return endpoint &&
         (endpoint->ip.is_loopback() || endpoint->ip.is_private() || endpoint->ip.is_link_local());
}

}  // namespace warren::peers

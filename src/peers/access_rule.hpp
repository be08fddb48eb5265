#pragma once
// Who may see and fetch a thing: to everybody else it does not exist.

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"

namespace warren::peers {

/// The numbers stand in databases: never change them.
enum class Access : std::uint8_t {
  kLan = 0,  ///< Peers at addresses that are not of the Internet: this machine, a LAN.
  kAnyone = 1,
  kTrusted = 2,  ///< Peers whose key a person gave: pinned ones.
  kListed = 3,   ///< The peers of the list.
};

/// What is known of a peer that asks.
struct Visitor {
  PeerId peer;
  bool on_lan = false;
  bool trusted = false;
};

struct AccessRule {
  static constexpr std::size_t kPeersMax = 256;

  Access access = Access::kLan;
  std::vector<PeerId> peers;  ///< Of kListed: sorted, without doubles, at least one. Else empty.

  bool allows(const Visitor& visitor) const;
  /// "lan", "anyone", "trusted", or peer ids separated by commas.
  std::string to_string() const;
  /// As to_string() has it; a word that is no peer id is given to `find_name` (a name that a person
  /// tied to a key). Errors: kInvalidArgument for an empty text, too many peers or a word that is
  /// neither; those of `find_name`.
  static Result<AccessRule> parse(std::string_view text,
                                  const std::function<Result<PeerId>(std::string_view)>& find_name);
  auto operator<=>(const AccessRule&) const = default;
};

/// Whether `remote`, the address of a connected peer, is one of this machine, a LAN or a
/// simulation. What comes through a relay, or by a name, may be anywhere.
bool is_on_lan(const Multiaddr& remote);

}  // namespace warren::peers

#pragma once
// Addresses that begin with a name, turned into such that can be dialled. Source: libp2p specs,
// addressing/README.md; multiformats/multiaddr.

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "multiformats/multiaddr.hpp"
#include "runtime/resolver.hpp"

namespace warren::swarm {

/// Whether `address` begins with /dns, /dns4, /dns6 or /dnsaddr.
bool begins_with_name(const Multiaddr& address);

/// What the name servers are to be asked.
struct NameQuestion {
  enum class Kind : std::uint8_t { kHost, kText } kind = Kind::kHost;
  std::string name;  ///< In lower case.
  runtime::AddressFamily family = runtime::AddressFamily::kAny;
  auto operator<=>(const NameQuestion&) const = default;
};

/// The names in the addresses of one peer. A state machine without I/O: addresses and answers go
/// in; questions, dialable addresses and failures come out. Each question is asked once; what a
/// /dnsaddr names may hold names again, down to `depth_max`. Whatever the name servers say, it ends
/// after `lookups_max` questions and `addresses_max` addresses.
///
/// /dns4/h/tcp/1 becomes /ip4/192.0.2.1/tcp/1, the rest as it was; where the rest is a WebSocket
/// over TLS the name stays in it as /tls/sni/h/ws, for the certificate. Of /dnsaddr/d/p2p/ID
/// only addresses that end in /p2p/ID are taken.
class AddressExpansion {
 public:
  explicit AddressExpansion(limits::AddressResolution limits) : limits_(limits) {}

  /// An address that begins with a name. Nothing happens when it was added before.
  void add(const Multiaddr& address);
  /// The next question, to be answered once; nullopt when there is none at present.
  std::optional<NameQuestion> next_question();
  void answer(const NameQuestion& question, const Result<std::vector<IpAddress>>& found);
  void answer(const NameQuestion& question, const Result<std::vector<std::string>>& found);

  /// What became dialable since the last call, each address once over all calls.
  std::vector<Multiaddr> take_addresses() { return std::exchange(ready_, {}); }
  /// What could not be resolved since the last call: the address with the name, and why.
  std::vector<std::pair<Multiaddr, Error>> take_failures() { return std::exchange(failures_, {}); }
  /// Whether every question has its answer.
  bool done() const { return asked_.empty(); }
  /// The addresses that still wait for an answer.
  std::vector<Multiaddr> open() const;

 private:
  /// An address that waits for the answer to its first part.
  struct Pending {
    Multiaddr address;
    std::string rest;  ///< Behind the name, as text; empty or with a '/' in front.
    std::size_t depth = 0;
  };
  using Entry = std::vector<Pending>;

  void add_at(const Multiaddr& address, std::size_t depth);
  void expand_host(const Pending& pending, const std::string& name,
                   const std::vector<IpAddress>& found);
  void expand_text(const Pending& pending, const std::vector<std::string>& found);
  void make_ready(const Multiaddr& address);
  bool full() const { return given_.size() >= limits_.addresses_max; }
  void fail_all(const NameQuestion& question, const Error& error);

  limits::AddressResolution limits_;
  std::size_t lookups_ = 0;
  std::vector<NameQuestion> to_ask_;
  std::map<NameQuestion, Entry> asked_;  ///< Those in to_ask_ too.
  std::map<NameQuestion, Result<std::vector<IpAddress>>> hosts_;
  std::map<NameQuestion, Result<std::vector<std::string>>> texts_;
  std::set<Multiaddr> seen_;
  std::set<Multiaddr> given_;
  std::vector<Multiaddr> ready_;
  std::vector<std::pair<Multiaddr, Error>> failures_;
};

}  // namespace warren::swarm

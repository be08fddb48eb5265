#pragma once
// What those who ask for peers are given: how often, and the same for a while. Without I/O.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/limits.hpp"
#include "base/time.hpp"
#include "discovery/exchange/allowances.hpp"
#include "multiformats/multiaddr.hpp"
#include "multiformats/peer_id.hpp"
#include "peers/network_group.hpp"
#include "peers/peer_book.hpp"

namespace warren::discovery {

using SharedRecord = std::shared_ptr<const peers::SignedRecord>;

class ExchangeAnswers {
 public:
  ExchangeAnswers(limits::Exchange limits, Duration sample_lifetime);

  /// Whether `asker` may have an answer now; counts it as one.
  bool admit(const PeerId& asker, TimePoint now);

  /// The sample that the asker's network was given before and that still holds; nullopt: a new one
  /// of limits::Exchange::records_max is to be taken and given to keep().
  std::optional<std::vector<SharedRecord>> find(const PeerId& asker, const Multiaddr& remote,
                                                TimePoint now) const;
  /// Keeps `sample` for all of the asker's network. One that has fewer records than an answer may
  /// have is all that there is: there is nothing to hide, and it is not kept.
  void keep(const PeerId& asker, const Multiaddr& remote, std::vector<SharedRecord> sample,
            TimePoint now);

  /// Of `sample`, what `asker` at `remote` is handed: at most `want` records, none of itself, none
  /// too large, and none with an address that means nothing where it is.
  std::vector<Bytes> pick(const std::vector<SharedRecord>& sample, const PeerId& asker,
                          const Multiaddr& remote, std::size_t want) const;

  std::size_t samples() const { return samples_.size(); }
  std::size_t askers() const { return askers_.size(); }

 private:
  /// Askers of one network of the Internet are as one; in a LAN each stands for itself.
  struct Key {
    peers::NetworkGroup group;
    PeerId asker;
    auto operator<=>(const Key&) const = default;
  };
  struct Sample {
    std::vector<SharedRecord> records;
    TimePoint until;
  };
  static Key key_of(const PeerId& asker, const Multiaddr& remote);

  limits::Exchange limits_;
  Duration sample_lifetime_;
  Allowances<PeerId> askers_;
  std::map<Key, Sample> samples_;
};

}  // namespace warren::discovery

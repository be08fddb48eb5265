#pragma once
// Where inbound connections come from: how many are there, and how fast they came. Before anything
// is proven this is all that is known of a peer.

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.hpp"
#include "base/time.hpp"
#include "resources/prefix.hpp"

namespace warren::resources {

class Sources {
 public:
  explicit Sources(const limits::Resources& limits) : limits_(limits) {}

  /// Where an inbound connection was counted; to be given back.
  using Ticket = std::vector<Prefix>;
  struct Refused {
    bool rate = false;  ///< Too fast; else: too many at once.
    std::string who;    ///< The address or prefix.
    std::string why;
  };
  struct Admission {
    Ticket ticket;
    std::optional<Refused> refused;
  };

  /// Counts one connection from `ip`, or says why not.
  Admission admit(const IpAddress& ip, TimePoint now);
  void leave(const Ticket& ticket);
  /// Whether half of what `ip` may do at once, or hold, is used up.
  bool is_busy(const IpAddress& ip, TimePoint now) const;
  std::size_t size() const { return internet_.size() + private_.size(); }
  /// Connections counted for exactly this address or prefix.
  std::size_t connections(const Prefix& prefix) const;

 private:
  struct Source {
    std::size_t connections = 0;
    double tokens = 0;
    TimePoint at{};
  };
  struct Rule {
    Prefix prefix;
    std::size_t connections_max = 0;
    limits::InboundRate rate;
  };
  struct Hash {
    std::size_t operator()(const Prefix& prefix) const noexcept;
  };
  using Table = std::unordered_map<Prefix, Source, Hash>;

  std::vector<Rule> rules_for(const IpAddress& ip) const;
  Table& table_of(const Prefix& prefix);
  const Table& table_of(const Prefix& prefix) const;
  bool make_room(Table& table, std::optional<TimePoint>& swept_at, TimePoint now);

  const limits::Resources& limits_;
  // Apart, so that strangers cannot crowd the local network out.
  Table internet_;
  Table private_;
  std::optional<TimePoint> internet_swept_at_;
  std::optional<TimePoint> private_swept_at_;
  std::optional<Source> others_;  // Of all that found no room in the tables.
};

}  // namespace warren::resources

#pragma once
// The sockets of a source that speaks to all on a link, by multicast or broadcast: one for each IP
// version, the interfaces they are used on, the pace of reading, and the loop with a timer. What is
// said is the business of a machine (link_events.hpp).

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "discovery/link_events.hpp"
#include "discovery/token_bucket.hpp"
#include "runtime/runtime.hpp"
#include "runtime/task_group.hpp"

namespace warren::discovery {

struct LinkOptions {
  std::string_view name;  ///< For the log and for errors.
  std::uint16_t port = 0;
  IpAddress group_v4;
  IpAddress group_v6;
  std::uint8_t ttl = 1;        ///< Of what is multicast.
  bool multicast = true;       ///< Else no group is joined.
  bool broadcast = false;      ///< Use interfaces without a group too, and hear what is broadcast.
  bool loopback_only = false;  ///< Use no other interface.
  /// Interfaces to use; empty: every one that is up and has an address.
  std::vector<std::string> interfaces;
  std::size_t interfaces_max = 0;  ///< Used; those of higher index are left out.
  /// How often interfaces and own addresses are looked at by itself. Unset: only when
  /// addresses_changed() is called.
  std::optional<Duration> poll_interval;
  std::uint32_t packets_per_second_max = 0;  ///< Read; beyond: the kernel drops them.
  std::size_t packet_bytes_max = 0;          ///< A longer packet counts as several.
};

/// Core thread only.
class LinkSockets {
 public:
  using AddressSource = std::function<std::vector<Multiaddr>()>;
  using Handler = std::function<void(const LinkEvent&)>;

  /// `runtime` must outlive it. `handler` takes every event but StopAsked; it may call multicast(),
  /// broadcast() and set_timer().
  LinkSockets(runtime::Runtime& runtime, LinkOptions options, AddressSource own_addresses,
              Handler handler);

  /// Call once. Errors: kConflict or kDenied when no socket could be bound; then nothing runs.
  Result<> start();
  /// Waits until nothing more comes; sending is still possible. Cancel: unsafe.
  awaitable<void> join();
  /// Leaves the groups and closes the sockets. Call after join().
  void close();

  void refresh();
  void addresses_changed();
  void set_timer(TimePoint at);

  /// Sends to the group of that IP version, if it was joined there. `from`: an address of the
  /// interface; unset: its first one of IPv4, what the kernel chooses for IPv6. A packet that
  /// cannot be sent is counted: it is like one lost on the wire.
  void multicast(std::uint32_t interface_index, bool v6, BytesView packet,
                 const std::optional<IpAddress>& from = std::nullopt);
  /// Sends to all on the link of an interface in use, by IPv4.
  void broadcast(std::uint32_t interface_index, BytesView packet, const IpAddress& from);

  /// Those in use now.
  const std::vector<LinkInterface>& interfaces() const noexcept { return interfaces_; }
  /// What was sent, by interface index; some interfaces that are no longer used included.
  const std::map<std::uint32_t, SourceCounters>& counters() const noexcept { return counters_; }

 private:
  /// One socket, and where it is in its group, with the first address there of its IP version.
  struct Family {
    std::unique_ptr<runtime::DatagramSocket> socket;
    IpAddress group;
    std::map<std::uint32_t, IpAddress> joined;
  };

  awaitable<void> run();
  awaitable<void> receive_from(Family& family);
  std::size_t take_batch(const Family& family, const runtime::ReceivedBatch& batch);
  bool may_read(std::size_t packets);
  void poll();
  void poll_interfaces();
  bool is_candidate(const runtime::NetworkInterface& interface) const;
  bool join_group(Family& family, const runtime::NetworkInterface& interface);
  void leave_unused();
  void count(const runtime::NetworkInterface& interface);
  void send(Family& family, std::uint32_t interface_index, BytesView packet, const IpAddress& to,
            const IpAddress& from);
  const LinkInterface* used(std::uint32_t interface_index) const;

  runtime::Runtime& runtime_;
  LinkOptions options_;
  AddressSource own_addresses_;
  Handler handler_;
  std::vector<Family> families_;
  std::vector<LinkInterface> interfaces_;
  std::vector<Multiaddr> last_addresses_;
  std::map<std::uint32_t, SourceCounters> counters_;
  TimePoint timer_at_ = kNever;
  TimePoint poll_at_ = kNever;
  bool refresh_ = false;
  double packets_left_ = 0;
  TimePoint packets_at_{};
  TokenBucket small_reads_;
  std::unique_ptr<runtime::Signal> wake_;
  runtime::TaskGroup tasks_;  // Last.
};

/// What a source counted on each interface: what `sockets` sent, and of `heard` (heard,
/// heard_peers and malformed, by interface index) what its machine heard.
template <class Heard>
std::vector<SourceCounters> counters_of(const LinkSockets& sockets,
                                        const std::map<std::uint32_t, Heard>& heard) {
  std::vector<SourceCounters> all;
  for (const auto& [index, own] : sockets.counters()) {
    SourceCounters& each = all.emplace_back(own);
    const auto found = heard.find(index);
    if (found == heard.end()) continue;
    each.heard = found->second.heard;
    each.heard_peers = found->second.heard_peers;
    each.malformed = found->second.malformed;
  }
  return all;
}

}  // namespace warren::discovery

#pragma once
// `warren doctor`: what may stand in the way of this node, one line for each check. The checks are
// functions of facts, so that a test can make up any machine; doctor_facts.hpp gathers the facts.
// Source: quality statement DI-3.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.hpp"
#include "base/error.hpp"
#include "base/time.hpp"
#include "multiformats/multiaddr.hpp"

namespace warren::node {

enum class Verdict : std::uint8_t {
  kOk,
  kWarn,  ///< It works, but not as well as it could, or it could not be found out.
  kFail,  ///< Something does not work.
};
/// "ok", "warn", "FAIL".
std::string_view verdict_name(Verdict verdict) noexcept;

/// One line of the doctor.
struct Check {
  std::string name;  ///< "multicast".
  Verdict verdict = Verdict::kOk;
  std::string detail;  ///< What was found, with the values.
  std::string fix;     ///< What to do; empty when there is nothing to do.
};

/// The worst verdict; kOk for none.
Verdict worst_of(const std::vector<Check>& checks);

// ---------------------------------------------------------------------------------------- facts

/// Whether a node answers at the socket, as a command sees it.
struct DaemonFacts {
  std::optional<std::string> version;  ///< Of the node; nullopt when none answers.
  std::string own_version;
  std::string error;  ///< Why none answers.
};

/// One address where the node listens, or would.
struct PortFacts {
  std::string address;  ///< "/ip4/0.0.0.0/udp/4001/quic-v1".
  bool bound = false;
  std::string problem;    ///< Why it is not.
  bool required = false;  ///< False: IPv6 on a machine that may not have it.
};

/// Whether a datagram to a multicast group came back on one interface, which the kernel sees to,
/// and what came from others, which the network has to let through.
struct MulticastFacts {
  std::string interface;
  std::string problem;  ///< Why none could be sent; empty when one was.
  bool came_back = false;
  bool v6 = false;
  std::uint64_t heard_by_multicast = 0;  ///< Beacons of others on this interface.
  std::uint64_t heard_by_broadcast = 0;
};

/// Sockets of other programs on UDP port 5353.
struct MdnsPortFacts {
  std::size_t others = 0;
  std::string problem;  ///< Why a socket of ours cannot join them; empty when it can.
};

struct InboundFacts {
  std::size_t inbound = 0;   ///< Connections that peers have made since the start.
  std::size_t outbound = 0;  ///< Peers connected now that were dialled from here.
  Duration uptime{};
};

struct Ipv6Facts {
  std::vector<std::string> global;      ///< Addresses that other networks reach.
  std::vector<std::string> local_only;  ///< Link-local and private ones.
  std::string problem;                  ///< Why no socket of IPv6 can be opened; empty if one can.
};

struct ClockFacts {
  std::optional<Duration> offset;  ///< Ours against that of the peers heard, the median.
  std::optional<Duration> stale;   ///< That of the last beacon dropped for its clock; unproven.
};

struct VolumeFacts {
  std::string path;
  std::string purpose;  ///< "state", "downloads".
  std::optional<std::uint64_t> free_bytes;
  std::string problem;
};

struct BootstrapFacts {
  std::size_t configured = 0;
  std::size_t reachable = 0;
  std::string summary;  ///< "0 of 3 reachable (2 timed out, 1 refused)".
};

// --------------------------------------------------------------------------------------- checks

Check check_daemon(const DaemonFacts& facts);
Check check_ports(const std::vector<PortFacts>& facts);
Check check_multicast(const std::vector<MulticastFacts>& facts);
Check check_mdns_port(const MdnsPortFacts& facts);
Check check_inbound(const InboundFacts& facts);
Check check_ipv6(const Ipv6Facts& facts);
/// Of net.core.rmem_max and wmem_max; nullopt: it could not be read.
Check check_socket_buffers(std::optional<std::uint64_t> receive_max,
                           std::optional<std::uint64_t> send_max);
/// Of fs.inotify.max_user_watches.
Check check_file_watches(std::optional<std::uint64_t> watches_max);
Check check_descriptors(std::uint64_t limit, std::size_t connections_max);
Check check_clock(const ClockFacts& facts);
Check check_space(const std::vector<VolumeFacts>& facts);
/// `problem`: why the store of peers cannot be used.
Check check_peer_store(const std::string& path, bool exists, const std::optional<Error>& problem);
Check check_bootstrap(const BootstrapFacts& facts);
/// `problem`: why the file is not in force.
Check check_configuration(const std::string& file, const std::optional<Error>& problem);

}  // namespace warren::node

#include "node/doctor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/file.hpp"

namespace warren::node {
namespace {

/// What QUIC asks of a socket. Source: quic-go's wiki, "UDP Buffer Sizes": 7.5 MB carry 10 Gbit/s.
constexpr std::uint64_t kSocketBufferBytes = 7'500'000;
/// Below it a download stops; below the other one it soon will.
constexpr std::uint64_t kFreeBytesMin = 64u << 20;
constexpr std::uint64_t kFreeBytesGood = 1u << 30;
/// What Linux gave for long; a watched tree takes one for each folder.
constexpr std::uint64_t kWatchesGood = 65'536;
/// Source: quality statement DI-3.
constexpr Duration kClockOffsetMax = 30s;
/// Time in which a peer may be expected to have come by itself.
constexpr Duration kInboundWait = 2min;

std::string list_of(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string seconds_text(Duration duration) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(duration).count());
}

}  // namespace

std::string_view verdict_name(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kWarn: return "warn";
    case Verdict::kFail: return "FAIL";
  }
  return "";
}

Verdict worst_of(const std::vector<Check>& checks) {
  Verdict worst = Verdict::kOk;
  for (const Check& check : checks) worst = std::max(worst, check.verdict);
  return worst;
}

Check check_daemon(const DaemonFacts& facts) {
  if (!facts.version) {
    return {"daemon", Verdict::kFail, facts.error, "'warren up' starts it"};
  }
  if (*facts.version != facts.own_version) {
    return {"daemon", Verdict::kWarn,
            fmt::format("runs version {}, this command is {}", *facts.version, facts.own_version),
            "stop the node and start it again with this program"};
  }
  return {"daemon", Verdict::kOk, fmt::format("answers, version {}", *facts.version), ""};
}

Check check_ports(const std::vector<PortFacts>& facts) {
  std::vector<std::string> bound;
  std::vector<std::string> missing;
  bool required = false;
  for (const PortFacts& one : facts) {
    if (one.bound) {
      bound.push_back(one.address);
      continue;
    }
    missing.push_back(fmt::format("{} ({})", one.address, one.problem));
    required = required || one.required;
  }
  if (facts.empty()) {
    return {"ports", Verdict::kWarn, "no listen address: others cannot connect to this node",
            "set p2p.listen_addresses"};
  }
  if (missing.empty()) return {"ports", Verdict::kOk, list_of(bound), ""};
  const std::string detail = fmt::format("not bound: {}", list_of(missing));
  if (!required && !bound.empty()) {
    return {"ports", Verdict::kWarn, detail, "nothing, if this machine is meant to be without"};
  }
  return {"ports", Verdict::kFail, detail,
          "'ss -lunpt' shows what holds a port; p2p.listen_addresses chooses another one"};
}

Check check_multicast(const std::vector<MulticastFacts>& facts) {
  std::vector<std::string> good;
  std::vector<std::string> bad;
  std::vector<std::string> dropped;
  for (const MulticastFacts& one : facts) {
    const std::string name = fmt::format("{} {}", one.interface, one.v6 ? "IPv6" : "IPv4");
    if (one.came_back) {
      const bool passes = one.heard_by_multicast > 0 || one.heard_by_broadcast == 0;
      (passes ? good : dropped).push_back(name);
    } else {
      bad.push_back(one.problem.empty() ? fmt::format("{} (sent, nothing came back)", name)
                                        : fmt::format("{} ({})", name, one.problem));
    }
  }
  if (facts.empty()) {
    return {"multicast", Verdict::kFail, "no interface is up that has multicast",
            "connect this machine to a network"};
  }
  std::vector<std::string> parts;
  if (!bad.empty()) parts.push_back("blocked on " + list_of(bad));
  if (!dropped.empty()) {
    parts.push_back(
        fmt::format("dropped by the network at {}: beacons of others come by broadcast only",
                    list_of(dropped)));
  }
  if (!good.empty()) parts.push_back("works on " + list_of(good));
  std::string detail = fmt::format("{}", fmt::join(parts, "; "));
  if (!bad.empty()) {
    return {"multicast", good.empty() && dropped.empty() ? Verdict::kFail : Verdict::kWarn,
            std::move(detail),
            "a firewall on this machine may block it: allow UDP to 224.0.0.0/4 and ff00::/8; "
            "else list first peers under bootstrap.peers"};
  }
  if (dropped.empty()) return {"multicast", Verdict::kOk, std::move(detail), ""};
  return {"multicast", Verdict::kWarn, std::move(detail),
          "let the switch or access point pass multicast (IGMP snooping drops it where nothing "
          "asks who listens); nodes of Warren find each other by broadcast meanwhile, mDNS finds "
          "none"};
}

Check check_mdns_port(const MdnsPortFacts& facts) {
  if (!facts.problem.empty()) {
    return {"mdns port", Verdict::kWarn,
            fmt::format("UDP port 5353 cannot be shared: {}", facts.problem),
            "the program that holds it alone has to let others in ('ss -lunp sport = 5353' names "
            "it); beacons find peers without it"};
  }
  if (facts.others == 0) return {"mdns port", Verdict::kOk, "no other mDNS program", ""};
  return {"mdns port", Verdict::kOk,
          fmt::format("shared with {} socket{} of other mDNS programs", facts.others,
                      facts.others == 1 ? "" : "s"),
          ""};
}

Check check_inbound(const InboundFacts& facts) {
  if (facts.inbound > 0) {
    return {"inbound", Verdict::kOk,
            fmt::format("peers have connected to this node ({})", facts.inbound), ""};
  }
  if (facts.outbound == 0) {
    return {"inbound", Verdict::kOk, "no peer is connected yet, so nothing can be said", ""};
  }
  if (facts.uptime < kInboundWait) {
    return {"inbound", Verdict::kOk,
            fmt::format("no peer has connected to this node in {}", seconds_text(facts.uptime)),
            ""};
  }
  return {"inbound", Verdict::kWarn,
          fmt::format(
              "{} dialled from here, but no peer has connected to this node",
              facts.outbound == 1 ? "1 peer was" : fmt::format("{} peers were", facts.outbound)),
          "a firewall or router may keep them out: let UDP and TCP to the ports of 'warren status' "
          "in"};
}

Check check_ipv6(const Ipv6Facts& facts) {
  if (!facts.problem.empty()) {
    return {"ipv6", Verdict::kWarn, "not usable: " + facts.problem,
            "nothing, if this machine is meant to be without"};
  }
  if (!facts.global.empty()) return {"ipv6", Verdict::kOk, list_of(facts.global), ""};
  if (!facts.local_only.empty()) {
    return {"ipv6", Verdict::kOk, "on the local network only: " + list_of(facts.local_only), ""};
  }
  return {"ipv6", Verdict::kWarn, "no interface has an address of it",
          "nothing, if this machine is meant to be without"};
}

Check check_socket_buffers(std::optional<std::uint64_t> receive_max,
                           std::optional<std::uint64_t> send_max) {
  if (!receive_max || !send_max) {
    return {"socket buffers", Verdict::kWarn, "net.core.rmem_max and wmem_max cannot be read", ""};
  }
  const std::string detail =
      fmt::format("net.core.rmem_max {}, wmem_max {}", *receive_max, *send_max);
  if (*receive_max >= kSocketBufferBytes && *send_max >= kSocketBufferBytes) {
    return {"socket buffers", Verdict::kOk, detail, ""};
  }
  return {"socket buffers", Verdict::kWarn,
          fmt::format("{}: less than {} slows fast links", detail, kSocketBufferBytes),
          fmt::format("sysctl -w net.core.rmem_max={0} net.core.wmem_max={0}", kSocketBufferBytes)};
}

Check check_file_watches(std::optional<std::uint64_t> watches_max) {
  if (!watches_max) {
    return {"file watches", Verdict::kWarn, "fs.inotify.max_user_watches cannot be read", ""};
  }
  const std::string detail = fmt::format("fs.inotify.max_user_watches {}", *watches_max);
  if (*watches_max >= kWatchesGood) return {"file watches", Verdict::kOk, detail, ""};
  return {"file watches", Verdict::kWarn, detail + ": large shared folders need more",
          fmt::format("sysctl -w fs.inotify.max_user_watches={}", kWatchesGood * 8)};
}

Check check_descriptors(std::uint64_t limit, std::size_t connections_max) {
  // Half of them are for sockets, the rest for files and the database.
  const std::uint64_t wanted = std::uint64_t{connections_max} * 2 + 256;
  const std::string detail = fmt::format(
      "{} files and sockets may be open, {} connections are allowed", limit, connections_max);
  if (limit >= wanted) return {"descriptors", Verdict::kOk, detail, ""};
  return {
      "descriptors", Verdict::kWarn, detail,
      fmt::format("'ulimit -Hn {}' before 'warren up', or a smaller limits.connections", wanted)};
}

Check check_clock(const ClockFacts& facts) {
  if (facts.offset && std::chrono::abs(*facts.offset) <= kClockOffsetMax) {
    return {"clock", Verdict::kOk,
            fmt::format("{} from that of peers", seconds_text(std::chrono::abs(*facts.offset))),
            ""};
  }
  const auto text = [](Duration ahead) {
    return fmt::format("peers are {} {} this machine", seconds_text(std::chrono::abs(ahead)),
                       ahead > Duration::zero() ? "ahead of" : "behind");
  };
  const std::string fix = "set the clock by NTP ('timedatectl set-ntp true')";
  if (facts.offset) return {"clock", Verdict::kWarn, text(*facts.offset), fix};
  if (facts.stale) {
    return {"clock", Verdict::kWarn,
            text(*facts.stale) + ", as beacons say that were dropped for it", fix};
  }
  return {"clock", Verdict::kOk, "no peer's beacon is heard to compare with", ""};
}

Check check_space(const std::vector<VolumeFacts>& facts) {
  Verdict verdict = Verdict::kOk;
  std::vector<std::string> parts;
  for (const VolumeFacts& one : facts) {
    if (!one.free_bytes) {
      verdict = Verdict::kFail;
      parts.push_back(fmt::format("{} at {}: {}", one.purpose, one.path, one.problem));
      continue;
    }
    if (*one.free_bytes < kFreeBytesMin) {
      verdict = Verdict::kFail;
    } else if (*one.free_bytes < kFreeBytesGood) {
      verdict = std::max(verdict, Verdict::kWarn);
    }
    parts.push_back(fmt::format("{} at {}: {} free", one.purpose, one.path,
                                runtime::human_bytes(*one.free_bytes)));
  }
  return {"space", verdict, list_of(parts),
          verdict == Verdict::kOk ? ""
                                  : fmt::format("make room: downloads stop below {}",
                                                runtime::human_bytes(kFreeBytesMin))};
}

Check check_peer_store(const std::string& path, bool exists, const std::optional<Error>& problem) {
  if (problem) {
    return {"peer store", Verdict::kFail, problem->message(),
            problem->hint().empty()
                ? fmt::format("move {} away: the node makes a new one and finds peers again", path)
                : problem->hint()};
  }
  return {"peer store", Verdict::kOk, exists ? path + " is sound" : path + " is not there yet", ""};
}

Check check_bootstrap(const BootstrapFacts& facts) {
  if (facts.configured == 0) {
    return {"bootstrap", Verdict::kOk, "no first peers are listed: only this network is searched",
            ""};
  }
  const std::string fix = "'warren connect' with one of bootstrap.peers says what is wrong with it";
  if (facts.reachable == 0) return {"bootstrap", Verdict::kFail, facts.summary, fix};
  return {"bootstrap", facts.reachable < facts.configured ? Verdict::kWarn : Verdict::kOk,
          facts.summary, facts.reachable < facts.configured ? fix : ""};
}

Check check_configuration(const std::string& file, const std::optional<Error>& problem) {
  if (problem) {
    return {"configuration", Verdict::kFail, problem->message(),
            "mend the file; 'warren config check' looks again"};
  }
  return {"configuration", Verdict::kOk, file + " is right", ""};
}

}  // namespace warren::node

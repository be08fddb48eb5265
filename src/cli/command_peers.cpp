// `warren peers` with its verbs, `connect` and `disconnect`.

#include <fmt/format.h>

#include <array>

#include "api/client.hpp"
#include "api/router.hpp"
#include "api/views.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "node/config_values.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

constexpr std::array<OptionSpec, 1> kConnectOptions{{
    {.name = "MULTIADDR",
     .value = "",
     .help = "/ip4/ADDRESS/udp/PORT/quic-v1[/p2p/ID], or the id of a known peer",
     .required = true},
}};
constexpr std::array<OptionSpec, 1> kDisconnectOptions{{
    {.name = "PEER",
     .value = "",
     .help = "peer id, or its last 6 or more characters",
     .required = true},
}};

constexpr std::array<OptionSpec, 2> kPeersOptions{{
    {.name = "--refresh",
     .value = "",
     .help = "have every way of finding peers look again first; takes a second",
     .kind = ValueKind::kFlag},
    {.name = "--all",
     .value = "",
     .help = "also those that are only remembered",
     .kind = ValueKind::kFlag},
}};
constexpr std::array<OptionSpec, 3> kAddOptions{{
    {.name = "ADDRESS",
     .value = "",
     .help = "a multiaddr, or the id of a known peer",
     .required = true},
    {.name = "--key",
     .value = "KEY",
     .help = "the key that has to answer: a peer id, 64 hex digits, or a public key in base64"},
    {.name = "--name", .value = "NAME", .help = "a name for it, tied to its key from then on"},
}};
constexpr std::array<OptionSpec, 3> kBanOptions{{
    {.name = "PEER|PREFIX",
     .value = "",
     .help = "a peer, an IP address, or a prefix like 198.51.100.0/24",
     .required = true},
    {.name = "--for",
     .value = "TIME",
     .help = "30m, 1h, 7d; without it until 'warren peers unban'"},
    {.name = "--reason", .value = "TEXT", .help = "why, for 'warren peers banned'"},
}};
constexpr std::array<OptionSpec, 1> kUnbanOptions{{
    {.name = "PEER|PREFIX", .value = "", .help = "as 'peers banned' lists it", .required = true},
}};

/// All Ed25519 ids begin alike: the end tells them apart.
std::string short_id(const std::string& id) {
  return id.size() > 8 ? id.substr(id.size() - 8) : id;
}

std::string text_or_dash(const api::Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return "-";
  const std::string text = node::escape_for_display(found->get<std::string>());
  return text.empty() ? "-" : text;
}

std::vector<std::string> peer_row(const api::Json& peer) {
  const bool connected = peer.value("connected", false);
  const auto bytes = [&](const char* key) {
    return connected ? runtime::human_bytes(peer.value(key, std::uint64_t{0})) : std::string("-");
  };
  const std::string name = text_or_dash(peer, "name");
  const std::string absent = peer["banned_until"].is_string() ? "banned" : "not connected";
  return {name == "-" ? text_or_dash(peer, "agent") : name,
          short_id(peer.value("peer_id", "")),
          connected ? text_or_dash(peer, "path") : absent,
          peer["rtt_ms"].is_number() ? format_milliseconds(peer["rtt_ms"].get<double>()) : "-",
          bytes("bytes_received"),
          bytes("bytes_sent"),
          peer["connected_for"].is_number() ? format_duration(peer["connected_for"].get<double>())
                                            : "-",
          text_or_dash(peer, "via")};
}

ExitCode run_peers(Invocation& invocation) {
  Output& output = invocation.output;
  std::string target = "/api/v1/peers?";
  if (invocation.args.flag("refresh")) target += "refresh=1&";
  if (invocation.args.flag("all")) target += "all=1";
  auto answer = invocation.session.call({.method = "GET", .target = target});
  if (!answer) return invocation.session.failure(answer.error());
  const auto& peers = (*answer)["peers"];
  if (peers.empty()) {
    output.note(answer->value("report", "no peers yet"));
    output.note("next: " + answer->value("advice", "'warren status'"));
  } else {
    std::vector<std::vector<std::string>> rows{
        {"NAME", "ID", "PATH", "RTT", "RX", "TX", "SINCE", "VIA"}};
    for (const auto& peer : peers) rows.push_back(peer_row(peer));
    output.text(format_table(rows));
  }
  return output.success(*answer);
}

ExitCode run_connect(Invocation& invocation) {
  const std::string address = invocation.args.text("MULTIADDR");
  return ask(
      invocation, {.method = "POST", .target = "/api/v1/connect", .body = {{"address", address}}},
      address, [&](const api::Json& peer) {
        invocation.output.text(fmt::format("connected to {} ({})\n", peer.value("peer_id", ""),
                                           text_or_dash(peer, "path")));
      });
}

ExitCode run_disconnect(Invocation& invocation) {
  const std::string peer = invocation.args.text("PEER");
  return ask(
      invocation, {.method = "POST", .target = "/api/v1/disconnect", .body = {{"peer", peer}}},
      peer, [&](const api::Json& answer) {
        invocation.output.text(fmt::format("disconnected from {}\n", answer.value("peer_id", "")));
      });
}

ExitCode run_add(Invocation& invocation) {
  const std::string address = invocation.args.text("ADDRESS");
  api::Json body{{"address", address}};
  for (const char* option : {"key", "name"}) {
    if (invocation.args.flag(option)) body[option] = invocation.args.text(option);
  }
  return ask(invocation, {.method = "POST", .target = "/api/v1/peers", .body = std::move(body)},
             address, [&](const api::Json& peer) {
               const std::string name = text_or_dash(peer, "name");
               invocation.output.text(fmt::format("added {}{} ({})\n", peer.value("peer_id", ""),
                                                  name == "-" ? "" : " as " + name,
                                                  text_or_dash(peer, "path")));
             });
}

ExitCode run_remove(Invocation& invocation) {
  const std::string peer = invocation.args.text("PEER");
  return ask(invocation,
             {.method = "DELETE", .target = "/api/v1/peers/" + api::percent_encode(peer)}, peer,
             [&](const api::Json& answer) {
               invocation.output.text(fmt::format("removed {}\n", answer.value("peer_id", "")));
             });
}

/// "until 2026-01-02T03:04:05Z", "until somebody lifts it".
std::string until_text(const api::Json& ban) {
  const std::string until = ban.value("until", "");
  return until == "forever" ? "until somebody lifts it" : "until " + until;
}

ExitCode run_ban(Invocation& invocation) {
  const std::string who = invocation.args.text("PEER|PREFIX");
  api::Json body{{"who", who}};
  if (invocation.args.flag("for")) {
    const auto length = node::parse_duration(invocation.args.text("for"));
    if (!length) {
      return invocation.output.failure(Error(length.error()).in("--for"), who);
    }
    body["for"] = api::seconds_of(*length);
  }
  if (invocation.args.flag("reason")) body["reason"] = invocation.args.text("reason");
  return ask(invocation, {.method = "POST", .target = "/api/v1/bans", .body = std::move(body)}, who,
             [&](const api::Json& ban) {
               invocation.output.text(
                   fmt::format("banned {} {}\n", ban.value("who", ""), until_text(ban)));
             });
}

ExitCode run_unban(Invocation& invocation) {
  const std::string who = invocation.args.text("PEER|PREFIX");
  return ask(invocation, {.method = "DELETE", .target = "/api/v1/bans/" + api::percent_encode(who)},
             who, [&](const api::Json& answer) {
               invocation.output.text(
                   fmt::format("{} is not banned any more\n", text_or_dash(answer, "who")));
             });
}

ExitCode run_banned(Invocation& invocation) {
  return ask(invocation, {.method = "GET", .target = "/api/v1/bans"}, "",
             [&](const api::Json& answer) {
               if (answer["bans"].empty()) {
                 invocation.output.note("nobody is banned");
                 return;
               }
               std::vector<std::vector<std::string>> rows{{"WHO", "UNTIL", "REASON"}};
               for (const auto& ban : answer["bans"]) {
                 rows.push_back({ban.value("who", ""), ban.value("until", ""),
                                 node::escape_line(ban.value("reason", ""))});
               }
               invocation.output.text(format_table(rows));
             });
}

constexpr std::array<CommandSpec, 5> kPeersVerbs{{
    {.name = "peers add",
     .summary = "connect to a peer with the key that it must have, and a name for it",
     .example = "warren peers add /ip4/192.0.2.7/udp/4001/quic-v1 --key 12D3KooW... --name attic",
     .options = kAddOptions,
     .run = run_add},
    {.name = "peers remove",
     .summary = "disconnect from a peer and forget it",
     .example = "warren peers remove attic",
     .options = kDisconnectOptions,
     .run = run_remove},
    {.name = "peers ban",
     .summary = "refuse a peer, or all of an address range",
     .example = "warren peers ban 198.51.100.0/24 --for 7d --reason floods",
     .options = kBanOptions,
     .run = run_ban},
    {.name = "peers unban",
     .summary = "lift a ban",
     .example = "warren peers unban 198.51.100.0/24",
     .options = kUnbanOptions,
     .run = run_unban},
    {.name = "peers banned",
     .summary = "who is banned, until when and why",
     .example = "warren peers banned",
     .options = {},
     .run = run_banned},
}};

}  // namespace

CommandSpec peers_command() {
  return {.name = "peers",
          .summary = "who is connected or heard of; add, remove and ban peers",
          .example = "warren peers",
          .options = kPeersOptions,
          .run = run_peers,
          .verbs = kPeersVerbs};
}

CommandSpec connect_command() {
  return {.name = "connect",
          .summary = "connect to a peer, and stay connected to it",
          .example = "warren connect /ip4/192.0.2.7/udp/4001/quic-v1",
          .options = kConnectOptions,
          .run = run_connect};
}

CommandSpec disconnect_command() {
  return {.name = "disconnect",
          .summary = "end the connections to a peer",
          .example = "warren disconnect 3fGqWx9a",
          .options = kDisconnectOptions,
          .run = run_disconnect};
}

}  // namespace warren::cli

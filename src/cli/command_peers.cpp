// `warren peers`, `connect` and `disconnect`.

#include <fmt/format.h>

#include <array>

#include "api/client.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
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
  return {text_or_dash(peer, "agent"),
          short_id(peer.value("peer_id", "")),
          connected ? text_or_dash(peer, "path") : "not connected",
          peer["rtt_ms"].is_number() ? format_milliseconds(peer["rtt_ms"].get<double>()) : "-",
          bytes("bytes_received"),
          bytes("bytes_sent"),
          peer["connected_for"].is_number() ? format_duration(peer["connected_for"].get<double>())
                                            : "-",
          text_or_dash(peer, "via")};
}

ExitCode run_peers(Invocation& invocation) {
  Output& output = invocation.output;
  auto answer = invocation.session.call({.method = "GET", .target = "/api/v1/peers"});
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

}  // namespace

CommandSpec peers_command() {
  return {.name = "peers",
          .summary = "who is connected, and who was heard of",
          .example = "warren peers",
          .options = {},
          .run = run_peers};
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

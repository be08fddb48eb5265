// `warren status` and `warren id`.

#include <fmt/format.h>

#include "api/client.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "crypto/keys.hpp"
#include "multiformats/peer_id.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

std::string discovery_text(const api::Json& source) {
  const std::string name = source.value("name", "");
  if (!source.value("running", false)) {
    return fmt::format("{}: {}", name, node::escape_for_display(source.value("problem", ""), 120));
  }
  return fmt::format("{}: {}", name, node::escape_line(source.value("summary", "")));
}

/// The limit at which something was refused, in a few words.
std::string refused_at(const std::string& scope, const std::string& resource) {
  if (scope == "source")
    return resource == "rate" ? "too fast from one address" : "from one address";
  if (scope == "transient") return "in handshakes";
  if (scope == "peer") return "of one peer";
  if (scope == "protocol" || scope == "protocol_peer") return "of one protocol";
  if (scope == "connection" || scope == "stream") return "of one connection";
  return "of the node";
}

/// "29 connections from one address, 8 streams of one peer".
std::string refused_text(const api::Json& refused) {
  std::string text;
  for (const auto& some : refused) {
    const std::string resource = some.value("resource", "");
    const std::string_view noun = resource == "memory"              ? "requests for memory"
                                  : resource.starts_with("streams") ? "streams"
                                                                    : "connections";
    text +=
        fmt::format("{}{} {} {}", text.empty() ? "" : ", ", some.value("count", std::uint64_t{0}),
                    noun, refused_at(some.value("scope", ""), resource));
  }
  return text;
}

void show_status(Output& output, const api::Json& status) {
  std::string text;
  const auto row = [&](std::string_view head, std::string_view value) {
    text += fmt::format("{:<12}{}\n", head, value);
  };
  row("peer id", status.value("peer_id", ""));
  std::string_view head = "listening";
  for (const auto& address : status["listen"])
    row(std::exchange(head, ""), address.get<std::string>());
  if (status["listen"].empty()) row("listening", "nowhere");
  if (status["discovery"].empty()) row("discovery", "off");
  for (const auto& source : status["discovery"]) row("discovery", discovery_text(source));
  row("peers", fmt::format("{} connected, {} known", status.value("peers_connected", 0),
                           status.value("peers_known", 0)));
  row("shares", fmt::format("{}", status.value("shares", 0)));
  row("transfers", fmt::format("{} active, {} paused", status.value("transfers_active", 0),
                               status.value("transfers_paused", 0)));
  row("traffic", fmt::format("{} received, {} sent",
                             runtime::human_bytes(status.value("bytes_received", std::uint64_t{0})),
                             runtime::human_bytes(status.value("bytes_sent", std::uint64_t{0}))));
  if (status.contains("refused") && !status["refused"].empty()) {
    row("refused", refused_text(status["refused"]));
  }
  if (status.contains("state_dir")) row("state", status.value("state_dir", ""));
  if (status.contains("pid")) row("process", fmt::format("{}", status.value("pid", 0)));
  row("version", status.value("version", ""));
  row("up for", format_duration(status.value("uptime", 0.0)));
  output.text(text);
  for (const auto& warning : status["warnings"]) {
    output.note("warning: " + node::escape_for_display(warning.get<std::string>(), 300));
  }
}

ExitCode run_status(Invocation& invocation) {
  return ask(invocation, {.method = "GET", .target = "/api/v1/status"}, "",
             [&](const api::Json& status) { show_status(invocation.output, status); });
}

/// The identity as the file has it: no daemon is needed to know one's own name.
Result<std::string> id_from_file(const node::Paths& paths) {
  WARREN_TRY(const runtime::File file, runtime::File::open(paths.identity_file()));
  Bytes text(16u << 10);
  WARREN_TRY(const std::size_t size, file.read_at(0, text));
  WARREN_TRY(const crypto::PrivateKey key,
             crypto::PrivateKey::from_pem(as_text(BytesView(text).first(size))));
  return PeerId::from_public_key(key.public_key().protobuf()).to_string();
}

ExitCode run_id(Invocation& invocation) {
  auto peer_id = id_from_file(invocation.paths);
  if (!peer_id && peer_id.error().code() == ErrorCode::kNotFound) {
    return invocation.output.failure(
        Error(ErrorCode::kNotFound,
              "there is no identity yet at " + invocation.paths.identity_file(),
              "'warren up' makes one on its first start"),
        invocation.paths.identity_file());
  }
  if (!peer_id) return invocation.output.failure(peer_id.error(), invocation.paths.identity_file());
  invocation.output.text(*peer_id + "\n");
  return invocation.output.success(api::Json{{"peer_id", *peer_id}});
}

}  // namespace

CommandSpec status_command() {
  return {.name = "status",
          .summary = "how the node here is: id, addresses, discovery, counts",
          .example = "warren status",
          .options = {},
          .run = run_status};
}

CommandSpec id_command() {
  return {.name = "id",
          .summary = "the peer id of the node here",
          .example = "warren id",
          .options = {},
          .run = run_id};
}

}  // namespace warren::cli

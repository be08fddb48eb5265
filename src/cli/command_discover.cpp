// `warren discover`: what each way of finding peers saw.

#include <fmt/format.h>

#include "api/client.hpp"
#include "cli/commands.hpp"
#include "cli/format.hpp"
#include "cli/session.hpp"
#include "node/escape.hpp"
#include "runtime/file.hpp"

namespace warren::cli {
namespace {

/// Addresses of one peer in the table; the rest is counted.
constexpr std::size_t kAddressesShown = 2;

std::string addresses_text(const api::Json& peer) {
  std::string text;
  std::size_t shown = 0;
  for (const auto& address : peer["addresses"]) {
    if (shown == kAddressesShown) break;
    text += fmt::format("{}{}", text.empty() ? "" : " ", address.get<std::string>());
    ++shown;
  }
  const std::size_t all = peer["addresses"].size();
  if (all > shown) text += fmt::format(" and {} more", all - shown);
  return node::escape_line(text.empty() ? "-" : text);
}

/// Millionths of the unit for each MiB: "0.25".
std::string price_text(const api::Json& price) {
  if (!price.is_number()) return "-";
  return fmt::format("{:g}", price.get<double>() / 1e6);
}

std::vector<std::string> seen_row(const std::string& via, const api::Json& peer) {
  const std::string id = peer.value("peer_id", "");
  return {via,
          id.size() > 8 ? id.substr(id.size() - 8) : id,
          format_duration(peer.value("seen_ago", 0.0)) + (peer.value("lost", false) ? " gone" : ""),
          peer["free_bytes"].is_number()
              ? runtime::human_bytes(peer["free_bytes"].get<std::uint64_t>())
              : "-",
          price_text(peer["price_micro_per_mib"]),
          addresses_text(peer)};
}

void show_sources(Output& output, const api::Json& answer) {
  std::string text;
  std::vector<std::vector<std::string>> rows{{"VIA", "ID", "SEEN", "FREE", "PRICE", "ADDRESSES"}};
  for (const auto& source : answer["sources"]) {
    const std::string name = source.value("name", "");
    const bool runs = source.value("running", false);
    text += fmt::format("{:<11}{}\n", name,
                        node::escape_line(runs ? source.value("summary", "")
                                               : "does not run: " + source.value("problem", "")));
    for (const auto& peer : source["seen"]) rows.push_back(seen_row(name, peer));
  }
  if (rows.size() > 1) text += "\n" + format_table(rows);
  output.text(text);
  if (answer["sources"].empty()) output.note("every way of finding peers is off");
  if (rows.size() == 1) output.note("next: " + answer.value("advice", "'warren doctor'"));
}

ExitCode run_discover(Invocation& invocation) {
  return ask(invocation, {.method = "GET", .target = "/api/v1/discovery"}, "",
             [&](const api::Json& answer) { show_sources(invocation.output, answer); });
}

}  // namespace

CommandSpec discover_command() {
  return {.name = "discover",
          .summary = "what each way of finding peers did and saw",
          .example = "warren discover",
          .options = {},
          .run = run_discover};
}

}  // namespace warren::cli

#include "node/entry_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "content/path_rules.hpp"
#include "library/reserved.hpp"
#include "node/escape.hpp"

namespace warren::node {
namespace {

/// Every CID of a kind begins alike: what tells two apart comes behind that.
constexpr std::size_t kCidPrefixMin = 8;
constexpr std::size_t kCidShown = 16;
/// Of the list in an error.
constexpr std::size_t kThingsShown = 8;
constexpr std::size_t kPeersShown = 3;
constexpr std::size_t kColumns = 64;

/// Offers with the same root.
struct Thing {
  EntryChoice choice;
  std::vector<std::string> versions;  ///< As the peers say.

  bool has_version(std::string_view version) const {
    return std::ranges::find(versions, version) != versions.end();
  }
  std::string cid() const { return choice.listing.root->to_string(); }
  bool is_meant(std::string_view which) const {
    return which.empty() || has_version(which) ||
           (which.size() >= kCidPrefixMin && cid().starts_with(which));
  }
};

std::vector<Thing> things_of(const std::vector<catalog::Offer>& offers) {
  std::vector<Thing> things;
  for (const catalog::Offer& offer : offers) {
    if (!offer.listing.root) continue;
    auto thing = std::ranges::find_if(things, [&](const Thing& known) {
      return known.choice.listing.root == offer.listing.root;
    });
    if (thing == things.end()) {
      things.push_back({{offer.listing, {}}, {}});
      thing = things.end() - 1;
    }
    thing->choice.peers.push_back(offer.peer);
    if (!thing->has_version(offer.listing.version)) {
      thing->versions.push_back(offer.listing.version);
    }
  }
  return things;
}

std::string shown(std::string_view text) { return escape_for_display(text, kColumns); }

/// "version 1.32 (bafybeieuowfhxac) from attic and 2 more".
std::string described(const Thing& thing,
                      const std::function<std::string(const PeerId&)>& peer_name) {
  const std::string& version = thing.choice.listing.version;
  std::string text = version.empty() ? std::string("no version") : "version " + shown(version);
  text += fmt::format(" ({}) from ", thing.cid().substr(0, kCidShown));
  const std::vector<PeerId>& peers = thing.choice.peers;
  std::vector<std::string> names;
  for (const PeerId& peer : peers) {
    if (names.size() < kPeersShown) names.push_back(shown(peer_name(peer)));
  }
  text += fmt::format("{}", fmt::join(names, ", "));
  if (peers.size() > names.size()) text += fmt::format(" and {} more", peers.size() - names.size());
  return text;
}

std::string described(const std::vector<Thing>& things,
                      const std::function<std::string(const PeerId&)>& peer_name) {
  std::vector<std::string> texts;
  for (const Thing& thing : things) {
    if (texts.size() < kThingsShown) texts.push_back(described(thing, peer_name));
  }
  std::string text = fmt::format("{}", fmt::join(texts, "; "));
  if (things.size() > texts.size())
    text += fmt::format("; and {} more", things.size() - texts.size());
  return text;
}

/// The shortest word that means this thing alone.
std::string picked_by(const Thing& thing, const std::vector<Thing>& things) {
  const std::string& version = thing.choice.listing.version;
  const auto mean = [&](std::string_view which) {
    return std::ranges::count_if(things, [&](const Thing& each) { return each.is_meant(which); });
  };
  if (!version.empty() && mean(version) == 1) return version;
  const std::string cid = thing.cid();
  std::size_t length = kCidShown;
  while (length < cid.size() && mean(std::string_view(cid).substr(0, length)) > 1) ++length;
  return cid.substr(0, length);
}

std::string command(const EntryName& name, const Thing& thing, const std::vector<Thing>& things) {
  return "warren get " + shell_word(name.id + "@" + picked_by(thing, things));
}

}  // namespace

std::vector<EntryName> parse_entry_name(std::string_view text) {
  std::vector<EntryName> names{{std::string(text), ""}};
  const std::size_t at = text.rfind('@');
  if (at != std::string_view::npos && at > 0 && at + 1 < text.size()) {
    names.push_back({std::string(text.substr(0, at)), std::string(text.substr(at + 1))});
  }
  return names;
}

Result<EntryChoice> choose_entry(const EntryName& name, const std::vector<catalog::Offer>& offers,
                                 std::string_view expected,
                                 const std::function<std::string(const PeerId&)>& peer_name) {
  const std::vector<Thing> all = things_of(offers);
  if (all.empty()) {
    return fail(ErrorCode::kNoPeer, fmt::format("nobody has '{}' ready", shown(name.id)),
                "it is listed and still being read by those who have it: try again in a while");
  }
  std::vector<Thing> fitting = all;
  std::erase_if(fitting, [&](const Thing& thing) { return !thing.is_meant(name.which); });
  if (fitting.empty()) {
    return fail(ErrorCode::kNotFound,
                fmt::format("nobody has '{}' of '{}'; there is {}", shown(name.which),
                            shown(name.id), described(all, peer_name)),
                "for example: " + command(name, all.front(), all));
  }
  if (!expected.empty()) {
    const std::vector<Thing> meant = fitting;
    std::erase_if(fitting, [&](const Thing& thing) { return !thing.has_version(expected); });
    if (fitting.empty()) {
      return fail(ErrorCode::kDenied,
                  fmt::format("a library here expects version {} of '{}'; there is {}",
                              shown(expected), shown(name.id), described(meant, peer_name)),
                  "'warren library set PATH --expect ENTRY=VERSION' expects another one");
    }
  }
  if (fitting.size() > 1) {
    std::vector<std::string> commands;
    for (const Thing& thing : fitting) {
      if (commands.size() < kThingsShown) commands.push_back(command(name, thing, all));
    }
    return fail(ErrorCode::kConflict,
                fmt::format("'{}' is {} different things: {}", shown(name.id), fitting.size(),
                            described(fitting, peer_name)),
                fmt::format("choose one: {}", fmt::join(commands, ", or ")));
  }
  return std::move(fitting.front().choice);
}

Result<> check_entry_id(std::string_view id) {
  if (content::check_name(id) && library::is_entry_name(id)) return {};
  return fail(ErrorCode::kDenied,
              fmt::format("'{}' can be no entry of a library: its name is hidden, or none at all",
                          shown(id)),
              "'warren get' takes it to another place with --out, and by another name with --name");
}

Error for_command(const Error& error, std::string_view instead_of, std::string_view command) {
  std::string hint = error.hint();
  for (std::size_t at = hint.find(instead_of); at != std::string::npos;
       at = hint.find(instead_of, at + command.size())) {
    hint.replace(at, instead_of.size(), command);
  }
  return {error.code(), error.message(), std::move(hint)};
}

std::string shell_word(std::string_view text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("@%+=:,./-_").find(c) != std::string_view::npos;
  });
  if (plain && text.front() != '-') return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

}  // namespace warren::node

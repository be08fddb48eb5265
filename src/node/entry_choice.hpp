#pragma once
// Which dataset the name of a catalog entry stands for: what peers disagree about is for a person
// to decide.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog_store.hpp"

namespace warren::node {

/// "quake", "quake@1.32", "quake@bafybeieuowfh": an id, and its version or the beginning of its
/// CID.
struct EntryName {
  std::string id;
  std::string which;  ///< Empty: whatever there is, if that is one thing.
};
/// What `text` may mean, the likeliest first: an id may have a '@' in it.
std::vector<EntryName> parse_entry_name(std::string_view text);

struct EntryChoice {
  library::Listing listing;   ///< As the peer says it that was seen last. Has a root.
  std::vector<PeerId> peers;  ///< That list this root, the one seen last first.
};

/// The one thing that `name` stands for among `offers`, all of name.id. Empty `expected`: any
/// version will do; else only that one is taken, and what it leaves out does not count as a choice.
/// `peer_name` is how a person knows a peer.
/// Errors: kNoPeer when nobody has all of it ready; kNotFound when nobody has `name.which`; kDenied
/// when only other versions than the expected one are offered; kConflict when there is a choice,
/// with what there is and the command that picks one.
Result<EntryChoice> choose_entry(const EntryName& name, const std::vector<catalog::Offer>& offers,
                                 std::string_view expected,
                                 const std::function<std::string(const PeerId&)>& peer_name);

/// Whether a library here can have an entry of that id. Errors: kDenied, with the way out.
Result<> check_entry_id(std::string_view id);

/// An error of choose_entry(), whose hint says what to do with `command` in place of another:
/// both as in "warren get ".
Error for_command(const Error& error, std::string_view instead_of, std::string_view command);

/// As one word of a shell's command line: quoted where it has to be.
std::string shell_word(std::string_view text);

}  // namespace warren::node

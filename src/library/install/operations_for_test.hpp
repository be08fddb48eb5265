#pragma once
// The operations as the tests of crashes run them, and what is there before and after each.

#include <map>
#include <string>
#include <vector>

#include "library/install/names.hpp"
#include "library/install/transaction.hpp"

namespace warren::install::test {

using Tree = std::map<std::string, std::string>;

struct Operation {
  std::string name;
  Plan plan;
  Tree before;
  Tree after;
};

inline Tree with(Tree tree, const Tree& more) {
  tree.insert(more.begin(), more.end());
  return tree;
}

/// What the caller unpacks.
inline const Tree kUnpacked{{"data/", ""}, {"data/maps.pak", "many maps"}, {"game", "the game"}};

inline Tree below(const std::string& folder, const Tree& tree) {
  Tree out{{folder + '/', ""}};
  for (const auto& [path, content] : tree) out[folder + '/' + path] = content;
  return out;
}

inline std::vector<Operation> operations() {
  const Tree old_files{{"version.ini", "version = 1"},
                       {"game.zip", "an archive"},
                       {"extras/", ""},
                       {"extras/manual", "read me"}};
  const Tree new_files{{"version.ini", "version = 2"},
                       {"game.zip", "another archive"},
                       {"music/", ""},
                       {"music/one", "la la"}};
  const Tree mine = below("local", {{"saves/", ""}, {"saves/1", "level 7"}, {"game", "old"}});
  const Tree fresh = below("local", kUnpacked);
  // A dataset may bring reserved names: they are not taken.
  const Tree hostile =
      below(".warren.new",
            with(new_files, {{"local/", ""}, {"local/evil", "x"}, {".warren.json", "{}"}}));
  return {
      {"install", install_plan(), old_files, with(old_files, fresh)},
      {"reinstall", reinstall_plan(), with(old_files, mine), with(old_files, fresh)},
      {"uninstall", uninstall_plan(), with(old_files, mine), old_files},
      {"replace", replace_plan(), with(with(old_files, mine), hostile), with(new_files, mine)},
  };
}

/// All of an operation but what is unpacked goes by run().
inline Result<> perform(EntryFiles& files, const Plan& plan) {
  WARREN_TRY_VOID(run(files, "version.ini", plan.before));
  if (plan.after.empty()) return {};
  for (const auto& [path, content] : kUnpacked) {
    const std::string full = std::string(kInstallingFolder) + '/' + path;
    if (path.ends_with('/')) {
      WARREN_TRY_VOID(files.make_folder(full.substr(0, full.size() - 1)));
    } else {
      WARREN_TRY_VOID(files.write(full, as_bytes(content)));
    }
  }
  return run(files, "version.ini", plan.after);
}

}  // namespace warren::install::test

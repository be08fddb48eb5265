#pragma once
// A file system in memory that knows what is on the disk and what is not yet: it may be cut off
// after any call, and the power may fail at any moment.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "library/install/entry_files.hpp"

namespace warren::install::test {

/// Path to content; a folder ends in '/' and has none.
using Tree = std::map<std::string, std::string>;

/// What becomes of the bytes of a file that were not synced.
enum class Torn : std::uint8_t { kWhole, kHalf, kNone };
inline constexpr std::array kTorn{Torn::kWhole, Torn::kHalf, Torn::kNone};

/// Thrown in place of the call after the last one that was allowed.
struct Stopped {};

class ModelFiles : public EntryFiles {
 public:
  explicit ModelFiles(const Tree& tree) {
    nodes_.push_back({.folder = true});
    for (const auto& [path, content] : tree) {
      std::size_t at = 0;
      std::size_t begin = 0;
      while (begin < path.size()) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string name = path.substr(begin, end - begin);
        const bool folder = end < path.size();
        const auto known = nodes_[at].names.find(name);
        if (known == nodes_[at].names.end()) {
          nodes_.push_back({.folder = folder});
          nodes_[at].names[name] = nodes_.size() - 1;
          at = nodes_.size() - 1;
        } else {
          at = known->second;
        }
        if (!folder) nodes_[at].content = nodes_[at].synced = content;
        begin = end + 1;
      }
    }
    durable_ = nodes_;
  }

  /// Calls that change something, before Stopped is thrown.
  std::size_t allowed = static_cast<std::size_t>(-1);
  std::size_t calls() const { return calls_; }

  Tree tree() const {
    Tree out;
    collect(nodes_, 0, "", out);
    return out;
  }
  /// Names that may be lost when the power fails now.
  std::size_t pending() const { return pending_.size(); }
  /// What is found after a loss of power: of the changes of names that were not synced the first
  /// `kept` happened.
  Tree after_power_loss(std::size_t kept, Torn torn) const {
    std::vector<Node> nodes = durable_;
    nodes.resize(nodes_.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      nodes[i].folder = nodes_[i].folder;
      nodes[i].content = nodes_[i].synced;
      if (nodes_[i].content == nodes_[i].synced) continue;
      if (torn == Torn::kWhole) nodes[i].content = nodes_[i].content;
      if (torn == Torn::kHalf) {
        nodes[i].content = nodes_[i].content.substr(0, nodes_[i].content.size() / 2);
      }
    }
    for (std::size_t i = 0; i < kept; ++i) apply(nodes, pending_[i]);
    Tree out;
    collect(nodes, 0, "", out);
    return out;
  }

  Result<What> look(std::string_view path) override {
    const auto found = find(path);
    if (!found) return What::kNothing;
    return nodes_[*found].folder ? What::kFolder : What::kFile;
  }
  Result<std::vector<std::string>> names(std::string_view folder) override {
    const auto found = find(folder);
    if (!found) return missing(folder);
    std::vector<std::string> out;
    for (const auto& [name, node] : nodes_[*found].names) out.push_back(name);
    return out;
  }
  Result<Bytes> read(std::string_view path, std::size_t) override {
    const auto found = find(path);
    if (!found) return missing(path);
    const BytesView bytes = as_bytes(nodes_[*found].content);
    return Bytes(bytes.begin(), bytes.end());
  }

  Result<> write(std::string_view path, BytesView bytes) override {
    count();
    const auto [folder, name] = parent(path);
    if (nodes_[folder].names.contains(name)) change({{Unlink{folder, name}}});
    nodes_.push_back({});
    const std::size_t node = nodes_.size() - 1;
    change({{Link{folder, name, node}}});
    count();
    nodes_[node].content = as_text(bytes);
    return {};
  }
  Result<> make_folder(std::string_view path) override {
    count();
    const auto [folder, name] = parent(path);
    if (nodes_[folder].names.contains(name)) return fail(ErrorCode::kExists, std::string(path));
    nodes_.push_back({.folder = true});
    change({{Link{folder, name, nodes_.size() - 1}}});
    return {};
  }
  Result<> rename(std::string_view from, std::string_view to) override {
    const auto [folder, name] = parent(to);
    if (nodes_[folder].names.contains(name)) return fail(ErrorCode::kExists, std::string(to));
    return replace(from, to);
  }
  Result<> replace(std::string_view from, std::string_view to) override {
    count();
    const auto node = find(from);
    if (!node) return missing(from);
    const auto [from_folder, from_name] = parent(from);
    const auto [to_folder, to_name] = parent(to);
    change({{Unlink{from_folder, from_name}, Link{to_folder, to_name, *node}}});
    return {};
  }
  Result<> remove(std::string_view path) override {
    const auto found = find(path);
    if (!found) return missing(path);
    count();
    if (!nodes_[*found].names.empty()) return fail(ErrorCode::kIo, "not empty");
    const auto [folder, name] = parent(path);
    change({{Unlink{folder, name}}});
    return {};
  }
  Result<> remove_tree(std::string_view path) override {
    const auto found = find(path);
    if (!found) return {};
    const auto inner = nodes_[*found].names;
    for (const auto& [name, node] : inner) {
      WARREN_TRY_VOID(remove_tree(fmt::format("{}/{}", path, name)));
    }
    return remove(path);
  }
  Result<> sync_file(std::string_view path) override {
    count();
    const auto found = find(path);
    if (!found) return missing(path);
    nodes_[*found].synced = nodes_[*found].content;
    return {};
  }
  Result<> sync_folder(std::string_view path) override {
    count();
    const auto found = find(path);
    if (!found) return missing(path);
    sync_names(*found);
    return {};
  }
  Result<> sync_tree(std::string_view) override {  // All of the file system, as syncfs does.
    count();
    for (Node& node : nodes_) node.synced = node.content;
    while (!pending_.empty()) sync_names(pending_.front().front().folder());
    return {};
  }

 private:
  struct Node {
    bool folder = false;
    std::map<std::string, std::size_t> names{};
    std::string content{};
    std::string synced{};
  };
  struct Unlink {
    std::size_t in;
    std::string name;
  };
  struct Link {
    std::size_t in;
    std::string name;
    std::size_t node;
  };
  struct Part {
    Part(Unlink unlink) : unlinked(std::move(unlink)) {}
    Part(Link link) : linked(std::move(link)) {}
    std::size_t folder() const { return unlinked ? unlinked->in : linked->in; }
    std::optional<Unlink> unlinked;
    std::optional<Link> linked;
  };
  using Change = std::vector<Part>;  ///< All of it happens, or nothing.

  void count() {
    if (calls_ >= allowed) throw Stopped{};
    ++calls_;
  }
  static std::unexpected<Error> missing(std::string_view path) {
    return fail(ErrorCode::kNotFound, fmt::format("no {}", path));
  }
  static void apply(std::vector<Node>& nodes, const Change& change) {
    for (const Part& part : change) {
      if (part.unlinked) nodes[part.unlinked->in].names.erase(part.unlinked->name);
      if (part.linked) nodes[part.linked->in].names[part.linked->name] = part.linked->node;
    }
  }
  void change(Change what) {
    apply(nodes_, what);
    pending_.push_back(std::move(what));
  }
  void sync_names(std::size_t folder) {
    durable_.resize(nodes_.size());
    std::erase_if(pending_, [&](const Change& change) {
      const bool of_it =
          std::ranges::any_of(change, [&](const Part& part) { return part.folder() == folder; });
      if (of_it) apply(durable_, change);
      return of_it;
    });
  }
  static void collect(const std::vector<Node>& nodes, std::size_t at, const std::string& prefix,
                      Tree& out) {
    for (const auto& [name, node] : nodes[at].names) {
      if (nodes[node].folder) {
        out[prefix + name + '/'] = "";
        collect(nodes, node, prefix + name + '/', out);
      } else {
        out[prefix + name] = nodes[node].content;
      }
    }
  }
  std::optional<std::size_t> find(std::string_view path) const {
    std::size_t at = 0;
    while (!path.empty()) {
      const std::size_t end = std::min(path.find('/'), path.size());
      const auto found = nodes_[at].names.find(std::string(path.substr(0, end)));
      if (found == nodes_[at].names.end()) return std::nullopt;
      at = found->second;
      path.remove_prefix(std::min(end + 1, path.size()));
    }
    return at;
  }
  std::pair<std::size_t, std::string> parent(std::string_view path) const {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return {0, std::string(path)};
    const auto folder = find(path.substr(0, slash));
    if (!folder) throw std::logic_error(fmt::format("no folder of {}", path));
    return {*folder, std::string(path.substr(slash + 1))};
  }

  std::vector<Node> nodes_;
  std::vector<Node> durable_;  ///< Their names as they are on the disk.
  std::vector<Change> pending_;
  std::size_t calls_ = 0;
};

}  // namespace warren::install::test

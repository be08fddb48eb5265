#pragma once
// A download that is not complete, as other peers may have it: the leaves that
// are verified and written, read from its temporary files.

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "content/tree.hpp"
#include "peers/access_rule.hpp"
#include "runtime/wait_list.hpp"
#include "transfer/destination.hpp"
#include "transfer/leaf_set.hpp"

namespace warren::transfer {

using runtime::awaitable;

class PartialDataset {
 public:
  /// `held`: the leaves that are there now. `runtime` outlives it.
  PartialDataset(runtime::Runtime& runtime, std::shared_ptr<const content::Tree> tree,
                 DestinationPaths paths, LeafSet held)
      : tree_(std::move(tree)),
        paths_(std::move(paths)),
        held_(std::move(held)),
        changed_(runtime) {}

  const content::Tree& tree() const noexcept { return *tree_; }
  /// Under which it will stand.
  const std::string& name() const noexcept { return paths_.final_name; }

  // Core thread.
  /// Who may have it. At first nobody.
  const peers::AccessRule& audience() const noexcept { return audience_; }
  void set_audience(const peers::AccessRule& audience) { audience_ = audience; }
  const LeafSet& held() const noexcept { return held_; }
  void add(std::uint64_t leaf) {
    if (held_.add(leaf)) changed_.notify_all();
  }
  /// It could not be read after all.
  void remove(std::uint64_t leaf) { held_.remove(leaf); }
  /// Until a leaf is added, or wake(). Cancel: safe.
  awaitable<runtime::Wake> wait_for_more(TimePoint deadline) {
    co_return co_await changed_.wait_until(deadline);
  }
  void wake() { changed_.notify_all(); }

  /// Reads one leaf and compares it with its hash: nothing else says that
  /// nobody wrote to a temporary file. Blocks: the pool's. Errors: kNotFound,
  /// kIo, kIntegrity.
  Result<std::size_t> read_leaf(std::uint64_t leaf, MutableBytes out) const;

 private:
  std::shared_ptr<const content::Tree> tree_;
  DestinationPaths paths_;
  peers::AccessRule audience_{peers::Access::kListed, {}};
  LeafSet held_;
  runtime::WaitList changed_;
};

}  // namespace warren::transfer

// Node: a dataset that no connected peer has is looked for among the others that are known. A node
// is connected to some of its peers; on a LAN what is wanted may lie on any of them.

#include <algorithm>

#include "base/log.hpp"
#include "node/node.hpp"

namespace warren::node {
namespace {

/// As many as the manager dials by itself. Source: quality statement P17.
constexpr std::size_t kSearchDialsMax = 8;
constexpr Duration kSearchDialTimeMax = 10s;
/// While something is looked for.
constexpr Duration kLookAgain = 2s;
/// A peer that was dialled for a search is not dialled for another one sooner.
constexpr Duration kSearchAgain = 2min;
constexpr std::size_t kSearchedMax = 4096;

}  // namespace

awaitable<void> Node::search_wider() {
  for (;;) {
    TimePoint next = kNever;
    if (is_searching()) {
      next = runtime_.now() + kLookAgain;
      for (const PeerId& peer : not_asked_yet()) {
        ++search_dials_;
        if (!tasks_.spawn(dial_for_search(peer))) --search_dials_;
      }
    }
    const runtime::Wake wake = co_await search_signal_->wait_until(next);
    if (wake == runtime::Wake::kCancelled) co_return;
  }
}

bool Node::is_searching() const {
  return std::ranges::any_of(transfers_->list(), [](const transfer::Progress& progress) {
    if (progress.state != transfer::State::kActive) return false;
    switch (progress.phase) {
      case transfer::Phase::kResolving:
      case transfer::Phase::kFindingSources: return true;
      case transfer::Phase::kDownloading: return !progress.waiting_for.empty();
      case transfer::Phase::kQueued:
      case transfer::Phase::kMetadata:
      case transfer::Phase::kVerifying:
      case transfer::Phase::kPlacing:
      case transfer::Phase::kDone: return false;
    }
    return false;
  });
}

/// Those on the local network first, then those that were reached before.
std::vector<PeerId> Node::not_asked_yet() {
  const TimePoint now = runtime_.now();
  std::erase_if(searched_, [now](const auto& entry) { return now - entry.second > kSearchAgain; });
  std::vector<PeerId> chosen;
  for (const bool near : {true, false}) {
    for (const auto& [id, peer] : keeper_.book().all()) {
      if (chosen.size() + search_dials_ >= kSearchDialsMax) return chosen;
      if (searched_.size() >= kSearchedMax) return chosen;
      if (keeper_.sightings().is_near(id) != near || (!near && !peer.proven())) continue;
      if (peer.addresses.empty() || searched_.contains(id) || swarm_.is_connected(id)) continue;
      if (keeper_.book().is_banned(id, keeper_.civil_now())) continue;
      if (keeper_.is_left_by_person(id)) continue;
      searched_[id] = now;
      chosen.push_back(id);
    }
  }
  return chosen;
}

awaitable<void> Node::dial_for_search(PeerId peer) {
  const auto reached = co_await keeper_.dial(peer, runtime_.now() + kSearchDialTimeMax);
  if (!reached) {
    log::debug("node", "{} cannot be asked: {}", peer.to_string(), reached.error().message());
  }
  --search_dials_;
}

}  // namespace warren::node

#include "transfer/offers.hpp"

#include "runtime/task_group.hpp"
#include "transfer/peer_session.hpp"

namespace warren::transfer {
namespace {

struct Search {
  explicit Search(runtime::Runtime& runtime, std::size_t tasks_max)
      : finished(runtime.make_signal()), tasks(runtime, tasks_max) {}

  std::vector<Offer> offers;
  std::size_t open = 0;
  std::unique_ptr<runtime::Signal> finished;
  runtime::TaskGroup tasks;
};

awaitable<Result<FoundResponse>> ask(swarm::Swarm& swarm, limits::Transfer limits, PeerId peer,
                                     std::string name, TimePoint deadline) {
  WARREN_CO_TRY(const auto session, co_await PeerSession::open(swarm, peer, limits, deadline));
  co_return co_await session->find(std::move(name), deadline);
}

awaitable<void> ask_task(Search& search, swarm::Swarm& swarm, limits::Transfer limits, PeerId peer,
                         std::string name, TimePoint deadline) {
  const auto found = co_await ask(swarm, limits, peer, name, deadline);
  if (found) {
    for (const OfferedDataset& dataset : found->datasets) {
      if (dataset.name != name) continue;
      search.offers.push_back({peer, dataset.root, dataset.name, dataset.bytes, dataset.files});
    }
  }
  if (--search.open == 0) search.finished->notify();
}

}  // namespace

awaitable<std::vector<Offer>> find_offers(swarm::Swarm& swarm, limits::Transfer limits,
                                          std::string name, std::vector<PeerId> peers,
                                          TimePoint deadline) {
  Search search(swarm.runtime(), std::max<std::size_t>(1, peers.size()));
  for (const PeerId& peer : peers) {
    if (search.tasks.spawn(ask_task(search, swarm, limits, peer, name, deadline))) ++search.open;
  }
  if (search.open > 0) co_await search.finished->wait_until(deadline);
  co_await search.tasks.join();
  co_return std::move(search.offers);
}

}  // namespace warren::transfer

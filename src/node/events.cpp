#include "node/events.hpp"

#include <memory>
#include <vector>

namespace warren::node {

std::uint64_t EventHub::add(Listener listener) {
  listeners_.emplace(++serial_, std::make_shared<const Listener>(std::move(listener)));
  return serial_;
}

void EventHub::tell(const NodeEvent& event) {
  if (listeners_.empty()) return;
  const std::uint64_t newest = serial_;
  for (auto next = listeners_.begin(); next != listeners_.end() && next->first <= newest;) {
    const std::uint64_t id = next->first;
    const std::shared_ptr<const Listener> listener = next->second;  // It may remove itself.
    (*listener)(event);
    next = listeners_.upper_bound(id);
  }
}

}  // namespace warren::node

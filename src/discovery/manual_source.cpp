#include "discovery/manual_source.hpp"

#include <fmt/format.h>

namespace warren::discovery {

Result<> ManualSource::start(PeerSink& sink) {
  sink_ = &sink;
  return {};
}

awaitable<void> ManualSource::stop() {
  sink_ = nullptr;
  co_return;
}

std::string ManualSource::summary() const {
  return fmt::format("{} peer{} added", peers_.size(), peers_.size() == 1 ? "" : "s");
}

void ManualSource::add(const PeerId& peer, const Multiaddr& address, TimePoint now) {
  if (sink_ == nullptr) return;
  peers_.insert(peer);
  sink_->peer_found(
      {.peer = peer, .addresses = {address.without_peer()}, .via = kManualName, .seen = now});
}

void ManualSource::remove(const PeerId& peer, TimePoint now) {
  if (peers_.erase(peer) == 0 || sink_ == nullptr) return;
  sink_->peer_lost({.peer = peer, .addresses = {}, .via = kManualName, .seen = now});
}

}  // namespace warren::discovery

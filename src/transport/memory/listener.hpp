#pragma once
// Listeners of the memory transport. Internal to the module.

#include <functional>

#include "transport/memory/connection.hpp"

namespace warren::transport::memory {

/// What the connections and listeners of one node share.
struct MemoryTransport::Local {
  Local(runtime::Runtime& own_runtime, std::shared_ptr<HubState> own_hub, crypto::PublicKey own_key,
        MemoryConfig own_config)
      : runtime(own_runtime),
        hub(std::move(own_hub)),
        key(std::move(own_key)),
        peer(PeerId::from_public_key(key.protobuf())),
        config(own_config) {}

  runtime::Runtime& runtime;
  std::shared_ptr<HubState> hub;
  crypto::PublicKey key;
  PeerId peer;
  MemoryConfig config;
  bool closed = false;
  std::uint64_t serial = 0;
  // In order of creation; weak: the owner of the handle decides how long they live.
  std::map<std::uint64_t, std::weak_ptr<ConnectionState>> connections;
  std::map<std::uint64_t, std::weak_ptr<ListenerState>> listeners;
};

struct ListenerState {
  ListenerState(runtime::Runtime& runtime, std::uint64_t listen_id)
      : id(listen_id), arrived(runtime.make_signal()) {}

  std::uint64_t id;
  std::uint64_t node = 0;
  crypto::PublicKey key;
  /// Makes this side of a connection to a dialler; nullptr when the node is closed.
  std::function<std::shared_ptr<ConnectionState>()> make_side;
  std::size_t backlog_max = 0;
  std::deque<std::shared_ptr<Connection>> waiting;
  bool closed = false;
  std::unique_ptr<runtime::Signal> arrived;
};

class MemoryListener final : public Listener {
 public:
  MemoryListener(std::shared_ptr<HubState> hub, std::shared_ptr<ListenerState> state)
      : hub_(std::move(hub)), state_(std::move(state)) {}
  ~MemoryListener() override { MemoryListener::close(); }

  Multiaddr address() const override { return Multiaddr::memory(state_->id); }
  awaitable<Result<std::shared_ptr<Connection>>> accept() override;
  void close() override;

 private:
  std::shared_ptr<HubState> hub_;
  std::shared_ptr<ListenerState> state_;
};

void close_listener(HubState& hub, ListenerState& state);

}  // namespace warren::transport::memory

#include "transport/memory/hub.hpp"

#include <boost/asio/post.hpp>

#include "transport/memory/listener.hpp"

namespace warren::transport::memory {
namespace {

/// No latency, no bound: by way of the executor, which keeps the order.
class DirectLink final : public Link {
 public:
  explicit DirectLink(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  std::uint64_t new_channel() override { return ++channels_; }
  void carry(std::uint64_t, std::uint64_t, std::uint64_t, std::size_t,
             std::move_only_function<void()> deliver) override {
    boost::asio::post(executor_, [deliver = std::move(deliver)]() mutable { deliver(); });
  }

 private:
  boost::asio::any_io_executor executor_;
  std::uint64_t channels_ = 0;
};

}  // namespace

std::shared_ptr<ListenerState> HubState::find(std::uint64_t id) const {
  const auto found = listeners.find(id);
  return found == listeners.end() ? nullptr : found->second.lock();
}

std::uint64_t HubState::new_id(std::uint64_t node) {
  for (;;) {
    const std::uint64_t id = ++serial << 32 | (node & 0xffff'ffff);
    if (!listeners.contains(id) && !stream_ports.contains(id)) return id;
  }
}

Hub::Hub(boost::asio::any_io_executor executor)
    : Hub(std::make_shared<DirectLink>(std::move(executor))) {}

Hub::Hub(std::shared_ptr<Link> link) : state_(std::make_shared<HubState>()) {
  state_->link = std::move(link);
}

}  // namespace warren::transport::memory

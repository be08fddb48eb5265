#include "attackers.hpp"

#include <algorithm>
#include <iterator>

#include "base/check.hpp"
#include "crypto/keys.hpp"
#include "discovery/exchange/exchange_messages.hpp"
#include "protocols/ping.hpp"
#include "transport/frame_io.hpp"
#include "transport/memory/memory_transport.hpp"
#include "wire/peer_record.hpp"

namespace warren::sim {
namespace {

// Hosts and networks that no node of a test has.
constexpr Host kHost = 60'000;
constexpr Host kFirst = 30'000;
constexpr std::uint64_t kFirstNetwork = 10'000;

constexpr std::size_t kDialsMax = 4'096;
constexpr Duration kTimeMax = 10s;

crypto::PrivateKey key_of(std::size_t number) {
  Bytes seed(32, 0xee);
  seed[0] = static_cast<std::uint8_t>(number & 0xff);
  seed[1] = static_cast<std::uint8_t>(number >> 8);
  return crypto::PrivateKey::from_seed(seed);
}

}  // namespace

Attackers::Attackers(World& world, const transport::memory::Hub& hub, std::size_t count,
                     std::uint32_t networks)
    : world_(world),
      networks_(networks),
      runtime_(world.make_runtime(kHost)),
      tasks_(*runtime_, kDialsMax) {
  for (std::size_t i = 0; i < count; ++i) {
    add(hub, (kFirstNetwork + i % networks) << 16 | (kFirst + i), i);
  }
}

void Attackers::add(const transport::memory::Hub& hub, std::uint64_t memory_id,
                    std::size_t number) {
  const crypto::PrivateKey key = key_of(number);
  const PeerId id = PeerId::from_public_key(key.public_key().protobuf());
  Identity identity;
  identity.address = Multiaddr::memory(memory_id);
  identity.swarm = std::make_unique<swarm::Swarm>(*runtime_, id);
  identity.identify = std::make_unique<protocols::IdentifyService>(*identity.swarm, key);
  identity.swarm->add_transport(std::make_unique<transport::memory::MemoryTransport>(
      *runtime_, hub, key.public_key(), transport::memory::MemoryConfig{.node = memory_id}));
  protocols::serve_ping(*identity.swarm);
  identity.swarm->set_handler(
      std::string(discovery::kExchangeProtocol),
      [this](swarm::ProtocolStream stream) { return tell(std::move(stream)); });
  WARREN_CHECK(identity.swarm->listen(identity.address));
  records_.push_back(wire::seal_peer_record(key, 1, {identity.address}));
  identities_.push_back(std::move(identity));
}

Attackers::~Attackers() { run(world_, close()); }

Attackers::awaitable Attackers::close() {
  co_await tasks_.join();
  for (Identity& identity : identities_) {
    co_await identity.swarm->close();
    co_await identity.identify->close();
  }
}

bool Attackers::owns(const peers::NetworkGroup& group) const {
  return group.kind == peers::NetworkGroup::Kind::kOther && group.bits >= kFirstNetwork &&
         group.bits < kFirstNetwork + networks_;
}

void Attackers::approach(const Multiaddr& target) {
  Identity& identity = identities_[world_.rng()() % identities_.size()];
  if (identity.swarm->is_connected(*target.peer_id())) return;
  WARREN_CHECK(tasks_.spawn(dial(*identity.swarm, target)));
}

Attackers::awaitable Attackers::dial(swarm::Swarm& swarm, Multiaddr target) {
  // Full, or gone: another one tries.
  (void)co_await swarm.connect(std::move(target), world_.now() + kTimeMax);
}

Attackers::awaitable Attackers::tell(swarm::ProtocolStream stream) {
  const limits::Exchange limits;
  const TimePoint deadline = world_.now() + kTimeMax;
  const auto asked =
      co_await transport::read_frame(*stream.stream, limits.request_bytes_max, deadline);
  if (!asked) co_return;
  std::vector<Bytes> records;
  std::ranges::sample(records_, std::back_inserter(records),
                      static_cast<std::ptrdiff_t>(limits.records_max), world_.rng());
  const Bytes answer = discovery::encode_exchange_answer(records);
  const auto written = co_await transport::write_frame(*stream.stream, answer, deadline);
  if (!written) co_return;
  stream.stream->close_write();
  (void)co_await stream.stream->flush(deadline);
}

}  // namespace warren::sim

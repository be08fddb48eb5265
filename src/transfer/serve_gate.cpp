#include "transfer/serve_gate.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <tuple>
#include <utility>

#include "base/check.hpp"
#include "transfer/rate_meter.hpp"

namespace warren::transfer {
namespace {

// What the network takes in this time may be under way: more than a round trip, and little.
constexpr auto kWindowTime = 250ms;
constexpr std::uint64_t kWindowBytesMin = 1u << 20;
// What a peer has not taken in four times what the window takes (in these bounds) does not count
// for the window any more: a few that take nothing do not keep the others out.
constexpr auto kSlowTimeMin = 2s;
constexpr auto kSlowTimeMax = 10s;
// Who has waited for so long comes before all others.
constexpr auto kPatience = 5s;
constexpr auto kLookAgain = 500ms;

}  // namespace

struct ServeGate::Shared {
  struct Held {
    std::shared_ptr<Peer> peer;
    std::uint64_t bytes = 0;
    TimePoint since{};
  };
  struct Waiter {
    std::shared_ptr<Peer> peer;
    std::uint64_t bytes = 0;
    std::uint32_t given = 0;
    TimePoint since{};
    std::unique_ptr<runtime::Signal> signal;
    std::uint64_t place = 0;  ///< Set when it is let in.
  };

  Shared(runtime::Runtime& with, std::size_t most) : runtime(with), places_max(most) {}

  bool peer_is_full(const Peer& peer) const {
    return peer.places >= std::max<std::size_t>(1, places_max / 2);
  }
  bool is_alone(const Waiter& waiter) const {
    const auto same = [&](const auto& other) { return other.peer == waiter.peer; };
    return std::ranges::all_of(waiters, [&](const Waiter* other) { return same(*other); }) &&
           std::ranges::all_of(held, [&](const auto& entry) { return same(entry.second); });
  }
  std::uint64_t window(TimePoint now) const {
    const double in_time =
        static_cast<double>(rate.rate(now)) * std::chrono::duration<double>(kWindowTime).count();
    return std::max(kWindowBytesMin, static_cast<std::uint64_t>(in_time));
  }
  // Bytes under way, without those of peers that take too long.
  std::uint64_t moving(TimePoint now) const {
    Duration slow = kSlowTimeMin;  // Also when nothing was taken yet.
    if (const std::uint64_t per_second = rate.rate(now); per_second > 0) {
      const std::chrono::duration<double> expected(4 * static_cast<double>(window(now)) /
                                                   static_cast<double>(per_second));
      if (expected > kSlowTimeMax) slow = kSlowTimeMax;
      if (expected > kSlowTimeMin && expected <= kSlowTimeMax) {
        slow = std::chrono::duration_cast<Duration>(expected);
      }
    }
    std::uint64_t bytes = 0;
    for (const auto& [number, place] : held) bytes += now - place.since < slow ? place.bytes : 0;
    return bytes;
  }
  void admit() {
    const TimePoint now = runtime.now();
    while (held.size() < places_max) {
      Waiter* best = nullptr;
      const auto rank = [now](const Waiter& waiter) {
        const bool patient = now - waiter.since < kPatience;
        return std::tuple(patient, patient ? waiter.peer->places : 0, patient ? waiter.given : 0);
      };
      for (Waiter* waiter : waiters) {
        if (waiter->place != 0 || peer_is_full(*waiter->peer)) continue;
        if (best == nullptr || rank(*waiter) < rank(*best)) best = waiter;
      }
      if (best == nullptr) return;
      const std::uint64_t under_way = moving(now);
      if (under_way > 0 && under_way + best->bytes > window(now) && !is_alone(*best)) return;
      best->place = ++serial;
      held.emplace(best->place, Held{best->peer, best->bytes, now});
      ++best->peer->places;
      best->signal->notify();
    }
  }
  void leave(std::uint64_t place, bool sent) {
    const auto found = held.find(place);
    WARREN_CHECK(found != held.end());
    --found->second.peer->places;
    if (sent && !closed) rate.add(found->second.bytes, runtime.now());
    held.erase(found);
    if (!closed) admit();
  }

  runtime::Runtime& runtime;
  std::size_t places_max;
  bool closed = false;
  std::uint64_t serial = 0;
  std::map<std::uint64_t, Held> held;
  std::list<Waiter*> waiters;  ///< In the order in which they came.
  RateMeter rate;              ///< Of what was taken.
};

ServeGate::Place& ServeGate::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  leave();
  shared_ = std::move(other.shared_);
  serial_ = other.serial_;
  return *this;
}

void ServeGate::Place::leave() noexcept {
  if (const auto shared = std::exchange(shared_, nullptr)) shared->leave(serial_, true);
}

ServeGate::ServeGate(runtime::Runtime& runtime, std::size_t places_max)
    : shared_(std::make_shared<Shared>(runtime, places_max)) {}

ServeGate::~ServeGate() { close(); }

void ServeGate::close() {
  shared_->closed = true;
  for (Shared::Waiter* waiter : shared_->waiters) waiter->signal->notify();
}

bool ServeGate::is_full(const Peer& peer) const { return shared_->peer_is_full(peer); }

awaitable<Result<ServeGate::Place>> ServeGate::enter(std::shared_ptr<Peer> peer,
                                                     std::uint64_t bytes, std::uint32_t given,
                                                     TimePoint deadline,
                                                     std::function<void()> meanwhile) {
  const std::shared_ptr<Shared> shared = shared_;
  Shared::Waiter waiter{std::move(peer), bytes, given, shared->runtime.now(),
                        shared->runtime.make_signal()};
  const auto at = shared->waiters.insert(shared->waiters.end(), &waiter);
  bool cancelled = shared->closed;
  bool late = false;
  if (!cancelled) shared->admit();
  while (waiter.place == 0 && !cancelled && !late) {
    const TimePoint look = std::min(deadline, shared->runtime.now() + kLookAgain);
    const runtime::Wake wake = co_await waiter.signal->wait_until(look);
    cancelled = wake == runtime::Wake::kCancelled || shared->closed;
    if (wake != runtime::Wake::kTimedOut || cancelled || waiter.place != 0) continue;
    if (meanwhile) meanwhile();
    shared->admit();  // What is slow does not count any more.
    late = look == deadline;
  }
  shared->waiters.erase(at);
  if (waiter.place != 0 && !cancelled) co_return Place(shared, waiter.place);
  if (waiter.place != 0) shared->leave(waiter.place, false);
  if (cancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
  co_return fail(ErrorCode::kTimedOut, "no place came free in time");
}

}  // namespace warren::transfer

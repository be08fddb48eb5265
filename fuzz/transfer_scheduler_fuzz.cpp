// Drives the transfer scheduler with arbitrary events at arbitrary times. Finds: a broken
// invariant (check_invariants), a leaf that is asked for though it is there, and more actions than
// there can be.
// Links: warren::transfer

#include <algorithm>
#include <memory>

#include "base/check.hpp"
#include "transfer/scheduler.hpp"

using namespace warren;
using namespace warren::transfer;

namespace {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint64_t below(std::uint64_t limit) {
    if (left_ == 0 || limit == 0) return 0;
    --left_;
    return *data_++ % limit;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::uint64_t leaves = in.below(100);
  auto tree = std::make_shared<content::Tree>();
  for (std::uint64_t i = 0; i < leaves; ++i) {
    tree->leaves.push_back({Digest{}, static_cast<std::uint32_t>(i % 7)});
  }
  SchedulerConfig config;
  config.request_bytes_min = 3;
  config.request_bytes_max = 30;
  Scheduler scheduler(tree, LeafSet(leaves), config);
  TimePoint now{};
  std::vector<actions::Ask> known(1);
  while (!in.empty()) {
    now += std::chrono::milliseconds(in.below(256) * 50);
    const auto source = static_cast<SourceId>(in.below(6));
    const actions::Ask& ask = known[in.below(std::min<std::size_t>(known.size(), 256))];
    const std::uint64_t first = ask.first + in.below(8);
    const std::uint64_t count = in.below(10);
    SchedulerEvent event = events::TimerFired{};
    switch (in.below(12)) {
      case 0: event = events::SourceAdded{source, 2, std::nullopt, 0}; break;
      case 1: {
        LeafSet some(leaves);
        for (std::uint64_t i = 0; i < leaves; i += 1 + in.below(5)) some.add(i);
        event = events::SourceAdded{source, 3, some, 1};
        break;
      }
      case 2: event = events::SourceRemoved{source}; break;
      case 3: event = events::Arrived{ask.request, count}; break;
      case 4: event = events::Verified{ask.request, first, count}; break;
      case 5: event = events::Bad{ask.request, first}; break;
      case 6: event = events::Missing{ask.request, first, count}; break;
      case 7: event = events::Dropped{ask.request, first, count}; break;
      case 8: event = events::Ended{ask.request, count % 2 == 0}; break;
      case 9: {
        LeafSet some(leaves);
        for (std::uint64_t i = in.below(9); i < leaves; i += 1 + in.below(5)) some.add(i);
        event = events::LeavesHeld{source, some};
        break;
      }
      case 10: event = events::Company{in.below(9), in.below(9)}; break;
      default: break;
    }
    const auto actions = scheduler.handle(event, now);
    WARREN_CHECK(actions.size() <= 64);
    for (const SchedulerAction& action : actions) {
      const auto* asked = std::get_if<actions::Ask>(&action);
      if (asked == nullptr) continue;
      for (std::uint64_t i = 0; i < asked->count; ++i) {
        WARREN_CHECK(!scheduler.done().contains(asked->first + i));
      }
      known.push_back(*asked);
    }
    scheduler.check_invariants();
  }
  return 0;
}

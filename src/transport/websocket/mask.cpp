#include "transport/websocket/mask.hpp"

#include <cstring>

#include "base/check.hpp"

namespace warren::transport::websocket {
namespace {

// Of one step: enough for any vector unit. A step reads all of it before it writes.
constexpr std::size_t kStepBytes = 64;
using Step = std::array<std::uint64_t, kStepBytes / sizeof(std::uint64_t)>;

}  // namespace

void mask_into(MutableBytes to, BytesView from, const MaskKey& key, std::size_t phase) {
  WARREN_CHECK(to.size() == from.size());
  std::array<std::uint8_t, sizeof(std::uint64_t)> turned;
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = key[(phase + i) % key.size()];
  std::uint64_t word = 0;
  std::memcpy(&word, turned.data(), sizeof word);
  std::size_t at = 0;
  for (; at + kStepBytes <= from.size(); at += kStepBytes) {
    Step step;
    std::memcpy(step.data(), from.data() + at, kStepBytes);
    for (std::uint64_t& part : step) part ^= word;
    std::memcpy(to.data() + at, step.data(), kStepBytes);
  }
  for (; at < from.size(); ++at) {
    to[at] = static_cast<std::uint8_t>(from[at] ^ turned[at % turned.size()]);
  }
}

}  // namespace warren::transport::websocket

// Resolves the names in addresses against name servers that say anything: names that lead to names,
// loops, floods, garbage. Finds: more questions, addresses or failures than the limits allow, a
// question asked twice, a result that cannot be dialled or comes twice, and an end that never
// comes.
// Links: warren::swarm

#include <fmt/core.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <set>

#include "base/check.hpp"
#include "swarm/resolve.hpp"

using namespace warren;
using swarm::AddressExpansion;
using swarm::NameQuestion;

namespace {

constexpr limits::AddressResolution kLimits{.lookups_max = 6, .depth_max = 3, .addresses_max = 5};
constexpr const char* kPeers[] = {"", "/p2p/12D3KooW9xCm2jWjNVrwh51SWCQBMYdMyeU3NpT85QhLVkF6PcNM",
                                  "/p2p/12D3KooWBnPG5UgGALcMtsnVGxdHBNHuvAzRKk2VGtTdQoTXQWyW"};
constexpr const char* kFirst[] = {"ip4/192.0.2.1", "dns", "dns4", "dns6", "dnsaddr"};
constexpr const char* kRests[] = {"", "/tcp/1", "/udp/1/quic-v1", "/tcp/443/wss",
                                  "/tcp/443/tls/ws"};

std::string some_address(FuzzedDataProvider& in) {
  std::string text = fmt::format("/{}", in.PickValueInArray(kFirst));
  if (text.starts_with("/dns")) text += fmt::format("/n{}.test", in.ConsumeIntegralInRange(0, 9));
  text += in.PickValueInArray(kRests);
  return text + in.PickValueInArray(kPeers);
}

std::vector<std::string> some_texts(FuzzedDataProvider& in) {
  std::vector<std::string> texts;
  for (int i = in.ConsumeIntegralInRange(0, 8); i > 0; --i) {
    texts.push_back(in.ConsumeBool() ? "dnsaddr=" + some_address(in)
                                     : in.ConsumeRandomLengthString(64));
  }
  return texts;
}

std::vector<IpAddress> some_ips(FuzzedDataProvider& in) {
  std::vector<IpAddress> ips;
  for (int i = in.ConsumeIntegralInRange(0, 8); i > 0; --i) {
    const std::string raw = in.ConsumeBytesAsString(in.ConsumeBool() ? 4 : 16);
    if (const auto ip = IpAddress::from_bytes(as_bytes(raw))) ips.push_back(*ip);
  }
  return ips;
}

struct Watched {
  AddressExpansion names{kLimits};
  std::set<NameQuestion> asked;
  std::set<Multiaddr> given;
  std::size_t failures = 0;

  void take() {
    for (const Multiaddr& address : names.take_addresses()) {
      WARREN_CHECK(!swarm::begins_with_name(address));
      WARREN_CHECK(given.insert(address).second);
      WARREN_CHECK(address.bytes().size() <= limits::Messages{}.multiaddr_bytes_max);
    }
    failures += names.take_failures().size();
    WARREN_CHECK(given.size() <= kLimits.addresses_max);
    WARREN_CHECK(asked.size() <= kLimits.lookups_max);
    WARREN_CHECK(names.done() == names.open().empty());
  }
};

void answer(FuzzedDataProvider& in, Watched& watched, const NameQuestion& question) {
  const Error none(ErrorCode::kNotFound, "no such name");
  if (question.kind == NameQuestion::Kind::kHost) {
    Result<std::vector<IpAddress>> found = fail(none);
    if (in.ConsumeBool()) found = some_ips(in);
    watched.names.answer(question, found);
  } else {
    Result<std::vector<std::string>> found = fail(none);
    if (in.ConsumeBool()) found = some_texts(in);
    watched.names.answer(question, found);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider in(data, size);
  Watched watched;
  std::vector<NameQuestion> open;
  for (int steps = 0; in.remaining_bytes() > 0 && steps < 200; ++steps) {
    switch (in.ConsumeIntegralInRange(0, 3)) {
      case 0: {
        const auto address = Multiaddr::parse(some_address(in));
        if (address && !address->empty()) watched.names.add(*address);
        break;
      }
      case 1:
        if (const auto question = watched.names.next_question()) {
          WARREN_CHECK(watched.asked.insert(*question).second);
          open.push_back(*question);
        }
        break;
      default:
        if (open.empty()) break;
        const std::size_t which = in.ConsumeIntegralInRange<std::size_t>(0, open.size() - 1);
        answer(in, watched, open[which]);
        if (in.ConsumeBool()) open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
    }
    watched.take();
  }
  // Whatever is still open ends.
  for (int rounds = 0;; ++rounds) {
    WARREN_CHECK(rounds < 100);
    while (const auto question = watched.names.next_question()) {
      WARREN_CHECK(watched.asked.insert(*question).second);
      open.push_back(*question);
    }
    if (watched.names.done()) break;
    for (const NameQuestion& question : std::exchange(open, {})) answer(in, watched, question);
    watched.take();
  }
  watched.take();
  WARREN_CHECK(watched.failures <= 4096);
  return 0;
}

// Gives arbitrary bytes to the codec of the catalog, and arbitrary messages in any order to a
// subscriber with a store in memory and to a publisher whose set changes. Finds: a crash, a broken
// invariant, an entry that is none in the store, and one that may not be seen in a message.
// Links: warren::catalog

#include <fuzzer/FuzzedDataProvider.h>

#include "base/check.hpp"
#include "catalog/catalog_store.hpp"
#include "catalog/patterns.hpp"
#include "catalog/publisher.hpp"
#include "catalog/subscriber.hpp"
#include "library/library_set.hpp"

using namespace warren;

namespace {

PeerId peer(std::uint8_t n) {
  Bytes key = {0x08, 0x01, 0x12, 0x20};
  key.resize(36, n);
  return PeerId::from_public_key(key);
}

limits::Catalog small_limits() {
  limits::Catalog limits;
  limits.page_entries_max = 3;
  limits.page_bytes_max = 500;
  limits.entries_per_peer_max = 8;
  return limits;
}

void decode(BytesView bytes) {
  const auto message = catalog::decode_message(bytes, {});
  if (!message) return;
  const auto again = catalog::decode_message(catalog::encode_message(*message), {});
  WARREN_CHECK(again && *again == *message);
}

library::Listing listing(FuzzedDataProvider& in) {
  library::Listing listing;
  listing.id = std::string(1, static_cast<char>(in.ConsumeIntegralInRange<int>('a', 'h')));
  listing.bytes = in.ConsumeIntegralInRange<std::uint64_t>(0, 3);
  return listing;
}

std::vector<library::Listing> listings(FuzzedDataProvider& in) {
  std::vector<library::Listing> all;
  for (int i = in.ConsumeIntegralInRange<int>(0, 3); i > 0; --i) all.push_back(listing(in));
  return all;
}

library::Revision revision(FuzzedDataProvider& in) {
  return {in.ConsumeIntegralInRange<std::uint64_t>(0, 2),
          in.ConsumeIntegralInRange<std::uint64_t>(0, 6)};
}

std::optional<library::SetDigest> digest(FuzzedDataProvider& in,
                                         const std::vector<library::Listing>& of) {
  const int kind = in.ConsumeIntegralInRange<int>(0, 2);
  if (kind == 0) return std::nullopt;
  library::SetDigest digest;
  if (kind == 1) {
    for (const auto& each : of) digest.add(library::digest_of(each));
  }
  return digest;
}

catalog::Message message(FuzzedDataProvider& in) {
  switch (in.ConsumeIntegralInRange<int>(0, 6)) {
    case 0: {
      catalog::HelloAck ack;
      ack.summary = {revision(in), digest(in, {}).value_or(library::SetDigest{}), 1};
      return ack;
    }
    case 1: return catalog::SummaryMessage{{revision(in), {}, 0}};
    case 2: {
      catalog::SnapshotPart part{revision(in),
                                 in.ConsumeIntegralInRange<std::uint32_t>(0, 2),
                                 in.ConsumeBool(),
                                 listings(in),
                                 {}};
      part.digest = digest(in, part.entries);
      return part;
    }
    case 3: {
      catalog::DeltaPart part;
      part.to = revision(in);
      part.from = in.ConsumeIntegralInRange<std::uint64_t>(0, 6);
      part.part = in.ConsumeIntegralInRange<std::uint32_t>(0, 2);
      part.last = in.ConsumeBool();
      part.added = listings(in);
      part.updated = listings(in);
      for (const auto& each : listings(in)) part.removed.push_back(each.id);
      part.digest = digest(in, part.added);
      return part;
    }
    case 4: return catalog::AnnounceAck{revision(in)};
    case 5: return catalog::SnapshotRequest{};
    default: return catalog::Goodbye{};
  }
}

void subscribe(FuzzedDataProvider& in) {
  const limits::Catalog limits = small_limits();
  auto store = catalog::CatalogStore::open(":memory:", limits);
  WARREN_CHECK(store);
  const PeerId who = peer(1);
  auto known = (*store)->seen(who, catalog::Mode::kFull, {});
  WARREN_CHECK(known);
  catalog::Subscriber subscriber(*known, limits);
  while (in.remaining_bytes() > 0) {
    auto action = subscriber.handle(message(in));
    subscriber.check_invariants();
    if (!action) break;
    if (!action->has_value()) continue;
    if (const auto* write = std::get_if<catalog::Subscriber::Write>(&**action)) {
      const auto written = (*store)->write(who, write->write, {});
      if (!written || !subscriber.stored(*written)) break;
    } else if (const auto* adopt = std::get_if<catalog::Subscriber::Adopt>(&**action)) {
      WARREN_CHECK((*store)->adopt(who, adopt->revision, {}));
      subscriber.adopted(adopt->revision);
    }
    WARREN_CHECK(subscriber.known() == *(*store)->known(who));
  }
  const auto entries = (*store)->entries_of(who, "", 100);
  WARREN_CHECK(entries && entries->size() <= limits.entries_per_peer_max);
  library::SetDigest sum;
  for (const auto& each : *entries) sum.add(library::digest_of(each));
  const auto last = (*store)->known(who);
  WARREN_CHECK(last && last->digest == sum && last->count == entries->size());
}

void publish(FuzzedDataProvider& in) {
  const peers::Visitor visitor{peer(2), false, false};
  const peers::AccessRule anyone{peers::Access::kAnyone, {}};
  library::LibrarySet set;
  std::uint64_t epoch = 1;
  set.restore({epoch, 1}, 1, {});
  catalog::Publisher publisher(set, visitor, {revision(in), {}, 0}, small_limits());
  while (in.remaining_bytes() > 0) {
    switch (in.ConsumeIntegralInRange<int>(0, 4)) {
      case 0: {
        library::Listing one = listing(in);
        const auto* before = set.find(one.id);
        const bool open = before != nullptr ? before->rule == anyone : in.ConsumeBool();
        set.apply({{std::move(one), open ? anyone : peers::AccessRule{}, 0, 0}}, {});
        break;
      }
      case 1: set.apply({}, {listing(in).id}); break;
      case 2: {
        std::map<std::string, peers::AccessRule> rules;
        rules[listing(in).id] = in.ConsumeBool() ? anyone : peers::AccessRule{};
        set.begin_epoch(++epoch, rules);
        break;
      }
      case 3: {
        // Hostile, or what was sent.
        const auto wrong = message(in);
        const auto right = catalog::AnnounceAck{set.revision()};
        (void)publisher.handle(in.ConsumeBool() ? wrong : catalog::Message(right));
        break;
      }
      default: {
        const auto said = publisher.next();
        if (!said) break;
        std::vector<library::Listing> told;
        if (const auto* part = std::get_if<catalog::SnapshotPart>(&*said)) told = part->entries;
        if (const auto* part = std::get_if<catalog::DeltaPart>(&*said)) {
          told = part->added;
          told.insert(told.end(), part->updated.begin(), part->updated.end());
        }
        for (const auto& each : told) {
          const auto* now = set.find(each.id);
          WARREN_CHECK(now == nullptr || now->rule == anyone);
        }
        WARREN_CHECK(told.size() <= small_limits().page_entries_max);
      }
    }
    publisher.check_invariants();
  }
}

void match(FuzzedDataProvider& in) {
  const std::string pattern = in.ConsumeRandomLengthString(40);
  const std::string text = in.ConsumeRandomLengthString(40);
  catalog::name_matches(pattern, text);
  WARREN_CHECK(catalog::name_matches("*", text));
  if (catalog::check_topic_pattern(pattern)) catalog::topic_matches(pattern, text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  FuzzedDataProvider in(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0: decode(BytesView(data + 1, size - 1)); break;
    case 1: subscribe(in); break;
    case 2: publish(in); break;
    default: match(in); break;
  }
  return 0;
}

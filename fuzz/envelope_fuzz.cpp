// Reads arbitrary bytes as a signed envelope and as a peer record. Finds: a crash, and a record
// that is accepted but does not come back when it is sealed again.
//
// Links: warren::wire

#include "base/check.hpp"
#include "base/limits.hpp"
#include "wire/envelope.hpp"
#include "wire/peer_record.hpp"

using namespace warren;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView input(data, size);
  static const auto key = crypto::PrivateKey::from_seed(Bytes(32, 1));

  if (const auto envelope = wire::open_envelope(input, "libp2p-peer-record")) {
    WARREN_CHECK(!wire::open_envelope(input, "another-domain"));
  }
  if (const auto record = wire::open_peer_record(input)) {
    WARREN_CHECK(!record->peer.empty());
    WARREN_CHECK(record->addresses.size() <= limits::Messages{}.addresses_max);
    const auto again =
        wire::open_peer_record(wire::seal_peer_record(key, record->seq, record->addresses));
    WARREN_CHECK(again && again->seq == record->seq && again->addresses == record->addresses);
  }
  // The same bytes as a payload that somebody did sign.
  if (size <= wire::kEnvelopeBytesMax / 2) {
    const Bytes type = {0x03, 0x01};
    const Bytes sealed = wire::seal_envelope(key, "libp2p-peer-record", type, input);
    const auto opened = wire::open_envelope(sealed, "libp2p-peer-record", type);
    WARREN_CHECK(opened && opened->payload == to_bytes(input) && opened->key == key.public_key());
    (void)wire::open_peer_record(sealed);
  }
  return 0;
}

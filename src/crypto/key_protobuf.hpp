#pragma once
// The two key messages, read and written by hand: this floor has no protobuf library, and a peer
// id needs one exact encoding anyway. Source: libp2p specs, peer-ids/peer-ids.md, "Keys".

#include <cstdint>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::crypto {

struct KeyMessage {
  std::uint64_t type = 0;
  BytesView data;  ///< Inside the bytes that were read.
};

/// `08 <type> 12 <length> <data>`, minimal varints, nothing behind. Errors: kMalformed.
Result<KeyMessage> read_key_message(BytesView protobuf);
Bytes write_key_message(std::uint64_t type, BytesView data);

}  // namespace warren::crypto

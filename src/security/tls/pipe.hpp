#pragma once
// What OpenSSL reads from and writes to here: spans of the caller instead of a socket. Only .cpp
// files include it.

#include <openssl/bio.h>

#include "base/bytes.hpp"

namespace warren::security::tls {

/// Both directions of one connection. The BIO that looks at it must not outlive it.
struct Pipe {
  BytesView in;      ///< What there is to read; what was read is cut off its front.
  MutableBytes out;  ///< Where writing begins; what was written is cut off its front.
  Bytes spill;       ///< What is written when `out` has no room for it.
};

/// A BIO over `pipe`: an empty `in` is no end, but nothing yet. nullptr without memory.
BIO* new_pipe_bio(Pipe& pipe);

}  // namespace warren::security::tls

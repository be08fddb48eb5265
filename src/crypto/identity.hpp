#pragma once
// The identity file: one Ed25519 key in PKCS#8 PEM that only its owner can read.

#include <filesystem>

#include "base/result.hpp"
#include "crypto/keys.hpp"

namespace warren::crypto {

/// Loads the key at `path`, or makes one on first start: mode 0600, written to a new file beside
/// it, synced, and renamed, so that a crash leaves no file or a whole one. When two processes start
/// at once, both get the key of the one that was first. The folder must exist.
///
/// Errors: kDenied when the file can be read or written by group or others, belongs to another
/// user, or is no regular file (a symbolic link is none); kMalformed or kUnsupported for what is in
/// it; kTooLarge beyond 16 KiB; kNotFound when the folder is missing; kNoSpace, kIo.
/// Blocks on the disk: for the start of a program, before the core thread runs.
Result<PrivateKey> load_or_create_identity(const std::filesystem::path& path);

}  // namespace warren::crypto

#include "library/entry.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/varint.hpp"
#include "content/path_rules.hpp"
#include "crypto/sha256.hpp"
#include "peers/text.hpp"

namespace warren::library {
namespace {

constexpr std::size_t kTopicPartsMax = 16;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 62;

Result<> check_text(std::string_view field, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return fail(ErrorCode::kMalformed, fmt::format("the {} of an entry has {} bytes, {} at most",
                                                   field, text.size(), bytes_max));
  }
  if (!peers::is_plain_text(text)) {
    return fail(ErrorCode::kMalformed, fmt::format("the {} of an entry is no plain text", field));
  }
  return {};
}

void append_text(Bytes& out, std::string_view text) {
  append_uvarint(out, text.size());
  append(out, as_bytes(text));
}

}  // namespace

std::string_view availability_name(Availability availability) noexcept {
  switch (availability) {
    case Availability::kReady: return "ready";
    case Availability::kDownloading: return "downloading";
    case Availability::kLocalOnly: return "local_only";
    case Availability::kHashing: return "hashing";
  }
  return "unknown";
}

Result<> check_topic(std::string_view topic) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("a topic {}", why),
                "letters, digits, '-', '_' and '.', in parts joined by '/'");
  };
  if (topic.empty()) return {};
  if (topic.size() > kTopicBytesMax) return bad("has 255 bytes at most");
  std::size_t parts = 0;
  for (std::size_t begin = 0; begin <= topic.size();) {
    const std::size_t end = std::min(topic.find('/', begin), topic.size());
    const std::string_view part = topic.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty()) return bad("has no empty parts");
    if (++parts > kTopicPartsMax) return bad("has 16 parts at most");
    const bool plain = std::ranges::all_of(part, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_' || c == '.';
    });
    if (!plain) return bad("has letters, digits, '-', '_' and '.' only");
  }
  return {};
}

Result<> check_listing(const Listing& listing) {
  const auto malformed = [](const Error& error) {
    return fail(ErrorCode::kMalformed, error.message(), error.hint());
  };
  if (auto checked = content::check_name(listing.id); !checked) return malformed(checked.error());
  WARREN_TRY_VOID(check_text("id", listing.id, kIdBytesMax));
  WARREN_TRY_VOID(check_text("name", listing.name, kNameBytesMax));
  WARREN_TRY_VOID(check_text("version", listing.version, kVersionBytesMax));
  if (auto checked = check_topic(listing.topic); !checked) return malformed(checked.error());
  if (listing.bytes > kBytesMax || listing.files > kBytesMax) {
    return fail(ErrorCode::kMalformed, "the size of an entry is too large");
  }
  const bool to_be_had = listing.availability == Availability::kReady ||
                         listing.availability == Availability::kDownloading;
  if (to_be_had != listing.root.has_value()) {
    return fail(ErrorCode::kMalformed, to_be_had ? "an entry that can be fetched has no root"
                                                 : "an entry that cannot be fetched has a root");
  }
  return {};
}

Digest digest_of(const Listing& listing) {
  Bytes bytes;
  bytes.reserve(256);
  append_text(bytes, listing.id);
  append_text(bytes, listing.name);
  append_text(bytes, listing.version);
  append_text(bytes, listing.topic);
  append_uvarint(bytes, listing.bytes);
  append_uvarint(bytes, listing.files);
  append(bytes, listing.manifest.bytes);
  const Bytes root = listing.root ? listing.root->to_bytes() : Bytes();
  append_text(bytes, as_text(root));
  bytes.push_back(listing.downloaded ? 1 : 0);
  bytes.push_back(listing.installed ? 1 : 0);
  bytes.push_back(static_cast<std::uint8_t>(listing.availability));
  return Digest{crypto::sha256(bytes)};
}

}  // namespace warren::library

#pragma once
// One entry of a library: a top-level folder and what is known of it. What peers are told of it is
// the Listing; what else this node knows stays here.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "multiformats/cid.hpp"
#include "peers/access_rule.hpp"

namespace warren::library {

/// The numbers stand on the wire and in databases: never change them.
enum class Availability : std::uint8_t {
  kReady = 0,        ///< Hashed, unchanged since, and nothing works on it: it can be fetched.
  kDownloading = 1,  ///< Being fetched here: what is verified can be fetched.
  kLocalOnly = 2,    ///< Not for others: its sentinel is missing, or another version is expected.
  kHashing = 3,      ///< New or changed: its root is being computed.
};
/// "ready", "downloading", "local_only", "hashing".
std::string_view availability_name(Availability availability) noexcept;

/// What peers are told of an entry.
struct Listing {
  /// The name of its folder. Peers that list the same id have the same thing, perhaps in different
  /// versions. One path name: content::check_name().
  std::string id;
  std::string name;     ///< For people; the id when nothing else is known.
  std::string version;  ///< From the sentinel file; empty when there is none.
  std::string topic;    ///< '/'-separated; empty: none.
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  /// SHA-256 over names and sizes of its files: whether two folders look the same before they are
  /// hashed. All zeros until it is measured.
  Digest manifest;
  std::optional<Cid> root;  ///< Set when it is kReady or kDownloading.
  bool downloaded = false;  ///< It is complete: the sentinel is there, where one is required.
  bool installed = false;   ///< It has a folder `local/`.
  Availability availability = Availability::kHashing;

  auto operator<=>(const Listing&) const = default;
};

inline constexpr std::size_t kIdBytesMax = 255;    ///< Of a path name.
inline constexpr std::size_t kNameBytesMax = 255;  ///< Of Listing::name.
inline constexpr std::size_t kVersionBytesMax = 64;
inline constexpr std::size_t kTopicBytesMax = 255;

/// A topic: parts of letters, digits, '-', '_' and '.', joined by single '/', at most 16 parts and
/// kTopicBytesMax bytes; or empty. Errors: kInvalidArgument.
Result<> check_topic(std::string_view topic);

/// Checks a listing that a peer or a database gives. Errors: kMalformed, naming the field.
Result<> check_listing(const Listing& listing);

/// The same bytes for equal listings, others for others: what digests are made of.
Digest digest_of(const Listing& listing);

}  // namespace warren::library

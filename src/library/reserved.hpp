#pragma once
// Names in an entry that belong to this node, not to the thing: never hashed, never served, never
// made by a peer. Source: row LA21 of the systems' map.

#include <array>
#include <string_view>

namespace warren::library {

inline constexpr std::string_view kInstalledFolder = "local";
inline constexpr std::string_view kInstallingFolder = ".local.installing";
inline constexpr std::string_view kBackupFolder = ".local.backup";
inline constexpr std::string_view kIntentFile = ".warren.json";
inline constexpr std::string_view kIntentParts = ".warren.json.tmp";  ///< While it is written.
inline constexpr std::string_view kOwnedMarker = ".warren_owned";
/// In `local/` of an entry that was installed without being downloaded: its version, as a sentinel
/// says it.
inline constexpr std::string_view kInstalledRecord = ".warren_installed";

/// Of names directly in the folder of an entry.
constexpr bool is_reserved(std::string_view name) {
  // What is being written has a name that begins so, also a new sentinel.
  return name == kInstalledFolder || name == kInstallingFolder || name == kBackupFolder ||
         name == kOwnedMarker || name.starts_with(".warren");
}

/// Of names directly in a library folder: what Warren writes there is no entry, neither is what is
/// hidden.
constexpr bool is_entry_name(std::string_view name) {
  return !name.empty() && !name.starts_with('.');
}

}  // namespace warren::library

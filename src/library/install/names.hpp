#pragma once
// Names in an entry that only operations use. All are reserved (library/reserved.hpp).

#include <string_view>

#include "library/reserved.hpp"

namespace warren::install {

using library::kBackupFolder;
using library::kInstalledFolder;
using library::kInstalledRecord;
using library::kInstallingFolder;
using library::kIntentFile;
using library::kIntentParts;
using library::kOwnedMarker;

inline constexpr std::string_view kMarkerPath = ".local.installing/.warren_owned";
inline constexpr std::string_view kStagedRecord = ".local.installing/.warren_installed";
inline constexpr std::string_view kNewFolder = ".warren.new";
inline constexpr std::string_view kOldFolder = ".warren.old";

}  // namespace warren::install

#include "library/install/transaction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/log.hpp"
#include "content/path_rules.hpp"
#include "library/install/names.hpp"

namespace warren::install {
namespace {

constexpr std::size_t kLogBytesMax = 4096;
constexpr int kLogVersion = 1;

constexpr std::array kIntentNames{
    std::pair{Intent::kNone, "none"},           std::pair{Intent::kInstalling, "installing"},
    std::pair{Intent::kUpdating, "updating"},   std::pair{Intent::kUninstalling, "uninstalling"},
    std::pair{Intent::kReplacing, "replacing"}, std::pair{Intent::kPlacing, "placing"},
};

// ------------------------------------------------------------------------------ the operations

using enum Step;

constexpr std::array kInstallBefore{kNoteInstalling, kMakeStaging, kMarkStaging};
constexpr std::array kInstallAfter{kSyncStaging, kUnmarkStaging, kPromote, kEndIntent};

constexpr std::array kReinstallBefore{kNoteUpdating, kMakeStaging, kMarkStaging};
constexpr std::array kReinstallAfter{kSyncStaging, kUnmarkStaging, kMoveLocalAway,
                                     kPromote,     kRemoveBackup,  kEndIntent};

constexpr std::array kUninstall{kNoteUninstalling, kMoveLocalAway, kRemoveBackup, kEndIntent};

constexpr std::array kReplace{kNoteReplacing, kMakeOld,     kTakeSentinel,
                              kMoveOldOut,    kNotePlacing, kMoveNewIn,
                              kPlaceSentinel, kRemoveOld,   kEndIntent};

// -------------------------------------------------------------------------- the recovery table

constexpr std::array kSweep{kRemoveStaging, kEndIntent};
constexpr std::array kEnd{kEndIntent};
constexpr std::array kRestore{kRestoreLocal, kRemoveStaging, kEndIntent};
constexpr std::array kDropBackup{kRemoveBackup, kEndIntent};
constexpr std::array kMoveOn{kMakeOld,   kTakeSentinel,  kMoveOldOut, kNotePlacing,
                             kMoveNewIn, kPlaceSentinel, kRemoveOld,  kEndIntent};
constexpr std::array kMoveBack{kMoveOldBack, kRemoveOld, kEndIntent};
constexpr std::array kFinish{kMoveNewIn, kPlaceSentinel, kRemoveOld, kEndIntent};

enum class Is : std::uint8_t { kAny, kYes, kNo };
constexpr Is any = Is::kAny;
constexpr Is yes = Is::kYes;
constexpr Is no = Is::kNo;

struct Row {
  Intent intent;
  Is local, staging, marked, backup, incoming;
  std::span<const Step> steps;
  Outcome outcome;
};

// The first row that fits. Every intent has a row that fits always.
const std::array kTable{
    //  intent                local staging marked backup incoming
    Row{Intent::kNone, any, any, yes, any, any, kSweep, Outcome::kAsBefore},
    Row{Intent::kNone, any, any, any, any, any, kEnd, Outcome::kNothing},
    Row{Intent::kInstalling, yes, no, any, any, any, kEnd, Outcome::kDone},
    Row{Intent::kInstalling, any, any, any, any, any, kSweep, Outcome::kAsBefore},
    Row{Intent::kUpdating, no, any, any, yes, any, kRestore, Outcome::kAsBefore},
    Row{Intent::kUpdating, yes, no, any, yes, any, kDropBackup, Outcome::kDone},
    // Or someone else made a `local`: then nobody knows whose the backup is, and it stays.
    Row{Intent::kUpdating, any, any, any, any, any, kSweep, Outcome::kAsBefore},
    Row{Intent::kUninstalling, any, any, any, yes, any, kDropBackup, Outcome::kDone},
    Row{Intent::kUninstalling, no, any, any, no, any, kEnd, Outcome::kDone},
    Row{Intent::kUninstalling, any, any, any, any, any, kEnd, Outcome::kAsBefore},
    Row{Intent::kReplacing, any, any, any, any, yes, kMoveOn, Outcome::kDone},
    // Someone else took the new version away.
    Row{Intent::kReplacing, any, any, any, any, any, kMoveBack, Outcome::kAsBefore},
    Row{Intent::kPlacing, any, any, any, any, any, kFinish, Outcome::kDone},
};

bool fits(Is wanted, bool found) { return wanted == any || (wanted == yes) == found; }

// ---------------------------------------------------------------------------------- the steps

bool is_sentinel(std::string_view name, std::string_view sentinel) {
  return !sentinel.empty() && name == sentinel;
}

std::string in(std::string_view folder, std::string_view name) {
  return fmt::format("{}/{}", folder, name);
}

Result<bool> is_there(EntryFiles& files, std::string_view path) {
  WARREN_TRY(const What what, files.look(path));
  return what != What::kNothing;
}

/// One that goes meanwhile is gone.
Result<> remove_if_there(EntryFiles& files, std::string_view path) {
  auto removed = files.remove(path);
  if (!removed && removed.error().code() == ErrorCode::kNotFound) return {};
  return removed;
}

Result<> rename_and_sync(EntryFiles& files, std::string_view from, std::string_view to) {
  WARREN_TRY_VOID(files.rename(from, to));
  return files.sync_folder("");
}

class Steps {
 public:
  Steps(EntryFiles& files, std::string_view sentinel) : files_(files), sentinel_(sentinel) {}

  Result<> run(Step step) {
    switch (step) {
      case kNoteInstalling: return note(Intent::kInstalling);
      case kNoteUpdating: return note(Intent::kUpdating);
      case kNoteUninstalling: return note(Intent::kUninstalling);
      case kNoteReplacing: return note(Intent::kReplacing);
      case kNotePlacing: return note(Intent::kPlacing);
      case kMakeStaging: return make_folder(kInstallingFolder);
      case kMarkStaging: return mark_staging();
      case kFillStaging: return {};
      case kSyncStaging: return files_.sync_tree(kInstallingFolder);
      case kUnmarkStaging: return unmark_staging();
      case kMoveLocalAway: return rename_and_sync(files_, kInstalledFolder, kBackupFolder);
      case kRestoreLocal: return rename_and_sync(files_, kBackupFolder, kInstalledFolder);
      case kPromote: return rename_and_sync(files_, kInstallingFolder, kInstalledFolder);
      case kRemoveStaging: return remove_staging();
      case kRemoveBackup: return remove_folder(kBackupFolder);
      case kMakeOld: return make_folder(kOldFolder);
      case kTakeSentinel: return take_sentinel();
      case kMoveOldOut: return move_names("", kOldFolder);
      case kMoveOldBack: return move_old_back();
      case kMoveNewIn: return move_names(kNewFolder, "");
      case kPlaceSentinel: return place_sentinel(kNewFolder);
      case kRemoveOld: return remove_both();
      case kEndIntent: return end_intent();
    }
    return fail(ErrorCode::kInternal, "no such step");
  }

 private:
  Result<> note(Intent intent) {
    const Bytes bytes = encode_log({intent, std::string(sentinel_)});
    WARREN_TRY_VOID(files_.write(kIntentParts, bytes));
    WARREN_TRY_VOID(files_.sync_file(kIntentParts));
    WARREN_TRY_VOID(files_.replace(kIntentParts, kIntentFile));
    return files_.sync_folder("");
  }

  Result<> end_intent() {
    WARREN_TRY_VOID(remove_if_there(files_, kIntentParts));
    WARREN_TRY_VOID(remove_if_there(files_, kIntentFile));
    return files_.sync_folder("");
  }

  Result<> make_folder(std::string_view name) {
    WARREN_TRY(const What what, files_.look(name));
    if (what != What::kFolder) WARREN_TRY_VOID(files_.make_folder(name));
    return files_.sync_folder("");
  }

  Result<> mark_staging() {
    WARREN_TRY_VOID(files_.write(kMarkerPath, {}));
    WARREN_TRY_VOID(files_.sync_file(kMarkerPath));
    return files_.sync_folder(kInstallingFolder);
  }

  Result<> unmark_staging() {
    WARREN_TRY_VOID(files_.remove(kMarkerPath));
    return files_.sync_folder(kInstallingFolder);
  }

  /// While it holds anything it can be told by its marker, also when there is no log.
  Result<> remove_staging() {
    WARREN_TRY(const What what, files_.look(kInstallingFolder));
    if (what != What::kFolder) return {};
    WARREN_TRY(const auto names, files_.names(kInstallingFolder));
    for (const std::string& name : names) {
      if (name != kOwnedMarker) {
        WARREN_TRY_VOID(files_.remove_tree(in(kInstallingFolder, name)));
      }
    }
    WARREN_TRY_VOID(files_.sync_folder(kInstallingFolder));
    WARREN_TRY_VOID(files_.remove_tree(kInstallingFolder));
    return files_.sync_folder("");
  }

  Result<> remove_folder(std::string_view name) {
    WARREN_TRY_VOID(files_.remove_tree(name));
    return files_.sync_folder("");
  }

  Result<> remove_both() {
    WARREN_TRY_VOID(files_.remove_tree(kNewFolder));
    WARREN_TRY_VOID(files_.remove_tree(kOldFolder));
    return files_.sync_folder("");
  }

  Result<> sync_both(std::string_view from, std::string_view to) {
    WARREN_TRY_VOID(files_.sync_folder(to));
    return files_.sync_folder(from);
  }

  /// All names that are neither reserved nor the sentinel.
  Result<> move_names(std::string_view from, std::string_view to) {
    WARREN_TRY(const What what, files_.look(from));
    if (what != What::kFolder) return {};
    WARREN_TRY(const auto names, files_.names(from));
    for (const std::string& name : names) {
      if (library::is_reserved(name) || is_sentinel(name, sentinel_)) continue;
      WARREN_TRY_VOID(
          files_.rename(from.empty() ? name : in(from, name), to.empty() ? name : in(to, name)));
    }
    return sync_both(from, to);
  }

  Result<> take_sentinel() {
    if (sentinel_.empty()) return {};
    WARREN_TRY(const bool there, is_there(files_, sentinel_));
    if (!there) return {};
    WARREN_TRY_VOID(files_.rename(sentinel_, in(kOldFolder, sentinel_)));
    return sync_both("", kOldFolder);
  }

  Result<> place_sentinel(std::string_view from) {
    if (sentinel_.empty()) return {};
    const std::string path = in(from, sentinel_);
    WARREN_TRY(const bool there, is_there(files_, path));
    if (!there) return {};
    WARREN_TRY_VOID(files_.rename(path, sentinel_));
    return sync_both(from, "");
  }

  Result<> move_old_back() {
    WARREN_TRY_VOID(move_names(kOldFolder, ""));
    return place_sentinel(kOldFolder);
  }

  EntryFiles& files_;
  std::string_view sentinel_;
};

}  // namespace

std::string_view intent_name(Intent intent) noexcept {
  for (const auto& [known, name] : kIntentNames) {
    if (known == intent) return name;
  }
  return "unknown";
}

std::string_view step_name(Step step) noexcept {
  switch (step) {
    case kNoteInstalling: return "note installing";
    case kNoteUpdating: return "note updating";
    case kNoteUninstalling: return "note uninstalling";
    case kNoteReplacing: return "note replacing";
    case kNotePlacing: return "note placing";
    case kMakeStaging: return "make staging";
    case kMarkStaging: return "mark staging";
    case kFillStaging: return "fill staging";
    case kSyncStaging: return "sync staging";
    case kUnmarkStaging: return "unmark staging";
    case kMoveLocalAway: return "move local away";
    case kRestoreLocal: return "restore local";
    case kPromote: return "promote";
    case kRemoveStaging: return "remove staging";
    case kRemoveBackup: return "remove backup";
    case kMakeOld: return "make old";
    case kTakeSentinel: return "take sentinel";
    case kMoveOldOut: return "move old out";
    case kMoveOldBack: return "move old back";
    case kMoveNewIn: return "move new in";
    case kPlaceSentinel: return "place sentinel";
    case kRemoveOld: return "remove old";
    case kEndIntent: return "end intent";
  }
  return "unknown";
}

Plan install_plan() { return {kInstallBefore, kInstallAfter}; }
Plan reinstall_plan() { return {kReinstallBefore, kReinstallAfter}; }
Plan uninstall_plan() { return {kUninstall, {}}; }
Plan replace_plan() { return {kReplace, {}}; }

// ------------------------------------------------------------------------------------ the log

Bytes encode_log(const IntentLog& log) {
  const nlohmann::json object{
      {"v", kLogVersion}, {"intent", intent_name(log.intent)}, {"sentinel", log.sentinel}};
  const std::string text = object.dump() + "\n";
  const BytesView bytes = as_bytes(text);
  return Bytes(bytes.begin(), bytes.end());
}

Result<IntentLog> decode_log(BytesView bytes) {
  const auto malformed = [](std::string_view why) {
    return fail(ErrorCode::kMalformed, fmt::format("the intent log {} {}", kIntentFile, why),
                "look at the entry; when it is as it should be, remove that file");
  };
  const auto object = nlohmann::json::parse(as_text(bytes), nullptr, false);
  if (!object.is_object()) return malformed("is no JSON object");
  const auto version = object.find("v");
  const auto intent = object.find("intent");
  const auto sentinel = object.find("sentinel");
  if (version == object.end() || !version->is_number_unsigned()) return malformed("has no version");
  if (*version != kLogVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("the intent log {} is of a later Warren", kIntentFile),
                "start that Warren: it ends what it began");
  }
  if (intent == object.end() || !intent->is_string()) return malformed("names no intent");
  if (sentinel == object.end() || !sentinel->is_string()) return malformed("names no sentinel");
  IntentLog log;
  log.sentinel = *sentinel;
  if (!log.sentinel.empty() &&
      (!content::check_name(log.sentinel) || library::is_reserved(log.sentinel))) {
    return malformed("names a sentinel that is none");
  }
  const auto* known =
      std::ranges::find_if(kIntentNames, [&](const auto& pair) { return *intent == pair.second; });
  if (known == kIntentNames.end()) return malformed("names an unknown intent");
  log.intent = known->first;
  return log;
}

// ---------------------------------------------------------------------------------- recovery

Result<Seen> look_around(EntryFiles& files) {
  Seen seen;
  WARREN_TRY(const What log, files.look(kIntentFile));
  if (log != What::kNothing) {
    WARREN_TRY(const Bytes bytes, files.read(kIntentFile, kLogBytesMax));
    WARREN_TRY(seen.log, decode_log(bytes));
  }
  WARREN_TRY(seen.log_parts, is_there(files, kIntentParts));
  WARREN_TRY(seen.local, is_there(files, kInstalledFolder));
  WARREN_TRY(seen.staging, is_there(files, kInstallingFolder));
  WARREN_TRY(seen.backup, is_there(files, kBackupFolder));
  WARREN_TRY(const What incoming, files.look(kNewFolder));
  seen.incoming = incoming == What::kFolder;
  WARREN_TRY(const What staging, files.look(kInstallingFolder));
  if (staging == What::kFolder) {
    WARREN_TRY(seen.marked, is_there(files, kMarkerPath));
  }
  return seen;
}

Recovery recovery_of(const Seen& seen) {
  for (const Row& row : kTable) {
    if (row.intent == seen.log.intent && fits(row.local, seen.local) &&
        fits(row.staging, seen.staging) && fits(row.marked, seen.marked) &&
        fits(row.backup, seen.backup) && fits(row.incoming, seen.incoming)) {
      return {row.steps, row.outcome};
    }
  }
  return {};
}

Result<> run(EntryFiles& files, std::string_view sentinel, std::span<const Step> steps) {
  Steps runner(files, sentinel);
  for (const Step step : steps) {
    auto done = runner.run(step);
    if (!done) return fail(std::move(done).error().in(step_name(step)));
  }
  return {};
}

Result<Outcome> recover(EntryFiles& files) {
  WARREN_TRY(const Seen seen, look_around(files));
  if (!seen.needs_recovery()) return Outcome::kNothing;
  const Recovery recovery = recovery_of(seen);
  WARREN_TRY_VOID(run(files, seen.log.sentinel, recovery.steps));
  return recovery.outcome;
}

}  // namespace warren::install

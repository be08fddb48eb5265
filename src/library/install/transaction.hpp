#pragma once
// What install, uninstall and update do to the folder of an entry, step by step, and what is done
// after a crash. Both are tables; the files are reached through EntryFiles. The reasons:
// docs/decisions/0021-install.md.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "library/install/entry_files.hpp"

namespace warren::install {

/// What the intent log says is under way. The names stand on disks: never change them.
enum class Intent : std::uint8_t {
  kNone,          ///< There is no log.
  kInstalling,    ///< `local/` is made where there was none.
  kUpdating,      ///< `local/` is made anew; the old one is kept until the new one is in its place.
  kUninstalling,  ///< `local/` goes.
  kReplacing,     ///< The files of the entry are moved out, for those of another version.
  kPlacing,       ///< Those of the other version are moved in.
};
std::string_view intent_name(Intent intent) noexcept;

/// What the log holds.
struct IntentLog {
  Intent intent = Intent::kNone;
  std::string sentinel;  ///< Name of the sentinel file in the entry; empty: there is none.
  bool operator==(const IntentLog&) const = default;
};
Bytes encode_log(const IntentLog& log);
/// Errors: kMalformed; kUnsupported, of a later version.
Result<IntentLog> decode_log(BytesView bytes);

/// Each can be done again from its begin when it was interrupted.
enum class Step : std::uint8_t {
  kNoteInstalling,  // Write the log.
  kNoteUpdating,
  kNoteUninstalling,
  kNoteReplacing,
  kNotePlacing,
  kMakeStaging,  ///< `.local.installing/`
  kMarkStaging,  ///< The file in it that says that Warren made it.
  kFillStaging,  ///< Not a step of run(): the caller unpacks.
  kSyncStaging,  ///< All that is in it is on the disk.
  kUnmarkStaging,
  kMoveLocalAway,  ///< `local/` to `.local.backup/`
  kRestoreLocal,   ///< And back.
  kPromote,        ///< `.local.installing/` to `local/`
  kRemoveStaging,  ///< The marker last.
  kRemoveBackup,
  kMakeOld,        ///< `.warren.old/`
  kTakeSentinel,   ///< The old sentinel goes there first,
  kMoveOldOut,     ///< then all that is no reserved name.
  kMoveOldBack,    ///< From there; the sentinel last.
  kMoveNewIn,      ///< From `.warren.new/` what is no reserved name, but for the sentinel.
  kPlaceSentinel,  ///< The new one, last.
  kRemoveOld,      ///< `.warren.new/` and `.warren.old/`
  kEndIntent,      ///< Remove the log.
};
std::string_view step_name(Step step) noexcept;

/// One operation. `local/` and what is told in `before` and `after` is changed only after the
/// staging folder is filled and on the disk.
struct Plan {
  std::span<const Step> before;
  std::span<const Step> after;  ///< When the staging folder is filled; of others empty.
};
Plan install_plan();    ///< `local/` is not there.
Plan reinstall_plan();  ///< `local/` is there.
Plan uninstall_plan();
Plan replace_plan();  ///< `.warren.new/` holds the whole other version, on the disk.

/// What is there, as far as it matters.
struct Seen {
  IntentLog log;
  bool log_parts = false;  ///< A log that was being written.
  bool local = false;
  bool staging = false;
  bool marked = false;  ///< The marker is in the staging folder.
  bool backup = false;
  bool incoming = false;  ///< `.warren.new/`
  /// Whether recover() would change something.
  bool needs_recovery() const { return log.intent != Intent::kNone || log_parts || marked; }
};
/// Errors: of the log; of the system.
Result<Seen> look_around(EntryFiles& files);

enum class Outcome : std::uint8_t {
  kNothing,   ///< There was nothing to do.
  kAsBefore,  ///< The entry is what it was before the operation.
  kDone,      ///< The operation is ended.
};

/// One row of the recovery table.
struct Recovery {
  std::span<const Step> steps;
  Outcome outcome = Outcome::kNothing;
};
/// Total. Takes nothing that Warren did not make: with no intent only a marked staging folder, and
/// a backup only when the log speaks for it.
Recovery recovery_of(const Seen& seen);

/// Runs the steps in their order, up to the first that fails. `sentinel`: what is written into the
/// log, and moved by the steps of a replacement. Errors: of the system.
Result<> run(EntryFiles& files, std::string_view sentinel, std::span<const Step> steps);

/// Makes of an interrupted operation one that was not begun, or one that is done. No operation may
/// be under way on the entry. Interrupted itself, it goes on when called again.
/// Errors: of the log, which is then left as it is, with all else; of the system.
Result<Outcome> recover(EntryFiles& files);

}  // namespace warren::install

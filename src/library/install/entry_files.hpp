#pragma once
// The changes that an operation makes in the folder of an entry, one call each, so that a test can
// stop after any of them. All block: the worker pool's.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::install {

enum class What : std::uint8_t { kNothing, kFile, kFolder, kOther };

/// Paths are relative to the entry; empty: the entry itself. Nothing follows a symlink. What is
/// changed is on the disk for sure only after the sync of the same file or folder.
class EntryFiles {
 public:
  virtual ~EntryFiles() = default;

  /// Errors: of the system; that nothing is there is none.
  virtual Result<What> look(std::string_view path) = 0;
  /// In order of the names. Errors: kNotFound, kTooLarge.
  virtual Result<std::vector<std::string>> names(std::string_view folder) = 0;
  /// Errors: kNotFound, kTooLarge.
  virtual Result<Bytes> read(std::string_view path, std::size_t bytes_max) = 0;

  /// Makes the file anew, in place of one that is there.
  virtual Result<> write(std::string_view path, BytesView bytes) = 0;
  /// Errors: kExists.
  virtual Result<> make_folder(std::string_view path) = 0;
  /// Never replaces. Errors: kNotFound, kExists.
  virtual Result<> rename(std::string_view from, std::string_view to) = 0;
  /// Of a file, in place of a file.
  virtual Result<> replace(std::string_view from, std::string_view to) = 0;
  /// A file, a symlink or an empty folder. Errors: kNotFound.
  virtual Result<> remove(std::string_view path) = 0;
  /// With all that is in it. That it is not there is no error.
  virtual Result<> remove_tree(std::string_view path) = 0;

  virtual Result<> sync_file(std::string_view path) = 0;
  /// The names in it.
  virtual Result<> sync_folder(std::string_view path) = 0;
  /// All that is in it.
  virtual Result<> sync_tree(std::string_view path) = 0;
};

}  // namespace warren::install

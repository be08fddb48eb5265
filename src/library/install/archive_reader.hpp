#pragma once
// Reads an archive of any bytes by libarchive and gives what it holds to a sink, as far as
// UnpackRules allow it.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "library/install/unpack_rules.hpp"

namespace warren::install {

/// Where what is unpacked goes. Paths passed UnpackRules.
class UnpackSink {
 public:
  virtual ~UnpackSink() = default;
  virtual Result<> folder(const std::string& path) = 0;
  /// `bytes`: how many the archive promises.
  virtual Result<> begin_file(const std::string& path, bool executable,
                              std::optional<std::uint64_t> bytes) = 0;
  /// Into the file that was begun last; what is left out stays zeros.
  virtual Result<> write(std::uint64_t offset, BytesView bytes) = 0;
  virtual Result<> end_file(std::uint64_t bytes) = 0;
  virtual Result<> symlink(const std::string& path, const std::string& target) = 0;
  /// `from` is a file that was ended. Returns its bytes.
  virtual Result<std::uint64_t> copy(const std::string& path, const std::string& from) = 0;
};

/// Whether the name is one that archives have: ".zip", ".tar.gz", ".7z" and so on, in any case.
bool is_archive_name(std::string_view name);

/// One archive: zip, tar (also compressed), 7z, rar. Which of them is told by its bytes. Any
/// thread, one at a time; everything blocks.
class ArchiveReader {
 public:
  struct Input {
    std::string name;  ///< For errors.
    std::uint64_t bytes = 0;
    /// Reads until `out` is full or the archive ends.
    std::function<Result<std::size_t>(std::uint64_t offset, MutableBytes out)> read;
  };

  /// `rules` outlives it. Errors: kMalformed (no archive, or a damaged one).
  static Result<std::unique_ptr<ArchiveReader>> open(Input input, UnpackRules& rules);
  ~ArchiveReader();
  ArchiveReader(const ArchiveReader&) = delete;
  ArchiveReader& operator=(const ArchiveReader&) = delete;

  /// Gives about `bytes` more to the sink; false when there is no more. After an error not again.
  /// Errors, naming the archive: kMalformed, kDenied and kTooLarge (UnpackRules; what is no file,
  /// folder or symlink), kUnsupported (encrypted); of the input and of the sink.
  Result<bool> step(UnpackSink& sink, std::uint64_t bytes);

  /// Bytes of the archive that were read.
  std::uint64_t bytes_read() const;

  /// What the files of the archive promise to be together, where its format has a list of them
  /// (zip, 7z); else its own size. Errors: as open().
  static Result<std::uint64_t> promised_bytes(Input input);

 private:
  struct State;
  explicit ArchiveReader(std::unique_ptr<State> state);
  Result<bool> next(UnpackSink& sink);
  Result<bool> next_block(UnpackSink& sink, std::uint64_t& given);

  std::unique_ptr<State> state_;
};

}  // namespace warren::install

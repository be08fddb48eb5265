#pragma once
// For the tests of this module: a folder that goes away, bytes, and imports on a real pool.

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "content/importer.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/run_task.hpp"

namespace warren::content::test {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "warren-content-XXXXXX").string();
    path_ = std::filesystem::canonical(::mkdtemp(pattern.data()));
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string at(const std::string& name) const { return (path_ / name).string(); }
  void write(const std::string& name, BytesView bytes) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream out(path_ / name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
  }
  void write(const std::string& name, std::string_view text) const { write(name, as_bytes(text)); }
  void make_folder(const std::string& name) const {
    std::filesystem::create_directories(path_ / name);
  }
  /// Sets the mtime back by an hour, so that the file counts as settled.
  void age(const std::string& name) const {
    std::filesystem::last_write_time(
        path_ / name, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  }

 private:
  std::filesystem::path path_;
};

/// The bytes that tests/interop/unixfs/compare.mjs makes from the same numbers.
inline Bytes patterned_bytes(std::size_t count, std::uint32_t seed) {
  Bytes out(count);
  std::uint32_t state = seed * 2654435761u;
  for (std::uint8_t& byte : out) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return out;
}

inline Result<Imported> import_now(runtime::RealRuntime& runtime, const std::string& path,
                                   ImportOptions options = {}) {
  return runtime::run_task(runtime,
                           import_path(runtime, path, options, std::make_shared<Progress>()));
}

}  // namespace warren::content::test

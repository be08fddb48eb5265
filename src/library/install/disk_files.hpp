#pragma once
// EntryFiles on this machine's disk.

#include "library/install/entry_files.hpp"
#include "runtime/file.hpp"

namespace warren::install {

class DiskFiles final : public EntryFiles {
 public:
  /// `entry`: the open folder of the entry.
  explicit DiskFiles(runtime::Directory entry) : entry_(std::move(entry)) {}

  Result<What> look(std::string_view path) override;
  Result<std::vector<std::string>> names(std::string_view folder) override;
  Result<Bytes> read(std::string_view path, std::size_t bytes_max) override;
  Result<> write(std::string_view path, BytesView bytes) override;
  Result<> make_folder(std::string_view path) override;
  Result<> rename(std::string_view from, std::string_view to) override;
  Result<> replace(std::string_view from, std::string_view to) override;
  Result<> remove(std::string_view path) override;
  Result<> remove_tree(std::string_view path) override;
  Result<> sync_file(std::string_view path) override;
  Result<> sync_folder(std::string_view path) override;
  Result<> sync_tree(std::string_view path) override;

  const runtime::Directory& directory() const { return entry_; }

 private:
  runtime::Directory entry_;
};

}  // namespace warren::install

#pragma once
// Archives for tests, good ones and hostile ones.

#include <archive.h>
#include <archive_entry.h>

#include <clocale>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"

namespace warren::install::test {

struct Item {
  std::string path;
  std::string content;
  unsigned type = AE_IFREG;
  std::string link{};  ///< Of a symlink, or, of a file, what it is a hard link to.
  unsigned mode = 0644;
};

inline Item folder(std::string path) { return {std::move(path), "", AE_IFDIR, "", 0755}; }
inline Item link_to(std::string path, std::string target) {
  return {std::move(path), "", AE_IFLNK, std::move(target), 0777};
}
inline Item same_as(std::string path, std::string target) {
  return {std::move(path), "", AE_IFREG, std::move(target), 0644};
}

enum class Format : std::uint8_t { kTar, kTarGz, kTarXz, kTarZst, kZip, kZipEncrypted, k7z };

inline Bytes make_archive(Format format, const std::vector<Item>& items) {
  // Names are UTF-8 to the writer; to the reader the locale is that of every program.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  archive* made = archive_write_new();
  const auto good = [&](int result) {
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      std::fprintf(stderr, "libarchive: %s\n", archive_error_string(made));
      std::abort();
    }
  };
  switch (format) {
    case Format::kTarGz: good(archive_write_add_filter_gzip(made)); break;
    case Format::kTarXz: good(archive_write_add_filter_xz(made)); break;
    case Format::kTarZst: good(archive_write_add_filter_zstd(made)); break;
    default: break;
  }
  switch (format) {
    case Format::kZip: good(archive_write_set_format_zip(made)); break;
    case Format::kZipEncrypted:
      good(archive_write_set_format_zip(made));
      good(archive_write_set_options(made, "zip:encryption=aes256"));
      good(archive_write_set_passphrase(made, "secret"));
      break;
    case Format::k7z: good(archive_write_set_format_7zip(made)); break;
    default: good(archive_write_set_format_pax_restricted(made)); break;
  }
  Bytes out(4u << 20);
  std::size_t used = 0;
  good(archive_write_open_memory(made, out.data(), out.size(), &used));
  for (const Item& item : items) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, item.path.c_str());
    archive_entry_set_filetype(entry, item.type);
    archive_entry_set_perm(entry, static_cast<__LA_MODE_T>(item.mode));
    archive_entry_set_mtime(entry, 1'000'000'000, 0);
    if (item.type == AE_IFLNK) {
      archive_entry_set_symlink(entry, item.link.c_str());
    } else if (!item.link.empty()) {
      archive_entry_set_hardlink(entry, item.link.c_str());
    }
    const bool has_bytes = item.type == AE_IFREG && item.link.empty();
    archive_entry_set_size(entry, has_bytes ? static_cast<la_int64_t>(item.content.size()) : 0);
    good(archive_write_header(made, entry));
    if (has_bytes) {
      WARREN_CHECK(archive_write_data(made, item.content.data(), item.content.size()) ==
                   static_cast<la_ssize_t>(item.content.size()));
    }
    archive_entry_free(entry);
  }
  good(archive_write_close(made));
  archive_write_free(made);
  std::setlocale(LC_CTYPE, "C");
  out.resize(used);
  return out;
}

}  // namespace warren::install::test

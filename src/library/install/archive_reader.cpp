#include "library/install/archive_reader.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <locale.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <limits>

#include "library/install/names.hpp"

namespace warren::install {
namespace {

constexpr std::size_t kReadBytes = 256u << 10;
// A header costs about as much as so many bytes: an archive of empty files is given in parts too.
constexpr std::uint64_t kHeaderCost = 4096;

constexpr std::array kEndings{".zip",     ".7z",      ".rar",     ".tar",  ".tar.gz",
                              ".tar.bz2", ".tar.xz",  ".tar.zst", ".tgz",  ".tbz2",
                              ".txz",     ".tar.lz4", ".tar.lz",  ".tzst", ".tar.lzma"};

struct FreeArchive {
  void operator()(archive* opened) const { archive_read_free(opened); }
};

/// Only formats that hold folders of files, and only filters that libarchive has in itself: for
/// others it would start a program. A zip is read by its list, which stands at its end: without it
/// one that was cut off would be a smaller one.
Result<> choose_formats(archive* opened) {
  const std::array chosen{
      archive_read_support_format_zip_seekable(opened), archive_read_support_format_tar(opened),
      archive_read_support_format_7zip(opened),         archive_read_support_format_rar(opened),
      archive_read_support_format_rar5(opened),         archive_read_support_filter_gzip(opened),
      archive_read_support_filter_bzip2(opened),        archive_read_support_filter_xz(opened),
      archive_read_support_filter_lzma(opened),         archive_read_support_filter_lzip(opened),
      archive_read_support_filter_zstd(opened),         archive_read_support_filter_lz4(opened),
      archive_read_support_filter_compress(opened)};
  if (std::ranges::all_of(chosen, [](int result) { return result == ARCHIVE_OK; })) return {};
  return fail(ErrorCode::kUnsupported, "this libarchive cannot read every kind of archive",
              "use the libarchive of your system's packages");
}

/// While it lives, names are UTF-8 for libarchive on this thread: it turns them into the charset of
/// the locale, and gives nothing where that has no such character.
class Utf8Names {
 public:
  Utf8Names() : before_(::uselocale(utf8())) {}
  ~Utf8Names() { ::uselocale(before_); }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  /// Part of glibc itself. Where there is none the locale stays as it is.
  static locale_t utf8() {
    static const locale_t kUtf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return kUtf8;
  }
  locale_t before_;
};

std::string text_of(const char* text) { return text == nullptr ? std::string() : text; }

}  // namespace

bool is_archive_name(std::string_view name) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  return std::ranges::any_of(kEndings, [&](std::string_view ending) {
    return name.size() > ending.size() &&
           std::ranges::equal(name.substr(name.size() - ending.size()), ending, same);
  });
}

struct ArchiveReader::State {
  State(Input what, UnpackRules* allowed) : input(std::move(what)), rules(allowed) {}

  std::unexpected<Error> broken() {
    if (failure) return fail(std::move(*failure).in(shown(input.name)));
    const char* text = archive_error_string(opened.get());
    return fail(
        ErrorCode::kMalformed,
        fmt::format("{}: {}", shown(input.name), text == nullptr ? "it is damaged" : shown(text)),
        "fetch it again");
  }
  std::unexpected<Error> refused(Error error) {
    return fail(std::move(error).in(shown(input.name)));
  }

  Result<> open() {
    opened.reset(archive_read_new());
    if (!opened) return fail(ErrorCode::kInternal, "libarchive gives no reader");
    WARREN_TRY_VOID(choose_formats(opened.get()));
    archive* raw = opened.get();
    archive_read_set_callback_data(raw, this);
    archive_read_set_read_callback(raw, &State::read);
    archive_read_set_seek_callback(raw, &State::seek);
    archive_read_set_skip_callback(raw, &State::skip);
    if (archive_read_open1(raw) != ARCHIVE_OK) return broken();
    return {};
  }

  static la_ssize_t read(archive* opened, void* self, const void** out) {
    auto& state = *static_cast<State*>(self);
    const std::uint64_t left = state.input.bytes - std::min(state.at, state.input.bytes);
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(left, kReadBytes));
    auto got = count == 0 ? Result<std::size_t>(0)
                          : state.input.read(state.at, MutableBytes(state.buffer).first(count));
    if (!got) {
      state.failure = std::move(got).error();
      archive_set_error(opened, EIO, "cannot be read");
      return ARCHIVE_FATAL;
    }
    state.at += *got;
    state.bytes_read += *got;
    *out = state.buffer.data();
    return static_cast<la_ssize_t>(*got);
  }
  static la_int64_t skip(archive*, void* self, la_int64_t count) {
    auto& state = *static_cast<State*>(self);
    const std::uint64_t left = state.input.bytes - std::min(state.at, state.input.bytes);
    const std::uint64_t skipped =
        count <= 0 ? 0 : std::min(left, static_cast<std::uint64_t>(count));
    state.at += skipped;
    return static_cast<la_int64_t>(skipped);
  }
  static la_int64_t seek(archive*, void* self, la_int64_t offset, int whence) {
    auto& state = *static_cast<State*>(self);
    la_int64_t base = 0;
    if (whence == SEEK_CUR) base = static_cast<la_int64_t>(state.at);
    if (whence == SEEK_END) base = static_cast<la_int64_t>(state.input.bytes);
    la_int64_t target = 0;
    if (__builtin_add_overflow(base, offset, &target) || target < 0 ||
        static_cast<std::uint64_t>(target) > state.input.bytes) {
      return ARCHIVE_FATAL;
    }
    state.at = static_cast<std::uint64_t>(target);
    return target;
  }

  Input input;
  UnpackRules* rules;
  std::unique_ptr<archive, FreeArchive> opened;
  Bytes buffer = Bytes(kReadBytes);
  std::uint64_t at = 0;
  std::uint64_t bytes_read = 0;
  std::optional<Error> failure;  ///< Of the input.

  bool in_file = false;
  std::string path;              ///< Of the file.
  std::uint64_t file_bytes = 0;  ///< Its size so far: the end of its last block.
  std::optional<std::uint64_t> promised;
};

ArchiveReader::ArchiveReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveReader::~ArchiveReader() = default;

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::open(Input input, UnpackRules& rules) {
  const Utf8Names utf8;
  auto state = std::make_unique<State>(std::move(input), &rules);
  WARREN_TRY_VOID(state->open());
  return std::unique_ptr<ArchiveReader>(new ArchiveReader(std::move(state)));
}

std::uint64_t ArchiveReader::bytes_read() const { return state_->bytes_read; }

Result<std::uint64_t> ArchiveReader::promised_bytes(Input input) {
  const Utf8Names utf8;
  State state(std::move(input), nullptr);
  WARREN_TRY_VOID(state.open());
  std::uint64_t promised = 0;
  for (;;) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(state.opened.get(), &entry);
    if (result == ARCHIVE_EOF) return promised;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return state.broken();
    const int format = archive_format(state.opened.get()) & ARCHIVE_FORMAT_BASE_MASK;
    if (format != ARCHIVE_FORMAT_ZIP && format != ARCHIVE_FORMAT_7ZIP) return state.input.bytes;
    const la_int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : 0;
    const std::uint64_t more = static_cast<std::uint64_t>(std::max<la_int64_t>(size, 0));
    if (__builtin_add_overflow(promised, more, &promised)) {
      promised = std::numeric_limits<std::uint64_t>::max();
    }
  }
}

Result<bool> ArchiveReader::step(UnpackSink& sink, std::uint64_t bytes) {
  const Utf8Names utf8;
  for (std::uint64_t given = 0; given < bytes;) {
    if (state_->in_file) {
      WARREN_TRY(const bool more, next_block(sink, given));
      if (more) continue;
    }
    given += kHeaderCost;
    WARREN_TRY(const bool more, next(sink));
    if (!more) return false;
  }
  return true;
}

/// The next header. False: there is none.
Result<bool> ArchiveReader::next(UnpackSink& sink) {
  State& state = *state_;
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(state.opened.get(), &entry);
  if (result == ARCHIVE_EOF) return false;
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return state.broken();
  const std::string full = text_of(archive_entry_pathname(entry));
  const std::string path(plain_path(full));
  const auto of_path = [&](Error error) { return state.refused(std::move(error)); };
  if (archive_entry_is_encrypted(entry) != 0) {
    return of_path({ErrorCode::kUnsupported, fmt::format("'{}' is encrypted", shown(path)),
                    "unpack it yourself"});
  }
  const std::string link = text_of(archive_entry_hardlink(entry));
  const auto kind = archive_entry_filetype(entry);
  if (path.empty() && kind == AE_IFDIR && !full.empty()) return true;  // "./"
  if (!link.empty()) {
    const std::string from(plain_path(link));
    if (auto added = state.rules->add_copy(path, from); !added) return of_path(added.error());
    WARREN_TRY(const std::uint64_t bytes, sink.copy(path, from));
    if (auto added = state.rules->add_bytes(bytes); !added) return of_path(added.error());
    return true;
  }
  if (kind == AE_IFDIR) {
    if (auto added = state.rules->add(path, Made::kFolder); !added) return of_path(added.error());
    WARREN_TRY_VOID(sink.folder(path));
    return true;
  }
  if (kind == AE_IFLNK) {
    const std::string target = text_of(archive_entry_symlink(entry));
    if (auto added = state.rules->add_symlink(path, target); !added) return of_path(added.error());
    WARREN_TRY_VOID(sink.symlink(path, target));
    return true;
  }
  if (kind != AE_IFREG) {
    return of_path({ErrorCode::kDenied,
                    fmt::format("'{}' is refused: no file, folder or symlink", shown(path))});
  }
  state.promised.reset();
  if (archive_entry_size_is_set(entry) != 0) {
    state.promised = static_cast<std::uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0));
    if (auto fits = state.rules->would_fit(*state.promised); !fits) return of_path(fits.error());
  }
  // Of the `local/` that was packed, not of this one: said by who makes it.
  if (path == kInstalledRecord) return true;
  if (auto added = state.rules->add(path, Made::kFile); !added) return of_path(added.error());
  const bool executable = (archive_entry_perm(entry) & 0111) != 0;
  WARREN_TRY_VOID(sink.begin_file(path, executable, state.promised));
  state.in_file = true;
  state.path = path;
  state.file_bytes = 0;
  return true;
}

/// The next block of the file. False: it is at its end.
Result<bool> ArchiveReader::next_block(UnpackSink& sink, std::uint64_t& given) {
  State& state = *state_;
  const void* data = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  const int result = archive_read_data_block(state.opened.get(), &data, &size, &offset);
  std::uint64_t end = state.file_bytes;
  if (result == ARCHIVE_EOF) {
    state.in_file = false;
    // A hole at the end has no block.
    if (state.promised) end = std::max(end, *state.promised);
  } else if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
    return state.broken();
  } else {
    const bool backwards = offset < 0 || static_cast<std::uint64_t>(offset) < state.file_bytes;
    if (backwards || __builtin_add_overflow(static_cast<std::uint64_t>(offset), size, &end)) {
      return state.refused({ErrorCode::kMalformed,
                            fmt::format("'{}' has blocks in the wrong order", shown(state.path))});
    }
  }
  if (auto added = state.rules->add_bytes(end - state.file_bytes); !added) {
    return state.refused(added.error());
  }
  state.file_bytes = end;
  if (!state.in_file) {
    WARREN_TRY_VOID(sink.end_file(end));
    return false;
  }
  if (size > 0) {
    WARREN_TRY_VOID(sink.write(static_cast<std::uint64_t>(offset),
                               BytesView(static_cast<const std::uint8_t*>(data), size)));
  }
  given += std::max<std::uint64_t>(size, 1);
  return true;
}

}  // namespace warren::install

// Reads sentinel files of arbitrary bytes, and a library database whose columns hold arbitrary
// values. Finds: a value that no entry may have, a row that ends the program or is too much, and a
// set or a machine that breaks its bounds after it.
// Links: warren::library SQLiteCpp SQLite::SQLite3

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <stdlib.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "base/check.hpp"
#include "library/library_machine.hpp"
#include "library/test_support.hpp"

namespace {

using namespace warren;
using namespace warren::library;
using namespace warren::library::test;

// The tables without types and conditions, as a hostile file may have them.
constexpr const char* kLaxSchema = R"sql(
CREATE TABLE folders(id, path, sentinel_file, sentinel_format, sentinel_required, topic, audience,
  added_ns, inode);
CREATE TABLE expected(folder_id, entry, version);
CREATE TABLE entries(id, folder_id, name, version, topic, bytes, files, manifest, root, downloaded,
  installed, availability, added_at, changed_at, fingerprint, stamps, hashed_stamps);
CREATE TABLE removed(id, audience, removed_at);
CREATE TABLE revision(one INTEGER PRIMARY KEY, epoch, number, complete_since);
INSERT INTO revision VALUES(1, 7, 20, 1);
INSERT INTO folders VALUES(1, '/a', 'version.ini', 0, 0, '', 'lan', 0, 0);
PRAGMA user_version = 1;
)sql";

// Rows in which most is as it should be, so that what follows them is reached.
constexpr std::array<const char*, 6> kRows{
    "INSERT INTO folders VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "INSERT INTO expected VALUES(1, ?, ?)",
    "INSERT INTO entries VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "INSERT INTO entries VALUES(?, 1, ?, '1', 't', 1, 1, zeroblob(32), NULL, 0, 0, 3, 2, ?, "
    "zeroblob(32), zeroblob(32), zeroblob(32))",
    "INSERT INTO removed VALUES(?, 'lan', ?)",
    "UPDATE revision SET epoch = ?, number = ?, complete_since = ?",
};

void bind_any(SQLite::Statement& statement, int column, Script& in) {
  switch (in.below(9)) {
    case 0: statement.bind(column); break;
    case 1: statement.bind(column, std::int64_t{in.byte()}); break;
    case 2: {
      std::uint64_t value = 0;
      for (const std::uint8_t byte : in.take(8)) value = value << 8 | byte;
      statement.bind(column, static_cast<std::int64_t>(value));
      break;
    }
    case 3: statement.bind(column, static_cast<double>(in.byte()) / 128.0 - 0.5); break;
    case 4: statement.bind(column, std::string(as_text(in.take(in.byte())))); break;
    case 5: {
      const BytesView bytes = in.take(in.byte());
      statement.bind(column, bytes.empty() ? static_cast<const void*>("") : bytes.data(),
                     static_cast<int>(bytes.size()));
      break;
    }
    case 6: statement.bind(column, std::string(1, static_cast<char>('a' + in.below(4)))); break;
    case 7: {
      const Bytes cid = root(std::to_string(in.byte())).to_bytes();
      statement.bind(column, cid.data(), static_cast<int>(cid.size()));
      break;
    }
    default: {
      const Bytes bytes(32, in.byte());
      statement.bind(column, bytes.data(), static_cast<int>(bytes.size()));
      break;
    }
  }
}

/// A folder that is gone at the end.
struct Place {
  Place() {
    std::string pattern = (std::filesystem::temp_directory_path() / "warren-fuzz-XXXXXX").string();
    WARREN_CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder = pattern;
  }
  ~Place() { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
};

std::string database_of(Script& in) {
  static const Place place;
  const std::string path = (place.folder / "library.db").string();
  for (const char* end : {"", "-wal", "-shm", "-journal"}) std::remove((path + end).c_str());
  SQLite::Database db(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  db.exec("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; BEGIN");
  db.exec(kLaxSchema);
  while (!in.done()) {
    SQLite::Statement row(db, kRows[in.below(kRows.size())]);
    for (int column = 1; column <= row.getBindParameterCount(); ++column) bind_any(row, column, in);
    row.exec();
  }
  db.exec("COMMIT");
  return path;
}

void read_rows(BytesView bytes) {
  Script in(bytes);
  const std::string path = database_of(in);
  limits::Library limits;
  limits.folders_max = 3;
  limits.entries_max = 5;
  limits.removed_max = 2;
  limits.expected_max = 2;
  auto index = LibraryIndex::open(path, 7, limits);
  WARREN_CHECK(index);
  const auto content = (*index)->load();
  WARREN_CHECK(content);
  WARREN_CHECK(content->folders.size() <= limits.folders_max);
  WARREN_CHECK(content->removed.size() <= limits.removed_max + 1);

  LibrarySet set(limits);
  LibraryMachine machine({}, limits);
  const TimePoint now{1h};
  for (const Folder& folder : content->folders) {
    WARREN_CHECK(folder.settings.expected.size() <= limits.expected_max);
    machine.add_folder(folder, {}, now);
  }
  LibraryIndex::Page page;
  do {
    auto next = (*index)->load_entries(*content, page.last, 2);
    WARREN_CHECK(next && next->entries.size() <= 2);
    page = std::move(*next);
    for (const IndexedEntry& entry : page.entries) set.restore(entry.published);
    machine.restore(std::move(page.entries));
  } while (page.more);
  set.restore(content->revision, content->complete_since, content->removed);
  set.check_invariants();
  machine.check_invariants();
  for (const Folder& folder : content->folders) {
    machine.names_found(folder.id, {"a", "b", "new"}, now);
    machine.check_invariants();
  }
  static_cast<void>(machine.next(now, set.revision().number + 1));
  set.apply({{listing("new"), kForAnyone, 0, 0}}, {"a"});
  set.check_invariants();
}

void read_a_sentinel(BytesView bytes) {
  for (const auto format : {SentinelFormat::kAuto, SentinelFormat::kLine, SentinelFormat::kKeys}) {
    const SentinelContent content = read_sentinel(bytes, format);
    Listing made = listing("a");
    made.version = content.version;
    made.name = content.name;
    made.topic = content.topic;
    WARREN_CHECK(check_listing(made));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 8'192) return 0;
  const BytesView rest(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    read_rows(rest);
  } else {
    read_a_sentinel(rest);
  }
  return 0;
}

-- What the tables hold: README.md, "The database".

CREATE TABLE folders(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  path TEXT NOT NULL UNIQUE,
  sentinel_file TEXT NOT NULL,
  sentinel_format INTEGER NOT NULL,
  sentinel_required INTEGER NOT NULL,
  topic TEXT NOT NULL,
  audience TEXT NOT NULL,
  added_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL
);
CREATE TABLE expected(
  folder_id INTEGER NOT NULL REFERENCES folders ON DELETE CASCADE,
  entry TEXT NOT NULL,
  version TEXT NOT NULL,
  PRIMARY KEY(folder_id, entry)
) WITHOUT ROWID;
CREATE TABLE entries(
  id TEXT NOT NULL PRIMARY KEY,
  folder_id INTEGER NOT NULL REFERENCES folders ON DELETE CASCADE,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  topic TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  files INTEGER NOT NULL,
  manifest BLOB NOT NULL,
  root BLOB,
  downloaded INTEGER NOT NULL,
  installed INTEGER NOT NULL,
  availability INTEGER NOT NULL,
  added_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  fingerprint BLOB NOT NULL,
  stamps BLOB NOT NULL,
  hashed_stamps BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_by_folder ON entries(folder_id);
CREATE TABLE removed(
  id TEXT NOT NULL PRIMARY KEY,
  audience TEXT NOT NULL,
  removed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE revision(
  one INTEGER PRIMARY KEY CHECK(one = 1),
  epoch INTEGER NOT NULL,
  number INTEGER NOT NULL,
  complete_since INTEGER NOT NULL
);

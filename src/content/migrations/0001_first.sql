-- What the tables hold: README.md, "The database".

CREATE TABLE datasets(
  id INTEGER PRIMARY KEY,
  root BLOB NOT NULL UNIQUE,
  files INTEGER NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE TABLE nodes(
  id INTEGER PRIMARY KEY,
  cid BLOB NOT NULL UNIQUE,
  bytes BLOB NOT NULL
);
CREATE TABLE dataset_nodes(
  dataset_id INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
  position INTEGER NOT NULL,
  node_id INTEGER NOT NULL REFERENCES nodes DEFERRABLE INITIALLY DEFERRED,
  PRIMARY KEY(dataset_id, position)
) WITHOUT ROWID;
CREATE INDEX dataset_nodes_by_node ON dataset_nodes(node_id);
CREATE TABLE shares(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  dataset_id INTEGER NOT NULL REFERENCES datasets,
  path TEXT NOT NULL,
  added_ns INTEGER NOT NULL,
  started_ns INTEGER NOT NULL
);
CREATE INDEX shares_by_dataset ON shares(dataset_id);
CREATE TABLE stamps(
  share_id INTEGER NOT NULL REFERENCES shares ON DELETE CASCADE,
  entry INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  device INTEGER NOT NULL,
  changed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(share_id, entry)
) WITHOUT ROWID;
CREATE INDEX stamps_changed ON stamps(share_id) WHERE changed;
CREATE TABLE transfers(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  root BLOB NOT NULL,
  name TEXT NOT NULL,
  out_path TEXT NOT NULL,
  temporary_path TEXT NOT NULL,
  state TEXT NOT NULL,
  bytes_total INTEGER NOT NULL,
  bytes_done INTEGER NOT NULL,
  created_ns INTEGER NOT NULL,
  finished_ns INTEGER NOT NULL,
  error_code TEXT,
  error_message TEXT,
  error_hint TEXT,
  sources TEXT NOT NULL,
  bitmap BLOB
);
CREATE INDEX transfers_by_root ON transfers(root);

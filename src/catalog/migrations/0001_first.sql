-- Times are nanoseconds since 1970. Numbers of 64 bits without a sign stand as the signed number of
-- the same bits.

CREATE TABLE peers(
  key INTEGER PRIMARY KEY,
  peer BLOB NOT NULL UNIQUE,          -- The multihash of a peer id.
  epoch INTEGER NOT NULL,             -- Of the revision that is stored; 0: none.
  number INTEGER NOT NULL,
  digest BLOB NOT NULL,               -- Of its entries: library::SetDigest.
  entries INTEGER NOT NULL,           -- How many they are.
  staged INTEGER NOT NULL,            -- Rows in `staged`.
  mode INTEGER NOT NULL,              -- catalog::Mode.
  last_seen_ns INTEGER NOT NULL
);
CREATE INDEX peers_by_last_seen ON peers(last_seen_ns);

CREATE TABLE entries(
  peer_key INTEGER NOT NULL REFERENCES peers ON DELETE CASCADE,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  topic TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  files INTEGER NOT NULL,
  manifest BLOB NOT NULL,             -- 32 bytes.
  root BLOB,                          -- A binary CIDv1.
  downloaded INTEGER NOT NULL,
  installed INTEGER NOT NULL,
  availability INTEGER NOT NULL,      -- library::Availability.
  PRIMARY KEY(peer_key, id)
) WITHOUT ROWID;
-- All that is searched by: a search reads nothing else.
CREATE INDEX entries_by_id ON entries(id, root, topic, name);
CREATE INDEX entries_by_topic ON entries(topic, id);

-- Parts of a snapshot or delta of which not all have come. Nothing of it outlives the process.
CREATE TABLE staged(
  peer_key INTEGER NOT NULL REFERENCES peers ON DELETE CASCADE,
  id TEXT NOT NULL,
  name TEXT,                          -- NULL, like all that follows: the entry went.
  version TEXT,
  topic TEXT,
  bytes INTEGER,
  files INTEGER,
  manifest BLOB,
  root BLOB,
  downloaded INTEGER,
  installed INTEGER,
  availability INTEGER,
  PRIMARY KEY(peer_key, id)
) WITHOUT ROWID;

-- What a person wants to have.
CREATE TABLE subscriptions(
  pattern TEXT PRIMARY KEY,           -- Of topics: check_topic_pattern().
  on_demand INTEGER NOT NULL,         -- Nothing is fetched by itself.
  since_ns INTEGER NOT NULL
) WITHOUT ROWID;

-- Entries that this node fetched by itself.
CREATE TABLE replicas(
  id TEXT PRIMARY KEY,
  peer BLOB NOT NULL,                 -- Whose listing it follows.
  root BLOB NOT NULL                  -- What was fetched.
) WITHOUT ROWID;

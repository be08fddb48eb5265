-- Times are nanoseconds since 1970; 0: never; 9223372036854775807: for ever.
-- Numbers of 64 bits without a sign stand as the signed number of the same bits.

CREATE TABLE meta(
  key TEXT PRIMARY KEY,   -- 'secret': 32 bytes; 'commits': how often a commit was waited for.
  value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE peers(
  id INTEGER PRIMARY KEY,
  peer BLOB NOT NULL UNIQUE,          -- The multihash of a peer id.
  public_key BLOB,                    -- libp2p's PublicKey message.
  origin INTEGER NOT NULL,            -- peers::Origin.
  first_seen_ns INTEGER NOT NULL,
  last_seen_ns INTEGER NOT NULL,
  first_success_ns INTEGER NOT NULL,
  successes INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  latency_ns INTEGER,
  bytes_received INTEGER NOT NULL,
  bytes_sent INTEGER NOT NULL,
  score REAL,                         -- 0 to 1, at score_ns; NULL: no event yet.
  score_ns INTEGER NOT NULL,
  last_ban_end_ns INTEGER NOT NULL,
  bans INTEGER NOT NULL,
  kept INTEGER NOT NULL,
  pinned INTEGER NOT NULL,
  anchor INTEGER NOT NULL,
  record BLOB,                        -- A signed envelope.
  record_sequence INTEGER
);

CREATE TABLE addresses(
  peer_id INTEGER NOT NULL REFERENCES peers ON DELETE CASCADE,
  position INTEGER NOT NULL,
  address BLOB NOT NULL,              -- A multiaddr, without /p2p.
  origin INTEGER NOT NULL,
  teller_kind INTEGER NOT NULL,       -- peers::NetworkGroup of the one who told it.
  teller_bits INTEGER NOT NULL,
  learnt_ns INTEGER NOT NULL,
  last_success_ns INTEGER NOT NULL,
  last_failure_ns INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  PRIMARY KEY(peer_id, position)
) WITHOUT ROWID;

CREATE TABLE names(
  name TEXT PRIMARY KEY,
  peer BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE bans(
  who BLOB NOT NULL,                  -- A peer id, or an IP address of 4 or 16 bytes.
  bits INTEGER NOT NULL,              -- -1: a peer id; else the length of the prefix.
  until_ns INTEGER NOT NULL,
  reason TEXT NOT NULL,
  by_person INTEGER NOT NULL,
  PRIMARY KEY(who, bits)
) WITHOUT ROWID;

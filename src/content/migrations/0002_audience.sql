-- Who may fetch, as peers::AccessRule writes it. Of a transfer: NULL when nobody may.
ALTER TABLE shares ADD COLUMN audience TEXT NOT NULL DEFAULT 'lan';
ALTER TABLE transfers ADD COLUMN audience TEXT;

-- Transfers that the node wants itself.
ALTER TABLE transfers ADD COLUMN background INTEGER NOT NULL DEFAULT 0;

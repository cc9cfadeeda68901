-- SPDX-License-Identifier: MIT
--
-- Which version the tables of a part of libhtt have. A library that finds a version above its own
-- refuses the database. Part 'htt': htt_store, htt_outbox, htt_consumer, htt_change.
CREATE TABLE IF NOT EXISTS htt_schema(
    -- the part
    name TEXT PRIMARY KEY NOT NULL,
    -- counts from 1
    version INTEGER NOT NULL
);
INSERT OR IGNORE INTO htt_schema(name, version) VALUES ('htt', 1);

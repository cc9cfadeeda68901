-- SPDX-License-Identifier: MIT
--
-- One row for each htt file that a table of this database names.
CREATE TABLE IF NOT EXISTS htt_store(
    -- names the file in this database; below 2^23
    id INTEGER PRIMARY KEY,
    -- the file as CREATE VIRTUAL TABLE names it
    name TEXT NOT NULL UNIQUE,
    -- the file's own uuid: a table never connects to another file
    uuid BLOB NOT NULL UNIQUE CHECK(typeof(uuid) = 'blob' AND length(uuid) = 16),
    -- root record; NULL: the file keeps its own root
    root BLOB,
    -- nonce of an attempt that was declared dead, 0 = none
    acked INTEGER NOT NULL DEFAULT 0,
    -- what became of the table
    state TEXT NOT NULL DEFAULT 'live' CHECK(state IN ('live', 'dropped')),
    -- where the file is, when it is not where CREATE VIRTUAL TABLE says (htt_adopt); else NULL
    file TEXT
);

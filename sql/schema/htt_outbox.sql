-- SPDX-License-Identifier: MIT
--
-- Changes of htt tables in the order of their commits. Rows past the root of their store are part
-- of the table's content; older ones may be deleted by the library at any time. Nobody else
-- writes here.
CREATE TABLE IF NOT EXISTS htt_outbox(
    -- htt_store.id * 2^40 + seq; seq counts from 1 for each store, without holes
    id INTEGER PRIMARY KEY,
    -- 1: put a value, 2: put a row of several columns, 3: delete;
    -- + 16: the key is text, + 32: the value is text, kept as a blob as it is not valid UTF-8
    op INTEGER NOT NULL,
    -- of any type but NULL
    key,
    -- op 1: the value; 2: a blob, see htt_row_json; 3: NULL
    value,
    -- goes on from that of the row before: a row that was changed or lost breaks the chain
    token INTEGER NOT NULL
);

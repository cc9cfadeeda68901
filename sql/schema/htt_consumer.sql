-- SPDX-License-Identifier: MIT
--
-- Who follows the changes of a store. In a table with changes=on rows of htt_outbox that one of
-- them has not acknowledged are kept. An application inserts, updates and deletes its own rows;
-- libhtt deletes those of a store that another file or another state takes the place of.
CREATE TABLE IF NOT EXISTS htt_consumer(
    -- of the consumer, its own choice
    name TEXT NOT NULL,
    -- htt_store.id; 0: follows htt_event (htt_event.sql), not a table
    store INTEGER NOT NULL,
    -- htt_outbox.id (store 0: htt_event.seq) of the last row that it is done with; an integer, or
    -- nothing can be trimmed
    acknowledged INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY(name, store)
) WITHOUT ROWID;

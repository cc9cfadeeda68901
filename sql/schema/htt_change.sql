-- SPDX-License-Identifier: MIT
--
-- htt_outbox to be read by an application: the changes that are still there, with
--   id     htt_outbox.id, for htt_consumer.acknowledged
--   store  htt_store.name
--   seq    of the store
--   op     'put' or 'delete'
--   key    as it was written
--   value  as it was written; of a table with several columns: the columns but the key, as a JSON
--          array (htt_row_json, which libhtt registers)
-- Text that is not valid UTF-8 shows as a blob.
CREATE VIEW IF NOT EXISTS htt_change(id, store, seq, op, key, value) AS
SELECT o.id,
    s.name,
    o.id - (s.id << 40),
    CASE o.op & 15 WHEN 3 THEN 'delete' ELSE 'put' END,
    o.key,
    CASE o.op & 15 WHEN 2 THEN htt_row_json(o.value) ELSE o.value END
FROM htt_store AS s
JOIN htt_outbox AS o ON o.id BETWEEN (s.id << 40) + 1 AND (s.id << 40) + 1099511627775;

-- SPDX-License-Identifier: MIT
--
-- Messages that a consumer has processed: a row is inserted in the transaction that does what the
-- message asks for, so each counts once although it comes twice. Rows may be deleted when the
-- sender does not send the message again any more.
CREATE TABLE IF NOT EXISTS htt_inbox(
    -- its own choice
    consumer TEXT NOT NULL
        CONSTRAINT "htt_inbox.consumer must not be empty" CHECK(consumer <> ''),
    -- of the sender: htt_event.id, a broker's message id
    message_id TEXT NOT NULL
        CONSTRAINT "htt_inbox.message_id must have 1 to 255 characters"
        CHECK(length(message_id) BETWEEN 1 AND 255),
    -- milliseconds since 1970
    received_at INTEGER NOT NULL
        DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    PRIMARY KEY(consumer, message_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS htt_inbox_received_at ON htt_inbox(received_at);

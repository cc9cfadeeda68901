-- SPDX-License-Identifier: MIT
--
-- Requests by the key that the caller chose: who sends one again gets the result of the first, who
-- sends another request under a used key an error.
--
--   (no row) --begin--> running --finish--> finished
--      ^                   |                    |
--      +---expires_at------+----expires_at------+
--
-- A row past expires_at counts as not there.
CREATE TABLE IF NOT EXISTS htt_idempotency(
    -- whose keys: 'saga:order', 'POST /payments'
    scope TEXT NOT NULL
        CONSTRAINT "htt_idempotency.scope must not be empty" CHECK(scope <> ''),
    -- the caller's choice
    key TEXT NOT NULL
        CONSTRAINT "htt_idempotency.key must have 1 to 255 characters"
        CHECK(length(key) BETWEEN 1 AND 255),
    -- SHA-256 of the request
    request BLOB NOT NULL
        CONSTRAINT "htt_idempotency.request is a SHA-256, 32 bytes" CHECK(length(request) = 32),
    state TEXT NOT NULL DEFAULT 'running'
        CONSTRAINT "htt_idempotency.state is running or finished"
        CHECK(state IN ('running', 'finished')),
    -- what the first call gave, of any type
    result ANY,
    -- milliseconds since 1970
    created_at INTEGER NOT NULL
        DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    -- running: another may begin it then; finished: the key is free then; milliseconds since 1970
    expires_at INTEGER NOT NULL,
    -- whose run it is: another begin has another
    token INTEGER NOT NULL DEFAULT (random()),
    PRIMARY KEY(scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS htt_idempotency_expires_at ON htt_idempotency(expires_at);
INSERT OR IGNORE INTO htt_schema(name, version) VALUES ('event', 1);

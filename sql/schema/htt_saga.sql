-- SPDX-License-Identifier: MIT
--
-- Processes of several steps that survive a restart (docs/saga.md). One row for each definition
-- that a program announced, one for each instance.
INSERT OR IGNORE INTO htt_schema(name, version) VALUES ('saga', 1);
CREATE TABLE IF NOT EXISTS htt_saga_definition(
    name TEXT NOT NULL,
    -- the application's own number; other steps need another one
    version INTEGER NOT NULL
        CONSTRAINT "htt_saga_definition.version must be above 0" CHECK(version > 0),
    -- names of the steps, in their order: a JSON array of text
    steps TEXT NOT NULL
        CONSTRAINT "htt_saga_definition.steps is not a JSON array" CHECK(CASE
            WHEN json_valid(steps) THEN json_type(steps) = 'array' ELSE 0 END),
    PRIMARY KEY(name, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS htt_saga(
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT "htt_saga.id must have 1 to 63 bytes, none of them 0"
        CHECK(length(CAST(id AS BLOB)) BETWEEN 1 AND 63 AND instr(id, char(0)) = 0),
    -- htt_saga_definition.name and version
    definition TEXT NOT NULL,
    definition_version INTEGER NOT NULL,
    state TEXT NOT NULL
        CONSTRAINT "htt_saga.state is none of running, compensating, completed, compensated, failed"
        CHECK(state IN ('running', 'compensating', 'completed', 'compensated', 'failed')),
    -- running: the step whose action is next, from 0; compensating, failed: the step whose
    -- compensation is next; completed: the number of steps; compensated: -1
    step INTEGER NOT NULL,
    -- name of that step; NULL: completed or compensated
    step_name TEXT,
    -- what the steps hand on to each other
    data TEXT NOT NULL
        CONSTRAINT "htt_saga.data is not valid JSON" CHECK(json_valid(data)),
    -- failed ones of the action or compensation that is next
    attempts INTEGER NOT NULL DEFAULT 0
        CONSTRAINT "htt_saga.attempts must be 0 to 4294967294"
        CHECK(attempts BETWEEN 0 AND 4294967294),
    -- when to look at it again, at a deadline at the latest; NULL: it ended.
    -- Times are milliseconds since 1970
    next_at INTEGER
        CONSTRAINT "htt_saga.next_at must be there until it ended, and not afterwards"
        CHECK((next_at IS NULL) = (state IN ('completed', 'compensated', 'failed'))),
    -- until when the action or compensation that is next must have been done; NULL: no limit
    step_deadline INTEGER,
    -- until when the last action must have been done; NULL: no limit
    deadline INTEGER,
    -- why it was compensated: what failed and how; NULL: it was not
    cause TEXT,
    -- of the newest failed attempt; stays when a later one succeeds
    last_error TEXT,
    -- with which it was started; NULL: none
    idempotency_key TEXT,
    -- counts the changes of this row from 1; an UPDATE names the one that it read
    version INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
-- What is due, by definition.
CREATE INDEX IF NOT EXISTS htt_saga_due ON htt_saga(definition, definition_version, next_at, id)
    WHERE next_at IS NOT NULL;
-- Lists by state, and the purge.
CREATE INDEX IF NOT EXISTS htt_saga_state ON htt_saga(state, updated_at, id);

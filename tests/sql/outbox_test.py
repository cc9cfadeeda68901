#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""docs/outbox.md: its plain SQL keeps the rules without libhtt, its examples run as they stand."""
import hashlib
import os
import random
import re
import sqlite3
import subprocess
import tempfile
import time
import unittest

ROOT = os.environ.get("HTT_SOURCE_DIR",
                      os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("HTT_BUILD_DIR", os.path.join(ROOT, "build/dev"))
LIBRARY = os.environ.get("HTT_LIBRARY", os.path.join(BUILD, "libhtt"))
SEED = int(os.environ.get("HTT_TEST_SEED", random.getrandbits(32)))
ROUNDS = 200 if os.environ.get("HTT_TEST_LONG") else 8
with open(os.path.join(ROOT, "docs/outbox.md"), encoding="utf-8") as page:
    PAGE = page.read()
SCHEMA = ["htt_schema", "htt_consumer", "htt_event", "htt_delivery", "htt_inbox",
          "htt_idempotency"]


def blocks(language, heading=None):
    text = PAGE
    if heading:
        text = re.search(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S).group(1)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


(REGISTER,) = blocks("sql", "Register")
POLL, FENCE, LOOK, LEASE = blocks("sql", "Claim")
(ACK,) = blocks("sql", "Acknowledge")
FAIL, RELEASE, EXTEND = blocks("sql", "Fail, bury, give back, extend")
REQUEUE, DISCARD = blocks("sql", "Dead events")
(PURGE,) = blocks("sql", "Purge")
INBOX, INBOX_PURGE = blocks("sql", "Inbox")
KEY_READ, KEY_BEGIN, KEY_FINISH, KEY_ABANDON, KEY_PURGE = blocks("sql", "Idempotency keys")


def install(db):
    for name in SCHEMA:
        with open(os.path.join(ROOT, "sql/schema", name + ".sql"), encoding="utf-8") as file:
            db.executescript(file.read())


def connect(path=":memory:"):
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    install(db)
    return db


def append(db, aggregate="1", **columns):
    columns = {"aggregate_type": "order", "aggregate_id": aggregate, "type": "placed",
               "payload": "{}", **columns}
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    return db.execute(f"INSERT INTO htt_event({names}) VALUES ({marks})", tuple(columns.values()))


def claim(db, consumer, worker, now, most, lease=100):
    """As the page says. [(id, attempts)], token."""
    arguments = {"consumer": consumer, "worker": worker, "now": now, "from": 0, "to": now,
                 "most": most, "window": 2 * most, "until": now + lease}
    db.execute("BEGIN IMMEDIATE")
    (arguments["token"],) = db.execute(FENCE, arguments).fetchone()
    db.execute(LOOK, arguments)
    rows = db.execute(LEASE, arguments).fetchall()
    db.execute("COMMIT")
    return sorted(row[:2] for row in rows if row[2]), arguments["token"]


class Statements(unittest.TestCase):
    """A random run of all statements against a model of the rules."""

    def setUp(self):
        self.chance = random.Random(SEED)
        self.db = connect()
        self.now = 1000

    def open_states(self):
        return {row[0]: row[1:] for row in self.db.execute(
            "SELECT id, state, lane FROM htt_delivery WHERE consumer = 'c'")}

    def check(self, delivered, skip):
        """What holds at every moment."""
        position, = self.db.execute(
            "SELECT acknowledged FROM htt_consumer WHERE name = 'c'").fetchone()
        states = self.open_states()
        newest, = self.db.execute("SELECT coalesce(max(seq), 0) FROM htt_event").fetchone()
        for seq in range(1, newest + 1):
            done = seq in delivered
            state = states[seq][0] if seq in states else None
            if done:
                self.assertIn(state, (None, "done"))
            elif seq <= position:
                self.assertIn(state, ("dead", "pending", "leased", "failed"), seq)
            elif state is None:
                self.assertGreater(seq, max(states, default=0))
        blocked = {}
        for seq in sorted(states):
            state, lane = states[seq]
            if state == "waiting":
                self.assertTrue(blocked.get(lane), f"{seq} waits for nobody")
            if state != "done" and not (state == "dead" and skip):
                blocked[lane] = True
        self.assertFalse([s for s in states if s <= position and states[s][0] == "done"])

    def run_round(self, skip):
        db, chance = self.db, self.chance
        db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
        db.execute("UPDATE htt_subscription SET on_dead = ?, max_attempts = 3",
                   ("skip" if skip else "block",))
        delivered, leases, dead, aggregates = set(), [], set(), {}
        count = 0
        for step in range(400):
            self.now += chance.choice([0, 1, 5, 50, 150, -40])
            what = chance.random()
            if what < 0.35 and step < 300:
                for _ in range(chance.randrange(1, 4)):
                    count += 1
                    aggregates[count] = str(chance.randrange(6))
                    append(db, aggregates[count])
            elif what < 0.6:
                held = {lease["id"] for lease in leases
                        if self.is_valid({**lease, "now": self.now})}
                got, token = claim(db, "c", "w", self.now, chance.randrange(1, 6))
                for seq, _ in got:
                    self.assertNotIn(seq, held)  # one lease at a time
                    self.assertNotIn(seq, delivered)
                    for other, lane in aggregates.items():  # order of the aggregate
                        if other < seq and lane == aggregates[seq] and other not in delivered:
                            self.assertTrue(skip and other in self.dead(), (seq, other))
                leases += [{"consumer": "c", "id": seq, "token": token,
                            "until": self.now + 100} for seq, _ in got]
            elif leases:
                lease = leases.pop(chance.randrange(len(leases)))
                arguments = {**lease, "now": self.now, "error": "no", "bury": 0,
                             "chance": chance.randrange(1000)}
                statement = chance.choice([ACK, ACK, ACK, FAIL, RELEASE, EXTEND])
                if statement is EXTEND:
                    arguments["until"] = lease["until"] = self.now + 100
                elif statement is FAIL:
                    arguments["bury"] = chance.randrange(2)
                valid = self.is_valid(arguments)
                self.assertEqual(db.execute(statement, arguments).rowcount, int(valid))
                if valid and statement is ACK:
                    delivered.add(lease["id"])
                elif valid and statement is EXTEND:
                    leases.append(lease)
            if chance.random() < 0.03:
                db.execute(REQUEUE, {"consumer": "c", "id": 0})
            self.check(delivered, skip)
        self.finish(delivered, count)

    def dead(self):
        return {seq for seq, (state, _) in self.open_states().items() if state == "dead"}

    def is_valid(self, lease):
        row = self.db.execute("SELECT state, token, due_at FROM htt_delivery "
                              "WHERE consumer = 'c' AND id = ?", (lease["id"],)).fetchone()
        return bool(row) and row[0] == "leased" and row[1] == lease["token"] and \
            row[2] > lease["now"]

    def finish(self, delivered, count):
        """Everybody gets everything in the end."""
        for _ in range(10000):
            self.now += 100000
            self.db.execute(REQUEUE, {"consumer": "c", "id": 0})
            got, token = claim(self.db, "c", "last", self.now, 50)
            for seq, _ in got:
                self.assertNotIn(seq, delivered)
                self.db.execute(ACK, {"consumer": "c", "id": seq, "token": token, "now": self.now})
                delivered.add(seq)
            if len(delivered) == count:
                break
        self.assertEqual(delivered, set(range(1, count + 1)))
        self.assertEqual(self.db.execute("SELECT acknowledged FROM htt_consumer").fetchall(),
                         [(count,)])
        self.assertEqual(self.db.execute("SELECT * FROM htt_delivery").fetchall(), [])

    def test_plain_sql_keeps_the_rules(self):
        print("seed", SEED)
        for number in range(ROUNDS):
            self.db = connect()
            self.run_round(skip=number % 2 == 1)

    def test_poll_says_whether_there_is_something_to_do(self):
        ask = {"consumer": "c", "now": self.now}
        self.assertIsNone(self.db.execute(POLL, ask).fetchone())
        self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 0})
        self.assertFalse(self.db.execute(POLL, ask).fetchone()[1])
        append(self.db)
        self.assertEqual(self.db.execute(POLL, ask).fetchone(), (1, 1))
        claim(self.db, "c", "w", self.now, 5)
        self.assertEqual(self.db.execute(POLL, ask).fetchone(), (1, 0))
        ask["now"] += 100
        self.assertEqual(self.db.execute(POLL, ask).fetchone(), (1, 1))

    def test_discard_and_purge(self):
        self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
        for number in range(4):
            append(self.db, str(number))
        got, token = claim(self.db, "c", "w", self.now, 4)
        self.assertEqual(len(got), 4)
        for seq in (1, 2, 3, 4):
            self.db.execute(FAIL, {"consumer": "c", "id": seq, "token": token, "now": self.now,
                                   "error": "x", "chance": 0, "bury": 1})
        future = {"before": 2 ** 50, "most": 1000}
        self.assertEqual(self.db.execute(PURGE, future).rowcount, 0)
        for seq in (1, 2, 4):
            self.assertEqual(self.db.execute(DISCARD, {"consumer": "c", "id": seq}).rowcount, 1)
        self.assertEqual(self.db.execute(PURGE, {"before": 5, "most": 9}).rowcount, 0)
        self.assertEqual(self.db.execute(PURGE, future).rowcount, 2)  # not 3, not the newest
        self.assertEqual(self.db.execute("SELECT seq FROM htt_event ORDER BY seq").fetchall(),
                         [(3,), (4,)])

    def test_what_is_due_of_a_table_is_nothing_to_claim_of_events(self):
        self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
        self.db.execute("INSERT INTO htt_delivery(consumer, id, lane, state, due_at) "
                        "VALUES ('c', 1 << 40, 'kv/1', 'pending', 0)")
        poll = {"consumer": "c", "now": 5}
        self.assertFalse(self.db.execute(POLL, poll).fetchone()[1])
        append(self.db)
        self.assertEqual(self.db.execute(POLL, poll).fetchone(), (1, 1))

    def test_inbox(self):
        row = {"consumer": "c", "message_id": "m", "now": 5}
        self.assertEqual([self.db.execute(INBOX, row).rowcount for _ in range(2)], [1, 0])
        self.assertEqual(self.db.execute(INBOX_PURGE, {"before": 5, "most": 9}).rowcount, 0)
        self.assertEqual(self.db.execute(INBOX_PURGE, {"before": 6, "most": 9}).rowcount, 1)

    def test_idempotency_keys(self):
        db, digest = self.db, hashlib.sha256(b"input").digest()
        key = {"scope": "s", "key": "k"}
        self.assertIsNone(db.execute(KEY_READ, key).fetchone())
        begin = {**key, "request": digest, "now": 5, "expires_at": 10, "token": 77}
        db.execute(KEY_BEGIN, begin)
        self.assertEqual(db.execute(KEY_READ, key).fetchone(), (digest, 0, None, 5, 10, 77))
        finish = {**key, "token": 78, "result": "r", "expires_at": 100}
        self.assertEqual(db.execute(KEY_FINISH, finish).rowcount, 0)
        self.assertEqual(db.execute(KEY_ABANDON, {**key, "token": 78}).rowcount, 0)
        finish["token"] = 77
        self.assertEqual(db.execute(KEY_FINISH, finish).rowcount, 1)
        self.assertEqual(db.execute(KEY_READ, key).fetchone(), (digest, 1, "r", 5, 100, 77))
        self.assertEqual(db.execute(KEY_PURGE, {"now": 99, "most": 9}).rowcount, 0)
        self.assertEqual(db.execute(KEY_PURGE, {"now": 100, "most": 9}).rowcount, 1)
        db.execute(KEY_BEGIN, begin)
        self.assertEqual(db.execute(KEY_ABANDON, {**key, "token": 77}).rowcount, 1)
        with self.assertRaisesRegex(sqlite3.IntegrityError, "is a SHA-256, 32 bytes"):
            db.execute(KEY_BEGIN, {**begin, "request": b"short"})
        with self.assertRaisesRegex(sqlite3.IntegrityError, "key must have 1 to 255 characters"):
            db.execute(KEY_BEGIN, {**begin, "key": "x" * 256})


class Refused(unittest.TestCase):
    def refused(self, message, sql, *arguments):
        before = list(self.db.iterdump())
        with self.assertRaises(sqlite3.IntegrityError) as caught:
            self.db.execute(sql, arguments)
        self.assertIn(message, str(caught.exception))
        self.assertEqual(list(self.db.iterdump()), before)

    def setUp(self):
        self.db = connect()
        for _ in range(3):
            append(self.db)

    def test_events_that_make_no_sense(self):
        insert = "INSERT INTO htt_event(aggregate_type, aggregate_id, type, {}) " \
                 "VALUES ('order', '1', 'placed', {})"
        for columns, values, message in [
                ("payload", "'{'", "payload is not valid JSON, which content_type says it is"),
                ("payload", "x'7b7d'", "payload is not valid JSON"),
                ("payload", "1", "payload is not valid JSON"),
                ("payload, content_type", "'{', 'APPLICATION/JSON;a=b'", "not valid JSON"),
                ("payload, content_type", "'{', 'application/cloudevents+json'", "not valid JSON"),
                ("headers", "'[]'", "headers is not a JSON object"),
                ("headers", "'{'", "headers is not a JSON object"),
                ("id", "''", "id must have 1 to 255 characters"),
                ("id", "hex(zeroblob(128))", "id must have 1 to 255 characters"),
                ("idempotency_key", "''", "idempotency_key must have 1 to 255 characters"),
                ("available_at", "-1", "available_at must not be negative"),
                ("seq", "9", "leave seq to SQLite, it is the newest plus one"),
                ("seq", "3", "leave seq to SQLite"),
                ("seq", "0", "seq counts from 1"),
                ("headers", "NULL", "NOT NULL constraint failed: htt_event.headers"),
                ("created_at", "'now'", "cannot store TEXT value in INTEGER column"),
        ]:
            self.refused(message, insert.format(columns, values))
        for columns in ["'', '1', 'placed'", "'a/b', '1', 'placed'"]:
            self.refused("aggregate_type must not be empty, nor have a slash",
                         f"INSERT INTO htt_event(aggregate_type, aggregate_id, type) "
                         f"VALUES ({columns})")
        for column, text in [("id", "a\0b"), ("aggregate_type", "order\0s"),
                             ("aggregate_id", "\0"), ("type", "placed\0"),
                             ("idempotency_key", "k\0l"), ("content_type", "text/plain\0"),
                             ("headers", "{}\0")]:
            before = list(self.db.iterdump())
            with self.assertRaisesRegex(sqlite3.IntegrityError, f"htt_event.{column} "):
                append(self.db, "1", **{column: text})
            self.assertEqual(list(self.db.iterdump()), before)
        append(self.db, content_type="text/plain", payload=b"{")
        append(self.db, content_type="application/jsonlines", payload="{")
        append(self.db, payload=None)
        self.assertEqual(self.db.execute("SELECT max(seq), count(*) FROM htt_event").fetchone(),
                         (6, 6))

    def test_events_that_are_there_stay_as_they_are(self):
        self.refused("events do not change", "UPDATE htt_event SET type = 'x'")
        self.refused("the newest event stays", "DELETE FROM htt_event WHERE seq = 3")
        self.refused("the newest event stays", "DELETE FROM htt_event")
        known, = self.db.execute("SELECT id FROM htt_event WHERE seq = 1").fetchone()
        for what in ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"]:
            self.refused("an event with this id is there already",
                         f"{what} INTO htt_event(id, aggregate_type, aggregate_id, type) "
                         f"VALUES (?, 'a', 'b', 'c')", known)
        self.refused("leave seq to SQLite",
                     "INSERT OR REPLACE INTO htt_event(seq, aggregate_type, aggregate_id, type) "
                     "VALUES (3, 'a', 'b', 'c')")
        self.db.execute("DELETE FROM htt_event WHERE seq < 3")
        append(self.db)
        self.assertEqual(self.db.execute("SELECT seq FROM htt_event ORDER BY seq").fetchall(),
                         [(3,), (4,)])

    def test_a_sequence_is_dense_also_after_rollbacks(self):
        chance = random.Random(SEED)
        count = 3
        for _ in range(200):
            self.db.execute("BEGIN")
            more = chance.randrange(1, 4)
            for _ in range(more):
                append(self.db)
            if chance.random() < 0.5:
                self.db.execute("ROLLBACK")
            else:
                self.db.execute("COMMIT")
                count += more
        self.assertEqual([row[0] for row in self.db.execute(
            "SELECT seq FROM htt_event ORDER BY seq")],
                         list(range(1, count + 1)))

    def test_a_dump_is_restored(self):
        self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
        claim(self.db, "c", "w", 5, 10)
        self.db.execute("DELETE FROM htt_event WHERE seq = 2")
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "a.db")
            other = sqlite3.connect(file)
            self.db.backup(other)
            other.close()
            dump = subprocess.run(["sqlite3", file, ".dump"], capture_output=True, text=True,
                                  check=True).stdout
            again = subprocess.run(["sqlite3", os.path.join(folder, "b.db")], input=dump,
                                   capture_output=True, text=True, check=True)
            self.assertEqual(again.stderr, "")
            other = sqlite3.connect(os.path.join(folder, "b.db"))
            append(other)
            self.assertEqual(other.execute("SELECT seq FROM htt_event ORDER BY 1").fetchall(),
                             [(1,), (3,), (4,)])
            self.assertEqual(other.execute("SELECT count(*) FROM htt_delivery").fetchone(), (3,))
            other.close()

    def test_idempotency_keys_of_events(self):
        self.assertEqual(append(self.db, idempotency_key="k").rowcount, 1)
        self.assertEqual(append(self.db, idempotency_key="k").rowcount, 0)
        for columns in [{"payload": "[]"}, {"aggregate": "2"}, {"type": "x"}, {"payload": None},
                        {"headers": '{"a":1}'}, {"content_type": "text/plain"}]:
            with self.assertRaisesRegex(sqlite3.IntegrityError,
                                        "another event has this idempotency_key"):
                append(self.db, idempotency_key="k", **columns)

    def test_types(self):
        self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
        unknown = "has a type that is not in htt_event_type"
        self.refused(unknown, "UPDATE htt_subscription SET types = '[\"paid\"]'")
        self.refused(unknown,
                     "INSERT INTO htt_subscription(consumer, types) VALUES ('d', '[\"paid\"]')")
        self.refused("types is not a JSON array", "UPDATE htt_subscription SET types = '{}'")
        with self.assertRaisesRegex(sqlite3.OperationalError, "malformed JSON"):
            self.db.execute("UPDATE htt_subscription SET types = '['")
        self.db.execute("INSERT INTO htt_event_type VALUES ('paid')")
        self.db.execute("UPDATE htt_subscription SET types = '[\"paid\"]'")
        with self.assertRaisesRegex(sqlite3.IntegrityError, "unknown type"):
            append(self.db)
        append(self.db, type="paid")
        self.assertEqual(claim(self.db, "c", "w", 5, 10)[0], [(4, 1)])

    def test_consumers_and_deliveries(self):
        for columns, message in [("on_dead = 'x'", "on_dead is 'block' or 'skip'"),
                                 ("max_attempts = 0", "max_attempts must be 1 or more"),
                                 ("backoff_first = 0", "backoff_first must be 1 to 86400000 ms"),
                                 ("backoff_most = 1", "backoff_most must be backoff_first to")]:
            self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
            self.refused(message, f"UPDATE htt_subscription SET {columns}")
        claim(self.db, "c", "w", 5, 1)
        append(self.db, "2")
        self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 0})  # again: nothing changes
        self.assertEqual(self.db.execute("SELECT acknowledged FROM htt_consumer").fetchall(),
                         [(0,)])
        self.refused("a row goes by itself: set its state instead", "DELETE FROM htt_delivery")
        for columns, message in [("state = 'x'", "state is pending, waiting, leased"),
                                 ("due_at = NULL", "due_at is set when pending, leased or failed"),
                                 ("locked_by = NULL", "a lease has locked_by and token"),
                                 ("token = NULL", "a lease has locked_by and token")]:
            self.refused(message, f"UPDATE htt_delivery SET {columns} WHERE state = 'leased'")
        self.db.execute("DELETE FROM htt_consumer WHERE name = 'c' AND store = 0")
        for table in ["htt_delivery", "htt_subscription", "htt_consumer"]:
            self.assertEqual(self.db.execute(f"SELECT * FROM {table}").fetchall(), [])

    def test_positions_of_changes_are_others(self):
        """htt_consumer also has those who follow a table: nothing here touches them."""
        self.db.execute("INSERT INTO htt_consumer VALUES ('c', 7, (7 << 40) + 3)")
        self.assertEqual(self.db.execute("SELECT * FROM htt_subscription").fetchall(), [])
        self.db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
        got, token = claim(self.db, "c", "w", 5, 10)
        for seq, _ in got:
            self.db.execute(ACK, {"consumer": "c", "id": seq, "token": token, "now": 6})
        self.db.execute("INSERT OR REPLACE INTO htt_consumer VALUES ('c', 7, (7 << 40) + 4)")
        self.assertEqual(self.db.execute("SELECT store, acknowledged FROM htt_consumer").fetchall(),
                         [(0, 1), (7, (7 << 40) + 4)])
        self.db.execute("DELETE FROM htt_consumer WHERE store = 7")
        self.assertEqual(self.db.execute("SELECT consumer FROM htt_subscription").fetchall(),
                         [("c",)])

    def test_the_view_has_debeziums_names(self):
        cursor = self.db.execute("SELECT * FROM htt_event_debezium WHERE seq = 1")
        names = [column[0] for column in cursor.description]
        self.assertEqual(names, ["id", "aggregatetype", "aggregateid", "type", "payload",
                                 "contenttype", "headers", "timestamp", "seq"])
        self.assertEqual(cursor.fetchone()[1:5], ("order", "1", "placed", "{}"))

    def test_ids_made_by_sql_are_uuids_of_version_7(self):
        begin = int(time.time() * 1000)
        append(self.db)
        found, made = self.db.execute("SELECT id, created_at FROM htt_event "
                                      "ORDER BY seq DESC").fetchone()
        self.assertRegex(found, r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                r"[0-9a-f]{12}$")
        self.assertEqual(int(found[:8] + found[9:13], 16), made)
        self.assertLess(abs(made - begin), 60000)


class WithTables(unittest.TestCase):
    """Events and htt tables in one database, which share htt_consumer."""

    def test_consumers_of_tables_come_and_go(self):
        with tempfile.TemporaryDirectory() as folder:
            db = connect(os.path.join(folder, "a.db"))
            db.enable_load_extension(True)
            db.load_extension(LIBRARY)
            db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
            append(db)
            for file in ("one", "two"):  # the second one takes the place of the first
                db.execute(f"CREATE VIRTUAL TABLE kv USING htt('{file}.htt', changes=on)")
                db.execute("INSERT INTO htt_consumer(name, store, acknowledged) "
                           "SELECT 'c', id, (id << 40) + htt_seq('kv') FROM htt_store "
                           "WHERE name = ?", (file + ".htt",))
                db.execute("BEGIN")  # an event and the change that it tells of
                db.execute("INSERT INTO kv VALUES (1, 2)")
                append(db)
                db.execute("COMMIT")
                db.execute("UPDATE htt_consumer SET acknowledged = acknowledged + 1 "
                           "WHERE store > 0")
                self.assertEqual(db.execute("SELECT count(*) FROM htt_consumer").fetchone(), (2,))
                db.execute("DROP TABLE kv")
                os.remove(os.path.join(folder, file + ".htt"))
                db.execute("SELECT htt_gc()")
                db.execute("DELETE FROM htt_consumer WHERE store > 0")
            got, token = claim(db, "c", "w", 5, 10)
            self.assertEqual(got, [(1, 1)])
            self.assertEqual(db.execute(ACK, {"consumer": "c", "id": 1, "token": token,
                                              "now": 6}).rowcount, 1)
            self.assertEqual(db.execute("SELECT name, store, acknowledged FROM htt_consumer")
                             .fetchall(), [("c", 0, 1)])
            db.close()

    def test_a_store_that_is_replaced_takes_its_consumers_and_no_others(self):
        with tempfile.TemporaryDirectory() as folder:
            db = connect(os.path.join(folder, "a.db"))
            db.enable_load_extension(True)
            db.load_extension(LIBRARY)
            db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
            create = "CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)"
            db.execute(create)
            db.execute("INSERT INTO kv VALUES (1, 2)")
            db.execute("INSERT INTO htt_consumer SELECT 'c', id, id << 40 FROM htt_store")
            db.execute("DROP TABLE kv")
            os.remove(os.path.join(folder, "kv.htt"))
            db.execute(create)  # another file under the name
            self.assertEqual(db.execute("SELECT name, store FROM htt_consumer").fetchall(),
                             [("c", 0)])
            db.close()


class Examples(unittest.TestCase):
    def test_two_workers_of_one_name_read_each_their_own_lease(self):
        (read,) = re.findall(r"^SELECT e\.\* .*?;$", blocks("sqlite")[0], re.M | re.S)
        db = connect()
        db.execute(REGISTER, {"consumer": "c", "from_oldest": 1})
        for aggregate in "12":
            append(db, aggregate)
        for token in (1, 2):  # in the same millisecond
            claim(db, "c", "worker-1", 5, 1)
        for token in (1, 2):
            rows = db.execute(read, {"consumer": "c", "token": token}).fetchall()
            self.assertEqual([row[0] for row in rows], [token])
        db.close()

    def test_the_example_in_sql(self):
        (example,) = blocks("sqlite")
        (token,) = re.findall(r"`(\.parameter set :token .*)`", PAGE)
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "claim.sql"), "w", encoding="utf-8") as file:
                file.write("BEGIN IMMEDIATE;\n" + FENCE + token + "\n" + LOOK + LEASE +
                           "COMMIT;\n")
            with open(os.path.join(folder, "acknowledge.sql"), "w", encoding="utf-8") as file:
                file.write(ACK)
            install(sqlite3.connect(os.path.join(folder, "a.db")))
            run = subprocess.run(["sqlite3", "a.db"], input=example, cwd=folder,
                                 capture_output=True, text=True, check=True)
        self.assertEqual(run.stderr, "")
        lines = run.stdout.splitlines()
        self.assertEqual(lines[0], "1")  # the token
        self.assertEqual(lines[1], "1|1|1")  # the lease
        self.assertRegex(lines[2], r'^1\|[^|]+\|order\|7\|placed\|\{"total":1200\}\|')
        self.assertEqual(lines[3], "mail|1|1|0|0|0|0|0|0")
        self.assertEqual(len(lines), 4)

    def test_the_example_in_c(self):
        (example,) = blocks("c")
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "example.c")
            program = os.path.join(folder, "example")
            with open(source, "w", encoding="utf-8") as file:
                file.write(example)
            sanitize = os.environ.get("HTT_SANITIZE")
            subprocess.run([os.environ.get("HTT_CC", "cc"), "-std=c11", "-Wall", "-Wextra",
                            "-Werror", *(["-fsanitize=" + sanitize] if sanitize else []),
                            *("-I" + os.path.join(ROOT, name) for name in ("engine", "sql")),
                            source, "-o", program, os.path.join(BUILD, "libhtt.a"), "-lsqlite3",
                            "-lpthread", "-lm"], check=True)
            database = os.path.join(folder, "shop.db")
            for orders in (1, 2):
                run = subprocess.run([program, database], capture_output=True, text=True,
                                     check=False)
                self.assertEqual((run.returncode, run.stdout, run.stderr),
                                 (0, "order 7 was placed\n", ""))
                db = sqlite3.connect(database)
                self.assertEqual(db.execute("SELECT count(*) FROM orders").fetchone(), (orders,))
                self.assertEqual(db.execute("SELECT acknowledged, behind FROM htt_lag").fetchall(),
                                 [(orders, 0)])
                db.close()


if __name__ == "__main__":
    unittest.main()

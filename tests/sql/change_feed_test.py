#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=120
"""docs/change-feed.md: its SQL runs, and its consumer keeps up although everybody is killed."""
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import types
import unittest

ROOT = os.environ.get("HTT_SOURCE_DIR",
                      os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
LIBRARY = os.environ.get("HTT_LIBRARY", os.path.join(ROOT, "build/dev/libhtt"))
SEED = int(os.environ.get("HTT_TEST_SEED", random.getrandbits(32)))
ROUNDS = 150 if os.environ.get("HTT_TEST_LONG") else 6
with open(os.path.join(ROOT, "docs/change-feed.md"), encoding="utf-8") as page:
    PAGE = page.read()

WRITER = r"""
import random, sqlite3, sys
database, library, seed = sys.argv[1:]
chance = random.Random(int(seed))
db = sqlite3.connect(database, timeout=30, isolation_level=None)
db.enable_load_extension(True)
db.load_extension(library)
db.execute("PRAGMA synchronous = off")  # the machine stays up: only processes die
while True:
    try:
        db.execute("BEGIN IMMEDIATE")
        for _ in range(chance.choice([1, 1, 1, 3, 10, 200])):
            what, key = chance.random(), chance.randrange(300)
            if what < 0.6:
                db.execute("INSERT OR REPLACE INTO kv VALUES (?, ?)", (key, chance.random()))
            elif what < 0.8:
                db.execute("DELETE FROM kv WHERE key = ?", (key,))
            elif what < 0.9:
                db.execute("UPDATE OR REPLACE kv SET key = 'k' || key WHERE key = ?", (key,))
            else:
                db.execute("SAVEPOINT s")
                db.execute("INSERT OR REPLACE INTO kv VALUES (?, zeroblob(300))", (key,))
                db.execute(chance.choice(["RELEASE s", "ROLLBACK TO s"]))
        db.execute("COMMIT" if chance.random() < 0.8 else "ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xff != sqlite3.SQLITE_BUSY:
            raise
        if db.in_transaction:
            db.execute("ROLLBACK")
"""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def statements(text):
    """The statements of a script, without their comments."""
    text = re.sub(r"--.*", "", text)
    return [statement for statement in map(str.strip, text.split(";")) if statement]


def connect(path):
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(LIBRARY)
    return db


class ChangeFeed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.database = os.path.join(self.folder, "app.db")

    def test_sql_of_the_page_runs_and_gives_what_it_says(self):
        first, consumer, switch = blocks("sql")
        db = connect(self.database)
        answers = [db.execute(statement).fetchall() for statement in statements(first)]
        self.assertEqual(answers[3:], [
            [(1, "put", "a", 1), (2, "put", "b", 2), (3, "delete", "a", None)],
            [(3, "delete", "a", None)], [(3,)]])
        answers = [db.execute(statement).fetchall() for statement in statements(consumer)]
        self.assertEqual(answers[4], [((1 << 40) + 4, "put", "c", 3)])
        for statement in statements(switch):
            db.execute(statement)
        self.assertEqual(db.execute("SELECT count(*) FROM kv").fetchall(), [(2,)])
        self.assertEqual(db.execute("SELECT count(*) FROM htt_changes('kv', htt_seq('kv'))")
                         .fetchall(), [(0,)])
        with self.assertRaisesRegex(sqlite3.Error, "start anew"):
            db.execute("SELECT * FROM htt_changes('kv', 4)").fetchall()
        db.close()

    def start(self, *arguments):
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        return process

    def kill(self, process):
        """What it has printed. It must not have ended by itself."""
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        self.assertEqual((process.returncode, err), (-signal.SIGKILL, ""))
        return out

    def make(self, chance, mode):
        db = connect(self.database)
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on, changes_keep=10, "
                   f"fold_rows={chance.choice([1, 20, 100])})")
        db.close()

    def check(self, follower):
        while follower.step():
            pass
        db = connect(self.database)
        rows = sorted(db.execute("SELECT quote(key), quote(value) FROM kv"))
        copied = sorted(follower.copy.execute("SELECT quote(key), quote(value) FROM copy"))
        self.assertEqual(copied, rows)
        oldest, = db.execute("SELECT min(id) & 1099511627775 FROM htt_outbox").fetchone()
        if oldest is not None:
            numbers = [seq for seq, in
                       db.execute("SELECT seq FROM htt_changes('kv', ?)", (oldest - 1,))]
            self.assertEqual(numbers, list(range(oldest, oldest + len(numbers))))
            self.assertEqual(numbers[-1], follower.position())
        self.assertEqual(db.execute("SELECT * FROM htt_check('kv')").fetchall(), [("ok",)])
        db.close()

    def follow(self, mode, seed):
        chance = random.Random(seed)
        (source,) = blocks("python")
        script, copy = os.path.join(self.folder, "follow.py"), os.path.join(self.folder, "copy.db")
        with open(script, "w", encoding="utf-8") as file:
            file.write(source)
        module = types.ModuleType("follow")
        exec(compile(source, script, "exec"), module.__dict__)
        arguments = self.database, "kv", "kv.htt", copy, LIBRARY
        self.make(chance, mode)
        first = module.Follower(*arguments)
        first.step()  # the copy of the beginning, the only one
        first.db.close()
        for _ in range(ROUNDS):
            processes = [self.start("-c", WRITER, self.database, LIBRARY,
                                    str(chance.getrandbits(32))) for _ in range(2)]
            processes.append(self.start(script, *arguments))
            for process in chance.sample(processes, 3):
                time.sleep(chance.uniform(0.05, 0.5))
                self.assertEqual(self.kill(process), "")  # a copy would be said
            follower = module.Follower(*arguments)
            self.check(follower)
            follower.db.close()
            follower.copy.close()
        return first.position()

    def test_consumer_of_the_page_misses_nothing_when_anybody_is_killed(self):
        for number, mode in enumerate(("wal", "delete")):
            with self.subTest(mode=mode), tempfile.TemporaryDirectory() as self.folder:
                self.database = os.path.join(self.folder, "app.db")
                print(f"HTT_TEST_SEED={SEED} {mode}:", end=" ", flush=True)
                print(self.follow(mode, SEED + number), "changes", flush=True)

    def test_consumer_of_the_page_begins_anew_after_a_gap(self):
        (source,) = blocks("python")
        module = types.ModuleType("follow")
        exec(source, module.__dict__)
        self.make(random.Random(1), "wal")
        db = connect(self.database)
        follower = module.Follower(self.database, "kv", "kv.htt",
                                   os.path.join(self.folder, "copy.db"), LIBRARY)
        for statement in ("INSERT INTO kv VALUES (1, 1)", "DELETE FROM htt_consumer",
                          "DROP TABLE kv"):
            self.check(follower)
            db.execute(statement)
        db.execute("CREATE VIRTUAL TABLE kv USING htt('kv.htt', changes=on)")
        db.execute("INSERT INTO kv VALUES (2, 2)")
        self.check(follower)
        db.close()


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=60 asan
"""The example program sql/examples/orders: its commands, and that kills lose and double nothing.

Two processes place and run orders in one database. One of them after the other is killed (SIGKILL)
at a random moment and replaced. After each kill, while the other goes on, the program's own check
must hold (stock, payments, sagas and events agree), and every order whose number had been printed
must be there. In the end all of them are run to their end.

HTT_TEST_SEED=N repeats the choices; HTT_TEST_LONG=1 is a thousand kills.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.path.join(os.environ["HTT_BUILD_DIR"], "examples", "orders")
LONG = "HTT_TEST_LONG" in os.environ
KILLS = 1000 if LONG else (4 if os.environ.get("HTT_SANITIZE") else 40)
PROCESSES = 2


class Orders(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=".", prefix="orders.")
        self.path = os.path.join(self.folder, "shop.db")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def orders(self, *words, code=0):
        """What a command prints; it must end with that code."""
        done = subprocess.run([PROGRAM, self.path, *words], capture_output=True, text=True,
                              env={**os.environ, "ORDERS_FLAKY": "10"})
        if done.returncode != code:
            self.fail(f"{words}: exit {done.returncode}: {done.stdout} {done.stderr}")
        return done.stdout + done.stderr

    def counts(self):
        """Orders by state."""
        lines = self.orders("status").split("\n")
        return {line.split()[0]: int(line.split()[1]) for line in lines if line}

    def test_each_way_through_the_process(self):
        self.orders("init", "apple=10", "pear=2")
        self.orders("init", "apple=10", "pear=2")  # is there: nothing changes
        self.orders("place", "1", "apple", "3", "500", "High Street")
        self.orders("place", "1", "apple", "3", "500", "High Street")
        self.assertIn("number 1 is another order",
                      self.orders("place", "1", "apple", "4", "500", "High Street", code=1))
        self.orders("place", "2", "pear", "3", "500", "High Street")     # too few
        self.orders("place", "3", "pear", "1", "500000", "High Street")  # declined
        self.orders("place", "4", "pear", "1", "500", "nowhere")         # refunded
        self.orders("place", "5", "plum", "1", "500", "High Street")     # unknown
        self.assertEqual(self.orders("check"), "all good\n")
        self.assertEqual(self.counts(), {"placed": 5})
        self.orders("run")
        self.assertEqual(self.counts(), {"shipped": 1, "cancelled": 4})
        self.assertEqual(self.orders("check"), "all good\n")

    def test_bad_input_is_refused(self):
        self.assertIn("no such table", self.orders("status", code=1))
        self.orders("init", "apple=10")
        for words in (["place", "1", "apple", "0", "1", "x"],
                      ["place", "1", "apple", "x", "1", "x"],
                      ["place", "1\"", "apple", "1", "1", "x"],
                      ["place", "1"], ["init", "apple"], ["init", "pear=x"], ["dance"],
                      ["random", "0", "1"]):
            self.orders(*words, code=2)
        self.assertIn("there is no saga '9'", self.orders("again", "9", code=1))
        self.orders("place", "1", "apple", "1", "1", "x")
        self.assertIn("did not fail", self.orders("skip", "1", code=1))
        self.assertEqual(self.orders("check"), "all good\n")

    def test_tables_that_cannot_be_made_leave_nothing(self):
        import sqlite3
        database = sqlite3.connect(self.path)
        database.executescript("CREATE TABLE a(b); CREATE INDEX payments ON a(b)")
        self.assertEqual(self.orders("init", "apple=1", code=1),
                         "orders: there is already an index named payments\n")
        self.assertEqual(database.execute("SELECT name FROM sqlite_schema WHERE name IN "
                                          "('orders', 'stock')").fetchall(), [])
        database.executescript("DROP INDEX payments")
        database.close()
        self.orders("init", "apple=1")
        self.assertEqual(self.orders("check"), "all good\n")

    def test_the_check_finds_what_is_wrong(self):
        """A check that cannot fail would prove nothing."""
        import sqlite3
        self.orders("init", "apple=10")
        self.orders("place", "1", "apple", "3", "500", "High Street")
        self.orders("run")
        changes = ["UPDATE payments SET amount = 499", "DELETE FROM payments",
                   "INSERT INTO payments VALUES ('x', 1, 'taken')",
                   "UPDATE htt_saga SET step = 3", "DELETE FROM htt_saga",
                   "INSERT INTO htt_event(aggregate_type, aggregate_id, type) VALUES "
                   "('order', '1', 'shipped')",
                   "UPDATE htt_event SET type = 'paid'"]
        for change in changes:
            database = sqlite3.connect(self.path)
            database.isolation_level = None
            copy = sqlite3.connect(self.path + ".copy")
            database.backup(copy)
            copy.close()
            trigger = database.execute("SELECT sql FROM sqlite_schema WHERE name = "
                                       "'htt_event_before_update'").fetchone()[0]
            database.execute("DROP TRIGGER htt_event_before_update")
            database.execute(change)
            database.execute(trigger)
            database.close()
            self.assertIn("wrong: ", self.orders("check", code=1), change)
            copy = sqlite3.connect(self.path + ".copy")
            database = sqlite3.connect(self.path)
            copy.backup(database)
            copy.close()
            database.close()
            os.unlink(self.path + ".copy")
            self.assertEqual(self.orders("check"), "all good\n", change)

    def start(self, seed):
        """A process that places orders and runs all that are due, its own and others'."""
        out = open(os.path.join(self.folder, f"out.{seed}"), "w+", encoding="utf-8")
        process = subprocess.Popen([PROGRAM, self.path, "random", str(seed), "100000"], stdout=out,
                                   env={**os.environ, "ORDERS_FLAKY": "10"})
        return process, out

    def kill(self, process, out):
        """The numbers of the orders that it had placed for certain."""
        self.assertIsNone(process.poll(), "it ended by itself")
        process.send_signal(signal.SIGKILL)
        process.wait()
        out.seek(0)
        lines = out.read().split("\n")
        out.close()
        return lines[:-1]  # a line without its end was not written whole

    def present(self, numbers):
        """Those of the orders that are there."""
        import sqlite3
        database = sqlite3.connect(self.path)
        found = {row[0] for row in database.execute("SELECT id FROM htt_saga")}
        database.close()
        return [number for number in numbers if number in found]

    def test_kills_lose_nothing_and_double_nothing(self):
        seed = int(os.environ.get("HTT_TEST_SEED", random.randrange(1 << 30)))
        print(f"HTT_TEST_SEED={seed}", flush=True)
        chance = random.Random(seed)
        self.orders("init", "apple=500", "pear=300")
        placed = []
        unfinished = 0
        running = [self.start(1 + i) for i in range(PROCESSES)]
        for i in range(KILLS):
            time.sleep(chance.uniform(0.02, 0.15))
            which = chance.randrange(PROCESSES)
            mine = self.kill(*running[which])
            self.assertEqual(self.present(mine), mine)
            placed += mine
            self.assertEqual(self.orders("check"), "all good\n")
            counts = self.counts()
            unfinished += sum(counts.values()) > counts.get("shipped", 0) + counts.get(
                "cancelled", 0)
            running[which] = self.start(1 + PROCESSES + i)
        for process, out in running:
            placed += self.kill(process, out)
        self.orders("run")
        counts = self.counts()
        self.assertEqual(set(counts) - {"shipped", "cancelled"}, set())
        self.assertEqual(self.orders("check"), "all good\n")
        self.assertEqual(self.present(placed), placed)
        print(f"{KILLS} kills, {unfinished} amid unfinished orders, {len(placed)} orders known to "
              f"be placed, {counts}")
        self.assertGreater(unfinished, 0)
        self.assertGreater(len(placed), 0)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/saga.md: its C program is compiled, run, and prints what the document says; its SQL runs as
it stands there, over tables that libhtt's own schema file makes, and ends where it says."""
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

ROOT = os.environ["HTT_SOURCE_DIR"]
BUILD = os.environ["HTT_BUILD_DIR"]


def blocks(language):
    with open(os.path.join(ROOT, "docs", "saga.md"), encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.M | re.S)


class Saga(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=".", prefix="saga_docs.")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_the_program_prints_what_the_document_says(self):
        (source,) = blocks("c")
        path = os.path.join(self.folder, "example.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
        program = os.path.join(self.folder, "example")
        sanitize = os.environ.get("HTT_SANITIZE")
        flags = [f"-fsanitize={sanitize}"] if sanitize else []
        subprocess.run([os.environ.get("HTT_CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror",
                        *flags, f"-I{ROOT}/engine", f"-I{ROOT}/sql", path, "-o", program,
                        f"{BUILD}/libhtt.a", "-lsqlite3", "-pthread", "-lm"], check=True)
        for _ in range(2):  # again: the key is known, nothing is started
            done = subprocess.run([os.path.abspath(program)], cwd=self.folder, check=True,
                                  capture_output=True, text=True)
            self.assertEqual(done.stdout,
                             "b1 is compensated because of pay: only 80 are there\n")
        database = sqlite3.connect(os.path.join(self.folder, "booking.db"))
        self.assertEqual(database.execute("SELECT free FROM room").fetchall(), [(3,)])
        self.assertEqual([row[0] for row in database.execute(
            "SELECT type FROM htt_event ORDER BY seq")],
            ["saga.started", "saga.compensating", "saga.compensated"])
        database.close()

    def test_the_program_does_the_same_with_the_library_that_is_loaded(self):
        """libhtt.so calls the SQLite that loaded it: here as an extension of every connection."""
        (source,) = blocks("c")
        path = os.path.join(self.folder, "example.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source + """
#include <htt_sqlite.h>
__attribute__((constructor)) static void load(void) {
    (void)sqlite3_auto_extension((void (*)(void))sqlite3_htt_init);
}
""")
        program = os.path.join(self.folder, "example")
        sanitize = os.environ.get("HTT_SANITIZE")
        flags = [f"-fsanitize={sanitize}"] if sanitize else []
        subprocess.run([os.environ.get("HTT_CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror",
                        "-Wno-cast-function-type", *flags, f"-I{ROOT}/engine", f"-I{ROOT}/sql",
                        f"-I{ROOT}/ext", path, "-o", program, f"-L{BUILD}", "-lhtt",
                        f"-Wl,-rpath,{BUILD}", "-lsqlite3", "-pthread", "-lm"], check=True)
        linked = subprocess.run(["ldd", program], check=True, capture_output=True, text=True)
        self.assertIn("libhtt.so", linked.stdout)
        done = subprocess.run([os.path.abspath(program)], cwd=self.folder, check=True,
                              capture_output=True, text=True)
        self.assertEqual(done.stdout, "b1 is compensated because of pay: only 80 are there\n")

    def database(self):
        """With the tables, made as somebody with the shell alone would."""
        database = sqlite3.connect(os.path.join(self.folder, "plain.db"))
        database.isolation_level = None
        for name in ("htt_schema", "htt_consumer", "htt_event", "htt_delivery", "htt_inbox",
                     "htt_idempotency", "htt_saga"):
            with open(os.path.join(ROOT, "sql", "schema", name + ".sql"),
                      encoding="utf-8") as file:
                database.executescript(file.read())
        return database

    def run_block(self, database, text, values):
        """Runs the statements; gives the rows of the last and how many rows were changed."""
        rows, changed = [], 0
        text = re.sub(r"--[^\n]*", "", text)
        for statement in text.split(";"):
            if statement.strip():
                cursor = database.execute(statement, values)
                rows = cursor.fetchall()
                changed += max(cursor.rowcount, 0)
        return rows, changed

    def test_the_statements_drive_an_instance_from_start_to_each_end(self):
        look, start, step, done, later, back = blocks("sql")
        database = self.database()
        values = {"now": 1000, "id": "t1", "error": "no room"}
        rows, _ = self.run_block(database, start, values)
        self.assertEqual(rows, [("t1", "running", 0, "flight", '{"to":"Rome"}', 0, 1)])
        self.run_block(database, start, values)  # once only
        with self.assertRaisesRegex(sqlite3.IntegrityError, "htt_saga.data is not valid JSON"):
            self.run_block(database, start.replace('{"to":"Rome"}', "{").replace("t1", "t2"),
                           values)
        other = start[:start.index("-- start")].replace("json_array('flight'", "json_array('ship'")
        self.assertEqual(self.run_block(database, other, values)[0], [], "has other steps")
        self.assertEqual(self.run_block(database, start[:start.index("-- start")], values)[0],
                         [(1,)])
        _, changed = self.run_block(database, step, values)
        self.assertEqual(changed, 2)  # the event, and the row
        _, changed = self.run_block(database, later, {**values, "version": 2})
        self.assertEqual(changed, 1)
        _, changed = self.run_block(database, later, {**values, "version": 2})
        self.assertEqual(changed, 0, "somebody else was faster")
        next_at = "SELECT next_at FROM htt_saga"
        self.assertEqual(database.execute(next_at).fetchall(), [(61000,)])
        database.execute("SAVEPOINT limits")
        for change, at in (("deadline = 5000", 5000), ("step_deadline = 4000", 4000),
                           ("step_deadline = 400000", 5000), ("step_deadline = 4000", 4000),
                           ("state = 'compensating', deadline = 3000", 4000),
                           ("step_deadline = NULL", 61000)):
            database.execute(f"UPDATE htt_saga SET version = 2, {change}")
            self.run_block(database, later, {**values, "version": 2})
            self.assertEqual(database.execute(next_at).fetchall(), [(at,)], change)
        database.execute("ROLLBACK TO limits")
        database.execute("RELEASE limits")
        self.run_block(database, look, values)
        database.execute("SAVEPOINT ends")
        _, changed = self.run_block(database, done, {**values, "version": 3})
        self.assertEqual(changed, 1)
        self.assertEqual(database.execute("SELECT state, step, next_at FROM htt_saga").fetchall(),
                         [("completed", 2, None)])
        database.execute("ROLLBACK TO ends")
        _, changed = self.run_block(database, back, {**values, "version": 3})
        self.assertEqual(changed, 1)
        self.assertEqual(database.execute("SELECT state, step, cause FROM htt_saga").fetchall(),
                         [("compensating", 0, "hotel: no room")])
        database.execute("RELEASE ends")
        with self.assertRaises(sqlite3.IntegrityError):
            database.execute("UPDATE htt_saga SET data = '{'")
        with self.assertRaises(sqlite3.IntegrityError):
            database.execute("UPDATE htt_saga SET state = 'lost'")
        with self.assertRaises(sqlite3.IntegrityError):
            database.execute("UPDATE htt_saga SET next_at = NULL")
        database.close()

    def test_lists_name_every_column_of_the_table(self):
        with open(os.path.join(ROOT, "docs", "saga.md"), encoding="utf-8") as file:
            text = file.read()
        database = self.database()
        for row in database.execute("PRAGMA table_info(htt_saga)"):
            self.assertIn(f"`{row[1]}`", text)
        database.close()


if __name__ == "__main__":
    unittest.main()

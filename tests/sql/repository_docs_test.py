#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/repository.md: its C program is compiled, run, and prints what the document says; its SQL
does what it says, on an htt table and on an ordinary one, in the sqlite3 shell."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.environ["HTT_SOURCE_DIR"]
BUILD = os.environ["HTT_BUILD_DIR"]
PRELOAD = os.environ.get("HTT_PRELOAD")


def blocks(language):
    with open(os.path.join(ROOT, "docs", "repository.md"), encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.M | re.S)


class Repository(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=".", prefix="repository_docs.")

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
                        *flags, f"-I{ROOT}/engine", f"-I{ROOT}/ext", f"-I{ROOT}/sql", path, "-o",
                        program, f"{BUILD}/libhtt.a", "-lsqlite3", "-pthread", "-lm"], check=True)
        done = subprocess.run([os.path.abspath(program)], cwd=self.folder, check=True,
                              capture_output=True, text=True)
        halves = done.stdout.replace("fake\n", "htt table\n").split("htt table\n")
        self.assertEqual(halves[0], "")
        self.assertEqual(len(halves), 3, done.stdout)
        for half in halves[1:]:
            self.assertEqual(sorted(half.splitlines()),
                             ["  alice has 70", "  bob has 130", "  refused: not enough money"])

    def shell(self, create, statements):
        """Runs them over two accounts; the rows of `account` at the end."""
        script = f"""
.bail on
{create}
INSERT INTO account(id, balance, version) VALUES ('alice', 100, 1), ('bob', 100, 1);
{statements}
SELECT id, balance, version FROM account ORDER BY id;
"""
        environment = dict(os.environ)
        if PRELOAD:
            environment["LD_PRELOAD"] = PRELOAD
        done = subprocess.run(
            ["sqlite3", "-cmd", f".load {os.path.abspath(BUILD)}/libhtt", "plain.db"],
            cwd=self.folder, input=script, capture_output=True, text=True, env=environment,
            check=False)
        os.remove(os.path.join(self.folder, "plain.db"))
        for name in os.listdir(self.folder):
            os.remove(os.path.join(self.folder, name))
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def test_the_statements_do_what_they_say(self):
        create, calls, expect, unit = blocks("sql")
        ordinary = "CREATE TABLE account(id TEXT PRIMARY KEY, balance INTEGER, version INTEGER);"
        given = ".parameter init\n.parameter set :id \"'bob'\"\n.parameter set :balance 7\n" \
                ".parameter set :other \"'carol'\"\n.parameter set :expected 1\n"
        for table in (create, ordinary):
            self.assertEqual(self.shell(table, given + calls),
                             ["100|1", "alice|100|1", "bob|7|2", "carol|7|1"])
            self.assertEqual(self.shell(table, given + ".parameter set :id \"'dave'\"\n" + calls),
                             ["alice|100|1", "bob|100|1", "carol|7|1", "dave|7|1"],
                             "put of a row that was not there")
            self.assertEqual(self.shell(table, given + expect + expect),
                             ["alice|100|1", "bob|7|2"], "the second finds another version")
            self.assertEqual(self.shell(table, unit), ["alice|70|2", "bob|130|2"])

    def test_put_does_not_swallow_what_the_table_refuses(self):
        _, calls, _, _ = blocks("sql")
        table = "CREATE TABLE account(id TEXT PRIMARY KEY, balance INTEGER NOT NULL, " \
                "version INTEGER);"
        given = ".parameter init\n.parameter set :id \"'dave'\"\n.parameter set :balance NULL\n"
        put = calls[calls.index("-- put"):calls.index("-- add")]
        with self.assertRaises(AssertionError) as refused:
            self.shell(table, given + put)
        self.assertIn("NOT NULL constraint failed: account.balance", str(refused.exception))

    def test_every_header_that_is_named_is_there(self):
        with open(os.path.join(ROOT, "docs", "repository.md"), encoding="utf-8") as file:
            text = file.read()
        named = set(re.findall(r"\b(htt_(?:repo|uow|db|key|fields)_\w+)\(", text))
        headers = ""
        for name in ("htt_db.h", "htt_repo.h", "htt_uow.h"):
            with open(os.path.join(ROOT, "sql", name), encoding="utf-8") as file:
                headers += file.read()
        self.assertGreater(len(named), 10)
        for function in named:
            self.assertIn(f"{function}(", headers)


if __name__ == "__main__":
    unittest.main()

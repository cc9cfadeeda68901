#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: timeout=240
"""tools/httdump.py, written from docs/format.md alone, reads what the engine writes.

It must find the same rows as C and SQL, and no problem; and it must report damaged bytes. The
worked example and the test vectors of docs/format.md are checked with it.
"""
import contextlib
import functools
import io
import json
import os
import random
import re
import sqlite3
import struct
import sys
import tempfile
import unittest
import unittest.mock

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("HTT_SOURCE_DIR", os.path.dirname(os.path.dirname(HERE)))
sys.path[:0] = [os.path.join(ROOT, "tools"), HERE]
import httdump  # noqa: E402
from htt_engine import LIBRARY, SYNC_NORMAL, Store, key, value  # noqa: E402
from httformat import hash_of, mix  # noqa: E402
from xxh3 import xxh3_64  # noqa: E402

DAMAGES = 5000 if os.environ.get("HTT_TEST_LONG") else 200
SEED = int(os.environ.get("HTT_TEST_SEED", random.getrandbits(32)))


def printed(thing):
    """What httdump prints of a Python value."""
    if isinstance(thing, list):
        return ["row", [printed(column) for column in thing]]
    if isinstance(thing, bytes):
        return ["blob", thing.hex()]
    return [{int: "integer", float: "real", str: "text", type(None): "null"}[type(thing)], thing]


# ------------------------------------------------------------ httdump

def dump(path, *options):
    """(exit status, lines of stdout, stderr) of httdump. A traceback fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = httdump.main([*options, path])
    return status, out.getvalue().splitlines(), err.getvalue()


def summary(path, *options):
    status, lines, _ = dump(path, *options)
    return status, dict(re.split(r": +", line, maxsplit=1) for line in lines)


def uses(path):
    """{page: what httdump --pages says of it}."""
    lines = dump(path, "--pages")[1]
    return {int(number): use for number, use in (line.split(" ", 1) for line in lines)}


def children_of(use):
    return int(re.search(r"children (\d+)", use)[1])


def widest_node(kinds):
    """The node page with the most children."""
    return max((page for page, use in kinds.items() if use[0] == "N"),
               key=lambda page: children_of(kinds[page]))


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="htt-dump.")
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "t.htt")
        self.random = random.Random(f"{SEED} {self.id()}")

    def check(self, path=None):
        self.assertEqual(dump(path or self.path, "--check"), (0, ["ok"], ""))

    def expect_rows(self, rows, path=None):
        """rows: pairs of Python values."""
        status, lines, err = dump(path or self.path, "--rows")
        self.assertEqual((status, err), (0, ""))
        expected = sorted(json.dumps(printed(k) + printed(v)) for k, v in rows)
        self.assertEqual(sorted(lines), expected)

    def expect_cursor(self, store, rows):
        self.assertEqual(store.rows(), {key(k): value(v) for k, v in rows})


# ------------------------------------------------------------ the document

class Document(Case):
    with open(os.path.join(ROOT, "docs", "format.md"), encoding="utf-8") as file:
        text = file.read()

    def section(self, begin, end):
        return self.text[self.text.index(begin):self.text.index(end)]

    def test_worked_example_is_a_file(self):
        data = bytearray(3 * 4096)
        example = self.section("## 18. Worked example", "A run of one page, page 7")
        parts = re.split(r"\nPage (\d)", example)
        for page, body in zip(parts[1::2], parts[2::2]):
            for at, row in re.findall(r"^ +(\d+)  ((?:[0-9a-f]{2} ?)+)", body, re.M):
                row = bytes.fromhex(row)
                start = int(page) * 4096 + int(at)
                data[start:start + len(row)] = row
        self.assertEqual(f"{xxh3_64(bytes(data)):016x}",
                         re.search(r"whole file \(12288 bytes\) is (\w+)", example)[1])
        with open(self.path, "wb") as file:
            file.write(data)
        rows = [("hostname", "www.example.com"), (300, [7, "ab", None])]
        self.check()
        self.expect_rows(rows)
        with Store(self.path) as store:
            self.expect_cursor(store, rows)

    def test_vectors_of_hash_and_checksum(self):
        table = self.section("| key | low | high", "Test vectors of checksums are")
        rows = [[cell.strip() for cell in line.strip("|").split("|")]
                for line in table.strip().splitlines()[2:]]
        self.assertGreater(len(rows), 8)
        for name, low, high, fp, *mixed, slots in rows:
            kind, text = name.split(" ", 1)
            seed = 0 if "(seed 0)" in text else 0x0123456789ABCDEF
            if kind in ("text", "blob") and text.startswith("'"):
                data = text.split("'")[1].encode()
            elif kind == "blob":
                data = bytes(range(256))
            else:
                data = value(float(text) if kind == "real" else int(text))[1]
            number = {"integer": 1, "real": 2, "text": 3, "blob": 4}[kind]
            pair = hash_of(data, seed, number)
            self.assertEqual((f"{pair[0]:016x}", f"{pair[1]:016x}"), (low, high), name)
            self.assertEqual(f"{pair[1] >> 56:02x}", fp)
            self.assertEqual([f"{mix(*pair, salt):08x}" for salt in (0, 1, 255)], mixed, name)
            self.assertEqual(" / ".join(str(mix(*pair, 0) * n >> 32) for n in (64, 8192)), slots)
        sums = re.findall(r"^\| (\d+) \| (\w{16}) \|$", self.text, re.M)
        self.assertGreater(len(sums), 4)
        for size, said in sums:
            data = bytes(i % 256 for i in range(int(size)))
            self.assertEqual(f"{xxh3_64(data):016x}", said, size)


# ------------------------------------------------------------ what the engine writes

LIMITS = [0, 1, -1, 127, 128, -128, -129, 255, 256, 2**31, -2**31, 2**53 + 1, 2**63 - 1, -2**63]
REALS = [0.5, -0.5, 1e300, -1e-300, 2.0**63, -1e19, float("inf"), float("-inf"), 5e-324]
INTEGRAL_REALS = [3.0, -7.0, 2.0**53, -2.0**62, 1e15]
TEXTS = ["", "a", "zero\0inside", "\u00fc\u20ac\U0001f600", "not utf-8 \udcff\udc80", "t" * 300]
BLOBS = [b"", b"\0", b"a", bytes(range(256))]


def rows_of_every_type(page_size):
    """Pairs of key and value; sizes on both sides of what fits a record or a page."""
    values = [None, 0, -5, 2**63 - 1, 1.0, -0.0, 0.1, float("inf"), "", "text", b"", b"\0\xff",
              [], [None], [1, 2.5, "three", b"4", None], ["x" * 500, b"y" * 700] * 2]
    half = (page_size - 24) // 2 - 3
    for size in (half - 10, half, half + 1, page_size - 40, page_size - 39, 3 * page_size,
                 70000, 300000):
        values += ["v" * size, os.urandom(size)]
    values += [["r" * page_size, 1, os.urandom(2 * page_size)], [7] * 2000]
    keys = LIMITS[2:] + REALS + INTEGRAL_REALS + TEXTS + BLOBS + [-0.0, 1.0]
    for size in (page_size // 8, page_size // 8 + 1, 5000, 1048576):
        keys += ["k" * size, b"k" * size]
    keys += list(range(1000, 1000 + len(values)))
    return [(k, values[i % len(values)]) for i, k in enumerate(keys)]


class Engine(Case):
    def test_every_type_at_every_page_size(self):
        for page_size in (4096, 8192, 16384, 32768, 65536):
            with self.subTest(page_size=page_size):
                path = os.path.join(self.folder.name, f"{page_size}.htt")
                rows = rows_of_every_type(page_size)
                with Store(path, page_size, declaration="d \u00fc".encode()) as store:
                    with store.write():
                        for k, v in rows:
                            store.put(k, v)
                    self.expect_cursor(store, rows)
                self.check(path)
                self.expect_rows(rows, path)
                found = summary(path)[1]
                self.assertEqual(found["page size"], str(page_size))
                self.assertEqual(json.loads(found["declaration"]), "d \u00fc")

    def test_an_empty_store(self):
        with Store(self.path):
            self.check()
            self.expect_rows([])
        self.check()

    def change(self, store, rows, count, size):
        """`count` random changes in one transaction, with a savepoint that is rolled back."""
        with store.write():
            for _ in range(count):
                k = self.random.choice([self.random.randrange(40000),
                                        f"key {self.random.randrange(40000)}"])
                if self.random.random() < 0.35:
                    if k in rows:
                        store.delete(k)
                        del rows[k]
                else:
                    rows[k] = self.random.randbytes(self.random.randrange(size))
                    store.put(k, rows[k])
            number = store.savepoint()
            for k in self.random.sample(sorted(rows, key=str), len(rows) // 10):
                store.delete(k)
            for i in range(count // 10):
                store.put(f"lost {i}", "lost" * 100)
            store.rollback_to(number)

    def test_many_rows_with_deletes_savepoints_and_vacuum(self):
        rows = {}
        with Store(self.path) as store:
            for count in (26000, 500, 5000, 20):
                self.change(store, rows, count, 120)
                self.check()
            self.expect_rows(rows.items())
        with Store(self.path) as store:
            self.change(store, rows, 300, 9000)
            self.check()
            with store.write():
                for k in self.random.sample(sorted(rows, key=str), len(rows) * 9 // 10):
                    store.delete(k)
                    del rows[k]
            self.check()
            copy = self.path + ".copy"
            store.backup(copy)
            before, after = store.vacuum()
            self.assertLess(after, before)
            self.check()
            self.expect_rows(rows.items())
            self.check(copy)
            self.expect_rows(rows.items(), copy)
            with store.write():
                for k in rows:
                    store.delete(k)
            self.check()
            self.expect_rows([])

    def test_index_pages_and_node_pages_are_read(self):
        rows = {number: "v" * 100 for number in range(30000)}
        with Store(self.path) as store, store.write():
            for k, v in rows.items():
                store.put(k, v)
        self.check()
        self.expect_rows(rows.items())
        kinds = {use[0] for use in uses(self.path).values()}
        self.assertLessEqual({"M", "D", "N", "I"}, kinds)

    def test_weak_commits_do_not_count_after_a_restart_of_the_system(self):
        with Store(self.path, sync=SYNC_NORMAL) as store:
            with store.write():
                store.put("a", 1)
            rows = {"a": 1, "b": 2}
            with store.write():
                store.put("b", 2)
            self.expect_rows(rows.items())
            self.check()
            self.assertIn("weak", summary(self.path)[1]["meta page"])
            status, found = summary(self.path, "--after-reboot")
            self.assertEqual(status, 0)
            self.assertIn("steady", found["meta page"])
            self.assertEqual(found["rows"].split(",")[0], "0")
        self.check()
        self.expect_rows(rows.items())


# ------------------------------------------------------------ what SQL writes

class Sql(Case):
    def rows_by_sql(self, database, table):
        return database.execute(f"SELECT * FROM {table}").fetchall()

    def connect(self):
        database = sqlite3.connect(os.path.join(self.folder.name, "t.db"), isolation_level=None)
        self.addCleanup(database.close)
        database.enable_load_extension(True)
        database.load_extension(LIBRARY)
        return database

    def test_untyped_rows(self):
        database = self.connect()
        database.execute("CREATE VIRTUAL TABLE kv USING htt('t.htt')")
        texts = [text for text in TEXTS if text.isprintable() or "\0" in text]
        keys = LIMITS + REALS + INTEGRAL_REALS + texts + BLOBS
        values = [None, 1, 2.0, "text", b"blob", "v" * 10000]
        rows = [(k, values[i % len(values)]) for i, k in enumerate(keys)]
        database.executemany("INSERT INTO kv VALUES (?, ?)", rows)
        found = self.rows_by_sql(database, "kv")
        database.close()  # the last one to leave folds, and the file's meta pages follow
        self.check()
        self.expect_rows(rows)
        self.expect_rows(found)

    def test_rows_with_columns(self):
        database = self.connect()
        database.execute("CREATE VIRTUAL TABLE users USING htt('t.htt', page_size=8192, "
                         "id INTEGER PRIMARY KEY, name TEXT, age INT, photo BLOB)")
        database.execute("""
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
            INSERT INTO users
            SELECT i, 'user ' || i, nullif(i % 90, 7), zeroblob(i % 300) FROM n""")
        database.execute("BEGIN")
        database.execute("DELETE FROM users WHERE id % 3 = 0")
        database.execute("SAVEPOINT s")
        database.execute("UPDATE users SET name = 'nobody'")
        database.execute("DELETE FROM users WHERE id < 1000")
        database.execute("ROLLBACK TO s")
        database.execute("UPDATE users SET photo = zeroblob(20000) WHERE id % 500 = 1")
        database.execute("COMMIT")
        rows = [(key, list(columns)) for key, *columns in self.rows_by_sql(database, "users")]
        self.assertEqual(len(rows), 3334)
        database.close()
        self.check()
        self.expect_rows(rows)


# ------------------------------------------------------------ damage

class Damaged(Case):
    def setUp(self):
        """The same file is read many times: sums and hashes are remembered."""
        super().setUp()
        for name in ("xxh3_64", "hash_of"):
            remembered = functools.lru_cache(maxsize=20000)(getattr(httdump, name))
            patch = unittest.mock.patch.object(httdump, name, remembered)
            patch.start()
            self.addCleanup(patch.stop)

    def make_once(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        with Store(self.path) as store:
            for first in range(0, 1400, 100):   # rows of one large transaction make another shape
                with store.write():
                    for i in range(first, first + 100): # in all too many pages for the root node
                        store.put(i, "v" * 2000)
            with store.write():
                store.put("big", b"x" * 20000)
                store.put("k" * 5000, "y" * 3000)
                for i in range(0, 1400, 9):
                    store.delete(i)

    def make(self):
        """A small file with every type of page: (its bytes, what httdump says of its pages)."""
        for _ in range(100):    # the shape of the tree depends on the file's random seed
            self.make_once()
            kinds = uses(self.path)
            if children_of(kinds[widest_node(kinds)]) >= 16:
                break
        self.check()
        self.assertEqual({use[0] for use in kinds.values()}, set("MDNIOFf"))
        with open(self.path, "rb") as file:
            return bytearray(file.read()), kinds

    def write(self, data):
        with open(self.path, "wb") as file:
            file.write(data)

    def some_pages(self, kinds):
        """All pages but data pages, of which some."""
        some = [page for page, use in kinds.items() if use[0] not in "Df"]
        return some + self.random.sample([p for p, use in kinds.items() if use[0] == "D"], 3)

    def change(self, at, byte):
        with open(self.path, "r+b") as file:
            file.seek(at)
            file.write(bytes([byte]))

    def test_every_kind_of_damaged_byte_is_reported(self):
        data, kinds = self.make()
        for page in self.some_pages(kinds):
            use, places = kinds[page], list(range(0, 40, 3)) + self.random.sample(range(4096), 3)
            if "O" in use:     # behind the payload nothing matters
                places = range(0, 40, 3)
            if re.match(r"O of", use):
                places = [0]
            for place in places:
                at = page * 4096 + place
                self.change(at, data[at] ^ 1 << self.random.randrange(8))
                status, lines, err = dump(self.path, "--check")
                self.assertIn(status, (1, 2), (page, place, use))
                self.assertTrue(lines or err)
                self.change(at, data[at])
        self.check()

    def test_damage_behind_a_right_checksum_is_no_traceback(self):
        data, kinds = self.make()
        pages = [page for page in self.some_pages(kinds) if not kinds[page].startswith("O of")]
        for _ in range(DAMAGES):
            page = self.random.choice(pages)
            changed = bytearray(data[page * 4096:page * 4096 + 4096])
            for _ in range(self.random.randrange(1, 4)):
                place = self.random.choice([self.random.randrange(16, 200),
                                            self.random.randrange(16, 4096)])
                changed[place] = self.random.choice([0, 1, 0x7f, 0x80, 0xff,
                                                     self.random.randrange(256)])
            if page < 2:
                changed[184:192] = struct.pack("<Q", xxh3_64(bytes(changed[64:184])))
                changed[8:16] = struct.pack("<Q", xxh3_64(bytes(changed[16:])))
            elif changed[20] != ord("O"):
                changed[0:8] = struct.pack("<Q", xxh3_64(bytes(changed[8:])))
            whole = bytearray(data)
            whole[page * 4096:page * 4096 + 4096] = changed
            self.write(whole)
            option = self.random.choice([["--check"], ["--rows"], ["--pages"], []])
            self.assertIn(dump(self.path, *option)[0], (0, 1, 2))

    def repair(self, data, page, holds):
        """Makes the checksums right that a change of a page (no run) made wrong."""
        def set_sum(at, begin, end):
            data[at:at + 8] = struct.pack("<Q", xxh3_64(bytes(data[begin:end])))

        meta = holds * 4096
        if page >= 2:
            set_sum(page * 4096, page * 4096 + 8, page * 4096 + 4096)
            if page == struct.unpack_from("<I", data, meta + 64 + 80)[0]:
                data[meta + 160:meta + 168] = data[page * 4096:page * 4096 + 8]
        set_sum(meta + 184, meta + 64, meta + 184)
        set_sum(meta + 8, meta + 16, meta + 4096)

    def test_a_broken_rule_behind_right_checksums_is_told(self):
        data, kinds = self.make()
        holds = next(page for page, use in kinds.items() if use == "M holds")
        first = {letter: next(page for page, use in kinds.items() if use[0] == letter)
                 for letter in "DIF"}
        first["N"] = widest_node(kinds)
        node = first["N"] * 4096 + 24
        slots, count = 1 << data[node + 1], struct.unpack_from("<H", data, node + 2)[0]
        children = node + 4 + (slots // 256 if slots > 512 else 0) + slots // 8
        child, twin = [at for at in range(children, children + 5 * count, 5)
                       if data[at:at + 4] != bytes(4)][:2]
        directory = next(at for at in range(first["I"] * 4096 + 28, first["I"] * 4096 + 4096, 2)
                         if data[at:at + 2] != bytes(2))
        entry = first["F"] * 4096 + 40
        record = first["D"] * 4096 + struct.unpack_from("<H", data, first["D"] * 4096 + 24
                                                        + data[first["D"] * 4096 + 22])[0]
        for page, at, new, text in (
                (holds, holds * 4096 + 64 + 64, None, "rows are there"),
                (holds, holds * 4096 + 64 + 72, None, "bytes are there"),
                (holds, holds * 4096 + 64 + 92, None, "free pages are there"),
                (holds, holds * 4096 + 64 + 84, None, "page"),    # page count
                (first["D"], first["D"] * 4096 + 8, b"\xff", "above the epoch"),
                (first["D"], first["D"] * 4096 + 16, None, "its number is"),
                (first["D"], first["D"] * 4096 + 20, b"X", "its type is"),
                (first["D"], first["D"] * 4096 + 21, b"\1", "byte 21"),
                (first["D"], first["D"] * 4096 + 24, None, "its fingerprint is"),
                (first["D"], record, b"\0", "key type 0"),
                (first["D"], record + 1, b"\x81\0", "not the shortest"),
                (first["N"], node, b"\x99", "leads elsewhere"),
                (first["N"], node + 1, b"\x05", "a node of 2^5 slots"),
                (first["N"], node + 2, None, "starts"),
                (first["N"], child, data[twin:twin + 5], "twice"),
                (first["N"], child, b"\1\0\0\0\0", "of a node is 1, 0"),
                (first["N"], child, bytes(5), "neither used nor free|no child names"),
                (first["I"], first["I"] * 4096 + 22, None, "ids are in use"),
                (first["I"], directory, None, "not at"),
                (first["F"], entry, struct.pack("<I", first["N"]), "used twice"),
                (first["F"], entry + 4, bytes(4), "an entry of no pages"),
                (first["F"], entry + 8, b"\xff", "after the stamp")):
            with self.subTest(page=kinds[page], at=at % 4096, text=text):
                changed = bytearray(data)
                new = new or bytes([changed[at] ^ 1])
                changed[at:at + len(new)] = new
                self.repair(changed, page, holds)
                self.write(changed)
                status, lines, err = dump(self.path, "--check")
                self.assertIn(status, (1, 2))
                found = "\n".join(lines) + err
                self.assertTrue(any(part in found for part in text.split("|")), found)

    def test_pages_are_not_told_behind_the_end_of_the_file(self):
        data, kinds = self.make()
        holds = next(page for page, use in kinds.items() if use == "M holds")
        count = holds * 4096 + 64 + 84
        data[count:count + 4] = b"\xff" * 4
        self.repair(data, holds, holds)
        self.write(data)
        status, lines, err = dump(self.path, "--pages")
        self.assertEqual((status, len(lines)), (1, len(data) // 4096))
        self.assertIn("its state 4294967295 pages", err)

    def test_what_is_no_htt_file_is_told(self):
        data, kinds = self.make()
        newer = bytearray(data)
        for page in (0, 4096):
            newer[page + 22] = 2
            checksum = xxh3_64(bytes(newer[page + 16:page + 4096]))
            newer[page + 8:page + 16] = struct.pack("<Q", checksum)
        with Store(self.path + ".new"), open(self.path + ".new", "rb") as file:
            begun = bytes(4096) + file.read()[4096:4096 + 2000]
        for content, status, text in (
                (begun, 2, "nothing is in it"), (bytes(4096), 2, "not an htt file"),
                (b"", 2, "nothing is in it"), (bytes(8192), 2, "nothing is in it"),
                (b"SQLite format 3\0" + bytes(8000), 2, "not an htt file"),
                (newer, 2, "newer"), (data[:4000], 2, "damaged"),
                (data[:4096 * (len(kinds) - 1)], 1, "the file has")):
            with self.subTest(text=text):
                self.write(content)
                found, lines, err = dump(self.path, "--check")
                self.assertEqual(found, status)
                self.assertIn(text, "\n".join(lines) + err)
        status, _, err = dump(self.path + ".none", "--check")
        self.assertEqual(status, 2)
        self.assertIn("No such file", err)

    def test_second_meta_page_is_found_without_the_first(self):
        for page_size in (4096, 32768):
            path = f"{self.path}.{page_size}"
            with Store(path, page_size) as store:
                for i in range(2):
                    with store.write():
                        store.put(i, i)
            with open(path, "r+b") as file:
                file.write(bytes(100))
            status, lines, _ = dump(path, "--check")
            self.assertEqual((status, len(lines)), (1, 1))
            self.assertIn("page 0 is no valid meta page", lines[0])


if __name__ == "__main__":
    print(f"HTT_TEST_SEED={SEED}", file=sys.stderr)
    unittest.main()

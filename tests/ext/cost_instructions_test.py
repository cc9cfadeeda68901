#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# ctest: release timeout=240
"""Instructions of a lookup, counted by callgrind, within a band; no clock is looked at.

Only instructions of our own code count (the program test_ext_cost with libhtt.a in it), not those
of SQLite and the C library, which differ from machine to machine. Two runs of different length: the
difference is what the lookups alone take. Where valgrind is absent, or the build is not the
optimised one, this says so and tests nothing.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
BUILD = os.environ.get("HTT_BUILD_DIR", "build/release")
PROGRAM = os.path.abspath(os.path.join(BUILD, "tests", "test_ext_cost"))
FEW, MANY = 1000, 5000
# What each kind took with gcc 12 when this was written, the test's own loop left out.
USUAL = {"native": 1099, "select": 2210, "miss": 1836, "alone": 2228}
BAND = 0.08  # an index node more on the way is 25 % of a native get


def why_not():
    """Why nothing can be counted here, None = it can."""
    if shutil.which("valgrind") is None:
        return "valgrind is absent"
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
        if not re.search(r"^CMAKE_BUILD_TYPE:\w+=RelWithDebInfo$", cache.read(), re.MULTILINE):
            return "not the optimised build"
    return None


def own_instructions(path):
    """Instructions of the program's own object in a callgrind file, the test's loop left out."""
    total = 0
    ours = counts = called = False
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.rstrip("\n").partition("=")
            if key == "ob":
                ours = os.path.basename(value) == os.path.basename(PROGRAM)
            elif key == "fn":
                counts = ours and not value.startswith("cost_")
            elif key == "calls":
                called = True
            elif line[:1].isdigit():
                if called:
                    called = False  # the line after tells what the called function took
                elif counts:
                    total += int(line.split()[1])
    return total


class Instructions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = why_not()
        if reason is not None:
            print(f"NOTHING WAS COUNTED: {reason}")
            raise unittest.SkipTest(reason)
        cls.folder = tempfile.mkdtemp(prefix="htt-cost.")
        subprocess.run([PROGRAM, "make", cls.folder], check=True)

    @classmethod
    def tearDownClass(cls):
        if hasattr(cls, "folder"):
            shutil.rmtree(cls.folder)

    def count(self, what, lookups):
        out = os.path.join(self.folder, "callgrind.out")
        subprocess.run(
            ["valgrind", "-q", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no",
             f"--callgrind-out-file={out}", PROGRAM, what, self.folder, str(lookups)],
            check=True)
        return own_instructions(out)

    def check(self, what):
        """The lookups of the shorter run come first in the longer one: their pages are verified."""
        each = (self.count(what, MANY) - self.count(what, FEW)) / (MANY - FEW)
        low, high = USUAL[what] * (1 - BAND), USUAL[what] * (1 + BAND)
        print(f"{what}: {each:.0f} instructions of our own, {low:.0f} to {high:.0f} expected")
        self.assertGreaterEqual(each, low, "faster than ever: write the new figure down")
        self.assertLessEqual(each, high)

    def test_a_native_get(self):
        self.check("native")

    def test_a_select_in_a_transaction(self):
        self.check("select")

    def test_a_select_of_an_absent_key(self):
        self.check("miss")

    def test_a_select_that_is_its_own_transaction(self):
        self.check("alone")


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every rule of sources_test.py finds what it is for, and lets good code be."""
import importlib.util
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
LICENCE = "/* SPDX-License-Identifier: MIT */\n"


def findings_of(files):
    """What the rules find in a project of these files: {name: text}."""
    spec = importlib.util.spec_from_file_location("rules", os.path.join(HERE, "sources_test.py"))
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        rules.ROOT = root
        names = sorted(files)
        sources = {}
        for name in names:
            rules.check_file(name, sources)
        rules.check_tests(names)
        rules.check_readme(names)
    return rules.findings


class Rules(unittest.TestCase):
    def found(self, name, text, expected, line):
        """The file gives exactly one finding, there, with that text."""
        files = {"README.md": "# x\n", name: text}
        if name.startswith("engine/") and name.endswith(".c"):
            files["tests/engine/" + name[7:-2].replace("/", "_") + "_test.c"] = LICENCE
        got = findings_of(files)
        self.assertEqual(len(got), 1, got)
        self.assertTrue(got[0].startswith(f"{name}:{line}: "), got)
        self.assertIn(expected, got[0])

    def clean(self, name, text):
        files = {"README.md": "# x\n", name: text}
        if name.startswith("engine/") and name.endswith(".c"):
            files["tests/engine/" + name[7:-2].replace("/", "_") + "_test.c"] = LICENCE
        self.assertEqual(findings_of(files), [])

    def test_a_file_without_licence_line_is_found(self):
        self.found("ext/a.c", "int a;\n", "SPDX", 1)

    def test_shape_of_lines_is_checked(self):
        self.found("ext/a.c", LICENCE + "int a; /* " + "x" * 100 + " */\n", "columns", 2)
        self.found("ext/a.c", LICENCE + "\tint a;\n", "tab", 2)
        self.found("ext/a.c", LICENCE + "int a; \n", "white space", 2)
        self.found("ext/a.c", LICENCE + "int a;", "line break", 2)

    def test_a_long_file_is_found(self):
        self.found("ext/a.c", LICENCE + "int a;\n" * 700, "701 lines", 700)
        self.clean("ext/a.c", LICENCE + "int a;\n" * 699)

    def test_an_include_to_the_right_is_found(self):
        self.found("engine/page/a.c", LICENCE + '#include "tree/find.h"\n', "left of tree/", 2)
        self.clean("engine/tree/a.c", LICENCE + '#include "page/data.h"\n#include "htt.h"\n')

    def test_sqlite_in_the_engine_is_found(self):
        self.found("engine/txn/a.c", LICENCE + "#include <sqlite3.h>\n", "SQLite", 2)

    def test_system_headers_belong_to_os(self):
        self.found("engine/page/a.c", LICENCE + "#include <unistd.h>\n", "engine/os/", 2)
        self.clean("engine/os/a.c", LICENCE + "#include <unistd.h>\n")

    def test_engine_insides_in_ext_are_found(self):
        self.found("ext/a.c", LICENCE + '#include "tree/find.h"\n', "ext/ sees", 2)
        self.clean("ext/a.c", LICENCE + '#include "htt.h"\n#include "engine/htt_env.h"\n')

    def test_parts_of_sql_include_to_the_left(self):
        self.found("sql/repo/a.c", LICENCE + '#include "sql/uow/b.h"\n', "left of uow/", 2)
        self.found("sql/repo/a.c", LICENCE + '#include "ext/plan.h"\n', "sql/ sees", 2)
        self.found("sql/repo/a.c", LICENCE + "#include <sqlite3.h>\n", "sql/base/sqlite.h", 2)
        self.found("sql/examples/x/a.c", LICENCE + '#include "sql/base/db.h"\n', "installed", 2)
        self.clean("sql/uow/a.c", LICENCE + '#include "sql/base/db.h"\n#include "sql/htt_uow.h"\n'
                                            '#include "sql/uow/b.h"\n#include "engine/htt.h"\n')
        self.clean("sql/htt_repo.h", LICENCE + '#include "htt_db.h"\n#include "htt.h"\n')
        self.clean("sql/base/sqlite.h", LICENCE + "#include <sqlite3ext.h>\n")
        self.clean("sql/examples/x/a.c", LICENCE + '#include <sqlite3.h>\n#include "htt_uow.h"\n')

    def test_a_call_round_the_env_is_found(self):
        body = LICENCE + "static void f(void) {\n    %s\n}\n"
        self.found("engine/tree/a.c", body % "free(p);", "htt_env", 3)
        self.found("engine/tree/a.c", body % "n = pread(fd, p, 1, 0);", "htt_env", 3)
        self.clean("engine/tree/a.c", body % "env->open(env->context, path, 0, &file);")
        self.clean("engine/tree/a.c", body % "/* free(p) */ htt_free(p); s = \"free(p)\";")
        self.clean("engine/os/a.c", body % "free(p);")

    def test_an_unbounded_string_call_is_found(self):
        self.found("ext/a.c", LICENCE + "static int f(void) {\n    strcpy(a, b);\n}\n", "strcpy", 3)

    def test_a_long_function_is_found(self):
        text = LICENCE + "static int f(int a) {\n" + "    a++;\n" * 69 + "}\n"
        self.found("ext/a.c", text, "f has 71 lines", 2)
        self.clean("ext/a.c", text.replace("    a++;\n", "", 1))

    def test_a_long_table_is_not_a_function(self):
        self.clean("ext/a.c", LICENCE + "static const int t[] = {\n" + "    1,\n" * 99 + "};\n")

    def test_words_are_found(self):
        for word in ("TO" "DO", "FIX" "ME", "/wo" "rk/main", "se" "ssion", "iss" "ue #3"):
            self.found("ext/a.c", LICENCE + f"/* {word} */\n", word[:4], 2)
        self.found("a.md", "in the last se" "ssion\n", "how work was organised", 1)
        self.clean("a.md", "A first se" "ssion with SQLite\n")
        self.clean("ext/a.c", LICENCE + "/* file.XXXXXX, framework/main */\n")

    def test_a_source_without_test_is_found(self):
        got = findings_of({"README.md": "x\n", "engine/page/a.c": LICENCE})
        self.assertEqual(got, ["engine/page/a.c:1: no test: tests/engine/page_a_test.c"])

    def test_commands_and_links_of_documents_must_exist(self):
        self.found("a.md", "    ./nothing\n", "./nothing", 1)
        self.found("a.md", "see [x](docs/none.md)\n", "docs/none.md", 1)
        self.clean("a.md", "see [x](README.md#there), [y](https://example.com)\n")


if __name__ == "__main__":
    unittest.main()

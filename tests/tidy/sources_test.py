#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The house rules that a machine can see. Prints every finding as file:line: text.

Run by ctest as tidy.sources, or by hand: tests/tidy/sources_test.py [file...]
The rules are told in CONTRIBUTING.md; each has one function here.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

LINE_WIDTH_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_WARN = 500
FILE_LINES_MAX = 700

# Left to right: a layer includes itself and what stands to its left.
LAYERS = ["base", "os", "page", "pager", "tree", "txn"]
PUBLIC = {"htt.h", "htt_env.h", "htt_host.h"}
# sql/<part>/ includes from its own part and from those to its left, as "sql/<part>/<file>".
SQL_PARTS = ["base", "event", "repo", "uow", "saga"]

# engine/ files without a unit test of their own, each with the reason.
NO_TEST = {
}

# Words that must not stand in the repository. Put together so that this file has none of them.
WORDS = [
    (r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b", "finish it, or write down what is known as prose"),
    (r"(?<![\w.])/(?:wo" r"rk|fa" r"rm|ho" r"me/\w+)/", "a path of one machine"),
    (r"\b[Ii]ssue #", "the project stands alone: say what it was about"),
]
WORD_IN_CODE = (r"\bse" r"ssions?\b", "which one? say transaction, connection or process")
WORD_IN_PROSE = (r"\b(?:this|previous|last|next|earlier) se" r"ssion\b", "how work was organised")

BANNED = re.compile(r"(?<![\w.>])(sprintf|vsprintf|strcpy|strcat|gets|strtok|alloca)\s*\(")
# What the engine may ask of the outside only through htt_env, that is in engine/os/.
OUTSIDE = re.compile(
    r"(?<![\w.>])(open|openat|creat|close|read|pread|preadv|write|pwrite|pwritev|lseek|fsync|"
    r"fdatasync|sync|ftruncate|truncate|fallocate|posix_fallocate|mmap|munmap|mremap|msync|"
    r"madvise|stat|fstat|lstat|unlink|rename|link|mkdir|opendir|flock|lockf|fcntl|ioctl|fopen|"
    r"fread|fwrite|fclose|malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strdup|"
    r"clock_gettime|gettimeofday|time|clock|usleep|nanosleep|sleep|sched_yield|getrandom|"
    r"getentropy|rand|random|srand|getpid|fork|getenv|system|printf|fprintf|puts|abort|exit)"
    r"\s*\(")
OUTSIDE_HEADERS = re.compile(r"unistd\.h|fcntl\.h|time\.h|sys/.*|stdio_ext\.h|signal\.h|dirent\.h")

findings = []
warnings = []


def find(path, line, text):
    findings.append(f"{path}:{line}: {text}")


def warn(path, line, text):
    warnings.append(f"{path}:{line}: note: {text}")


def list_files():
    """Every file of the project: what git tracks or would; without git, all but build/."""
    try:
        out = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
        names = [name for name in out if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, files in os.walk(ROOT):
            folders[:] = [f for f in folders if f not in (".git", "build", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
    return sorted(name for name in set(names) if os.path.isfile(os.path.join(ROOT, name)))


def read(name):
    with open(os.path.join(ROOT, name), "rb") as file:
        return file.read()


def kind_of(name, data):
    """c, script, prose or None (data, corpora, licences)."""
    if name.endswith((".c", ".h")):
        return "c"
    if name.endswith((".py", ".sh", ".cmake", ".awk", ".sql")) or name.endswith("CMakeLists.txt"):
        return "script"
    if name.endswith(".md"):
        return "prose"
    return "script" if data.startswith(b"#!") else None


def strip_c(text):
    """C without comments, strings and character constants; line breaks stay."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] * 2
        return re.sub(r"[^\n]", " ", found)
    return pattern.sub(blank, text)


def check_shape(name, kind, text, lines):
    """SPDX line, width, tabs, ends of lines, length of the file."""
    if kind != "prose" and not any("SPDX-License-Identifier: MIT" in l for l in lines[:3]):
        find(name, 1, "no SPDX-License-Identifier: MIT in the first lines")
    for number, line in enumerate(lines, 1):
        if kind != "prose" and len(line) > LINE_WIDTH_MAX:
            find(name, number, f"{len(line)} columns, {LINE_WIDTH_MAX} are allowed")
        if "\t" in line:
            find(name, number, "a tab")
        if line != line.rstrip():
            find(name, number, "white space at the end")
    if text and not text.endswith("\n"):
        find(name, len(lines), "no line break at the end of the file")
    if kind == "prose":
        return
    if len(lines) > FILE_LINES_MAX:
        find(name, FILE_LINES_MAX, f"{len(lines)} lines; split it, {FILE_LINES_MAX} are allowed")
    elif len(lines) > FILE_LINES_WARN:
        warn(name, FILE_LINES_WARN, f"{len(lines)} lines; is there a second concept in it?")


def check_words(name, kind, lines):
    rules = WORDS + [WORD_IN_PROSE if kind == "prose" else WORD_IN_CODE]
    for number, line in enumerate(lines, 1):
        for pattern, why in rules:
            match = re.search(pattern, line)
            if match:
                find(name, number, f'"{match.group(0)}": {why}')


def check_includes(name, lines):
    parts = name.split("/")
    if parts[0] not in ("engine", "ext", "sql") or not name.endswith((".c", ".h")):
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if match:
            check_include(name, number, parts, match.group(1) == "<", match.group(2))


def check_include(name, number, parts, is_system, target):
    if parts[0] == "sql":
        check_include_sql(name, number, parts, is_system, target)
        return
    if parts[0] == "ext":
        own = os.path.exists(os.path.join(ROOT, parts[0], os.path.basename(target)))
        public = target.removeprefix("engine/") in PUBLIC
        if not is_system and not public and not own and not target.startswith("sqlite3"):
            find(name, number, f"{parts[0]}/ sees the public headers and SQLite, not {target}")
        return
    if "sqlite3" in target:
        find(name, number, "engine/ does not know SQLite")
        return
    layer = parts[1] if len(parts) == 3 else None
    if is_system:
        if layer not in (None, "os") and OUTSIDE_HEADERS.fullmatch(target):
            find(name, number, f"<{target}> belongs to engine/os/; go through htt_env")
        return
    if target in PUBLIC:
        return
    to = target.split("/")[0] if "/" in target else None
    if to is None and layer and os.path.exists(os.path.join(ROOT, "engine", layer, target)):
        find(name, number, f'write "{layer}/{target}", relative to engine/')
    elif to not in LAYERS:
        find(name, number, f"engine/ does not include {target}")
    elif layer in LAYERS and LAYERS.index(to) > LAYERS.index(layer):
        find(name, number, f"{layer}/ stands left of {to}/ and does not include from it")
    elif layer is None and name.endswith(".h"):
        find(name, number, f"a public header does not include {target}")


def check_include_sql(name, number, parts, is_system, target):
    to = target.split("/")
    example = parts[1] == "examples"
    if is_system or target.removeprefix("engine/") in PUBLIC:
        if target.startswith("sqlite3") and not example and name != "sql/base/sqlite.h":
            find(name, number, "SQLite is reached through sql/base/sqlite.h")
    elif example:
        if target.startswith(("sql/", "engine/", "ext/")):
            find(name, number, "an example sees what is installed")
    elif len(to) == 3 and to[0] == "sql" and to[1] in SQL_PARTS and len(parts) == 3:
        if parts[1] in SQL_PARTS and SQL_PARTS.index(to[1]) > SQL_PARTS.index(parts[1]):
            find(name, number, f"{parts[1]}/ stands left of {to[1]}/ and does not include from it")
    elif not re.fullmatch(r"(sql/)?htt_\w+\.h", target) or (len(to) == 1) != (len(parts) == 2):
        find(name, number, f"sql/ sees the public headers, SQLite and its own parts, not {target}")


def functions(code):
    """(name, first line, last line) of every function in C without comments."""
    depth = 0
    head_line = None
    head = ""
    opened = None
    for number, line in enumerate(code.split("\n"), 1):
        if line.lstrip().startswith("#") or re.match(r'extern "" \{', line):
            continue
        for char in line:
            if depth == 0 and char not in "{};" and (head or not char.isspace()):
                if not head:
                    head_line = number
                head += char
            if char == "{":
                if depth == 0:
                    opened = (head, head_line)
                depth += 1
            elif char == "}":
                depth = max(depth - 1, 0)
                if depth == 0 and opened:
                    match = re.search(r"([A-Za-z_]\w*)\s*\(", opened[0])
                    if match and "=" not in opened[0].split("(")[0]:
                        yield match.group(1), opened[1], number
                    opened = None
            if depth == 0 and char in "};":
                head = ""
        if head:
            head += " "


def check_functions(name, code):
    for function, first, last in functions(code):
        if last - first + 1 > FUNCTION_LINES_MAX:
            find(name, first, f"{function} has {last - first + 1} lines, "
                              f"{FUNCTION_LINES_MAX} are allowed")


def check_calls(name, code):
    in_engine = name.startswith("engine/") and not name.startswith("engine/os/")
    for number, line in enumerate(code.split("\n"), 1):
        match = BANNED.search(line)
        if match:
            find(name, number, f"{match.group(1)} is not used here; is there a bounded one?")
        match = OUTSIDE.search(line) if in_engine else None
        if match and not line.lstrip().startswith("#"):
            find(name, number, f"{match.group(1)}: the engine goes through htt_env")


def check_tests(names):
    """Every engine/<layer>/<file>.c has tests/engine/<layer>_<file>_test.c."""
    for name in names:
        match = re.fullmatch(r"engine/(\w+)/(\w+)\.c", name)
        if not match:
            continue
        test = f"tests/engine/{match.group(1)}_{match.group(2)}_test.c"
        if name in NO_TEST:
            if test in names:
                find(name, 1, f"{test} is there: strike the exception from NO_TEST")
        elif test not in names:
            find(name, 1, f"no test: {test}")
    for name in NO_TEST:
        if name not in names:
            find("tests/tidy/sources_test.py", 1, f"NO_TEST names {name}, which is not there")


def check_readme(names):
    """Commands and files that the documents name are there."""
    if "README.md" not in names:
        find("README.md", 1, "is missing")
    for name in names:
        if not name.endswith(".md"):
            continue
        for number, line in enumerate(read(name).decode("utf-8").split("\n"), 1):
            for command in re.findall(r"^\s*(?:\$ )?\./([\w./-]+)", line):
                # What a build makes (./build/..., a program of an example) is not in the tree.
                if "/" not in command and "." not in command and command not in names:
                    find(name, number, f"./{command} is not in the repository")
            for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", line):
                target = os.path.normpath(os.path.join(os.path.dirname(name), link))
                if not os.path.exists(os.path.join(ROOT, target)):
                    find(name, number, f"{link} is not in the repository")


def note_asserts(sources):
    """How dense asserts are; a figure to look at, not a limit."""
    for top in ("engine/", "ext/", "sql/"):
        count = total = 0
        for name, code in sources.items():
            if name.startswith(top):
                count += len(re.findall(r"\bassert\s*\(", code))
                total += sum(1 for _ in functions(code))
        if total:
            print(f"{top}: {total} functions, {count / total:.1f} asserts each")


def check_file(name, sources):
    data = read(name)
    kind = kind_of(name, data)
    if kind is None or name.startswith("tests/fuzz/corpus/"):
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        find(name, 1, "not UTF-8")
        return
    lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
    check_shape(name, kind, text, lines)
    check_words(name, kind, lines)
    if kind == "c":
        code = strip_c(text)
        sources[name] = code
        check_includes(name, lines)
        check_functions(name, code)
        check_calls(name, code)


def main():
    names = list_files()
    chosen = [os.path.relpath(os.path.abspath(a), ROOT) for a in sys.argv[1:]] or names
    sources = {}
    for name in chosen:
        check_file(name, sources)
    if chosen is names:
        check_tests(names)
        check_readme(names)
    for line in warnings + findings:
        print(line)
    note_asserts(sources)
    print(f"{len(chosen)} files, {len(findings)} findings, {len(warnings)} notes")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

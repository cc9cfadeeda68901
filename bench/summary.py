#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A summary of the results of bench/run: how many times better htt is, each ratio from one run.

bench/summary.py [folder of results]   reads the parts of bench/run full; Markdown on stdout
"""
import json
import os
import sys

# Datasets: name, rows, and the parts with the subjects through SQL and with those from C. Of
# several parts with SQL the first that was run counts.
DATASETS = [("1M of 16 + 100", 1000000, ["1M-sql", "1M-brief", "scale-1M"],
             ["1M-native", "1M-others", "1M-brief", "scale-1M"]),
            ("10M of 16 + 100", 10000000, ["10M-sql", "scale-sql"],
             ["10M-native", "10M-others", "scale-native"]),
            ("2M of 33 + 750", 2000000, ["2M-large-sql"], ["2M-large-native"])]

SQL = [("get", "point SELECT in a transaction"), ("get_alone", "point SELECT, autocommit"),
       ("miss", "SELECT of absent keys"), ("zipf", "point SELECT, Zipf .99"),
       ("load", "load, default write budget"),
       ("put", "overwrite, REPLACE, 1000 a transaction"),
       ("update", "overwrite, UPDATE, 1000 a transaction"),
       ("delete", "delete, 1000 a transaction"),
       ("commit_full", "one-row commits, FULL"), ("commit_normal", "one-row commits, NORMAL"),
       ("commit_off", "one-row commits, OFF"),
       ("few_full", "ten-row commits, FULL"), ("few_normal", "ten-row commits, NORMAL"),
       ("few_off", "ten-row commits, OFF"),
       ("scan", "full scan"), ("count", "count(*)"), ("cold", "cold get"),
       ("cold_random", "cold get, no read-ahead")]
HASH_STORES = ["tkrzw", "kyoto", "gdbm"]


def read_part(folder, part, count):
    """The rows of a part by workload, of tables of `count` rows; {} where it was not run."""
    path = os.path.join(folder, part + ".json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return {row["workload"]: row for row in json.load(file)["results"]
                if row["rows"] == count}


def figure(rows, workload, subject, name="median"):
    return rows.get(workload, {}).get(subject, {}).get(name)


def times(rows, workload, ours, theirs):
    """How many times better `ours` is; None where one is missing."""
    a, b = figure(rows, workload, ours), figure(rows, workload, theirs)
    if not a or not b:
        return None
    return a / b if rows[workload]["better"] == "more" else b / a


def over(a, b):
    return b / a if a and b else None


def least(values):
    known = [value for value in values if value is not None]
    return min(known) if known else None


def against_sql(rows):
    lines = [(title, times(rows, key, "htt_sql", "ordinary"), "x") for key, title in SQL]
    load = figure(rows, "load", "ordinary")
    lines.insert(5, ("load, write budget half the payload",
                     over(figure(rows, "load_half", "htt_sql"), load), "x"))
    lines += [
        ("key IN (1000 keys) per key, against single SELECTs of htt",
         over(figure(rows, "get_many", "htt_sql"), figure(rows, "get", "htt_sql")), "x"),
        ("point SELECT in a transaction, floor (what is possible)",
         times(rows, "get", "floor", "ordinary"), "x"),
        ("file bytes per payload byte, loaded", figure(rows, "size_loaded", "htt_sql"), "B/B"),
        ("the same of the ordinary table", figure(rows, "size_loaded", "ordinary"), "B/B"),
        ("bytes read per cold get, index cached, no read-ahead",
         figure(rows, "cold_random", "htt_sql", "late_read_bytes_per_get"), "B"),
        ("one-row commit, NORMAL, p50", figure(rows, "commit_normal", "htt_sql", "p50_us"), "us"),
        ("one-row commit, NORMAL, p99", figure(rows, "commit_normal", "htt_sql", "p99_us"), "us"),
        ("one-row commit, NORMAL, p99.9", figure(rows, "commit_normal", "htt_sql", "p999_us"),
         "us")]
    return lines


def against_c(parts):
    def first(workload, ours, theirs):
        """Of the first part that has both."""
        found = [times(rows, workload, ours, theirs) for rows in parts]
        return next((value for value in found if value is not None), None)

    hashes = [first("get", "htt_c", name) for name in HASH_STORES]
    sizes = [figure(rows, "size_loaded", "htt_c") for rows in parts]
    return [
        ("get, C, against LMDB", first("get", "htt_c", "lmdb"), "x"),
        ("get, C, against the fastest hash store", least(hashes), "x"),
        ("point SELECT through SQL against LMDB from C", first("get", "htt_sql", "lmdb"), "x"),
        ("load, C, against Tkrzw", first("load", "htt_c", "tkrzw"), "x"),
        ("load, C, against LMDB", first("load", "htt_c", "lmdb"), "x"),
        ("one-row commits, C, FULL, against LMDB", first("commit_full", "htt_c", "lmdb"), "x"),
        ("file bytes per payload byte, C, loaded", next(filter(None, sizes), None), "B/B")]


def shown(value, unit):
    if value is None:
        return ""
    text = f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return text if unit == "x" else f"{text} {unit}"


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__),
                                                                "results")
    columns = []
    for name, count, sql, native in DATASETS:
        sql_rows = next(filter(None, (read_part(folder, part, count) for part in sql)), {})
        native_rows = [read_part(folder, part, count) for part in native]
        if sql_rows or any(native_rows):
            columns.append((name, against_sql(sql_rows) + against_c(native_rows)))
    print("Times better than an ordinary WITHOUT ROWID table through SQL, where nothing else is "
          "said; above 1 is faster, or smaller.\n")
    print("| | " + " | ".join(name for name, _ in columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for i, (title, _, unit) in enumerate(columns[0][1] if columns else []):
        cells = [shown(lines[i][1], unit) for _, lines in columns]
        if any(cells):
            print(f"| {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

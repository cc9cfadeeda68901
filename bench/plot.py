#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Plots of the results of bench/run, made with gnuplot.

bench/plot.py [folder of results]   reads <folder>/*.json, writes <folder>/*.svg:
    bars of every part with workloads, <part>-bars.svg and <part>-commits.svg
    cost against the number of rows,   <part>-get.svg, -miss.svg, -load.svg
Without gnuplot it says so and does nothing.
"""
import glob
import json
import os
import shutil
import subprocess
import sys

COLOURS = {
    "ordinary": "#888888", "rowid": "#bbbbbb", "floor": "#dddd88", "floor_file": "#cccc55",
    "htt_sql": "#cc2222", "lmdb": "#2255aa", "tkrzw": "#33aa77", "kyoto": "#77bb33",
    "gdbm": "#9966bb", "rocksdb": "#dd9933", "leveldb": "#886644", "htt_c": "#ff6666",
}
# Bars: workload and its short name. Times first, then commits.
TIMES = [("load", "load"), ("get", "get"), ("get_alone", "get,\\nautocommit"), ("miss", "miss"),
         ("zipf", "Zipf"), ("get_many", "IN (1000)"), ("scan", "scan"), ("put", "overwrite"),
         ("delete", "delete"),
         ("ycsb_a", "YCSB A"), ("ycsb_b", "B"), ("ycsb_c", "C"), ("ycsb_d", "D"), ("ycsb_f", "F"),
         ("fillseq", "fillseq"), ("fillrandom", "fillrandom"), ("overwrite", "overwrite"),
         ("readseq", "readseq"), ("readrandom", "readrandom"), ("readhot", "readhot")]
COMMITS = [("commit_full", "1 row,\\nFULL"), ("commit_normal", "1 row,\\nNORMAL"),
           ("commit_off", "1 row,\\nOFF"), ("few_full", "10 rows,\\nFULL"),
           ("few_normal", "10 rows,\\nNORMAL"), ("few_off", "10 rows,\\nOFF")]
CURVES = [("get", "get in one transaction, ns"), ("miss", "get of an absent key, ns"),
          ("load", "load in random order, ns a row")]


def gnuplot(script):
    done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"gnuplot: {done.stderr}")


def head(path, title, axis):
    return "\n".join([
        "set terminal svg size 1000,420 font 'sans,12' background 'white'",
        f"set output '{path}'", f"set title '{title}'", f"set ylabel '{axis}'",
        "set logscale y", "set grid ytics lc '#dddddd'",
        "set key outside right top width -4 samplen 2",
        "set border 3", "set tics nomirror", "set bmargin 4", ""])


def name_of(data, subject):
    info = data["subjects"][subject]
    return info["title"] + (", C" if subject == "htt_c" else
                            ", SQL" if subject == "htt_sql" else "")


def title_of(data, what):
    dataset = data["dataset"]
    return (f"{what}: {dataset['rows']:,} rows of {dataset['key_bytes']} + "
            f"{dataset['value_bytes']} bytes, {data['machine']['cpu']}, {data['date'][:10]}")


def plot_bars(path, data, workloads, title, axis):
    """A group of bars for each workload that was measured, one bar for each subject."""
    rows = {row["workload"]: row for row in data["results"]}
    shown = [(rows[key], name) for key, name in workloads if key in rows]
    if len(shown) < 2:
        return
    subjects = [key for key in data["subjects"] if any(key in row for row, _ in shown)]
    lines = [head(path, title_of(data, title), axis), "$data << EOD"]
    for row, name in shown:
        values = [f"{row[key]['median']:.6g}" if key in row else "NaN" for key in subjects]
        lines.append(f'"{name}" ' + " ".join(values))
    lines += ["EOD", "set style data histograms", "set style histogram clustered gap 1",
              "set style fill solid noborder", "set boxwidth 0.9"]
    parts = [f"$data using {i + 2}:xtic(1) title '{name_of(data, key)}' lc rgb '{COLOURS[key]}'"
             for i, key in enumerate(subjects)]
    lines.append("plot " + ", ".join(parts))
    gnuplot("\n".join(lines) + "\n")
    print(path)


def plot_curve(path, data, workload, axis):
    """A line for each subject: cost against the number of rows."""
    rows = [row for row in data["results"] if row["workload"] == workload]
    if len(rows) < 2:
        return
    lines = [head(path, f"{data['machine']['cpu']}, {data['date'][:10]}", axis),
             "set logscale x", "set xlabel 'rows'", "set format x '10^{%L}'"]
    parts = []
    for key in data["subjects"]:
        points = [(row["rows"], row[key]["median"]) for row in rows if key in row]
        if not points:
            continue
        lines.append(f"${key} << EOD")
        lines += [f"{x} {y:.6g}" for x, y in points]
        lines.append("EOD")
        parts.append(f"${key} with linespoints pt 7 ps 0.6 lw 2 lc rgb '{COLOURS[key]}' "
                     f"title '{name_of(data, key)}'")
    lines.append("plot " + ", ".join(parts))
    gnuplot("\n".join(lines) + "\n")
    print(path)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__),
                                                                "results")
    if shutil.which("gnuplot") is None:
        print("There is no gnuplot, so there are no plots; on Debian: apt-get install gnuplot-nox")
        return
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        base = path[:-len(".json")]
        if data["program"] == "bench_scale":
            for workload, axis in CURVES:
                plot_curve(f"{base}-{workload}.svg", data, workload, axis)
        else:
            plot_bars(f"{base}-bars.svg", data, TIMES, "Time of one operation",
                      "ns, less is better")
            plot_bars(f"{base}-commits.svg", data, COMMITS, "Small commits",
                      "commits a second, more is better")


if __name__ == "__main__":
    main()

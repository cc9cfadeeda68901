#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The last step of ./demo: demo_speed.sh <table> <list> <key> <column>
#
# Point lookups in an htt table of demo.db against an ordinary WITHOUT ROWID table of the same rows
# and columns, both loaded from the table <list>. Run in the demo's folder; SQLITE_LIBRARY is
# libhtt.
#
# Both are asked by the same statement, a join of a list of keys in random order with the table by
# its key: one lookup per row of the list. What reading the list alone costs is shown, and is in
# both figures. Everything is in memory for both (the ordinary table has a page cache larger than
# itself), each is measured ROUNDS times in turn in processor time, and the fastest counts.
set -euo pipefail
ROUNDS=5
LOOKUPS=1000000
table=$1 list=$2 key=$3 column=$4

sql() {
    sqlite3 -batch -bail -cmd ".load $SQLITE_LIBRARY" -cmd "PRAGMA cache_size = -1000000" demo.db
}

# The ordinary table is declared as the htt table is, and loaded as it was.
columns=$(echo "SELECT value FROM htt_stat('$table') WHERE name = 'declaration';" | sql)
sql <<SQL
DROP TABLE IF EXISTS ordinary;
DROP TABLE IF EXISTS wanted;
CREATE TABLE ordinary($columns) WITHOUT ROWID;
CREATE TABLE wanted(key TEXT);
BEGIN;
INSERT INTO ordinary SELECT * FROM $list;
INSERT INTO wanted SELECT $key FROM ordinary ORDER BY random();
COMMIT;
SQL
rows=$(echo 'SELECT count(*) FROM wanted;' | sql)
times=$((LOOKUPS / rows + 1))

# First the answers: every key, as many keys that are not there, and whole rows.
wrong=$(sql <<SQL
SELECT count(*) FROM wanted w LEFT JOIN ordinary o ON o.$key = w.key
    LEFT JOIN $table t ON t.$key = w.key WHERE t.$column IS NOT o.$column OR t.$key IS NOT w.key;
SELECT count(*) FROM wanted w JOIN $table t ON t.$key = w.key || '/no such key';
SELECT count(*) FROM (SELECT * FROM $table EXCEPT SELECT * FROM ordinary);
SELECT count(*) FROM (SELECT * FROM ordinary EXCEPT SELECT * FROM $table);
SQL
)
if [ "$(echo $wrong)" != "0 0 0 0" ]; then
    echo "$table and the ordinary table answer differently: $wrong" >&2
    exit 1
fi
echo "$table: each of $rows keys gives the same answer in both, $rows absent keys give none."

lookups() { # <table>
    echo "SELECT sum(length(t.$column)) FROM times CROSS JOIN wanted w CROSS JOIN $1 t
        ON t.$key = w.key;"
}

list_alone="SELECT sum(length(w.key)) FROM times CROSS JOIN wanted w;"

# One process, so that both are warm; the first statement of each is not counted.
{
    echo "CREATE TEMP TABLE times AS WITH RECURSIVE n(i) AS
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $times) SELECT i FROM n;"
    echo "BEGIN;"
    lookups "$table"
    lookups ordinary
    echo ".timer on"
    for round in $(seq $ROUNDS); do
        echo "$list_alone"
        lookups "$table"
        lookups ordinary
    done
    echo "COMMIT;"
} | sql >times.txt

awk -v lookups=$((rows * times)) -v rounds=$ROUNDS '
    /^Run Time: real/ && at < 3 * rounds {
        which = at++ % 3
        seconds = $6 + $8
        if (!(which in best) || seconds < best[which]) best[which] = seconds
    }
    function row(what, which) {
        printf "    %-36s %6.0f ns each\n", what, best[which] * 1e9 / lookups
    }
    END {
        if (at < 3 * rounds || best[1] <= 0 || best[2] <= 0) { print "no times measured"; exit 1 }
        printf "%d lookups by key, fastest of %d rounds:\n", lookups, rounds
        row("htt table", 1)
        row("ordinary table WITHOUT ROWID", 2)
        row("in both: reading the list of keys", 0)
        printf "    %-36s %6.2f\n", "htt / ordinary", best[1] / best[2]
    }' times.txt

# dbstat is an option of SQLite's build; without it the sizes are left out.
size="SELECT sum(pgsize) FROM dbstat WHERE name = 'ordinary';"
if ordinary=$(echo "$size" | sql 2>/dev/null); then
    printf 'On disk: %s.htt %d KiB, the ordinary table %d KiB.\n\n' \
        "$table" $(($(stat -c %s "$table.htt") / 1024)) $((ordinary / 1024))
fi

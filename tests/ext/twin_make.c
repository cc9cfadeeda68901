/* SPDX-License-Identifier: MIT */
/*
 * What the twin does next: random setups and lines.
 *
 * DROP TABLE leaves a htt file and CREATE takes it again; the ordinary table is renamed instead.
 */
#include "twin.h"

#include <string.h>

const twin_kind twin_kinds[] = {
    {"untyped", "", "key PRIMARY KEY, value", "key", {"value"}, true},
    {"integer key",
     ", k INTEGER PRIMARY KEY, a TEXT, b REAL NOT NULL, c",
     "k INTEGER PRIMARY KEY, a TEXT, b REAL NOT NULL, c",
     "k",
     {"a", "b", "c"},
     false},
    {"text key in the middle",
     ", a INT, k TEXT PRIMARY KEY, b NUMERIC",
     "a INT, k TEXT PRIMARY KEY, b NUMERIC",
     "k",
     {"a", "b"},
     true},
    {"real key",
     ", k REAL PRIMARY KEY, a BLOB NOT NULL",
     "k REAL PRIMARY KEY, a BLOB NOT NULL",
     "k",
     {"a"},
     false},
    {"numeric key",
     ", a COLLATE NOCASE, k DECIMAL(10,2), b VARCHAR(20), PRIMARY KEY(k)",
     "a COLLATE NOCASE, k DECIMAL(10,2), b VARCHAR(20), PRIMARY KEY(k)",
     "k",
     {"a", "b"},
     false},
};
const unsigned twin_kind_count = sizeof twin_kinds / sizeof twin_kinds[0];

static uint64_t make_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static unsigned make_below(uint64_t *state, unsigned limit) {
    return (unsigned)((make_random(state) >> 20) % limit);
}

unsigned twin_below(twin *t, unsigned limit) {
    return make_below(&t->random, limit);
}

/* ------------------------------------------------------------------ setups */

static void make_option(twin_setup *setup, uint64_t *random, unsigned rarity, const char *option) {
    if (make_below(random, rarity) == 0) {
        const size_t used = strlen(setup->options);
        snprintf(setup->options + used, sizeof setup->options - used, ", %s", option);
    }
}

void twin_choose(twin_setup *setup, unsigned run, uint64_t seed) {
    static const char *const modes[] = {"wal", "delete", "wal", "truncate", "persist"};
    static const char *const folds[] = {
        "",
        ", fold_rows=1",
        ", fold_rows=3",
        ", fold_rows=20",
        ", fold_bytes=200",
        ", fold_bytes=20000",
        ", fold_rows=5, fold_bytes=2000",
    };
    uint64_t random = seed | 1;
    for (int i = 0; i < 5; i++) {
        (void)make_random(&random);
    }
    *setup = (twin_setup){.kind = run % twin_kind_count,
                          .pairs = 1 + make_below(&random, TWIN_PAIRS_MAX),
                          .other = make_below(&random, 2) == 0,
                          .checkpoint = make_below(&random, 2) == 0 ? 1000 : 10};
    snprintf(setup->mode, sizeof setup->mode, "%s", modes[run / twin_kind_count % 5]);
    snprintf(setup->encoding, sizeof setup->encoding, "%s",
             make_below(&random, 3) == 0 ? "UTF-16le" : "UTF-8");
    snprintf(setup->options, sizeof setup->options, "%s", folds[make_below(&random, 7)]);
    if (make_below(&random, 3) == 0) {
        make_option(setup, &random, 1, "changes=on");
        make_option(setup, &random, 2, "changes_keep=5");
    }
    make_option(setup, &random, 4, "mmap=off");
    make_option(setup, &random, 6, "write_budget=65536");
    make_option(setup, &random, 4, "page_size=8192");
    make_option(setup, &random, 2, "sync=off");
}

/* ------------------------------------------------------------------- lines */

static void make_run(twin *t, const char *sql) {
    twin_act(t, TWIN_RUN, t->pair, sql, sql);
}

static void make_transaction(twin *t) {
    static const char *const begins[] = {"BEGIN", "BEGIN", "BEGIN", "BEGIN IMMEDIATE"};
    char sql[64];
    const unsigned name = twin_below(t, 3);
    switch (twin_below(t, 9)) {
    case 0:
    case 1: make_run(t, begins[twin_below(t, 4)]); return;
    case 2: make_run(t, "COMMIT"); return;
    case 3: make_run(t, twin_below(t, 2) == 0 ? "ROLLBACK" : "COMMIT"); return;
    case 4:
    case 5: snprintf(sql, sizeof sql, "SAVEPOINT s%u", name); break;
    case 6:
    case 7: snprintf(sql, sizeof sql, "ROLLBACK TO s%u", name); break;
    default: snprintf(sql, sizeof sql, "RELEASE s%u", name);
    }
    make_run(t, sql);
}

/* Ordinary tables, and a trigger that writes to t. */
static void make_ordinary(twin *t) {
    char sql[128];
    switch (twin_below(t, 4)) {
    case 0: snprintf(sql, sizeof sql, "INSERT INTO log(x) VALUES (%u)", twin_below(t, 40)); break;
    case 1: snprintf(sql, sizeof sql, "DELETE FROM source WHERE rowid > 40"); break;
    case 2: /* see twin_world.c: both compile the trigger by the schema as it is now */
        make_run(t, "SELECT x FROM pulled LIMIT 0");
        snprintf(sql, sizeof sql, "INSERT INTO pulled(x) VALUES (%u)", twin_below(t, 30));
        break;
    default:
        snprintf(sql, sizeof sql, "INSERT INTO source(x, y) VALUES (%s%u, 'y%u')",
                 twin_below(t, 3) == 0 ? "'k' || " : "", twin_below(t, 30), twin_below(t, 9));
    }
    make_run(t, sql);
}

/* A SELECT that is open while things change. That it is open changes how SQLite runs others. */
static void make_reader(twin *t) {
    const twin_pair *const pair = &t->pairs[t->pair];
    const unsigned which = twin_below(t, 10);
    if (pair->reader[0] != NULL) {
        twin_act(t, which < 3 ? TWIN_SHUT : TWIN_READ, t->pair, "", "");
    } else if (which == 0) {
        twin_act(t, TWIN_READ, t->pair, "SELECT * FROM source", "");
    } else {
        const bool other = t->setup.other && which < 3;
        twin_act(t, TWIN_READ, t->pair, other ? "SELECT * FROM other.t2" : "SELECT * FROM t", "");
    }
}

/* Everybody comes to an end, so that a BUSY does not last for ever. */
static void make_calm(twin *t) {
    for (unsigned i = 0; i < t->setup.pairs; i++) {
        twin_act(t, TWIN_SHUT, i, "", "");
        if (sqlite3_get_autocommit(t->pairs[i].db[0]) == 0) {
            twin_act(t, TWIN_RUN, i, "COMMIT", "COMMIT");
        }
        if (sqlite3_get_autocommit(t->pairs[i].db[0]) == 0) {
            twin_act(t, TWIN_RUN, i, "ROLLBACK", "ROLLBACK");
        }
    }
}

static void make_ddl(twin *t) {
    char create[512];
    twin_act(t, TWIN_SHUT, t->pair, "", ""); /* it would lock the table */
    if (!t->missing && twin_below(t, 3) == 0) {
        make_run(t, "ALTER TABLE t RENAME TO u");
        make_run(t, "ALTER TABLE u RENAME TO t");
        return;
    }
    make_run(t, "SELECT count(*) FROM t"); /* says whether it is there */
    snprintf(create, sizeof create, "CREATE VIRTUAL TABLE t USING htt('t.htt'%s%s)",
             t->setup.options, t->kind->arguments);
    if (t->missing && t->setup.other) {
        make_calm(t); /* CREATE looks for the file in all databases, ALTER does not */
    }
    twin_act(t, TWIN_RUN, t->pair, t->missing ? create : "DROP TABLE t",
             t->missing ? "ALTER TABLE t_file RENAME TO t" : "ALTER TABLE t RENAME TO t_file");
    t->missing = !t->missing;
}

static void make_seldom(twin *t) {
    switch (twin_below(t, 6)) {
    case 0: make_run(t, "VACUUM"); return;
    case 1:
        if (strcmp(t->setup.mode, "wal") != 0) { /* a locked database can not be attached */
            make_calm(t);
        }
        twin_act(t, TWIN_REOPEN, t->pair, "", "");
        return;
    case 2: make_run(t, "PRAGMA wal_checkpoint"); return;
    case 3:
        twin_act(t, TWIN_CHECK, t->pair, t->setup.other && twin_below(t, 2) == 0 ? "other.t2" : "t",
                 "");
        return;
    default:
        if (t->has_fold) {
            twin_act(t, TWIN_RUN, t->pair, "SELECT htt_fold('t')",
                     "SELECT x FROM log WHERE 0; DELETE FROM t WHERE 0; SELECT 0");
        }
    }
}

void twin_make(twin *t) {
    const unsigned which = twin_below(t, 1000);
    if (twin_below(t, 5) == 0) {
        t->pair = twin_below(t, t->setup.pairs);
    }
    if (t->setup.pairs > 1 && twin_below(t, 40) == 0) {
        make_calm(t);
    }
    t->table = t->setup.other && twin_below(t, 3) == 0 ? "other.t2" : "t";
    if (which < 170 || (t->missing && which < 400)) {
        if (t->missing && twin_below(t, 3) == 0) {
            make_ddl(t);
        } else {
            twin_act(t, TWIN_COMPARE, t->pair, "", "");
        }
    } else if (which < 660) {
        twin_statement(t);
        if (t->mixed && t->setup.pairs > 1) { /* see twin_world.c: both look at the table first */
            twin_act(t, TWIN_COMPARE, t->pair, "", "");
        }
        make_run(t, t->sql);
    } else if (which < 840) {
        make_transaction(t);
    } else if (which < 880) {
        make_ordinary(t);
    } else if (which < 940) {
        make_reader(t);
    } else if (which < 970) {
        make_ddl(t);
    } else {
        make_seldom(t);
    }
}

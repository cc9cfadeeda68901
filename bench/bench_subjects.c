/* SPDX-License-Identifier: MIT */
/*
 * The subjects there are. CMakeLists.txt defines BENCH_HAVE_<NAME> for each library that is there.
 */
#include "bench_subjects.h"

#include <stdio.h>
#include <string.h>

extern const bench_subject bench_sql_ordinary;
extern const bench_subject bench_sql_rowid;
extern const bench_subject bench_sql_htt;
extern const bench_subject bench_sql_floor;
extern const bench_subject bench_sql_floor_file;
extern const bench_subject bench_native_htt;
extern const bench_subject bench_native_wrong;

#ifdef BENCH_HAVE_LMDB
extern const bench_subject bench_peer_lmdb;
#define SUBJECTS_LMDB &bench_peer_lmdb
#else
#define SUBJECTS_LMDB NULL
#endif
#ifdef BENCH_HAVE_TKRZW
extern const bench_subject bench_peer_tkrzw;
#define SUBJECTS_TKRZW &bench_peer_tkrzw
#else
#define SUBJECTS_TKRZW NULL
#endif
#ifdef BENCH_HAVE_KYOTO
extern const bench_subject bench_peer_kyoto;
#define SUBJECTS_KYOTO &bench_peer_kyoto
#else
#define SUBJECTS_KYOTO NULL
#endif
#ifdef BENCH_HAVE_GDBM
extern const bench_subject bench_peer_gdbm;
#define SUBJECTS_GDBM &bench_peer_gdbm
#else
#define SUBJECTS_GDBM NULL
#endif
#ifdef BENCH_HAVE_ROCKSDB
extern const bench_subject bench_peer_rocksdb;
#define SUBJECTS_ROCKSDB &bench_peer_rocksdb
#else
#define SUBJECTS_ROCKSDB NULL
#endif
#ifdef BENCH_HAVE_LEVELDB
extern const bench_subject bench_peer_leveldb;
#define SUBJECTS_LEVELDB &bench_peer_leveldb
#else
#define SUBJECTS_LEVELDB NULL
#endif

typedef struct subjects_known {
    const char *id;               /* the subject's, also where there is none */
    const bench_subject *subject; /* NULL = its library is not there */
    const char *words;            /* that choose it besides its id */
} subjects_known;

static const subjects_known subjects_all[] = {
    {"ordinary", &bench_sql_ordinary, "all sql"},
    {"rowid", &bench_sql_rowid, "all sql"},
    {"floor", &bench_sql_floor, "all sql"},
    {"floor_file", &bench_sql_floor_file, "all sql"},
    {"htt_sql", &bench_sql_htt, "all sql"},
    {"lmdb", SUBJECTS_LMDB, "all native peers"},
    {"tkrzw", SUBJECTS_TKRZW, "all native peers"},
    {"kyoto", SUBJECTS_KYOTO, "all native peers"},
    {"gdbm", SUBJECTS_GDBM, "all native peers"},
    {"rocksdb", SUBJECTS_ROCKSDB, "all native peers"},
    {"leveldb", SUBJECTS_LEVELDB, "all native peers"},
    {"htt_c", &bench_native_htt, "all native"},
    {"wrong", &bench_native_wrong, ""},
};
enum { SUBJECTS_ALL = sizeof subjects_all / sizeof subjects_all[0] };

/* Whether `word` of `size` bytes is one of the words of `list`, which `gap` parts. */
static bool subjects_has_word(const char *list, char gap, const char *word, size_t size) {
    for (const char *at = list; *at != '\0';) {
        const char *end = strchr(at, gap);
        const size_t length = end != NULL ? (size_t)(end - at) : strlen(at);
        if (length == size && memcmp(at, word, size) == 0) {
            return true;
        }
        at += length + (end != NULL);
    }
    return false;
}

static bool subjects_is_chosen(const subjects_known *known, const char *word, size_t size) {
    return subjects_has_word(known->id, ' ', word, size) ||
           subjects_has_word(known->words, ' ', word, size);
}

void bench_subjects_choose(const char *names, bench_subjects *chosen_out) {
    bool chosen[SUBJECTS_ALL] = {false};
    for (const char *at = names; *at != '\0';) {
        const size_t size = strcspn(at, ",");
        bool known = false;
        for (int i = 0; i < SUBJECTS_ALL; i++) {
            if (subjects_is_chosen(&subjects_all[i], at, size)) {
                chosen[i] = true;
                known = true;
            }
        }
        if (!known) {
            bench_fail("%.*s: no such subject; see bench/README.md", (int)size, at);
        }
        at += size + (at[size] == ',');
    }
    chosen_out->count = 0;
    for (int i = 0; i < SUBJECTS_ALL; i++) {
        if (chosen[i] && subjects_all[i].subject == NULL) {
            (void)fprintf(stderr, "%s is skipped: its library was not there when this was built\n",
                          subjects_all[i].id);
        } else if (chosen[i]) {
            chosen_out->list[chosen_out->count++] = subjects_all[i].subject;
        }
    }
    if (chosen_out->count == 0) {
        bench_fail("%s: nothing to measure", names);
    }
}

void bench_subjects_drop_alone(bench_subjects *subjects) {
    int count = 0;
    for (int i = 0; i < subjects->count; i++) {
        if (!subjects->list[i]->only_alone) {
            subjects->list[count++] = subjects->list[i];
        }
    }
    subjects->count = count;
}

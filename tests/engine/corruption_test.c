/* SPDX-License-Identifier: MIT */
/*
 * ctest: timeout=300
 *
 * Small files of every kind are damaged in every way: bytes changed, pages exchanged, pages of an
 * older state put back, cut, lengthened; and their lock files. Every answer is then right or an
 * error with a message: never a crash, a wrong value, or a walk without end. The check finds what
 * any read stumbles over. With repaired checksums answers may be wrong, but nothing else.
 *
 * By default bytes are sampled; with HTT_TEST_LONG=1 it is every byte of files that are not large.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "page/meta.h"
#include "support/test_env_memory.h"
#include "support/test_repair.h"
#include "txn/testing.h"
#include "workload.h"

#define DAMAGE_SEED 4242u
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DAMAGE_SHORT 150u      /* bytes changed of a file, in one mode */
#else
#define DAMAGE_SHORT 300u
#endif
#define DAMAGE_LONG 20000u     /* the same of a large file */
#define DAMAGE_ALL_MAX 50000u  /* bytes of a file that is not large */
#define DAMAGE_OLD_MAX 24u     /* states of a file that are kept */
#define DAMAGE_PIECE_MAX ((size_t)64 << 20)

/* A file and what is in it. */
typedef struct sample {
    workload what;                          /* that made it */
    uint8_t *bytes;                         /* of the file, after its last close */
    size_t size;                            /* of bytes */
    uint8_t *old[DAMAGE_OLD_MAX];           /* the file after earlier commits */
    size_t old_size[DAMAGE_OLD_MAX];        /* of each */
    uint32_t old_count;                     /* of them */
    rows_state states[WORKLOAD_STATES_MAX]; /* committed; the last one is what it holds */
    uint32_t count;                         /* of states */
} sample;

/* One way of looking at a damaged file. */
typedef struct probe {
    const sample *sample;     /* the file that was damaged */
    const rows_state *states; /* answers that are right */
    uint32_t count;           /* of states */
    unsigned flags;           /* HTT_OPEN_... */
    unsigned compare;         /* ROWS_... */
    bool judged;              /* answers must be right */
    bool healthy;             /* no error is allowed, but that of a strange lock file */
    char where[200];          /* the damage */
} probe;

static memory_fs *fs;
static uint64_t random_state = DAMAGE_SEED;
static uint64_t probe_count;   /* files looked at */
static uint64_t refused_count; /* that could not be opened */
static uint64_t noticed_count; /* where some read or the check found damage */
static uint64_t silent_count;  /* where everything was right */

static uint32_t damage_random(uint32_t below) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

/* ------------------------------------------------------------ one probe */

/* A call gave an error. */
static void probe_error(const probe *p, htt_rc rc, const char *message, const char *what) {
    if (p->healthy && rc == HTT_CANTOPEN && strstr(message, "-lock") != NULL) {
        return;
    }
    const bool clean = rc == HTT_CORRUPT || rc == HTT_NOTHTT || rc == HTT_NEWER || rc == HTT_IO ||
                       rc == HTT_SNAPSHOT || rc == HTT_FULL || rc == HTT_READONLY ||
                       (!p->judged && rc > HTT_OK && rc <= HTT_ABORTED);
    if (!clean || message == NULL || message[0] == '\0' || p->healthy) {
        fail_msg("%s: %s: %s: %s", p->where, what, htt_strerror(rc), message);
    }
}

static int probe_report(void *arg, uint32_t page, const char *problem) {
    (void)page;
    if (problem == NULL || problem[0] == '\0') {
        *(bool *)arg = true;
    }
    return 0;
}

/* Problems that the check finds; UINT64_MAX: it gave an error. */
static uint64_t probe_check(const probe *p, htt_txn *txn, unsigned depth) {
    bool empty = false;
    uint64_t problems = 0;
    const htt_rc rc = htt_check(txn, depth, probe_report, &empty, &problems);
    if (rc != HTT_OK) {
        probe_error(p, rc, htt_txn_errmsg(txn), "check");
        return UINT64_MAX;
    }
    if (empty || (p->healthy && problems > 0)) {
        fail_msg("%s: check: %" PRIu64 " problems", p->where, problems);
    }
    return problems;
}

/* Compares; gives the states that are still possible. *errors_out: calls that gave one. */
static uint64_t probe_compare(const probe *p, htt_txn *txn, const rows_state *states,
                              uint32_t *errors_out) {
    const rows_result result = rows_compare(txn, states, p->count, p->compare);
    if (result.matches == 0 && p->judged) {
        fail_msg("%s: %s", p->where, result.text);
    }
    if (result.rc != HTT_OK) {
        probe_error(p, result.rc, result.text, "read");
    }
    *errors_out = result.errors;
    return result.matches;
}

/* Reads everything. Gives the states that it may be. */
static uint64_t probe_read(const probe *p, htt_store *store, const rows_state *states,
                           bool *noticed) {
    htt_txn *txn = NULL;
    htt_stat stat;
    uint32_t errors = 0;
    htt_rc rc = htt_begin(store, HTT_READ, &txn);
    if (rc != HTT_OK) {
        probe_error(p, rc, htt_errmsg(store), "begin");
        *noticed = true;
        return UINT64_MAX >> (64 - p->count);
    }
    const uint64_t matches = probe_compare(p, txn, states, &errors);
    rc = htt_txn_stat(txn, &stat);
    if (rc != HTT_OK) {
        probe_error(p, rc, htt_txn_errmsg(txn), "stat");
    }
    const uint64_t shallow = probe_check(p, txn, HTT_CHECK_SHALLOW);
    const uint64_t deep = probe_check(p, txn, HTT_CHECK_DEEP);
    /* Not their numbers: counts are only compared where nothing else was wrong. */
    if (p->judged && (shallow > 0 || errors > 0) && deep == 0) {
        fail_msg("%s: %u errors, but %" PRIu64 " problems shallow, %" PRIu64 " deep", p->where,
                 (unsigned)errors, shallow, deep);
    }
    *noticed = *noticed || errors > 0 || rc != HTT_OK || deep > 0;
    htt_abort(txn);
    return matches;
}

/* Changes rows, where that is possible; what succeeded is changed in the states too. */
static bool probe_change(const probe *p, htt_store *store, rows_state *states) {
    htt_txn *txn = NULL;
    rows_state *state = &states[p->count]; /* takes part in nothing */
    htt_rc rc = htt_begin(store, HTT_WRITE, &txn);
    if (rc != HTT_OK) {
        probe_error(p, rc, htt_errmsg(store), "begin of a write");
        return false;
    }
    for (uint32_t i = 0; i < 12; i++) {
        const uint32_t id = damage_random(i % 2 == 0 ? 30 : ROWS_MAX);
        const bool put = i % 3 != 2;
        rc = put ? rows_put(txn, state, id, 60001) : rows_del(txn, state, id);
        if (rc == HTT_OK || rc == HTT_NOTFOUND) {
            for (uint32_t s = 0; s < p->count; s++) {
                states[s].versions[id] = put ? 60001 : 0;
            }
            continue;
        }
        probe_error(p, rc, htt_txn_errmsg(txn), put ? "put" : "del");
        if (rc == HTT_IO || rc == HTT_POISONED) {
            htt_abort(txn);
            return false;
        }
    }
    rc = htt_commit(txn);
    if (rc != HTT_OK) {
        probe_error(p, rc, htt_errmsg(store), "commit");
    }
    return rc == HTT_OK;
}

static void probe_store(const probe *p, htt_store *store) {
    static rows_state states[WORKLOAD_STATES_MAX + 1];
    bool noticed = false;
    uint64_t before = 0;
    uint64_t after = 0;
    memcpy(states, p->states, p->count * sizeof states[0]);
    rows_state_init(&states[p->count], p->sample->what.rows, p->sample->what.page_size);
    (void)probe_read(p, store, states, &noticed);
    noticed_count += noticed;
    silent_count += !noticed;
    if (damage_random(4) == 0) {
        const htt_rc rc = htt_vacuum(store, &before, &after);
        if (rc != HTT_OK) {
            probe_error(p, rc, htt_errmsg(store), "vacuum");
        }
        (void)probe_read(p, store, states, &noticed);
    }
    if (probe_change(p, store, states)) {
        probe changed = *p; /* old pages among new ones may show what was before the change */
        changed.judged = p->judged && (p->compare & ROWS_ANY_STATE) == 0;
        (void)probe_read(&changed, store, states, &noticed);
    }
}

/* Looks at a damaged file, which is in `fs` already. */
static void probe_file(const probe *p) {
    htt_options options;
    htt_error error = {0};
    htt_store *store = NULL;
    workload_options(&p->sample->what, memory_fs_env(fs), &options);
    options.flags = p->flags;
    options.cache_bytes = 65536;
    probe_count++;
    const htt_rc rc = htt_open(WORKLOAD_PATH, &options, &store, &error);
    if (rc != HTT_OK) {
        probe_error(p, rc, error.text, "open");
        refused_count++;
    } else {
        workload_opened(&p->sample->what, store);
        probe_store(p, store);
        htt_close(store);
    }
    if (memory_fs_held(fs) != 0) {
        fail_msg("%s: %zu handles left", p->where, memory_fs_held(fs));
    }
}

static void probe_bytes(const probe *p, const uint8_t *bytes, size_t size) {
    memory_fs_clear(fs);
    memory_fs_put_file(fs, WORKLOAD_PATH, bytes, size);
    probe_file(p);
}

/* Answers that are right after damage to this page: only meta pages know of older states. */
static void probe_expect(probe *p, uint32_t page) {
    p->states = page < 2 ? p->sample->states : &p->sample->states[p->sample->count - 1];
    p->count = page < 2 ? p->sample->count : 1;
}

static probe probe_init(const sample *s, unsigned flags) {
    probe p = {.sample = s, .flags = flags, .compare = ROWS_TOLERANT, .judged = true};
    probe_expect(&p, 2);
    return p;
}

/* -------------------------------------------------------------- damage */

static void damage_byte(const sample *s, uint8_t *bytes, size_t at, unsigned how) {
    const uint8_t byte = bytes[at];
    const uint8_t changed[3] = {(uint8_t)(byte ^ 0xFF), 0, (uint8_t)(byte + 1)};
    if (changed[how] == byte) {
        return;
    }
    for (unsigned mode = 0; mode < 4; mode++) {
        probe p = probe_init(s, (mode & 1) != 0 ? HTT_OPEN_NO_MMAP : 0);
        probe_expect(&p, (uint32_t)(at / s->what.page_size));
        (void)snprintf(p.where, sizeof p.where, "%s, byte %zu, %u to %u, mode %u", s->what.name,
                       at, byte, changed[how], mode);
        bytes[at] = changed[how];
        if (mode < 2) {
            probe_bytes(&p, bytes, s->size);
        } else {
            uint8_t *repaired = malloc(s->size);
            assert_non_null(repaired);
            memcpy(repaired, bytes, s->size);
            repair_file(repaired, s->size, REPAIR_ALL);
            p.judged = false;
            probe_bytes(&p, repaired, s->size);
            free(repaired);
        }
        bytes[at] = byte;
    }
}

static void damage_bytes(const sample *s) {
    const bool longer = getenv("HTT_TEST_LONG") != NULL;
    const bool all = longer && s->size <= DAMAGE_ALL_MAX;
    const unsigned samples = longer ? DAMAGE_LONG : DAMAGE_SHORT;
    uint8_t *bytes = malloc(s->size);
    assert_non_null(bytes);
    memcpy(bytes, s->bytes, s->size);
    for (size_t at = 0; all && at < s->size; at++) {
        for (unsigned how = 0; how < 3; how++) {
            damage_byte(s, bytes, at, how);
        }
    }
    for (unsigned i = 0; !all && i < samples; i++) {
        const size_t page = damage_random((uint32_t)(s->size / s->what.page_size));
        /* Heads are a small part of a page, and where most can go wrong. */
        const uint32_t range = i % 4 == 0   ? 24
                               : i % 4 == 1 ? 208
                               : i % 4 == 2 ? 4096
                                            : s->what.page_size;
        damage_byte(s, bytes, page * s->what.page_size + damage_random(range), damage_random(3));
    }
    assert_memory_equal(bytes, s->bytes, s->size);
    free(bytes);
}

/* Pages in each other's place, and one page twice. */
static void damage_places(const sample *s) {
    const size_t page_size = s->what.page_size;
    const uint32_t count = (uint32_t)(s->size / page_size);
    const uint32_t runs = getenv("HTT_TEST_LONG") != NULL ? 1000 : 40;
    uint8_t *bytes = malloc(s->size);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < runs; i++) {
        probe p = probe_init(s, i % 2 == 0 ? 0 : HTT_OPEN_NO_MMAP);
        const uint32_t one = damage_random(count);
        const uint32_t other = damage_random(count);
        memcpy(bytes, s->bytes, s->size);
        memcpy(bytes + one * page_size, s->bytes + other * page_size, page_size);
        if (i % 4 < 2) {
            memcpy(bytes + other * page_size, s->bytes + one * page_size, page_size);
        }
        probe_expect(&p, one < other ? one : other);
        (void)snprintf(p.where, sizeof p.where, "%s, page %u in place of %u", s->what.name, other,
                       one);
        probe_bytes(&p, bytes, s->size);
    }
    free(bytes);
}

/*
 * A page as it was in an older state, with its right checksum, number and stamp: as after a write
 * that never reached the disk. Nothing tells every such page from a right one; its rows are then
 * those of the older state, and nothing else.
 */
static void damage_age(const sample *s) {
    const size_t page_size = s->what.page_size;
    uint8_t *bytes = malloc(s->size);
    assert_non_null(bytes);
    for (uint32_t o = 0; o < s->old_count; o++) {
        const size_t end = s->old_size[o] < s->size ? s->old_size[o] : s->size;
        for (size_t at = 0; at + page_size <= end; at += page_size) {
            probe p = probe_init(s, damage_random(2) == 0 ? 0 : HTT_OPEN_NO_MMAP);
            if (memcmp(s->old[o] + at, s->bytes + at, page_size) == 0) {
                continue;
            }
            memcpy(bytes, s->bytes, s->size);
            memcpy(bytes + at, s->old[o] + at, page_size);
            p.states = s->states;
            p.count = s->count;
            p.compare |= at < 2 * page_size ? 0 : ROWS_ANY_STATE;
            (void)snprintf(p.where, sizeof p.where, "%s, page %zu of older state %u",
                           s->what.name, at / page_size, o);
            probe_bytes(&p, bytes, s->size);
        }
    }
    free(bytes);
}

static void damage_size(const sample *s) {
    const size_t step = s->size < 100000 || getenv("HTT_TEST_LONG") != NULL ? 512 : 4096;
    uint8_t *bytes = malloc(s->size + 10000);
    assert_non_null(bytes);
    memcpy(bytes, s->bytes, s->size);
    for (size_t i = 0; i < 10000; i++) {
        bytes[s->size + i] = (uint8_t)damage_random(256);
    }
    for (size_t size = 0; size < s->size; size += step) {
        probe p = probe_init(s, size / step % 2 == 0 ? 0 : HTT_OPEN_NO_MMAP);
        probe_expect(&p, (uint32_t)(size / s->what.page_size));
        (void)snprintf(p.where, sizeof p.where, "%s, cut to %zu", s->what.name, size);
        probe_bytes(&p, bytes, size);
    }
    for (size_t more = 1; more < 10000; more += 999) {
        probe p = probe_init(s, more % 2 == 0 ? 0 : HTT_OPEN_NO_MMAP);
        p.healthy = true;
        (void)snprintf(p.where, sizeof p.where, "%s, %zu bytes behind it", s->what.name, more);
        probe_bytes(&p, bytes, s->size + more);
    }
    free(bytes);
}

/* ------------------------------------------------------------- samples */

static void sample_note(void *arg, const workload_run *run, workload_event event) {
    sample *s = arg;
    (void)run;
    if (event == WORKLOAD_COMMITTED && s->old_count < DAMAGE_OLD_MAX) {
        size_t size = 0;
        const uint8_t *bytes = memory_fs_get_file(fs, WORKLOAD_PATH, &size);
        s->old[s->old_count] = malloc(size);
        assert_non_null(s->old[s->old_count]);
        memcpy(s->old[s->old_count], bytes, size);
        s->old_size[s->old_count++] = size;
    }
}

/* Pages of the newest state: what is behind them is reserved, and nobody reads it. */
static size_t sample_end(const uint8_t *bytes, uint32_t page_size) {
    uint64_t counter = 0;
    size_t end = 0;
    for (uint32_t slot = 0; slot < 2; slot++) {
        htt_meta meta;
        htt_fault fault;
        if (htt_meta_decode(bytes + (size_t)slot * page_size, page_size, &meta, &fault) ==
                HTT_META_VALID &&
            meta.counter > counter) {
            counter = meta.counter;
            end = (size_t)meta.root.page_count * page_size;
        }
    }
    return end;
}

/* `close`: the file is what a clean close left; else what a process left that died. */
static sample *sample_new(const workload *what, bool close) {
    workload_run *run = malloc(sizeof *run);
    sample *s = calloc(1, sizeof *s);
    assert_non_null(run);
    assert_non_null(s);
    memory_fs_clear(fs);
    workload_begin(run, what, memory_fs_env(fs));
    run->note = sample_note;
    run->arg = s;
    workload_steps(run);
    if (close) {
        workload_close(run);
    }
    if (run->wrong[0] != '\0') {
        fail_msg("%s", run->wrong);
    }
    const uint8_t *bytes = memory_fs_get_file(fs, WORKLOAD_PATH, &s->size);
    s->what = *what;
    const size_t end = sample_end(bytes, what->page_size);
    assert_true(end > 0 && end <= s->size);
    s->size = end;
    s->bytes = malloc(s->size);
    assert_non_null(s->bytes);
    memcpy(s->bytes, bytes, s->size);
    memcpy(s->states, run->history, sizeof s->states);
    s->count = run->count;
    workload_close(run);
    free(run);
    print_message("%s: %zu bytes, %u rows\n", what->name, s->size,
                  (unsigned)rows_state_count(&s->states[s->count - 1]));
    return s;
}

static void sample_free(sample *s) {
    for (uint32_t i = 0; i < s->old_count; i++) {
        free(s->old[i]);
    }
    free(s->bytes);
    free(s);
}

static void damage_all(const workload *what) {
    sample *s = sample_new(what, true);
    const uint64_t before = probe_count;
    damage_bytes(s);
    damage_places(s);
    damage_age(s);
    damage_size(s);
    print_message("    %" PRIu64 " files looked at\n", probe_count - before);
    sample_free(s);
}

static const workload_step step_empty[] = {{STEP_OPEN, 0, 0}, {STEP_END, 0, 0}};

static const workload_step step_one[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 8}, {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_PUT, 4, 12},  {STEP_COMMIT, 0, 0}, {STEP_END, 0, 0},
};

static const workload_step step_some[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 60},  {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_PUT, 20, 30}, {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0},
    {STEP_DEL, 0, 10},   {STEP_PUT, 50, 80}, {STEP_COMMIT, 0, 0}, {STEP_END, 0, 0},
};

static const workload_step step_large[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 12},  {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_DEL, 0, 6},   {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0},
    {STEP_PUT, 8, 14},   {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 2},
    {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0}, {STEP_PUT, 12, 16}, {STEP_COMMIT, 0, 0},
    {STEP_END, 0, 0},
};

/* Deletes leave a long free list in several pieces. */
static const workload_step step_free[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 120}, {STEP_COMMIT, 0, 0},
    {STEP_PIN, 0, 0},    {STEP_BEGIN, 0, 0}, {STEP_DEL, 0, 110}, {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 20},  {STEP_COMMIT, 0, 0}, {STEP_BEGIN, 0, 0},
    {STEP_PUT, 10, 30},  {STEP_COMMIT, 0, 0}, {STEP_END, 0, 0},
};

static const workload_step step_vacuum[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 120}, {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_DEL, 0, 100}, {STEP_COMMIT, 0, 0}, {STEP_VACUUM, 0, 0},
    {STEP_END, 0, 0},
};

static const workload_step step_many[] = {
    {STEP_OPEN, 0, 0},   {STEP_BEGIN, 0, 0}, {STEP_PUT, 0, 700}, {STEP_COMMIT, 0, 0},
    {STEP_BEGIN, 0, 0},  {STEP_PUT, 0, 50},  {STEP_COMMIT, 0, 0}, {STEP_END, 0, 0},
};

/*
 * Keys that crowd into a few slots of the root node, and are spread by every other salt, so that
 * a small file has nodes below nodes. Undoes the last steps of htt_hash_mix for salt 0.
 */
static htt_hash crowded_hash(uint64_t seed, uint8_t key_class, const void *bytes, size_t size) {
    htt_hash hash = htt_hash_key(seed, key_class, bytes, size);
    uint64_t inverse = HTT_HASH_MIX2; /* of MIX2, modulo 2^64 */
    for (int i = 0; i < 6; i++) {
        inverse *= 2 - HTT_HASH_MIX2 * inverse;
    }
    uint64_t x = hash.low * HTT_HASH_MIX1;
    x ^= x >> 32;
    hash.high = (hash.high >> 10) * inverse - x;
    return hash;
}

static void crowd(htt_store *store) {
    htt_testing_set_hash(store, crowded_hash);
}

static void test_damage__empty_file(void **state) {
    (void)state;
    damage_all(&(workload){.name = "empty", .steps = step_empty, .page_size = 4096});
}

static void test_damage__one_data_page(void **state) {
    (void)state;
    damage_all(&(workload){.name = "one page", .steps = step_one, .page_size = 4096});
}

static void test_damage__several_pages_and_large_keys(void **state) {
    (void)state;
    damage_all(&(workload){
        .name = "mixed rows", .steps = step_some, .rows = ROWS_MIXED, .page_size = 4096});
}

static void test_damage__overflow_in_several_runs(void **state) {
    (void)state;
    damage_all(&(workload){
        .name = "large rows", .steps = step_large, .rows = ROWS_LARGE, .page_size = 4096});
}

static void test_damage__long_free_list(void **state) {
    (void)state;
    damage_all(&(workload){
        .name = "free pages", .steps = step_free, .rows = ROWS_MIXED, .page_size = 4096});
}

static void test_damage__nodes_below_nodes(void **state) {
    (void)state;
    damage_all(&(workload){
        .name = "crowded", .steps = step_many, .page_size = 4096, .opened = crowd});
}

static void test_damage__after_vacuum(void **state) {
    (void)state;
    damage_all(&(workload){
        .name = "vacuumed", .steps = step_vacuum, .rows = ROWS_MIXED, .page_size = 4096});
}

static void test_damage__pages_of_65536(void **state) {
    (void)state;
    damage_all(&(workload){
        .name = "65536", .steps = step_one, .rows = ROWS_MIXED, .page_size = 65536});
}

/* ----------------------------------------------------------- lock files */

static void test_damage__lock_file_that_nobody_uses(void **state) {
    static uint8_t lock[140000];
    static uint8_t damaged[140000];
    size_t lock_size = 0;
    (void)state;
    sample *s = sample_new(&(workload){.name = "lock file", .steps = step_some, .page_size = 4096},
                           true);
    const uint8_t *now = memory_fs_get_file(fs, WORKLOAD_PATH "-lock", &lock_size);
    assert_non_null(now);
    assert_true(lock_size <= sizeof lock);
    memcpy(lock, now, lock_size);
    for (uint32_t i = 0; i < 400; i++) {
        probe p = probe_init(s, i % 2 == 0 ? 0 : HTT_OPEN_NO_MMAP);
        size_t size = lock_size;
        p.healthy = true;
        memcpy(damaged, lock, sizeof damaged);
        for (uint32_t n = 0; n < (i % 4 == 3 ? lock_size : 1 + i % 8); n++) {
            damaged[i % 4 == 3 ? n : damage_random(i % 3 == 0 ? 256 : (uint32_t)lock_size)] =
                (uint8_t)damage_random(256);
        }
        if (i % 4 == 2) {
            size = damage_random((uint32_t)sizeof damaged);
        }
        (void)snprintf(p.where, sizeof p.where, "damaged lock file %u of %zu bytes", i, size);
        memory_fs_clear(fs);
        memory_fs_put_file(fs, WORKLOAD_PATH, s->bytes, s->size);
        memory_fs_put_file(fs, WORKLOAD_PATH "-lock", damaged, size);
        probe_file(&p);
    }
    sample_free(s);
}

/* Somebody writes into the lock file while it is in use. */
static void test_damage__lock_file_in_use(void **state) {
    (void)state;
    sample *s = sample_new(&(workload){.name = "lock file", .steps = step_some, .page_size = 4096},
                           true);
    for (uint32_t i = 0; i < 400; i++) {
        probe p = probe_init(s, 0);
        htt_options options;
        htt_store *store = NULL;
        size_t size = 0;
        (void)snprintf(p.where, sizeof p.where, "lock file written into, %u", i);
        memory_fs_clear(fs);
        memory_fs_put_file(fs, WORKLOAD_PATH, s->bytes, s->size);
        workload_options(&s->what, memory_fs_env(fs), &options);
        assert_int_equal(htt_open(WORKLOAD_PATH, &options, &store, NULL), HTT_OK);
        uint8_t *lock = (uint8_t *)(uintptr_t)memory_fs_get_file(fs, WORKLOAD_PATH "-lock", &size);
        for (uint32_t n = 0; n < 1 + i % 40; n++) {
            lock[damage_random(i % 3 == 0 ? (uint32_t)size : 256)] = (uint8_t)damage_random(256);
        }
        p.judged = false;
        probe_store(&p, store);
        htt_close(store);
        assert_int_equal(memory_fs_held(fs), 0);
    }
    sample_free(s);
}

/* ------------------------------------------------- files that are no files */

static void test_damage__other_files_are_refused(void **state) {
    static uint8_t bytes[20000];
    htt_options options;
    (void)state;
    htt_options_init(&options);
    options.env = memory_fs_env(fs);
    for (uint32_t i = 0; i < 60; i++) {
        const size_t size = i < 10 ? i : damage_random(sizeof bytes);
        htt_store *store = NULL;
        htt_error error = {0};
        for (size_t n = 0; n < sizeof bytes; n++) {
            bytes[n] = i % 3 == 0 ? (uint8_t)damage_random(256) : i % 3 == 1 ? 'x' : 0;
        }
        memory_fs_clear(fs);
        memory_fs_put_file(fs, "other", bytes, size);
        options.flags = 0;
        const htt_rc rc = htt_open("other", &options, &store, &error);
        assert_true(rc == HTT_NOTHTT || rc == HTT_CORRUPT);
        assert_string_not_equal(error.text, "");
        size_t now = 0;
        assert_memory_equal(memory_fs_get_file(fs, "other", &now), bytes, size);
        assert_int_equal(now, size);
    }
}

static int set_up(void **state) {
    (void)state;
    fs = memory_fs_new(DAMAGE_SEED);
    memory_fs_set_piece_max(fs, DAMAGE_PIECE_MAX);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    memory_fs_free(fs);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_damage__empty_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__one_data_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__several_pages_and_large_keys, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_damage__overflow_in_several_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__long_free_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__nodes_below_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__after_vacuum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__pages_of_65536, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__lock_file_that_nobody_uses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__lock_file_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage__other_files_are_refused, set_up, tear_down),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%" PRIu64 " files looked at, %" PRIu64 " refused, %" PRIu64 " damage noticed, %" PRIu64
           " all right, seed %u\n",
           probe_count, refused_count, noticed_count, silent_count, DAMAGE_SEED);
    return failed;
}

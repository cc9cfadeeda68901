/* SPDX-License-Identifier: MIT */
/*
 * What the tests of engine/pager share: a store without a tree (a file, its pages, a root), pages
 * and runs with a content that can be checked, and a model of what a writer should do.
 */
#ifndef HTT_TESTS_PAGER_SUPPORT_H
#define HTT_TESTS_PAGER_SUPPORT_H

#include "page_support.h"

#include "base/error.h"
#include "page/run.h"
#include "pager/pages.h"
#include "pager/writer.h"
#include "test_env_fault.h"

enum { PAGER_PAGE = 4096 };

/* Shows the error's text when `call` fails. */
#define assert_ok(call, error)                                                                     \
    do {                                                                                           \
        htt_rc rc_of_call_ = (call);                                                               \
        if (rc_of_call_ != HTT_OK)                                                                 \
            print_error("%s: %s\n", htt_strerror(rc_of_call_), (error).text);                      \
        assert_int_equal(rc_of_call_, HTT_OK);                                                     \
    } while (0)

/* ------------------------------------------------------------------- a store */

typedef struct pager_store {
    fault_env *fault;   /* over the system's env */
    const htt_env *env; /* its table */
    htt_file *file;     /* unlinked already */
    htt_pages *pages;   /* of it */
    htt_root root;      /* the committed one */
    bool mapped;        /* mode */
} pager_store;

/* An empty store of epoch 1 with pages of PAGER_PAGE bytes. */
void pager_store_open(pager_store *store, bool mapped, uint64_t cache_bytes);
/* Asserts that nothing is held any more. */
void pager_store_close(pager_store *store);
/* Closes its pages and opens them again. */
void pager_store_reopen(pager_store *store, bool mapped, uint64_t cache_bytes);
/* A transaction on the committed root. */
htt_writer *pager_store_begin(pager_store *store, uint64_t reuse_limit, uint64_t budget);
/* Flushes and makes the new root the committed one; ends the writer. */
void pager_store_commit(pager_store *store, htt_writer *writer);
/* What readers of the committed root see. */
htt_snapshot pager_store_snapshot(const pager_store *store);

/* A page of a content, written straight to the file, sealed. The file is made long enough. */
void pager_store_put_page(pager_store *store, uint32_t number, uint64_t stamp, uint64_t content);
/* Flips a bit in the file. */
void pager_store_damage(pager_store *store, uint64_t offset);

/* ------------------------------------------------------------------ contents */

/* A data page with one record. */
void pager_fill(uint8_t *page, uint64_t content);
uint64_t pager_content(const uint8_t *page);
/* Bytes of a run's payload. */
void pager_fill_payload(uint8_t *bytes, size_t size, uint64_t content);

/* --------------------------------------------------------------- the free list */

/* What a page number is. */
enum { PAGER_NOWHERE = 0, PAGER_LIVE = 1, PAGER_NAMED = 2, PAGER_BLOCK = 3 };

/* Marks what the free list of a root names, and its pages; fails when one is marked already. */
void pager_mark_free_list(pager_store *store, const htt_root *root, uint8_t *marks);

/* ------------------------------------------------------------------- the model */

typedef struct pager_item {
    bool is_run;           /* an overflow value, else a page */
    uint32_t number;       /* of the page */
    htt_overflow overflow; /* of the run */
    uint64_t content;      /* what must be in it */
    size_t size;           /* bytes of the run's payload */
} pager_item;

/* A state of the store: what is alive. */
typedef struct pager_view {
    pager_item *items; /* in no order */
    size_t count;      /* in use */
    size_t capacity;   /* allocated */
} pager_view;

enum { PAGER_CURSORS = 6, PAGER_SAVEPOINTS = 6, PAGER_KEPT = 4 };

typedef struct pager_model {
    pager_store *store;                    /* borrowed */
    uint64_t random;                       /* state */
    uint64_t budget;                       /* of the writers */
    bool low_first;                        /* of the writers */
    size_t items_max;                      /* more are not made */
    size_t run_max;                        /* bytes of the longest payload */
    uint32_t steps_to_end;                 /* of a transaction, on average */
    htt_writer *writer;                    /* the transaction */
    pager_view now;                        /* what it sees */
    pager_view base;                       /* what its base is */
    pager_view cursors[PAGER_CURSORS];     /* frozen */
    uint64_t freezes[PAGER_CURSORS];       /* their freezes, 0 = none */
    pager_view savepoints[PAGER_SAVEPOINTS]; /* to be rolled back to */
    uint32_t savepoint_count;              /* open */
    pager_view kept[PAGER_KEPT];           /* committed states that readers hold */
    uint64_t kept_pin[PAGER_KEPT];         /* what they pin, 0 = none */
    uint64_t kept_epoch[PAGER_KEPT];       /* what they see */
    uint64_t spilled;                      /* of all transactions */
    uint64_t reused;                       /* the same */
    uint64_t failures;                     /* calls that failed, for tests that make them fail */
} pager_model;

void pager_model_init(pager_model *model, pager_store *store, uint64_t seed);
void pager_model_free(pager_model *model);
/* One random change, freeze, thaw, savepoint, rollback, release; begins a transaction if needed. */
void pager_model_step(pager_model *model);
/* Flushes and checks the partition of all page numbers; false: it failed (an injected failure). */
bool pager_model_flush(pager_model *model, htt_root *root_out);
void pager_model_commit(pager_model *model);
void pager_model_abort(pager_model *model);
/* Checks every byte of every view. */
void pager_model_check(pager_model *model);

#endif

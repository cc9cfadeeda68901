/* SPDX-License-Identifier: MIT */
/*
 * What the tests of engine/tree share: a tree on a real pager over a file in memory, a model of
 * what it must hold, keys whose slots a test chooses, and damage.
 *
 * A row is known by its id. Its key is made from the id, its value from id, version and size, so a
 * model row is a few bytes. Every store has one write transaction open at all times.
 */
#ifndef HTT_TESTS_TREE_SUPPORT_H
#define HTT_TESTS_TREE_SUPPORT_H

#include "page_support.h"

#include "page/index.h"
#include "page/run.h"
#include "test_env_fault.h"
#include "test_env_memory.h"
#include "tree/internal.h"

enum {
    TREE_PAGE = 4096,   /* the usual page size */
    TREE_BIG = 65536,   /* the largest */
    TREE_IDS = 1 << 16, /* ids of rows are below */
    TREE_SEED = 0x5EED  /* of the hash */
};

/* How keys are made from ids. */
typedef enum tree_keys {
    TREE_KEYS_PLAIN,    /* 4 to 26 bytes */
    TREE_KEYS_EXTERNAL, /* every third is outside of the page, up to 5,000 bytes above the limit */
    TREE_KEYS_SLOT      /* 8 bytes: the mix that tree_store.mix_of gives, then the id */
} tree_keys;

typedef struct tree_row {
    uint32_t size;    /* of the value */
    uint16_t version; /* of the value */
    bool live;        /* the row is there */
} tree_row;

typedef struct tree_store {
    memory_fs *fs;                   /* the file's */
    fault_env *fault;                /* over fs */
    const htt_env *env;              /* of fault */
    htt_file *file;                  /* open */
    htt_pages *pages;                /* of it */
    bool mapped;                     /* mode of pages */
    htt_root root;                   /* committed */
    htt_writer *writer;              /* the transaction */
    uint64_t budget;                 /* of it */
    htt_pins pins;                   /* of a call */
    htt_error error;                 /* of a call */
    htt_view view;                   /* the transaction's */
    htt_tree tree;                   /* the transaction's */
    htt_tree_tuning tuning;          /* of trees that are opened */
    uint64_t stage_limit;            /* the same; not 0: changes may be staged */
    htt_hash_function hash;          /* of all views */
    tree_keys keys;                  /* how keys are made */
    uint32_t (*mix_of)(uint32_t id); /* TREE_KEYS_SLOT */
    tree_row *rows;                  /* what the transaction's tree must hold, by id */
    tree_row *base_rows;             /* what the committed tree must hold */
    uint8_t *key;                    /* scratch */
    uint8_t *value;                  /* scratch */
} tree_store;

/* What a tree looks like. */
typedef struct tree_shape {
    uint32_t nodes;       /* index nodes */
    uint32_t whole;       /* of them with a page of their own */
    uint32_t index_pages; /* pages with sub-pages */
    uint32_t data;        /* data pages */
    uint32_t empty;       /* children without a page */
    uint32_t slots;       /* of all nodes together */
    uint32_t depth;       /* nodes on the longest path */
    uint64_t used;        /* bytes of records with their heads */
} tree_shape;

/* An empty tree of epoch 1. Close asserts that nothing is held. */
void tree_open(tree_store *store, uint32_t page_size, bool mapped);
void tree_close(tree_store *store);

/* Ends the transaction and begins another on the new root, or on the old one. */
void tree_commit(tree_store *store);
void tree_abort(tree_store *store);
/* A transaction on another root record than the committed one, after tree_end. */
void tree_begin(tree_store *store, const htt_root *base);
void tree_end(tree_store *store);

/* Changes; the model follows when they succeed. */
htt_rc tree_put(tree_store *store, uint32_t id, uint32_t size);
htt_rc tree_put_flags(tree_store *store, uint32_t id, uint32_t size, unsigned flags);
htt_rc tree_del(tree_store *store, uint32_t id);
/* Asserts HTT_OK; shows the error's text otherwise. */
void tree_must_put(tree_store *store, uint32_t id, uint32_t size);
void tree_must_del(tree_store *store, uint32_t id);
#define assert_tree(store, call)                                                                   \
    do {                                                                                           \
        htt_rc rc_of_call_ = (call);                                                               \
        if (rc_of_call_ != HTT_OK)                                                                 \
            print_error("%s: %s\n", htt_strerror(rc_of_call_), (store)->error.text);               \
        assert_int_equal(rc_of_call_, HTT_OK);                                                     \
    } while (0)

htt_datum tree_key(tree_store *store, uint32_t id);
htt_datum tree_value(tree_store *store, uint32_t id, uint16_t version, uint32_t size);

/* Staged rows get their pages; the functions below do that first. */
void tree_settle(tree_store *store);
/* Flushes; gives the root that a commit would make. */
htt_root tree_flush(tree_store *store);
/* A view of what was flushed or committed. */
htt_view tree_reader(tree_store *store, const htt_root *root);
/* Compares the content with the model, in every way of reading. Needs no flush. */
void tree_compare(tree_store *store);
/* The same, and a deep check of the flushed bytes. */
void tree_check(tree_store *store);
tree_shape tree_look(tree_store *store);

/* A deep check whose problems are kept: how many, and whether one has `text` in it. */
typedef struct tree_problems {
    uint64_t count; /* all */
    char all[8192]; /* their texts, as far as they fit */
} tree_problems;
tree_problems tree_find_problems(tree_store *store, const htt_root *root);
#define assert_problem(problems, text)                                                             \
    do {                                                                                           \
        if (strstr((problems).all, (text)) == NULL)                                                \
            print_error("no \"%s\" among:\n%s", (text), (problems).all);                           \
        assert_non_null(strstr((problems).all, (text)));                                           \
    } while (0)

/* A page of the file to be changed, and back into the file, sealed again. For damage. The caller
 * frees it. */
uint8_t *tree_take_page(tree_store *store, uint32_t number);
void tree_give_page(tree_store *store, uint32_t number, uint8_t *page);

/* The path to a row's place. */
htt_path tree_path(tree_store *store, uint32_t id);

/*
 * The kind of structural step that a change made: what differs in the last node of a row's path
 * (depth, slots, children, whole page, nodes that share its page), as one small number; 0 = none.
 */
typedef struct tree_mark {
    uint32_t depth;    /* nodes on the path */
    uint32_t slots;    /* of the last node */
    uint32_t children; /* of the last node */
    uint32_t whole;    /* it has a page of its own */
    uint32_t siblings; /* nodes in its page */
} tree_mark;
enum { TREE_STEPS = 243 }; /* less, the same, more: of five fields */
tree_mark tree_mark_path(tree_store *store, uint32_t id);
uint32_t tree_step_kind(const tree_mark *before, const tree_mark *after);

/* ------------------------------------------------------------------- hashes */

/* Keys of TREE_KEYS_SLOT: under salt 0 the mix is the key's first four bytes, under other salts it
 * is spread. No two keys have the same hash. */
htt_hash tree_hash_slot(uint64_t seed, uint8_t key_class, const void *bytes, size_t size);
/* Seven hashes in all. */
htt_hash tree_hash_seven(uint64_t seed, uint8_t key_class, const void *bytes, size_t size);
/* 256 low and 256 high halves: fingerprints differ, many mixes do not. */
htt_hash tree_hash_coarse(uint64_t seed, uint8_t key_class, const void *bytes, size_t size);

/* mix_of: all keys in slot 0 of every node of salt 0; in 8 slots; in 2, very unevenly;
 * evenly. */
uint32_t tree_mix_zero(uint32_t id);
uint32_t tree_mix_eight(uint32_t id);
uint32_t tree_mix_two(uint32_t id);
uint32_t tree_mix_even(uint32_t id);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The hash-table tree: finds, changes and walks records, over pages that a view reads and a
 * writer changes. It knows nothing of files, transactions, or who keeps the root.
 *
 *                         root node (salt 0)
 *        slots  0 ........................................ S-1
 *               |  child 0  |  child 1  |   child 2  | ...        ranges of slots
 *                    |            |            |
 *               data page    data page    node (salt 1), a sub-page of an index page
 *                                           |    |    |
 *                                          data pages
 *
 * A key's slot in a node is slot(mix(hash, salt), S). A change that does not fit is preceded by
 * structural steps. Each step keeps the content of the tree and is complete in itself, so that a
 * failure between two of them leaves a good tree:
 *
 *     share    a full page and its neighbours give each other records (tree/share.c)
 *     split    s full neighbours become s + 1, or s + 2 where records are large (tree/share.c)
 *     double   a node gets twice the slots (tree/share.c)
 *     move     a node gets a place where it can grow (tree/place.c)
 *     push     a run of neighbouring pages becomes a child node (tree/push.c)
 *
 * Invariants
 *   TREE-1  A record is in the page whose slot ranges, node by node, its hash falls into.
 *   TREE-2  A salt occurs once on any path from the root to a page.
 *   TREE-3  Sub-pages of one index page are children of one node.
 *   TREE-4  No data page is empty; a tree without rows has root page 0.
 *   TREE-5  At most HTT_DEPTH_MAX nodes are on a path.
 */
#ifndef HTT_TREE_TREE_H
#define HTT_TREE_TREE_H

#include "base/limits.h"
#include "pager/view.h"

/* What a state of a tree is, apart from its pages. Copied to freeze, copied back to roll back. */
typedef struct htt_tree_root {
    uint32_t page;  /* data page or whole-page node; 0 = no rows */
    uint64_t keys;  /* rows */
    uint64_t bytes; /* of all keys and values */
} htt_tree_root;

/* Tuning of the writer; the format does not depend on it. */
typedef struct htt_tree_tuning {
    uint32_t window;        /* neighbouring pages that share, 2..HTT_WINDOW_MAX */
    uint32_t group;         /* neighbouring pages that become a node, 2..HTT_GROUP_MAX */
    uint32_t share_percent; /* pages share without a split up to this average fill */
} htt_tree_tuning;
extern const htt_tree_tuning htt_tree_tuning_default;

/* A row that was found. Everything is borrowed from the view's pages. */
typedef struct htt_tree_row {
    htt_record record; /* as it is in the page */
    uint32_t page;     /* data page */
    uint32_t index;    /* record in it */
} htt_tree_row;

/* HTT_NOTFOUND: no such key. */
htt_rc htt_tree_find(htt_view *view, const htt_tree_root *root, htt_datum key,
                     htt_tree_row *row_out);

/* Many keys at once, hashed first and prefetched. results_out[i]: HTT_OK or HTT_NOTFOUND. */
htt_rc htt_tree_find_many(htt_view *view, const htt_tree_root *root, const htt_datum *keys,
                          size_t count, htt_tree_row *rows_out, htt_rc *results_out);

/*
 * The value of a found row, and its key. Inline: borrowed from the page. In one overflow run:
 * borrowed from the run. In several: assembled in *buffer_inout (allocated or enlarged with
 * env; the caller frees it).
 */
typedef struct htt_tree_buffer {
    const htt_env *env; /* whose memory */
    uint8_t *bytes;     /* NULL = none yet */
    size_t capacity;    /* allocated */
} htt_tree_buffer;
htt_rc htt_tree_value(htt_view *view, const htt_record *record, htt_tree_buffer *buffer_inout,
                      htt_datum *value_out);
htt_rc htt_tree_key(htt_view *view, const htt_record *record, htt_tree_buffer *buffer_inout,
                    htt_datum *key_out);

/* A tree that can be changed. Rows may be staged: then root.keys and root.bytes count them, but
 * find, cursors, walks and checks, which go by pages, do not see them. */
typedef struct htt_tree {
    htt_view *view;                   /* with a writer */
    htt_tree_root root;               /* changed by put and del */
    htt_tree_tuning tuning;           /* from the store */
    struct htt_tree_scratch *scratch; /* buffers of structural steps; made on first need */
    struct htt_stage *stage;          /* rows that no page has yet (stage.h); NULL: none so far */
    uint64_t stage_limit;             /* bytes for them; 0: every row goes into its page at once */
    htt_rc unfilled;                  /* why nodes were left without rows; HTT_OK: there are none */
    bool stage_always;                /* a test's wish: also where it is not worth it */
    uint64_t puts;                    /* of htt_tree_write */
    const htt_env *env;               /* whose memory */
} htt_tree;

void htt_tree_open(htt_tree *tree, htt_view *view, const htt_env *env, const htt_tree_root *root);
void htt_tree_close(htt_tree *tree);

/*
 * All or nothing; on failure the content is as before (pages may have moved). flags as htt_put. Key
 * and value do not lie in pages of this tree: those move.
 */
htt_rc htt_tree_put(htt_tree *tree, htt_datum key, htt_datum value, unsigned flags);
htt_rc htt_tree_del(htt_tree *tree, htt_datum key);

/* The same where rows may be staged, and whether there is a row (HTT_NOTFOUND: there is not). */
htt_rc htt_tree_write(htt_tree *tree, htt_datum key, htt_datum value, unsigned flags);
htt_rc htt_tree_erase(htt_tree *tree, htt_datum key);
htt_rc htt_tree_has(htt_tree *tree, htt_datum key);
bool htt_tree_is_staged(const htt_tree *tree);
/* All staged rows go into pages. On failure some may have; the content is the same. */
htt_rc htt_tree_settle(htt_tree *tree);
/* Forgets them, before the caller puts back a root of a moment when there were none. */
void htt_tree_unstage(htt_tree *tree);

/*
 * A walk over all rows of one frozen root. The caller freezes and thaws. `view` is the cursor's
 * own (pins, error). After the transaction ended, the caller sets view->writer to NULL.
 */
typedef struct htt_tree_cursor htt_tree_cursor;
htt_rc htt_tree_cursor_open(htt_view *view, const htt_env *env, const htt_tree_root *root,
                            htt_tree_cursor **cursor_out);
/* HTT_NOTFOUND: the end. The row is borrowed until the next call. After HTT_CORRUPT the next call
 * goes on behind the damage; after other errors it tries again. */
htt_rc htt_tree_cursor_next(htt_tree_cursor *cursor, htt_record *record_out);
void htt_tree_cursor_close(htt_tree_cursor *cursor);

/*
 * Visits every node and every data page of a root, parents first: stat, check, vacuum, backup.
 * A callback's result other than HTT_OK stops the walk and is returned.
 */
typedef struct htt_tree_place {
    uint32_t page;             /* page number */
    uint8_t sub;               /* sub-page id, 0 = whole page */
    uint32_t depth;            /* nodes above */
    bool is_data;              /* a data page, else a node */
    const uint8_t *bytes;      /* the node, or the data page */
    const uint8_t *page_bytes; /* the page */
} htt_tree_place;
typedef struct htt_tree_visitor {
    void *arg;
    htt_rc (*node)(void *arg, const htt_tree_place *place);
    htt_rc (*data)(void *arg, const htt_tree_place *place);
    /* A page that cannot be read: HTT_OK goes on behind it. NULL: the walk stops with the error. */
    htt_rc (*damaged)(void *arg, uint32_t page, const htt_error *error);
} htt_tree_visitor;
htt_rc htt_tree_walk(htt_view *view, const htt_tree_root *root, const htt_tree_visitor *visitor);

/* The whole check of htt.h over a root: reports, counts problems. free_head as in the root. */
htt_rc htt_tree_check(htt_view *view, const htt_env *env, const htt_root *root, bool deep,
                      htt_check_report report, void *arg, uint64_t *problems_out);

/* Moves the pages of the tree at or above `limit` to lower ones, by copying; counts them. */
htt_rc htt_tree_lower(htt_tree *tree, uint32_t limit, uint64_t *moved_out);

#endif

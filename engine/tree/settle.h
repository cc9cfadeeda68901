/* SPDX-License-Identifier: MIT */
/* What settle.c and settle_fill.c share: the rows on their way, and the pages that they go into. */
#ifndef HTT_TREE_SETTLE_H
#define HTT_TREE_SETTLE_H

#include "tree/stage.h"

enum {
    HTT_SETTLE_PAGES_MAX = 256,  /* data pages made at once: those of one node */
    HTT_SETTLE_PAGES_LARGE = 64, /* the same where pages are large */
    HTT_SETTLE_PAGE_SMALL = 8192 /* largest page size that is not large */
};

typedef struct htt_settle_row {
    uint32_t mix;   /* of its hash, under the salt of the level that was sorted last */
    uint32_t index; /* of its entry in the stage */
} htt_settle_row;

/* The rows up to `end` go into the node at this level of the path, and are sorted by its salt. */
typedef struct htt_settle_level {
    uint32_t end; /* behind the last of the rows */
    uint8_t salt; /* of the node */
} htt_settle_level;

typedef struct htt_settle {
    htt_tree *tree;                         /* with the stage */
    htt_settle_row *rows;                   /* all, in the order in which they settle */
    htt_settle_row *spare;                  /* as much memory again, to sort with */
    uint32_t count;                         /* of rows */
    uint32_t at;                            /* the next; those before it have settled */
    uint32_t one_by_one;                    /* rows before this one are put one by one */
    uint32_t pages_max;                     /* data pages that one node gets */
    bool parted;                            /* a node got parts that wait for rows */
    uint32_t depth;                         /* levels known */
    htt_settle_level levels[HTT_DEPTH_MAX]; /* of the path to the row at `at` */
    htt_path path;                          /* to it */
} htt_settle;

typedef struct htt_settle_bounds {
    uint32_t first; /* slot */
    uint32_t end;   /* behind the last slot */
} htt_settle_bounds;

/* Data pages that records are cut into. */
typedef struct htt_settle_cut {
    uint32_t count;                        /* pages */
    uint32_t starts[HTT_SETTLE_PAGES_MAX]; /* first slot of each page's range */
    uint32_t ends[HTT_SETTLE_PAGES_MAX];   /* behind the last sorted item of each */
    htt_ref refs[HTT_SETTLE_PAGES_MAX];    /* when they are made */
} htt_settle_cut;

/* Neighbouring children of the path's last node, data pages or empty, that are made anew. Without a
 * node the root's page, if there is one. */
typedef struct htt_settle_unit {
    uint32_t first;   /* child of the node */
    uint32_t count;   /* children */
    bool whole;       /* they are all that the node has */
    uint32_t begin;   /* where the first is in `pages` and `refs` */
    uint32_t records; /* in the pages */
    uint64_t used;    /* bytes in them */
    uint32_t rows;    /* staged rows from settle->at on that go in */
    uint64_t bytes;   /* of them, with their heads */
    uint32_t more;    /* rows behind them that go in as well, about; 0 = none */
    htt_settle_bounds bounds[HTT_DEPTH_MAX];       /* slots of the path; last those of the unit */
    const uint8_t *pages[2 * HTT_SETTLE_PAGES_MAX]; /* NULL: empty */
    htt_ref refs[2 * HTT_SETTLE_PAGES_MAX];         /* of the pages */
    uint32_t bases[HTT_SETTLE_PAGES_MAX];           /* first gathered item of each page */
    htt_settle_cut cut;                             /* what comes in their place */
    htt_ref parts[HTT_SETTLE_PAGES_MAX];            /* or these nodes */
    uint32_t made_count;                            /* pages allocated by this step */
    uint32_t made[3 * HTT_SETTLE_PAGES_MAX];        /* their numbers, to be given back */
} htt_settle_unit;

/* Makes the data pages of the unit anew, about `pages` of them, with the staged rows in them. */
htt_rc htt_settle_fill(htt_settle *settle, htt_settle_unit *unit, uint32_t pages, bool *done_out);

/* Puts a node with children, which are nodes, in place of the unit; `pages` data pages will be
 * under it. No staged row goes in yet. */
htt_rc htt_settle_part(htt_settle *settle, htt_settle_unit *unit, uint64_t pages, bool *done_out);

#endif

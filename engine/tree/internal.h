/* SPDX-License-Identifier: MIT */
/* What the files of the tree share among themselves. */
#ifndef HTT_TREE_INTERNAL_H
#define HTT_TREE_INTERNAL_H

#include "tree/path.h"

/* Page code found damage: the HTT_CORRUPT error for it. */
htt_rc htt_tree_fault(htt_view *view, uint32_t page, const htt_fault *fault);

/* The decoded overflow reference of a record. */
htt_rc htt_tree_overflow(htt_view *view, const htt_record *record, htt_overflow *overflow_out);

/* Part of htt_tree_close. */
void htt_tree_close_stage(htt_tree *tree);

/* Looks for a key in one data page. */
htt_rc htt_tree_find_in_page(htt_view *view, const uint8_t *page, uint32_t number, htt_datum key,
                             htt_hash hash, htt_tree_row *row_out);

/* Reserves the frames that one structural step with its path may need. */
htt_rc htt_tree_reserve(htt_tree *tree);

/* The overflow runs of a record (count 0: none), its value size, and the runs' stamps. */
htt_rc htt_tree_runs_of(htt_tree *tree, const htt_record *record, htt_overflow *overflow,
                        uint64_t stamps[HTT_DATA_RUNS_MAX]);
void htt_tree_free_runs(htt_tree *tree, const htt_overflow *overflow, const uint64_t *stamps);

/*
 * A walker goes over every node and data page of a root, parents first. It remembers page numbers
 * and child indexes, no pointers, so pages may move in memory between two steps.
 */
typedef struct htt_walker_step {
    htt_ref ref;    /* the node */
    uint32_t child; /* next child to visit; the one before it is where the walker is below */
} htt_walker_step;

typedef struct htt_walker {
    htt_view *view;                       /* read through */
    htt_ref root;                         /* to begin with; page 0 when begun */
    uint32_t depth;                       /* steps in use */
    uint64_t left;                        /* places still allowed; bounds damaged trees */
    htt_walker_step steps[HTT_DEPTH_MAX]; /* root first */
} htt_walker;

void htt_walker_begin(htt_walker *walker, htt_view *view, const htt_tree_root *root);
/* The next node or data page; HTT_NOTFOUND: all visited. After HTT_CORRUPT the walker stands
 * behind the damaged child, whose page is in place_out->page, and may go on, but not when `left` is
 * 0. After other errors it stands where it stood. */
htt_rc htt_walker_next(htt_walker *walker, htt_tree_place *place_out);

/* Bytes for records and their heads in a data page. */
static inline uint32_t htt_tree_page_capacity(const htt_view *view) {
    return view->page_size - HTT_PAGE_HEADER_SIZE;
}

/* A record on its way to another page: what gather.c collects and deals out. */
typedef struct htt_item {
    uint32_t slot;        /* in the node that the records are dealt out under */
    uint32_t size;        /* bytes it needs in a page, its head's 3 included; 0 = left out */
    const uint8_t *bytes; /* encoded record; NULL = only room to be kept free */
    uint8_t fingerprint;  /* of its key */
} htt_item;

/* How many bytes a change needs, and where. */
typedef struct htt_need {
    htt_hash hash; /* of the key */
    uint32_t size; /* bytes in its page, a head's 3 included when there is a new record */
} htt_need;

/* Pages that records are dealt out to; the limits bound every structural step. */
enum { HTT_DEAL_MAX = 4 * HTT_GROUP_MAX };

typedef struct htt_deal {
    uint32_t count;                /* pages */
    uint32_t starts[HTT_DEAL_MAX]; /* first slot of each page's range */
    uint32_t ends[HTT_DEAL_MAX];   /* index behind the last item of each page */
} htt_deal;

struct htt_tree_scratch {
    htt_item *items;         /* gathered records */
    htt_item *sorted;        /* the same by slot */
    uint32_t count;          /* items in use */
    uint32_t capacity;       /* items allocated, of both arrays */
    uint32_t *slots;         /* counters, one per slot of the range */
    uint32_t slots_capacity; /* allocated */
    uint64_t bytes;          /* sum of sizes */
    uint64_t alike;          /* sum of sizes of those with the need's whole hash */
    htt_deal deal;           /* the plan */
};
typedef struct htt_tree_scratch htt_tree_scratch;

/*
 * Collects the records of `count` data pages and the need into tree->scratch, with their slots
 * under `salt` and `slots_log2`, sorted by slot. Slots must be in [first_slot, end_slot).
 */
htt_rc htt_gather(htt_tree *tree, const htt_ref *pages, uint32_t count, const htt_need *need,
                  uint8_t salt, uint32_t slots_log2, uint32_t first_slot, uint32_t end_slot);

/*
 * The parts of it, for those who bring records of their own (settle.c). A node's slots may be
 * parted once more: `parts` equal ranges of them, each with slots of its own under another salt;
 * the number of a slot is then part * slots of a part + slot in the part.
 */
typedef struct htt_gather_place {
    uint8_t salt;        /* of the node dealt under */
    uint8_t part_salt;   /* of the nodes below, where parts > 0 */
    uint32_t slots_log2; /* its slots */
    uint32_t parts;      /* 0 = not parted */
    uint32_t part_log2;  /* slots of each part */
    uint32_t first_slot; /* range that the items must fall into */
    uint32_t end_slot;   /* behind the range */
} htt_gather_place;
htt_rc htt_gather_begin(htt_tree *tree, uint32_t items, uint32_t slots);
/* Adds a page's records; a need (or NULL) only tells which are alike. */
htt_rc htt_gather_page(htt_tree *tree, uint32_t number, const uint8_t *page,
                       const htt_gather_place *place, const htt_need *need);
/* Adds one. HTT_NOTFOUND: it is not in the range. */
htt_rc htt_gather_item(htt_tree *tree, const htt_gather_place *place, const htt_need *need,
                       htt_hash hash, htt_item item);
void htt_gather_sort(htt_tree_scratch *scratch, uint32_t first_slot, uint32_t slots);

/*
 * Plans how the gathered records go into `pages` pages in about equal parts, or into up to `more`
 * more, or into those with as few as possible. False: they cannot be cut at slots so that they fit.
 */
bool htt_deal_plan(htt_tree *tree, uint32_t pages, uint32_t more, uint32_t first_slot);

/* Makes the planned pages and fills them; a page without records is the ref (0, 0). On failure
 * nothing has changed. */
htt_rc htt_deal_out(htt_tree *tree, htt_ref *refs_out);
void htt_deal_undo(htt_tree *tree, const htt_ref *refs, uint32_t count);

/*
 * Structural steps. Each makes at most one change and leaves the path void. *done_out is true when
 * it changed the tree; false: this step cannot be made here.
 */

/* Shares or splits the leaf of the path with its neighbours, so that the need fits. */
htt_rc htt_step_share(htt_tree *tree, htt_path *path, const htt_need *need, bool *done_out);

/* Makes the leaf and up to `group` pages around it a child node. A root that is a data page gets
 * a root node. */
htt_rc htt_step_push(htt_tree *tree, htt_path *path, const htt_need *need, uint32_t group);

/* Doubles the slots of the last node of the path, or moves it to where it can be doubled. */
htt_rc htt_step_double(htt_tree *tree, htt_path *path, bool *done_out);

/* Where nodes are stored (place.c). `level` is the node's place in the path. */
typedef enum htt_room {
    HTT_ROOM_HERE,  /* it can grow where it is */
    HTT_ROOM_MOVED, /* it was moved to another page: the path is void, try again */
    HTT_ROOM_NONE   /* it has a whole page, and that is full */
} htt_room;
htt_rc htt_node_make_room(htt_tree *tree, htt_path *path, uint32_t level, uint32_t extra,
                          htt_room *room_out);

/* Room for a new node of `size` bytes as a child of the node at `parent` of the path, edited: in
 * an index page of its siblings or a new one, or a whole page. The caller fills *bytes_out. */
htt_rc htt_node_place(htt_tree *tree, htt_path *path, uint32_t parent, uint32_t size,
                      htt_ref *ref_out, uint8_t **bytes_out);

/* Gives the storage of an edited node up. */
void htt_node_unplace(htt_tree *tree, const htt_step *step);

/* htt_node_splice and htt_node_double of the edited node at `level`, its room adapted. */
void htt_node_splice_at(htt_tree *tree, htt_path *path, uint32_t level, uint32_t first,
                        uint32_t old_count, const uint32_t *starts, const htt_ref *refs,
                        uint32_t new_count);
void htt_node_double_at(htt_tree *tree, htt_path *path, uint32_t level);
void htt_node_halve_at(htt_tree *tree, htt_path *path, uint32_t level);

/* Is child `index` of a node a data page? Gives its bytes then. */
htt_rc htt_child_leaf(htt_view *view, const uint8_t *node, uint32_t index,
                      const uint8_t **page_out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The state of the protocol model and what its files offer each other. protocol_model.c tells what
 * is modelled and why; docs/model.md has the figures.
 *
 * One host database with one table, one .htt file, two processes. Small numbers stand for
 * everything: a root record is known by its index (which is also its nonce), the content of a page
 * by the root that wrote it and the key it holds, a transaction by one bit.
 */
#ifndef HTT_TESTS_MODEL_H
#define HTT_TESTS_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

typedef uint8_t u8;
typedef uint16_t u16;

enum {
    KEYS = 2,      /* keys of the table, each on a page of its own */
    PAGES = 10,    /* data pages that the file can have */
    ROOTS = 14,    /* root records that can be of interest at one time */
    VERSIONS = 16, /* contents of the host that can be of interest at one time; bits of a u16 */
    PROCESSES = 2,
    HOSTS = 2, /* a copy of the host, or another host that wants the same file */
    GARBAGE = 0 /* a page whose content no root of interest names */
};

/* How the host commits. */
enum mode { WAL_NORMAL, WAL_FULL, DELETE_FULL };

/* What the row of the table says in one version of the host. */
enum row_state { ROW_ABSENT, ROW_LIVE, ROW_DROPPED };

/* What a write transaction is for. */
enum kind {
    KIND_NONE,
    KIND_INSERT,
    KIND_CREATE,
    KIND_CREATE_FOLD, /* CREATE, and then pages in the same transaction */
    KIND_DROP,
    KIND_RELEASE,
    KIND_ALONE
};

enum pin_state { PIN_FREE, PIN_ACTIVE, PIN_IDLE };

/* Where a process is. The order counts: the ranges below are made of it. */
enum step {
    IDLE,
    WRITE_BEGUN, /* has the host's write lock and its base; decides what to do */
    WRITE_META,
    WRITE_META_SYNC,
    WRITE_HORIZON,
    WRITE_PINS,
    WRITE_PAGES,
    WRITE_SYNC,
    TABLE_EMPTY, /* CREATE, one step after the other */
    TABLE_NAME_SYNC,
    TABLE_CLAIM,
    TABLE_CLAIM_SYNC,
    TABLE_UNCLAIM, /* after a rollback, without the host's write lock */
    TABLE_UNCLAIM_SYNC,
    TABLE_HELD, /* the last step of DROP; this one only if DROP keeps the writer byte */
    TABLE_RELEASE,
    TABLE_RELEASE_SYNC,
    COMMIT_RESTART, /* the host's own commit, one step after the other */
    COMMIT_WRITE,
    COMMIT_SYNC,
    COMMIT_SHOW,
    ALONE_META, /* the standalone keeper's second half */
    ALONE_META_SYNC,
    READ_PIN, /* a reader through the host */
    READ_VERIFY,
    READ_PAGES,
    READ_KEPT, /* its transaction is open, no cursor is */
    ALONE_PIN, /* a reader that has no host */
    ALONE_VERIFY,
    ALONE_PAGES,
    PUBLISH_BEGUN, /* meta pages follow outside a fold */
    PUBLISH_META,
    PUBLISH_SYNC,
    LATE_BEGUN /* the last step of DROP without the host's write lock; only with the rule off */
};

/* A root record; its index is its nonce. */
struct root {
    u8 epoch;        /* one more than its parent's */
    u8 parent;       /* index of the committed base it was made from */
    u8 applied;      /* bit of each transaction that is in the tree */
    u8 page_count;   /* pages below it may be named by this root */
    u8 page[KEYS];   /* which page holds the key */
    u8 origin[KEYS]; /* the root that wrote that page */
    u8 freed[PAGES]; /* epoch in which the page died, 0 if it is in use or never was */
};

/* What one commit of the host says. */
struct version {
    u8 state; /* enum row_state */
    u8 root;  /* index, if the row is not absent */
    u8 rows;  /* outbox: bit of each transaction past the root */
    u8 acked; /* 1 + the attempt that this row declares dead, 0 = none */
};

/* One of the two meta pages. */
struct meta {
    u8 counter; /* 0: the page has no valid content */
    u8 root;    /* index */
    u8 attempt; /* 1 + index, 0 = none */
    u8 owner;   /* 1 + host, 0 = standalone */
};

/* The lock file, shared by the processes, forgotten by a power loss. */
struct lock_file {
    u8 horizon;      /* pages freed at or before this epoch may be overwritten */
    u8 synced_slot;  /* the meta page known to be on disk */
    u8 synced_epoch; /* and its root's epoch */
    u8 armed;        /* 1 + the attempt whose pages are complete, 0 = none */
    u8 writer;       /* 1 + process that holds the writer byte */
    u8 closed;       /* 1: nobody has it open, 2: and its content is lost */
};

/* A host database: versions, and which of them each kind of crash leads back to. */
struct host {
    u8 count;                         /* versions in use */
    struct version version[VERSIONS]; /* sorted, without doubles */
    u8 visible;      /* what a new snapshot sees */
    u8 recovered;    /* what recovery finds in the system's cache: visible, or an in-doubt commit */
    u8 durable;      /* transactions whose commit was acknowledged as durable */
    u8 writer;       /* 1 + process that holds the write lock */
    u8 db;           /* what the database file holds in the cache (WAL modes) */
    u8 backfilled;   /* the whole WAL is in the database file: the next writer may restart it */
    u8 checkpointer; /* its step: 0 none, 1 WAL synced, 2 database file written */
    u8 copying;      /* the version that it copies */
    u8 copying_current; /* nothing was committed since it began */
    u16 possible;       /* set: what a power loss may lead back to */
    u16 db_possible;    /* set: what the database file alone may be after a power loss */
    u16 lost;           /* set: versions below the WAL of a database file that was not synced */
};

struct process {
    u8 step;      /* enum step */
    u8 host;      /* the host it works with */
    u8 kind;      /* enum kind, while writing */
    u8 base;      /* version of its snapshot */
    u8 from;      /* root that the write starts from, or that a standalone reader reads */
    u8 bit;       /* its transaction's bit */
    u8 attempt;   /* 1 + root being built */
    u8 commit;    /* 1 + version being committed */
    u8 key;       /* next key to write or to read */
    u8 limit;     /* pages freed later than this are not overwritten */
    u8 pin;       /* epoch in its reader slot */
    u8 pin_state; /* enum pin_state */
    u8 uses_wal;  /* its snapshot needs the WAL, which so cannot restart */
    u8 kept;      /* has already read once in this transaction */
    u8 stale;     /* has the unlinked lock file open */
    u8 claimed;   /* made the file its host's, and no other has written a meta page since */
};

/* What was used up of the bounds. */
struct used {
    u8 txns, folds, kills, powers, aborts, checkpoints, keeps, tables, losses, swaps, publishes;
    u8 failures;
};

struct state {
    u8 root_count;
    struct root root[ROOTS];
    u8 cache[PAGES]; /* page contents as the processes see them */
    u8 disk[PAGES];  /* and as they are on disk */
    struct meta meta_cache[2];
    struct meta meta_disk[2];
    u8 named_cache; /* the file has its name */
    u8 named_disk;  /* and its directory entry is on disk */
    u8 alone;       /* transactions acknowledged by the standalone keeper */
    u8 lost_metas;  /* set: meta pages that a failed sync left in the cache alone */
    u16 lost_pages; /* set: data pages likewise; no later sync writes them */
    struct lock_file lock;
    struct host host[HOSTS];
    struct process process[PROCESSES];
    struct used used;
    u8 copied;             /* the second process works on a copy of the host */
    u8 saved;              /* a backup of the host exists */
    struct version backup; /* and is this */
};

/*
 * The rules that can be left out, one at a time: name, and what it says. Each is on by default.
 */
#define MODEL_RULES(RULE) MODEL_RULES_COMMIT(RULE) MODEL_RULES_TABLE(RULE)

#define MODEL_RULES_COMMIT(RULE) \
    RULE(barrier, "the host is synced before the meta names its root") \
    RULE(directory, "the barrier syncs the host's directory") \
    RULE(reuse_synced, "pages are reused behind the meta known to be on disk") \
    RULE(acknowledge, "no fold while an attempt is outstanding; a small commit acknowledges it") \
    RULE(lineage, "a root is accepted only by exact lineage") \
    RULE(ancestors, "an older root must be among the meta's ancestors") \
    RULE(recheck, "lineage is checked again under the writer byte") \
    RULE(newer_pin, "a pin newer than the base refuses the fold") \
    RULE(writer_byte, "writers of the file exclude each other") \
    RULE(other_slot, "the meta known to be on disk is not overwritten") \
    RULE(synced_word, "which meta is on disk, and its epoch, change in one store") \
    RULE(foreign_sync, "a meta that replaces a foreign attempt is synced first") \
    RULE(verify, "a reader verifies after it has pinned") \
    RULE(verify_again, "a reader whose idle pin was taken verifies again") \
    RULE(take_idle, "only idle pins are taken") \
    RULE(take_mark, "a pin is taken by marking its slot, not by passing over it") \
    RULE(lost_arms, "a new lock file takes the meta's attempt for outstanding") \
    RULE(presence, "a lock file cannot be made anew while the file is in use") \
    RULE(publish_again, "a published meta is compared again under the writer byte") \
    RULE(publish_barrier, "a published meta comes behind the host barrier") \
    RULE(failed_sync, "a fold whose sync failed is given up") \
    RULE(open_rewrites, "who relies on a meta page found writes it again before the sync")

#define MODEL_RULES_TABLE(RULE) \
    RULE(create_complete, "the file gets its name when it is complete") \
    RULE(create_directory, "the file's directory entry is synced before its row") \
    RULE(row_behind_meta, "a row is made or deleted behind the meta that it relies on") \
    RULE(claim, "reviving or adopting a file is an attempt") \
    RULE(claim_barrier, "that attempt comes behind the host barrier") \
    RULE(claim_writes, "who takes a file up that is its host's writes the meta again") \
    RULE(unclaim_same, "a claim is taken back only while its meta is the newest") \
    RULE(unclaim_doubt, "a claim is not taken back once the commit may come back") \
    RULE(create_behind, "CREATE takes its own file although a dropped row is behind it") \
    RULE(release_lock, "a dropped file is released under the host's write lock") \
    RULE(release_barrier, "a file is released behind the host barrier") \
    RULE(release_owner, "a file is released only if it is still ours") \
    RULE(release_descends, "a dropped row is deleted only if the file descends from its root") \
    RULE(release_acknowledge, "no file is released while an attempt is outstanding")

struct model; /* what is searched: these rules, and */

/* Bounds and surroundings: name, default, what it is. */
#define MODEL_BOUNDS(BOUND) \
    BOUND(mode, 0, "0 WAL and NORMAL, 1 WAL and FULL, 2 DELETE and FULL") \
    BOUND(txns, 4, "write transactions") \
    BOUND(folds, 4, "folds and other attempts") \
    BOUND(kills, 0, "kills of one process or of all") \
    BOUND(powers, 0, "power losses") \
    BOUND(aborts, 0, "rollbacks and I/O errors of the commit") \
    BOUND(checkpoints, 0, "checkpoints of the WAL") \
    BOUND(off, 0, "1: the checkpointer has synchronous=OFF, 2: the writers too") \
    BOUND(keeps, 0, "readers that keep an idle pin") \
    BOUND(tables, 0, "CREATE, DROP and release; the table does not exist at first") \
    BOUND(there, 0, "1: the file is there at first, and nobody's") \
    BOUND(held, 0, "1: DROP keeps the writer byte, and releases the file after its commit") \
    BOUND(hosts, 1, "2: the second process has a host of its own") \
    BOUND(alone, 0, "1: standalone readers, 2: and standalone writers") \
    BOUND(copy, 0, "1: the host may be copied beside its file") \
    BOUND(swap, 0, "times that the host may be exchanged for its backup") \
    BOUND(publishes, 0, "meta pages written outside folds") \
    BOUND(losses, 0, "lock files lost") \
    BOUND(failures, 0, "syncs of the file that fail") \
    BOUND(early_sync, 0, "1: sync the meta before every fold, reuse one fold earlier") \
    BOUND(limit, 60, "millions of states at which the search gives up")

#define MODEL_RULE_FIELD(name, text) bool name;
#define MODEL_BOUND_FIELD(name, value, text) int name;

struct model {
    struct {
        MODEL_RULES(MODEL_RULE_FIELD)
    } rule;
    struct {
        MODEL_BOUNDS(MODEL_BOUND_FIELD)
    } bound;
};

extern struct model model; /* set before a search, then only read */

/* state.c: questions about a state, its normal form, the invariants */
u8 content_of(int root, int key);
bool root_intact(const struct state *s, int root);
bool root_descends(const struct state *s, int root, int ancestor);
int meta_newest(const struct meta *meta);
bool lineage_accepts(const struct state *s, int root);
int host_owner(const struct state *s, int host);
bool row_accepted(const struct state *s, int host, const struct version *row);
bool attempt_outstanding(const struct state *s, const struct version *base);
int pin_lowest(const struct state *s, int p);
bool pin_newer(const struct state *s, int p, int epoch);
void process_end(struct state *s, int p);
void root_make_first(struct state *s);
void state_start(struct state *s);
void state_normalise(struct state *s);
void state_check(const struct state *s);

/* file.c: the .htt file */
void file_sync(struct state *s);
void file_sync_failed(struct state *s);
void file_evict(struct state *s);
void file_rely(struct state *s);
void file_write_meta(struct state *s, int root, int attempt, int owner);
void file_meta_synced(struct state *s);
int file_new_root(struct state *s, int parent);

/* host.c: SQLite's side */
int host_add_version(struct state *s, int host, struct version version);
void host_barrier(struct host *h);
void host_sync_wal(struct host *h);
void host_begin_commit(struct state *s, int p, struct version version);
bool host_writer_step(const struct state *s, int p);
void host_checkpointer_step(const struct state *s, int host);
void host_reopened(struct host *h, int version);

/* The actors: every step that the process, or the world, can take from the state is emitted. */
bool fold_step(const struct state *s, int p);
void fold_goes_on(const struct state *s, int p);
void fold_sync_fails(const struct state *s, int p);
void fold_begin(const struct state *s, int p);
bool table_step(const struct state *s, int p);
void table_rolled_back(struct state *s, int p, bool doubt);
void table_begin(const struct state *s, int p);
bool reader_step(const struct state *s, int p);
void reader_begin(const struct state *s, int p);
void fault_process(const struct state *s, int p);
void fault_between_stores(const struct state *s, int p);
void fault_world(const struct state *s);

/* search.c */
enum outcome { SEARCH_PASSED, SEARCH_VIOLATED, SEARCH_STOPPED };

struct report {
    enum outcome outcome;
    char violation[96]; /* the invariant's text, empty if none */
    size_t states;      /* different states found */
    size_t transitions; /* steps taken */
    int depth;          /* length of the longest shortest path, or of the trace */
    double seconds;
};

void emit(struct state *next, int p, const char *label, int number);
void violated(const char *invariant);
void search_run(struct report *report, bool trace);

#endif

/* SPDX-License-Identifier: MIT */
/* Hooks for tests. Right after the open, before the first transaction. */
#ifndef HTT_TXN_TESTING_H
#define HTT_TXN_TESTING_H

#include "txn/store.h"

/* Another hash function, for keys that collide. All opens of a file must agree. */
void htt_testing_set_hash(htt_store *store, htt_hash_function hash);
void htt_testing_set_tuning(htt_store *store, htt_tree_tuning tuning);
/* Bytes of rows that wait for their pages, whatever the budget is. */
void htt_testing_set_stage_limit(htt_store *store, uint64_t bytes);
/* sync = normal: bytes written between two syncs. */
void htt_testing_set_unsynced_max(htt_store *store, uint64_t bytes);
/*
 * Hosted files: the meta page of an attempt is synced before the first page is written. One sync
 * more, and pages come back one commit after they died instead of two. For measuring.
 */
void htt_testing_set_early_sync(htt_store *store, bool early_sync);

#endif

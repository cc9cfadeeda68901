/* SPDX-License-Identifier: MIT */
/* The functions of store.h for a fake: each does what its namesake does. */
#ifndef HTT_SAGA_FAKE_H
#define HTT_SAGA_FAKE_H

#include "sql/saga/store.h"

/* Makes the tables: the others cannot fail for want of them. */
htt_rc htt_saga_fake_open(htt_db *db);

htt_rc htt_saga_fake_steps(htt_db *db, const htt_saga_definition *definition, const char *steps,
                           saga_steps *found_out);
htt_rc htt_saga_fake_put_steps(htt_db *db, const htt_saga_definition *definition,
                               const char *steps);
htt_rc htt_saga_fake_count_open(htt_db *db, const htt_saga_definition *definition,
                                int64_t *count_out);
/* HTT_EXISTS without a message. */
htt_rc htt_saga_fake_insert(htt_db *db, const saga_row *row);
/* HTT_NOTFOUND without a message. */
htt_rc htt_saga_fake_load(htt_db *db, const char *id, saga_row *row_out);
/* HTT_CONFLICT without a message. */
htt_rc htt_saga_fake_update(htt_db *db, const saga_row *row);
htt_rc htt_saga_fake_wake(htt_db *db, const char *id, int64_t now, int64_t *count_out);
htt_rc htt_saga_fake_purge(htt_db *db, int64_t before, int64_t limit, int64_t *count_out);
htt_rc htt_saga_fake_due(htt_db *db, const htt_saga_definition *definition, int64_t now,
                         saga_place *place);
htt_rc htt_saga_fake_each(htt_db *db, htt_saga_state state, saga_place *place);
htt_rc htt_saga_fake_next(htt_db *db, const htt_saga_definition *definition, int64_t *next_at_out);
htt_rc htt_saga_fake_group(htt_db *db, saga_group *group);
htt_rc htt_saga_fake_count_group(htt_db *db, const saga_group *group, int64_t *count_out);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Units of work over scopes.
 *
 *   db->unit --> innermost active --> parent --> ... --> root: repositories, identity maps
 *
 * Repositories belong to the outermost unit; its `depth` tells their identity maps in which unit an
 * object is got or written.
 */
#include "sql/uow/uow.h"

#include <assert.h>
#include <stddef.h>

#include "sql/base/memory.h"

htt_rc htt_uow_begin(htt_db *db, htt_uow_mode mode, htt_uow **uow_out) {
    if (db == NULL) {
        return HTT_MISUSE;
    }
    if (mode != HTT_UOW_IMMEDIATE && mode != HTT_UOW_DEFERRED) {
        return htt_db_fail(db, HTT_MISUSE, "%d is no mode of a unit of work", (int)mode);
    }
    htt_uow *const uow = htt_memory_new(sizeof *uow);
    if (uow == NULL) {
        return htt_db_fail_memory(db);
    }
    const htt_rc rc =
        htt_scope_enter(db, &uow->scope,
                        mode == HTT_UOW_IMMEDIATE ? HTT_SCOPE_IMMEDIATE : HTT_SCOPE_DEFERRED);
    if (rc != HTT_OK) {
        htt_memory_free(uow);
        return rc;
    }
    uow->db = db;
    uow->parent = db->unit;
    uow->root = uow->parent == NULL ? uow : uow->parent->root;
    uow->level = uow->parent == NULL ? 1 : uow->parent->level + 1;
    uow->root->depth = uow->level;
    db->unit = uow;
    htt_db_open_thing(db, &uow->thing, "unit of work", NULL);
    *uow_out = uow;
    return HTT_OK;
}

/* The unit is active and the innermost. */
static htt_rc uow_check(const htt_uow *uow) {
    if (uow == NULL) {
        return HTT_MISUSE;
    }
    if (uow->state != UOW_ACTIVE) {
        return htt_db_fail(uow->db, HTT_MISUSE, "the unit of work was %s: only its end is left",
                           uow->state == UOW_COMMITTED ? "committed" : "rolled back");
    }
    return uow->db->unit == uow
               ? HTT_OK
               : htt_db_fail(uow->db, HTT_MISUSE, "a unit of work inside of this one is active: "
                                                  "commit it, roll it back or end it first");
}

/* The transaction or savepoint is over. */
static void uow_finish(htt_uow *uow, htt_uow_state state) {
    uow->state = state;
    uow->db->unit = uow->parent;
    if (uow->parent != NULL) {
        uow->root->depth = uow->parent->level;
    } else {
        uow->closed = state == UOW_COMMITTED
                          ? "the unit of work of this repository was committed: it is over"
                          : "the unit of work of this repository was rolled back: it is over";
    }
}

htt_rc htt_uow_commit(htt_uow *uow) {
    htt_rc rc = uow_check(uow);
    if (rc == HTT_OK && uow->parent == NULL) {
        rc = htt_uow_events_write(uow->db, &uow->events);
    }
    if (rc == HTT_OK) {
        rc = htt_scope_commit(uow->db, &uow->scope);
    }
    if (rc != HTT_OK) {
        return rc;
    }
    if (uow->parent != NULL) {
        htt_uow_events_move(&uow->events, &uow->parent->events);
        for (htt_repo *repo = uow->root->repos; repo != NULL; repo = repo->next) {
            htt_identity_commit(repo->identity, uow->level);
        }
    }
    uow_finish(uow, UOW_COMMITTED);
    return HTT_OK;
}

/* Of the innermost active one. */
static void uow_undo(htt_uow *uow) {
    assert(uow->db->unit == uow);
    htt_scope_rollback(uow->db, &uow->scope);
    htt_uow_events_clear(&uow->events);
    for (htt_repo *repo = uow->root->repos; repo != NULL; repo = repo->next) {
        htt_identity_rollback(repo->identity, uow->level);
    }
    uow_finish(uow, UOW_ROLLED_BACK);
}

htt_rc htt_uow_rollback(htt_uow *uow) {
    const htt_rc rc = uow_check(uow);
    if (rc == HTT_OK) {
        uow_undo(uow);
    }
    return rc;
}

/* Ends what is active in it, the innermost first. */
static void uow_undo_down_to(htt_uow *uow) {
    while (uow->state == UOW_ACTIVE) {
        uow_undo(uow->db->unit);
    }
}

/* Another unit of this one's level or below is not ended: by level alone its objects would go. */
static bool uow_has_sibling(const htt_uow *uow) {
    for (const htt_open_thing *thing = uow->db->things; thing != NULL; thing = thing->next) {
        if (thing->kind == uow->thing.kind) {
            const htt_uow *const other =
                (const htt_uow *)((const char *)thing - offsetof(htt_uow, thing));
            if (other != uow && other->root == uow->root && other->level >= uow->level) {
                return true;
            }
        }
    }
    return false;
}

/* Units inside of a root that goes: finished, not ended yet. */
static void uow_orphan(const htt_uow *root) {
    for (htt_open_thing *thing = root->db->things; thing != NULL; thing = thing->next) {
        if (thing->kind == root->thing.kind) {
            htt_uow *const uow = (htt_uow *)((char *)thing - offsetof(htt_uow, thing));
            if (uow->root == root) {
                uow->root = NULL;
                uow->parent = NULL;
            }
        }
    }
}

void htt_uow_end(htt_uow *uow) {
    if (uow == NULL) {
        return;
    }
    uow_undo_down_to(uow);
    htt_db_close_thing(uow->db, &uow->thing);
    if (uow->root == uow) {
        uow_orphan(uow);
        while (uow->repos != NULL) {
            htt_repo *const repo = uow->repos;
            uow->repos = repo->next;
            htt_repo_free_in_unit(repo);
        }
    } else if (uow->root != NULL && !uow_has_sibling(uow)) {
        for (htt_repo *repo = uow->root->repos; repo != NULL; repo = repo->next) {
            htt_identity_end(repo->identity, uow->level);
        }
    }
    htt_uow_events_clear(&uow->events);
    htt_memory_free(uow);
}

htt_db *htt_uow_db(const htt_uow *uow) {
    return uow->db;
}

unsigned htt_uow_depth(const htt_uow *uow) {
    return uow->level;
}

htt_rc htt_uow_repo(htt_uow *uow, const htt_repo_spec *spec, htt_repo **repo_out) {
    htt_rc rc = uow_check(uow);
    if (rc != HTT_OK) {
        return rc;
    }
    for (htt_repo *repo = uow->root->repos; repo != NULL; repo = repo->next) {
        if (htt_repo_is_of(repo, spec)) {
            *repo_out = repo;
            return HTT_OK;
        }
    }
    htt_repo *repo;
    rc = htt_repo_open_in_unit(uow->db, spec, &uow->root->depth, &uow->root->closed, &repo);
    if (rc != HTT_OK) {
        return rc;
    }
    repo->next = uow->root->repos;
    uow->root->repos = repo;
    *repo_out = repo;
    return HTT_OK;
}

htt_rc htt_uow_event(htt_uow *uow, const struct htt_event *event) {
    const htt_rc rc = uow_check(uow);
    return rc == HTT_OK ? htt_uow_events_add(uow->db, &uow->events, event) : rc;
}

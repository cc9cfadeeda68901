/* SPDX-License-Identifier: MIT */
/*
 * Pieces of memory that go to SQLite and come back.
 *
 *     piece   { owner or next | size class }  bytes ...
 *                                             ^ what SQLite sees, and gives back
 *
 * Pieces are of two sizes; what fits neither is copied by SQLite. Those that came back wait in a
 * list for each size. The lender lives until its owner has let go and all pieces are back.
 */
#include "lender.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    LENDER_SIZES = 2,
    LENDER_SMALL = 240,  /* bytes of a small piece */
    LENDER_LARGE = 4080, /* bytes of a large piece */
    LENDER_KEPT = 32     /* pieces of a size that wait; more are given back to the system */
};

typedef struct lender_piece {
    union {
        struct htt_lender *owner;  /* while SQLite has it */
        struct lender_piece *next; /* while it waits; NULL = the last */
    } link;                        /* either */
    size_t which;                  /* its size: 0 small, 1 large */
    char bytes[];                  /* the value */
} lender_piece;

struct htt_lender {
    lender_piece *waiting[LENDER_SIZES]; /* pieces of each size; owned */
    size_t count[LENDER_SIZES];          /* of them */
    size_t lent;                         /* pieces that SQLite has */
    bool closed;                         /* the owner has let go */
};

htt_lender *htt_lender_new(void) {
    htt_lender *const lender = sqlite3_malloc64(sizeof *lender);
    if (lender != NULL) {
        *lender = (htt_lender){.lent = 0};
    }
    return lender;
}

void htt_lender_free(htt_lender *lender) {
    if (lender == NULL) {
        return;
    }
    for (size_t which = 0; which < LENDER_SIZES; which++) {
        while (lender->waiting[which] != NULL) {
            lender_piece *const piece = lender->waiting[which];
            lender->waiting[which] = piece->link.next;
            sqlite3_free(piece);
        }
        lender->count[which] = LENDER_KEPT; /* what comes back now does not wait */
    }
    lender->closed = true;
    if (lender->lent == 0) {
        sqlite3_free(lender);
    }
}

/* SQLite has done with a piece. */
static void lender_take_back(void *bytes) {
    lender_piece *const piece = (lender_piece *)((char *)bytes - offsetof(lender_piece, bytes));
    htt_lender *const lender = piece->link.owner;
    assert(piece->which < LENDER_SIZES);
    assert(lender->lent > 0);
    lender->lent--;
    if (lender->count[piece->which] < LENDER_KEPT) {
        piece->link.next = lender->waiting[piece->which];
        lender->waiting[piece->which] = piece;
        lender->count[piece->which]++;
        return;
    }
    sqlite3_free(piece);
    if (lender->closed && lender->lent == 0) {
        sqlite3_free(lender);
    }
}

/* A piece for `size` bytes <= LENDER_LARGE, NULL: out of memory. */
static char *lender_lend(htt_lender *lender, size_t size) {
    const size_t which = size <= LENDER_SMALL ? 0 : 1;
    lender_piece *piece = lender->waiting[which];
    assert(size <= LENDER_LARGE);
    assert(!lender->closed);
    if (piece != NULL) {
        lender->waiting[which] = piece->link.next;
        lender->count[which]--;
    } else {
        piece = sqlite3_malloc64(sizeof *piece + (which == 0 ? LENDER_SMALL : LENDER_LARGE));
        if (piece == NULL) {
            return NULL;
        }
        piece->which = which;
    }
    piece->link.owner = lender;
    lender->lent++;
    return piece->bytes;
}

void htt_lender_result(htt_lender *lender, sqlite3_context *context, htt_datum value) {
    const size_t size = value.size;
    const bool text = value.type == HTT_TEXT;
    const void *const given = size > 0 ? value.data : ""; /* NULL would be SQL's NULL */
    char *const bytes = size < LENDER_LARGE ? lender_lend(lender, size + 1) : NULL;
    assert(text || value.type == HTT_BLOB);
    if (bytes == NULL) { /* also without memory: SQLite will say so */
        if (text) {
            sqlite3_result_text64(context, given, size, SQLITE_TRANSIENT, SQLITE_UTF8);
        } else {
            sqlite3_result_blob64(context, given, size, SQLITE_TRANSIENT);
        }
        return;
    }
    memcpy(bytes, given, size);
    bytes[size] = '\0';
    if (!text) {
        sqlite3_result_blob(context, bytes, (int)size, lender_take_back);
    } else if (memchr(bytes, '\0', size) == NULL) {
        sqlite3_result_text(context, bytes, -1, lender_take_back); /* it sees the NUL behind */
    } else {
        sqlite3_result_text(context, bytes, (int)size, lender_take_back);
    }
}

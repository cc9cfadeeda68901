/* SPDX-License-Identifier: MIT */
/*
 * Text of UTF-16 databases that UTF-8 has no bytes for: surrogates without their other half.
 */
#ifndef HTT_EXT_SURROGATE_H
#define HTT_EXT_SURROGATE_H

#include <stdbool.h>

#include "api.h"
#include "engine/htt.h"

/* Texts that were encoded here, as long as cells borrow them. {NULL} = none. */
typedef struct htt_surrogate_texts {
    struct htt_surrogate_text *newest; /* list; owned */
} htt_surrogate_texts;

/* Whether the connection's databases are UTF-16; untouched if nobody may ask. An SQLite code. */
int htt_surrogate_find_encoding(sqlite3 *db, bool *is_utf16_out);

/*
 * `value` is text and not UTF-8. If it has lone surrogates, *text_out becomes its WTF-8, borrowed
 * from `texts`; otherwise it stays as it was, and SQLite's UTF-8 is right. SQLITE_OK or
 * SQLITE_NOMEM.
 */
int htt_surrogate_read(sqlite3_value *value, htt_surrogate_texts *texts, htt_datum *text_out);
void htt_surrogate_free(htt_surrogate_texts *texts);

/*
 * Gives `text` to SQLite as UTF-16 if SQLite would not make the same of it. False: it would, or
 * the bytes are not WTF-8. For UTF-16 databases only: in others text is its bytes.
 */
bool htt_surrogate_result(sqlite3_context *context, htt_datum text);

#endif

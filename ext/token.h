/* SPDX-License-Identifier: MIT */
/*
 * Words and signs of a module argument, cut as SQLite's own tokenizer cuts them.
 */
#ifndef HTT_EXT_TOKEN_H
#define HTT_EXT_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

typedef enum htt_token_kind {
    HTT_TOKEN_END,    /* nothing is left */
    HTT_TOKEN_WORD,   /* an identifier or keyword without quotes */
    HTT_TOKEN_QUOTED, /* 'x', "x", `x` or [x] */
    HTT_TOKEN_NUMBER, /* begins with a digit */
    HTT_TOKEN_SIGN,   /* any other single character */
    HTT_TOKEN_OPEN    /* a quote or comment without its end */
} htt_token_kind;

typedef struct htt_token {
    htt_token_kind kind; /* what it is */
    const char *start;   /* first character; borrowed from the text */
    size_t size;         /* bytes, quotes included */
} htt_token;

/* The next token of *at, which moves behind it. Space and comments are skipped. */
htt_token htt_token_next(const char **at);

/* The same without moving. */
htt_token htt_token_peek(const char *at);

/* A word without quotes that equals `word`, in any case of letters. */
bool htt_token_is(htt_token token, const char *word);

/* The one-character sign. */
bool htt_token_is_sign(htt_token token, char sign);

/* Its text without quotes. Caller frees with sqlite3_free. NULL: out of memory. */
char *htt_token_text(htt_token token);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Words and signs of a module argument. No state, no errors: what has no end is HTT_TOKEN_OPEN.
 */
#include "token.h"

#include <assert.h>
#include <string.h>

#include "api.h"

static bool token_is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool token_is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Bytes above 127 belong to words: SQLite takes every non-ASCII character as a letter. */
static bool token_is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || token_is_digit(c) || c == '_' ||
           c == '$' || ((unsigned char)c & 0x80) != 0;
}

/* Behind space and comments. */
static const char *token_skip(const char *at) {
    for (;;) {
        if (token_is_space(*at)) {
            at++;
        } else if (at[0] == '-' && at[1] == '-') {
            while (*at != '\0' && *at != '\n') {
                at++;
            }
        } else if (at[0] == '/' && at[1] == '*') {
            const char *const end = strstr(at + 2, "*/");
            if (end == NULL) {
                return at + strlen(at);
            }
            at = end + 2;
        } else {
            return at;
        }
    }
}

/* Size of the quoted token at `at`, 0 = it has no end. A doubled quote stands for one. */
static size_t token_quoted_size(const char *at) {
    const char end = *at == '[' ? ']' : *at;
    for (size_t i = 1; at[i] != '\0'; i++) {
        if (at[i] != end) {
            continue;
        }
        if (end != ']' && at[i + 1] == end) {
            i++;
            continue;
        }
        return i + 1;
    }
    return 0;
}

htt_token htt_token_next(const char **at) {
    assert(at != NULL);
    const char *const start = token_skip(*at);
    htt_token token = {HTT_TOKEN_END, start, 0};
    const char c = *start;
    if (c == '\0') {
        *at = start;
        return token;
    }
    if (c == '\'' || c == '"' || c == '`' || c == '[') {
        token.size = token_quoted_size(start);
        token.kind = token.size > 0 ? HTT_TOKEN_QUOTED : HTT_TOKEN_OPEN;
        token.size = token.size > 0 ? token.size : strlen(start);
    } else if (token_is_word(c)) {
        token.kind = token_is_digit(c) ? HTT_TOKEN_NUMBER : HTT_TOKEN_WORD;
        while (token_is_word(start[token.size]) ||
               (token.kind == HTT_TOKEN_NUMBER && start[token.size] == '.')) {
            token.size++;
        }
    } else {
        token.kind = HTT_TOKEN_SIGN;
        token.size = 1;
    }
    *at = start + token.size;
    return token;
}

htt_token htt_token_peek(const char *at) {
    return htt_token_next(&at);
}

bool htt_token_is(htt_token token, const char *word) {
    return token.kind == HTT_TOKEN_WORD && token.size == strlen(word) &&
           sqlite3_strnicmp(token.start, word, (int)token.size) == 0;
}

bool htt_token_is_sign(htt_token token, char sign) {
    return token.kind == HTT_TOKEN_SIGN && token.start[0] == sign;
}

char *htt_token_text(htt_token token) {
    char *const text = sqlite3_malloc64(token.size + 1);
    if (text == NULL) {
        return NULL;
    }
    if (token.kind != HTT_TOKEN_QUOTED) {
        memcpy(text, token.start, token.size);
        text[token.size] = '\0';
        return text;
    }
    assert(token.size >= 2);
    const char quote = token.start[0];
    size_t length = 0;
    for (size_t i = 1; i < token.size - 1; i++) {
        text[length++] = token.start[i];
        if (quote != '[' && token.start[i] == quote) {
            i++;
        }
    }
    text[length] = '\0';
    return text;
}

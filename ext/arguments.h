/* SPDX-License-Identifier: MIT */
/*
 * The arguments of CREATE VIRTUAL TABLE ... USING htt(...): a file, options, columns.
 */
#ifndef HTT_EXT_ARGUMENTS_H
#define HTT_EXT_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "declaration.h"
#include "engine/htt.h"

enum {
    HTT_ARGUMENTS_FOLD_ROWS = 32768,          /* default of fold_rows */
    HTT_ARGUMENTS_FOLD_BYTES = 4 * 1024 * 1024, /* of fold_bytes */
    HTT_ARGUMENTS_CHANGES_KEEP = 100000       /* of changes_keep */
};

typedef struct htt_arguments {
    char *file;                  /* as written, without quotes; owned */
    htt_declaration declaration; /* the columns */
    uint32_t page_size;          /* bytes, 0 = not given */
    bool mmap;                   /* read by mapping; default true */
    uint64_t cache_bytes;        /* 0 = not given */
    uint64_t write_budget;       /* 0 = not given */
    htt_sync sync;               /* default full */
    bool has_busy_timeout;       /* busy_timeout_ms was given */
    uint32_t busy_timeout_ms;    /* how long a second writer waits */
    uint64_t fold_rows;          /* rows in the outbox that make a commit fold */
    uint64_t fold_bytes;         /* bytes in the outbox that do */
    bool changes;                /* the outbox is a change feed */
    uint64_t changes_keep;       /* rows that it keeps although nobody waits for them */
} htt_arguments;

/*
 * `argv` as xCreate gets it: module, schema, table, then the arguments. An SQLite code;
 * *message_out on failure (sqlite3_free). Clear `arguments_out` in any case.
 */
int htt_arguments_parse(int argc, const char *const *argv, htt_arguments *arguments_out,
                        char **message_out);
void htt_arguments_clear(htt_arguments *arguments);

/* The environment that files are opened in: NULL, the operating system's. Tests set another. */
extern const struct htt_env *htt_arguments_env;

/* Puts the options into the engine's. */
void htt_arguments_apply(const htt_arguments *arguments, htt_options *options);

#endif

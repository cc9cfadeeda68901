/* SPDX-License-Identifier: MIT */
/*
 * The host of host_support.h. A frame, a journal and the file's only page have one form:
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  checksum of the frame before, 0 = none
 *          8   128  root record
 *        136     8  acked
 *        144     4  state
 *        504     8  checksum of bytes 0 .. 504
 */
#include "host_support.h"

#include "base/hash.h"
#include "base/le.h"

enum { HOST_PAGE = 512, HOST_CHECKSUM = 504, HOST_WAIT = 20 };

/* -------------------------------------------------------------- the database */

static void host_encode(const host_row *row, uint64_t before, uint8_t *page) {
    memset(page, 0, HOST_PAGE);
    le64_put(page, before);
    memcpy(page + 8, row->record, sizeof row->record);
    le64_put(page + 136, row->acked);
    le32_put(page + 144, row->state);
    le64_put(page + HOST_CHECKSUM, htt_hash_bytes(page, HOST_CHECKSUM));
}

static bool host_decode(const uint8_t *page, uint64_t before, host_row *row_out) {
    if (le64_get(page) != before ||
        le64_get(page + HOST_CHECKSUM) != htt_hash_bytes(page, HOST_CHECKSUM))
        return false;
    memcpy(row_out->record, page + 8, sizeof row_out->record);
    row_out->acked = le64_get(page + 136);
    row_out->state = le32_get(page + 144);
    return true;
}

static void host_name(const host_db *db, const char *suffix, char name[80]) {
    snprintf(name, 80, "%s%s", db->path, suffix);
}

/* Writes a page of one of the database's files. */
static int host_write_page(const host_db *db, const htt_env *env, const char *suffix,
                           const uint8_t *page, uint64_t offset, bool sync) {
    htt_file *file = NULL;
    char name[80];
    host_name(db, suffix, name);
    int code = env->open(env->context, name, HTT_FILE_CREATE, &file);
    if (code != 0)
        return code;
    code = env->write(env->context, file, page, HOST_PAGE, offset);
    if (code == 0 && sync)
        code = env->sync(env->context, file);
    env->close(env->context, file);
    return code;
}

static bool host_read_page(const host_db *db, const htt_env *env, const char *suffix,
                           uint8_t *page, uint64_t offset) {
    htt_file *file = NULL;
    size_t got = 0;
    char name[80];
    host_name(db, suffix, name);
    if (env->open(env->context, name, HTT_FILE_READ, &file) != 0)
        return false;
    const int code = env->read(env->context, file, page, HOST_PAGE, offset, &got);
    env->close(env->context, file);
    return code == 0;
}

static int host_sync_file(const host_db *db, const htt_env *env, const char *suffix) {
    htt_file *file = NULL;
    char name[80];
    host_name(db, suffix, name);
    int code = env->open(env->context, name, 0, &file);
    if (code != 0)
        return code == ENOENT ? 0 : code;
    code = env->sync(env->context, file);
    env->close(env->context, file);
    return code;
}

void host_db_create(host_db *db, const htt_env *env, const char *path, host_mode mode,
                    const host_row *row) {
    uint8_t page[HOST_PAGE];
    *db = (host_db){.mode = mode, .row = *row};
    snprintf(db->path, sizeof db->path, "%s", path);
    host_encode(row, 0, page);
    assert_int_equal(host_write_page(db, env, "", page, 0, true), 0);
    if (mode != HOST_JOURNAL) {
        assert_int_equal(host_write_page(db, env, "-wal", page, 0, true), 0);
        db->frames = 1;
        db->chain = le64_get(page + HOST_CHECKSUM);
    }
    assert_int_equal(env->sync_directory(env->context, path), 0);
}

void host_db_rollback(host_db *db, const htt_env *env) {
    uint8_t page[HOST_PAGE];
    host_row row;
    char name[80];
    if (db->mode != HOST_JOURNAL || !host_read_page(db, env, "-journal", page, 0))
        return;
    host_name(db, "-journal", name);
    /* A process that dies on the way leaves the journal to the next. */
    if (host_decode(page, 0, &row)) {
        if (host_write_page(db, env, "", page, 0, true) != 0)
            return;
        db->row = row;
    }
    (void)env->unlink(env->context, name);
}

void host_db_recover(host_db *db, const htt_env *env, const char *path, host_mode mode) {
    uint8_t page[HOST_PAGE];
    host_row row;
    *db = (host_db){.mode = mode};
    snprintf(db->path, sizeof db->path, "%s", path);
    if (mode == HOST_JOURNAL) {
        host_db_rollback(db, env);
        assert_true(host_read_page(db, env, "", page, 0));
        assert_true(host_decode(page, 0, &db->row));
        return;
    }
    while (host_read_page(db, env, "-wal", page, db->frames * HOST_PAGE) &&
           host_decode(page, db->chain, &row)) {
        db->row = row;
        db->frames++;
        db->chain = le64_get(page + HOST_CHECKSUM);
    }
    assert_true(db->frames >= 1);
}

static int host_commit_journal(host_db *db, const htt_env *env, const host_row *row,
                               host_stop stop) {
    uint8_t page[HOST_PAGE];
    char name[80];
    host_name(db, "-journal", name);
    host_encode(&db->row, 0, page);
    int code = host_write_page(db, env, "-journal", page, 0, true);
    if (code == 0)
        code = env->sync_directory(env->context, db->path);
    host_encode(row, 0, page);
    if (code == 0)
        code = host_write_page(db, env, "", page, 0, true);
    if (code == 0 && stop == HOST_COMPLETE)
        code = env->unlink(env->context, name);
    if (code == 0 && stop == HOST_COMPLETE)
        db->row = *row;
    return code;
}

int host_db_commit(host_db *db, const htt_env *env, const host_row *row, host_stop stop) {
    uint8_t page[HOST_PAGE];
    if (db->mode == HOST_JOURNAL)
        return host_commit_journal(db, env, row, stop);
    host_encode(row, db->chain, page);
    const int code = host_write_page(db, env, "-wal", page, db->frames * HOST_PAGE,
                                     db->mode == HOST_WAL_FULL);
    if (code != 0 || stop == HOST_STOP)
        return code;
    db->frames++;
    db->chain = le64_get(page + HOST_CHECKSUM);
    db->row = *row;
    return 0;
}

int host_db_barrier(const host_db *db, const htt_env *env) {
    int code = db->mode == HOST_JOURNAL ? 0 : host_sync_file(db, env, "-wal");
    if (code == 0)
        code = host_sync_file(db, env, "");
    return code == 0 ? env->sync_directory(env->context, db->path) : code;
}

/* --------------------------------------------------------------- processes */

void host_open_at(host_process *process, const htt_env *env, host_db *db, const char *path,
                  unsigned flags) {
    htt_options options = txn_options(env);
    htt_error error;
    options.flags |= flags;
    options.busy_timeout_ms = HOST_WAIT;
    *process = (host_process){.env = env, .db = db};
    if (htt_open(path, &options, &process->store, &error) != HTT_OK)
        fail_msg("open: %s", error.text);
    if (htt_host_describe(process->store, db->path, &process->owner) != HTT_OK)
        fail_msg("describe: %s", htt_errmsg(process->store));
}

void host_open(host_process *process, const htt_env *env, host_db *db) {
    host_open_at(process, env, db, TXN_PATH, 0);
}

void host_close(host_process *process) {
    htt_close(process->store);
    process->store = NULL;
    process->txn = NULL;
}

void host_create(host_process *process, const htt_env *env, host_db *db, host_mode mode,
                 host_oracle *oracle) {
    host_row row = {.state = 0};
    htt_host_root root;
    host_db_create(db, env, HOST_PATH, mode, &row); /* its file is there */
    host_open(process, env, db);
    if (htt_host_claim(process->store, &process->owner, &root) != HTT_OK)
        fail_msg("claim: %s", htt_errmsg(process->store));
    memset(oracle->rows[0], 0, sizeof oracle->rows[0]);
    oracle->nonces[0] = root.nonce;
    oracle->count = 1;
    memcpy(row.record, root.record, sizeof row.record);
    assert_int_equal(host_db_commit(db, env, &row, HOST_COMPLETE), 0);
    assert_int_equal(host_db_barrier(db, env), 0);
}

static int host_barrier(void *arg) {
    host_process *process = arg;
    process->barriers++;
    return process->barrier_code != 0 ? process->barrier_code
                                      : host_db_barrier(process->db, process->env);
}

htt_host_write host_write_of(host_process *process) {
    return (htt_host_write){.base = &process->root,
                            .acked = process->base.acked,
                            .certain = process->db->mode == HOST_JOURNAL,
                            .owner = &process->owner,
                            .low_first = process->low_first,
                            .budget = process->budget,
                            .barrier = host_barrier,
                            .arg = process};
}

/* The host's own part of a begin. */
static void host_take_base(host_process *process) {
    host_db_rollback(process->db, process->env);
    process->base = process->row = process->db->row;
    assert_int_equal(htt_host_root_read(process->base.record, HTT_HOST_RECORD_SIZE,
                                        &process->root, NULL), HTT_OK);
}

htt_rc host_begin(host_process *process, const host_oracle *oracle) {
    assert_null(process->txn);
    host_take_base(process);
    memcpy(process->work, oracle->rows[process->base.state], sizeof process->work);
    const htt_host_write write = host_write_of(process);
    return htt_host_begin_write(process->store, &write, &process->txn);
}

void host_begin_ok(host_process *process, const host_oracle *oracle) {
    if (host_begin(process, oracle) != HTT_OK)
        fail_msg("begin: %s", htt_errmsg(process->store));
}

/* A few rows are overflow runs. */
static size_t host_size(uint32_t row, uint16_t number) {
    const uint32_t mix = (row * 31 + number) * 2654435761u;
    return mix >> 28 == 0 ? 9000 : 8 + (mix >> 20) % 700;
}

htt_rc host_put(host_process *process, uint32_t row, uint16_t number) {
    uint8_t key[8], value[9000];
    const htt_datum datum = htt_integer((int64_t)row, key);
    htt_rc rc;
    memset(value, number & 255, sizeof value);
    memcpy(value, &number, sizeof number);
    if (number == 0)
        rc = htt_del(process->txn, datum);
    else
        rc = htt_put(process->txn, datum, htt_blob(value, host_size(row, number)), 0);
    if (rc == HTT_OK || rc == HTT_NOTFOUND)
        process->work[row] = number;
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

htt_rc host_publish(host_process *process, host_oracle *oracle) {
    htt_host_root root;
    const htt_rc rc = htt_host_publish(process->txn, oracle->count, &root);
    if (rc != HTT_OK)
        return rc;
    assert_true(oracle->count < HOST_STATES_MAX);
    assert_int_equal(root.seq, oracle->count);
    assert_int_equal(root.nonce, htt_host_nonce(process->txn));
    assert_int_equal(root.parent_epoch, process->root.epoch);
    assert_int_equal(root.parent_nonce, process->root.nonce);
    memcpy(process->row.record, root.record, sizeof root.record);
    process->row.state = oracle->count;
    oracle->nonces[oracle->count] = root.nonce;
    memcpy(oracle->rows[oracle->count++], process->work, sizeof process->work);
    return HTT_OK;
}

int host_commit(host_process *process, host_stop stop) {
    const int code = host_db_commit(process->db, process->env, &process->row, stop);
    if (stop == HOST_COMPLETE && process->txn != NULL) {
        htt_host_finish(process->txn, code == 0);
        process->txn = NULL;
    }
    return code;
}

void host_rollback(host_process *process) {
    htt_host_finish(process->txn, false);
    process->txn = NULL;
}

void host_fold(host_process *process, host_oracle *oracle, uint32_t first, uint32_t end,
               uint16_t number) {
    host_begin_ok(process, oracle);
    for (uint32_t row = first; row < end; row++)
        assert_int_equal(host_put(process, row, number), HTT_OK);
    if (host_publish(process, oracle) != HTT_OK)
        fail_msg("publish: %s", htt_txn_errmsg(process->txn));
    assert_int_equal(host_commit(process, HOST_COMPLETE), 0);
}

uint64_t host_acknowledge(host_process *process) {
    uint64_t attempt = 0;
    host_take_base(process);
    const htt_host_write write = host_write_of(process);
    if (htt_host_outstanding(process->store, &write, 0, &attempt) != HTT_OK)
        fail_msg("outstanding: %s", htt_errmsg(process->store));
    if (attempt == 0)
        return 0;
    process->row.acked = attempt;
    (void)host_db_commit(process->db, process->env, &process->row, HOST_COMPLETE);
    return attempt;
}

/* ---------------------------------------------------------------- judging */

void host_expect_rows(htt_txn *txn, const uint16_t *rows) {
    uint64_t keys = 0, count = 0;
    for (uint32_t row = 0; row < HOST_ROWS; row++) {
        uint8_t key[8];
        htt_datum value;
        const htt_rc rc = htt_get(txn, htt_integer((int64_t)row, key), &value);
        if (rc == HTT_NOTFOUND) {
            if (rows[row] != 0)
                fail_msg("row %u is missing, it should be %u", row, rows[row]);
            continue;
        }
        if (rc != HTT_OK)
            fail_msg("row %u: %s", row, htt_txn_errmsg(txn));
        uint16_t number;
        assert_true(value.size >= 8);
        memcpy(&number, value.data, sizeof number);
        if (number != rows[row] || value.size != host_size(row, number))
            fail_msg("row %u is %u, it should be %u", row, number, rows[row]);
        for (size_t i = 2; i < value.size; i++)
            assert_int_equal(((const uint8_t *)value.data)[i], number & 255);
        keys++;
    }
    assert_int_equal(htt_count(txn, &count), HTT_OK);
    assert_int_equal(count, keys);
}

htt_rc host_read(htt_store *store, const host_row *row, const host_oracle *oracle, bool deep) {
    htt_host_root root;
    htt_txn *txn = NULL;
    uint64_t problems = 0;
    assert_int_equal(htt_host_root_read(row->record, HTT_HOST_RECORD_SIZE, &root, NULL), HTT_OK);
    const htt_rc rc = htt_host_begin_read(store, &root, &txn);
    if (rc != HTT_OK)
        return rc;
    host_expect_rows(txn, oracle->rows[row->state]);
    if (deep) {
        assert_int_equal(htt_check(txn, HTT_CHECK_DEEP, txn_print_problem, NULL, &problems),
                         HTT_OK);
        assert_int_equal(problems, 0);
    }
    htt_abort(txn);
    return HTT_OK;
}

void host_check(host_process *process, const host_oracle *oracle) {
    host_db_rollback(process->db, process->env);
    if (host_read(process->store, &process->db->row, oracle, true) != HTT_OK)
        fail_msg("read: %s", htt_errmsg(process->store));
}

uint32_t host_check_standalone(const htt_env *env, const char *path, const host_oracle *oracle) {
    htt_options options = txn_options(env);
    htt_store *store = NULL;
    htt_txn *txn = NULL;
    htt_host_meta meta;
    htt_error error;
    uint32_t state;
    if (htt_open(path, &options, &store, &error) != HTT_OK)
        fail_msg("open: %s", error.text);
    if (htt_begin(store, HTT_READ, &txn) != HTT_OK ||
        htt_host_read_meta(store, &meta) != HTT_OK)
        fail_msg("standalone: %s", htt_errmsg(store));
    for (state = 0; state < oracle->count; state++) { /* a transaction may have had several */
        if (oracle->nonces[state] == meta.root.nonce && (state == 0 || state == meta.root.seq))
            break;
    }
    assert_true(state < oracle->count);
    host_expect_rows(txn, oracle->rows[state]);
    htt_abort(txn);
    htt_close(store);
    return state;
}

void host_examine(crash_fs *after, host_mode mode, host_oracle *oracle) {
    const htt_env *env = crash_fs_env(after);
    const uint32_t states = oracle->count;
    host_process process;
    host_db db;
    (void)host_check_standalone(env, TXN_PATH, oracle);
    host_db_recover(&db, env, HOST_PATH, mode);
    host_open(&process, env, &db);
    host_check(&process, oracle);
    for (uint16_t i = 0; i < 3; i++) {
        htt_rc rc = host_begin(&process, oracle);
        if (rc == HTT_BUSY) {
            if (host_acknowledge(&process) == 0)
                fail_msg("busy, but nothing to acknowledge");
            rc = host_begin(&process, oracle);
        }
        if (rc != HTT_OK)
            fail_msg("begin: %s", htt_errmsg(process.store));
        for (uint32_t row = i; row < HOST_ROWS; row += 5)
            assert_int_equal(host_put(&process, row, (uint16_t)(60000 + i)), HTT_OK);
        assert_int_equal(host_publish(&process, oracle), HTT_OK);
        assert_int_equal(host_commit(&process, HOST_COMPLETE), 0);
        host_check(&process, oracle);
    }
    host_close(&process);
    (void)host_check_standalone(env, TXN_PATH, oracle);
    oracle->count = states;
}

/* cmocka jumps out of a failed assertion: what crashed how is told by what was printed before. */
static void host_examine_one(crash_fs *after, size_t at, host_mode mode, host_oracle *oracle) {
    static const char *const names[] = {"wal", "wal, full", "journal"};
    if (getenv("HTT_TEST_VERBOSE") != NULL)
        print_message("%s: position %zu, %s\n", names[mode], at, crash_fs_origin(after));
    host_examine(after, mode, oracle);
    txn_free_disk(after);
}

void host_examine_all(crash_fs *disk, size_t first, size_t limit, host_mode mode,
                      host_oracle *oracle) {
    for (size_t at = first; at <= crash_fs_position(disk); at++) {
        const size_t cuts = crash_fs_cut_count(disk, at, limit);
        host_examine_one(crash_fs_killed(disk, at), at, mode, oracle);
        for (size_t i = 0; i < cuts; i++)
            host_examine_one(crash_fs_cut(disk, at, i, limit), at, mode, oracle);
    }
}

/* ------------------------------------------------------------- small things */

host_oracle *host_oracle_new(void) {
    host_oracle *oracle = calloc(1, sizeof *oracle);
    assert_non_null(oracle);
    return oracle;
}

htt_host_meta host_meta_of(const host_process *process) {
    htt_host_meta meta;
    assert_int_equal(htt_host_read_meta(process->store, &meta), HTT_OK);
    return meta;
}

/* Operations of one kind from a position on. */
size_t host_count_ops(crash_fs *disk, size_t from, const char *what) {
    size_t count = 0;
    char text[200];
    for (size_t i = from; i < crash_fs_position(disk); i++) {
        crash_fs_describe(disk, i, text, sizeof text);
        count += strncmp(text, what, strlen(what)) == 0;
    }
    return count;
}

htt_txn *host_reader(host_process *process) {
    htt_host_root root;
    htt_txn *txn = NULL;
    assert_int_equal(htt_host_root_read(process->db->row.record, HTT_HOST_RECORD_SIZE, &root,
                                        NULL), HTT_OK);
    assert_int_equal(htt_host_begin_read(process->store, &root, &txn), HTT_OK);
    return txn;
}

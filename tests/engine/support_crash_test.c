/* SPDX-License-Identifier: MIT */
/*
 * Tests of tests/support/test_env_crash*.c: the disk behaves as a disk, and the crashes that it
 * offers are those of its model, all of them where they are few.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/test_env_crash.h"

#define LIMIT 2000

static htt_file *open_on(const htt_env *env, const char *path, unsigned flags) {
    htt_file *file = NULL;
    assert_int_equal(env->open(env->context, path, flags, &file), 0);
    return file;
}

/* The disk's file as text: "-" when absent. Bytes above 'z' and zeros become '.'. */
static const char *text_of(crash_fs *disk, const char *path) {
    static char text[256];
    size_t size = 0;
    uint8_t *bytes = crash_fs_get_file(disk, path, &size);
    if (bytes == NULL) {
        return "-";
    }
    assert_true(size < sizeof text);
    for (size_t i = 0; i < size; i++) {
        text[i] = bytes[i] >= ' ' && bytes[i] <= 'z' ? (char)bytes[i] : '.';
    }
    text[size] = '\0';
    free(bytes);
    return text;
}

/* How many of the cuts at `position` leave this text. */
static size_t cuts_with(crash_fs *disk, size_t position, const char *path, const char *text) {
    size_t count = 0;
    for (size_t i = 0; i < crash_fs_cut_count(disk, position, LIMIT); i++) {
        crash_fs *after = crash_fs_cut(disk, position, i, LIMIT);
        count += strcmp(text_of(after, path), text) == 0 ? 1 : 0;
        crash_fs_free(after);
    }
    return count;
}

static void write_text(const htt_env *env, htt_file *file, const char *text, uint64_t offset) {
    assert_int_equal(env->write(env->context, file, text, strlen(text), offset), 0);
}

static void test_crash__disk_reads_what_was_written(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    htt_file_info info;
    char buffer[8];
    size_t got = 0;
    htt_file *missing = NULL;
    assert_int_equal(env->open(env->context, "d/a", 0, &missing), ENOENT);
    htt_file *file = open_on(env, "d/a", HTT_FILE_CREATE);
    assert_int_equal(env->open(env->context, "d/a", HTT_FILE_CREATE | HTT_FILE_EXCLUSIVE, &missing),
                     EEXIST);
    htt_file *reader = open_on(env, "d/a", HTT_FILE_READ);
    write_text(env, file, "hello", 2);
    assert_int_equal(env->read(env->context, reader, buffer, 7, 0, &got), 0);
    assert_memory_equal(buffer, "\0\0hello", 7);
    assert_int_equal(env->read(env->context, reader, buffer, 8, 0, &got), EIO);
    assert_int_equal(got, 7);
    assert_int_equal(env->write(env->context, reader, "x", 1, 0), EBADF);
    assert_int_equal(env->reserve(env->context, file, 3), 0);
    assert_int_equal(env->truncate(env->context, file, 4), 0);
    assert_int_equal(env->reserve(env->context, file, 6), 0);
    assert_string_equal(text_of(disk, "d/a"), "..he..");
    assert_int_equal(env->info(env->context, file, &info), 0);
    assert_true(info.regular && info.links == 1 && info.size == 6);
    assert_int_equal(env->unlink(env->context, "d/a"), 0);
    assert_int_equal(env->info(env->context, file, &info), 0);
    assert_int_equal(info.links, 0);
    assert_int_equal(env->path_info(env->context, "d/a", &info), ENOENT);
    assert_int_equal(crash_fs_held(disk), 2);
    env->close(env->context, file);
    env->close(env->context, reader);
    assert_int_equal(crash_fs_held(disk), 0);
    crash_fs_free(disk);
}

static void test_crash__locks_are_by_open(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    const htt_env *other = crash_fs_new_process(disk);
    assert_int_not_equal(env->process_id(env->context), other->process_id(other->context));
    htt_file *one = open_on(env, "a", HTT_FILE_CREATE);
    htt_file *two = open_on(other, "a", 0);
    assert_int_equal(env->lock(env->context, one, 1, HTT_LOCK_SHARED), 0);
    assert_int_equal(other->lock(other->context, two, 1, HTT_LOCK_SHARED), 0);
    assert_int_equal(other->lock(other->context, two, 1, HTT_LOCK_EXCLUSIVE), EAGAIN);
    env->unlock(env->context, one, 1);
    assert_int_equal(other->lock(other->context, two, 1, HTT_LOCK_EXCLUSIVE), 0);
    assert_int_equal(env->lock(env->context, one, 1, HTT_LOCK_SHARED), EAGAIN);
    assert_int_equal(env->lock(env->context, one, 2, HTT_LOCK_EXCLUSIVE), 0);
    other->close(other->context, two);
    assert_int_equal(env->lock(env->context, one, 1, HTT_LOCK_EXCLUSIVE), 0);
    env->close(env->context, one);
    crash_fs_free(disk);
}

static void test_crash__clock_stands_but_for_sleeping(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    const uint64_t before = env->now_ms(env->context);
    assert_int_equal(env->now_ms(env->context), before);
    env->sleep_us(env->context, 5000500);
    assert_int_equal(env->now_ms(env->context), before + 5000);
    crash_fs_free(disk);
}

static void test_crash__a_full_disk_says_so(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    htt_file *one = open_on(env, "a", HTT_FILE_CREATE);
    htt_file *two = open_on(env, "b", HTT_FILE_CREATE);
    crash_fs_set_capacity(disk, 10);
    write_text(env, one, "123456", 0);
    assert_int_equal(env->reserve(env->context, two, 5), ENOSPC);
    assert_int_equal(env->reserve(env->context, two, 4), 0);
    write_text(env, one, "abcdef", 0);
    assert_int_equal(env->write(env->context, one, "x", 1, 6), ENOSPC);
    assert_int_equal(env->truncate(env->context, one, 5), 0);
    assert_int_equal(env->write(env->context, two, "x", 1, 4), 0);
    env->close(env->context, one);
    env->close(env->context, two);
    crash_fs_free(disk);
}

/* Everything that two unsynced writes may leave, and nothing else. */
static void test_crash__unsynced_writes_are_kept_or_lost_in_all_combinations(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    htt_file *file = open_on(env, "a", HTT_FILE_CREATE);
    write_text(env, file, "0000", 0);
    assert_int_equal(env->sync(env->context, file), 0);
    assert_int_equal(env->sync_directory(env->context, "a"), 0);
    const size_t synced = crash_fs_position(disk);
    assert_int_equal(crash_fs_unsynced(disk, synced), 0);
    assert_int_equal(crash_fs_cut_count(disk, synced, LIMIT), 1);
    write_text(env, file, "1", 0);
    write_text(env, file, "2", 2);
    const size_t both = crash_fs_position(disk);
    assert_int_equal(crash_fs_unsynced(disk, both), 2);
    assert_int_equal(crash_fs_cut_count(disk, both, LIMIT), 4 + 2 * 2);
    size_t seen = 0;
    static const char *const texts[] = {"0000", "1000", "0020", "1020"};
    for (size_t i = 0; i < 4; i++) {
        const size_t count = cuts_with(disk, both, "a", texts[i]);
        assert_true(count > 0);
        seen += count;
    }
    assert_int_equal(seen, crash_fs_cut_count(disk, both, LIMIT));
    assert_int_equal(env->sync(env->context, file), 0);
    const size_t after = crash_fs_position(disk);
    assert_int_equal(cuts_with(disk, after, "a", "1020"), 1);
    /* The past is still there. */
    assert_int_equal(cuts_with(disk, synced, "a", "0000"), 1);
    assert_int_equal(crash_fs_cut_count(disk, both, LIMIT), 8);
    env->close(env->context, file);
    crash_fs_free(disk);
}

static void test_crash__names_need_a_sync_of_their_directory(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    htt_file *file = open_on(env, "d/a", HTT_FILE_CREATE);
    write_text(env, file, "x", 0);
    assert_int_equal(env->sync(env->context, file), 0);
    assert_int_equal(env->sync_directory(env->context, "a"), 0); /* another directory */
    size_t at = crash_fs_position(disk);
    assert_int_equal(crash_fs_cut_count(disk, at, LIMIT), 2);
    assert_int_equal(cuts_with(disk, at, "d/a", "-"), 1);
    assert_int_equal(cuts_with(disk, at, "d/a", "x"), 1);
    assert_int_equal(env->sync_directory(env->context, "d/a"), 0);
    at = crash_fs_position(disk);
    assert_int_equal(cuts_with(disk, at, "d/a", "x"), 1);
    assert_int_equal(env->unlink(env->context, "d/a"), 0);
    at = crash_fs_position(disk);
    assert_int_equal(cuts_with(disk, at, "d/a", "x"), 1);
    assert_int_equal(cuts_with(disk, at, "d/a", "-"), 1);
    assert_int_equal(env->sync_directory(env->context, "d/b"), 0);
    at = crash_fs_position(disk);
    assert_int_equal(cuts_with(disk, at, "d/a", "-"), 1);
    env->close(env->context, file);
    crash_fs_free(disk);
}

static void test_crash__sizes_are_lost_as_writes_are(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    crash_fs_put_file(disk, "a", "abcdef", 6);
    htt_file *file = open_on(env, "a", 0);
    assert_int_equal(env->truncate(env->context, file, 2), 0);
    assert_int_equal(env->reserve(env->context, file, 4), 0);
    const size_t at = crash_fs_position(disk);
    assert_int_equal(crash_fs_cut_count(disk, at, LIMIT), 4);
    assert_int_equal(cuts_with(disk, at, "a", "abcdef"), 2);
    assert_int_equal(cuts_with(disk, at, "a", "ab"), 1);
    assert_int_equal(cuts_with(disk, at, "a", "ab.."), 1);
    env->close(env->context, file);
    crash_fs_free(disk);
}

/* A torn write leaves a mixture of whole sectors, never all of the new ones. */
static void test_crash__torn_writes_mix_sectors(void **state) {
    (void)state;
    enum { SECTORS = 8, SECTOR = 512 };
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    uint8_t bytes[SECTORS * SECTOR];
    memset(bytes, 'o', sizeof bytes);
    crash_fs_put_file(disk, "a", bytes, sizeof bytes);
    htt_file *file = open_on(env, "a", 0);
    memset(bytes, 'n', sizeof bytes);
    assert_int_equal(env->write(env->context, file, bytes, sizeof bytes, 0), 0);
    const size_t at = crash_fs_position(disk);
    uint32_t patterns[256 / 32] = {0};
    unsigned different = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        const uint8_t fate = CRASH_TORN;
        const crash_choice choice = {.fates = &fate, .count = 1, .seed = seed, .sector = SECTOR};
        crash_fs *after = crash_fs_cut_with(disk, at, &choice);
        size_t size = 0;
        uint8_t *now = crash_fs_get_file(after, "a", &size);
        unsigned pattern = 0;
        assert_int_equal(size, sizeof bytes);
        for (size_t i = 0; i < sizeof bytes; i++) {
            assert_int_equal(now[i], now[i / SECTOR * SECTOR]);
            pattern |= now[i] == 'n' ? 1u << (i / SECTOR) : 0;
        }
        assert_true(pattern != 255);
        different += (patterns[pattern / 32] >> (pattern % 32) & 1) == 0 ? 1 : 0;
        patterns[pattern / 32] |= 1u << (pattern % 32);
        free(now);
        crash_fs_free(after);
    }
    assert_true(different > 80);
    env->close(env->context, file);
    crash_fs_free(disk);
}

static void test_crash__many_unsynced_writes_are_sampled(void **state) {
    (void)state;
    enum { WRITES = 30 };
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    char zeros[WRITES + 1];
    char ones[WRITES + 1];
    memset(zeros, '0', WRITES);
    memset(ones, '1', WRITES);
    zeros[WRITES] = ones[WRITES] = '\0';
    crash_fs_put_file(disk, "a", zeros, WRITES);
    htt_file *file = open_on(env, "a", 0);
    for (unsigned i = 0; i < WRITES; i++) {
        write_text(env, file, "1", i);
    }
    const size_t at = crash_fs_position(disk);
    assert_int_equal(crash_fs_cut_count(disk, at, 100), 100);
    bool lost_each[WRITES] = {false};
    bool kept_each[WRITES] = {false};
    for (size_t i = 0; i < 100; i++) {
        crash_fs *after = crash_fs_cut(disk, at, i, 100);
        crash_fs *again = crash_fs_cut(disk, at, i, 100);
        char text[WRITES + 1];
        memcpy(text, text_of(after, "a"), sizeof text);
        assert_int_equal(strlen(text), WRITES);
        assert_string_equal(text, text_of(again, "a")); /* the same index, the same disk */
        assert_string_equal(crash_fs_origin(after), crash_fs_origin(again));
        if (i < 2) {
            assert_string_equal(text, i == 0 ? zeros : ones);
        }
        for (size_t w = 0; w < WRITES; w++) {
            lost_each[w] |= text[w] == '0';
            kept_each[w] |= text[w] == '1';
        }
        crash_fs_free(after);
        crash_fs_free(again);
    }
    for (size_t w = 0; w < WRITES; w++) {
        assert_true(lost_each[w] && kept_each[w]);
    }
    env->close(env->context, file);
    crash_fs_free(disk);
}

static void test_crash__stores_of_a_mapping_are_kept_zeroed_or_garbage(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    crash_fs_put_file(disk, "a-lock", "0000", 4);
    crash_fs_put_file(disk, "a", "data", 4);
    htt_file *file = open_on(env, "a-lock", 0);
    void *address = NULL;
    assert_int_equal(env->map(env->context, file, 4, true, &address), 0);
    memcpy(address, "1", 1);
    const size_t one = crash_fs_position(disk);
    memcpy(address, "2", 1);
    const size_t two = crash_fs_position(disk);
    assert_int_equal(two, one + 1);
    assert_int_equal(crash_fs_position(disk), two);
    assert_int_equal(crash_fs_unsynced(disk, two), 0);
    const crash_shared all[] = {CRASH_SHARED_KEPT, CRASH_SHARED_ZEROS, CRASH_SHARED_GARBAGE};
    static const char *const expected[] = {"1000", "....", NULL};
    for (size_t i = 0; i < 3; i++) {
        const crash_choice choice = {.sector = 512, .seed = 5, .shared = all[i]};
        crash_fs *after = crash_fs_cut_with(disk, one, &choice);
        if (expected[i] != NULL) {
            assert_string_equal(text_of(after, "a-lock"), expected[i]);
        }
        assert_string_equal(text_of(after, "a"), "data");
        crash_fs_free(after);
    }
    crash_fs *killed = crash_fs_killed(disk, one);
    assert_string_equal(text_of(killed, "a-lock"), "1000");
    crash_fs_free(killed);
    killed = crash_fs_killed(disk, two);
    assert_string_equal(text_of(killed, "a-lock"), "2000");
    crash_fs_free(killed);
    env->unmap(env->context, address, 4);
    env->close(env->context, file);
    crash_fs_free(disk);
}

static void test_crash__a_power_cut_boots_and_a_kill_does_not(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(7);
    const htt_env *env = crash_fs_env(disk);
    uint8_t before[16];
    uint8_t now[16];
    htt_file *file = open_on(env, "a", HTT_FILE_CREATE);
    assert_int_equal(env->lock(env->context, file, 0, HTT_LOCK_EXCLUSIVE), 0);
    write_text(env, file, "unsynced", 0);
    const size_t at = crash_fs_position(disk);
    assert_int_equal(env->boot_id(env->context, before), 0);

    crash_fs *killed = crash_fs_killed(disk, at);
    const htt_env *next = crash_fs_env(killed);
    assert_string_equal(text_of(killed, "a"), "unsynced");
    assert_int_equal(next->boot_id(next->context, now), 0);
    assert_memory_equal(before, now, 16);
    assert_int_not_equal(next->process_id(next->context), env->process_id(env->context));
    htt_file *again = open_on(next, "a", 0);
    assert_int_equal(next->lock(next->context, again, 0, HTT_LOCK_EXCLUSIVE), 0);
    next->close(next->context, again);
    crash_fs_free(killed);

    crash_fs *cut = crash_fs_cut(disk, at, 0, LIMIT);
    next = crash_fs_env(cut);
    assert_string_equal(text_of(cut, "a"), "-");
    assert_non_null(strstr(crash_fs_origin(cut), "lost: create a; lost: write a 0+8"));
    assert_int_equal(next->boot_id(next->context, now), 0);
    assert_memory_not_equal(before, now, 16);
    crash_fs_free(cut);
    env->close(env->context, file);
    crash_fs_free(disk);
}

/* What is on the disk after one crash is durable in the next. */
static void test_crash__a_crash_may_follow_a_crash(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    crash_fs_put_file(disk, "a", "0", 1);
    htt_file *file = open_on(env, "a", 0);
    write_text(env, file, "1", 0);
    crash_fs *kept = crash_fs_cut(disk, crash_fs_position(disk), 1, LIMIT);
    assert_string_equal(text_of(kept, "a"), "1");
    const size_t first = crash_fs_position(kept);
    assert_int_equal(crash_fs_unsynced(kept, first), 0);
    htt_file *next = open_on(crash_fs_env(kept), "a", 0);
    write_text(crash_fs_env(kept), next, "2", 0);
    assert_int_equal(cuts_with(kept, first, "a", "1"), 1);
    assert_int_equal(cuts_with(kept, crash_fs_position(kept), "a", "2"), 1);
    assert_int_equal(cuts_with(kept, crash_fs_position(kept), "a", "0"), 0);
    crash_fs_env(kept)->close(crash_fs_env(kept)->context, next);
    crash_fs_free(kept);
    env->close(env->context, file);
    crash_fs_free(disk);
}

static void test_crash__one_process_dies_and_others_go_on(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    const htt_env *doomed = crash_fs_new_process(disk);
    crash_fs_put_file(disk, "a", "0000", 4);
    htt_file *own = open_on(env, "a", 0);
    htt_file *other = open_on(doomed, "a", 0);
    void *own_map = NULL;
    void *other_map = NULL;
    assert_int_equal(env->map(env->context, own, 4, true, &own_map), 0);
    assert_int_equal(doomed->map(doomed->context, other, 4, true, &other_map), 0);
    memcpy(other_map, "1", 1);
    assert_memory_equal(own_map, "1000", 4);
    assert_int_equal(doomed->lock(doomed->context, other, 0, HTT_LOCK_EXCLUSIVE), 0);
    assert_int_equal(env->lock(env->context, own, 0, HTT_LOCK_EXCLUSIVE), EAGAIN);
    crash_fs_kill_process(disk, doomed);
    assert_int_equal(env->lock(env->context, own, 0, HTT_LOCK_EXCLUSIVE), 0);
    memcpy(other_map, "2", 1); /* tidying up changes nothing that others see */
    assert_memory_equal(own_map, "1000", 4);
    assert_int_equal(doomed->write(doomed->context, other, "x", 1, 0), EIO);
    assert_int_equal(doomed->sync(doomed->context, other), EIO);
    doomed->unlock(doomed->context, other, 0);
    doomed->unmap(doomed->context, other_map, 4);
    doomed->close(doomed->context, other);
    memcpy(own_map, "3", 1);
    env->unmap(env->context, own_map, 4);
    env->close(env->context, own);
    assert_string_equal(text_of(disk, "a"), "3000");
    assert_int_equal(crash_fs_held(disk), 0);
    crash_fs_free(disk);
}

static void test_crash__operations_have_descriptions(void **state) {
    (void)state;
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    htt_file *file = open_on(env, "a", HTT_FILE_CREATE);
    write_text(env, file, "abc", 7);
    assert_int_equal(env->reserve(env->context, file, 100), 0);
    assert_int_equal(env->sync(env->context, file), 0);
    assert_int_equal(env->sync_directory(env->context, "a"), 0);
    static const char *const expected[] = {"create a", "write a 7+3", "reserve a 100", "sync a",
                                           "sync_directory a"};
    assert_int_equal(crash_fs_position(disk), 5);
    for (size_t i = 0; i < 5; i++) {
        char text[64];
        crash_fs_describe(disk, i, text, sizeof text);
        assert_string_equal(text, expected[i]);
    }
    assert_string_equal(crash_fs_origin(disk), "");
    env->close(env->context, file);
    crash_fs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash__disk_reads_what_was_written),
        cmocka_unit_test(test_crash__locks_are_by_open),
        cmocka_unit_test(test_crash__clock_stands_but_for_sleeping),
        cmocka_unit_test(test_crash__a_full_disk_says_so),
        cmocka_unit_test(test_crash__unsynced_writes_are_kept_or_lost_in_all_combinations),
        cmocka_unit_test(test_crash__names_need_a_sync_of_their_directory),
        cmocka_unit_test(test_crash__sizes_are_lost_as_writes_are),
        cmocka_unit_test(test_crash__torn_writes_mix_sectors),
        cmocka_unit_test(test_crash__many_unsynced_writes_are_sampled),
        cmocka_unit_test(test_crash__stores_of_a_mapping_are_kept_zeroed_or_garbage),
        cmocka_unit_test(test_crash__a_power_cut_boots_and_a_kill_does_not),
        cmocka_unit_test(test_crash__a_crash_may_follow_a_crash),
        cmocka_unit_test(test_crash__one_process_dies_and_others_go_on),
        cmocka_unit_test(test_crash__operations_have_descriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "txn_support.h"

#include "base/hash.h"
#include "base/le.h"
#include "txn/metas.h"

/* A disk with two meta pages in a file, and how they are read. */
typedef struct metas_world {
    crash_fs *disk;          /* holds the file */
    htt_metas_source source; /* of it */
    uint8_t *buffer;         /* two pages */
    htt_metas metas;         /* as last read */
    htt_error error;         /* of the last read */
} metas_world;

static void world_open(metas_world *world, uint32_t page_size) {
    htt_meta meta = {.counter = 1};
    memset(world, 0, sizeof *world);
    world->disk = crash_fs_new(3);
    const htt_env *env = crash_fs_env(world->disk);
    world->source = (htt_metas_source){.env = env, .path = TXN_PATH, .page_size = page_size};
    world->source.boot_id[0] = 9;
    world->buffer = malloc(2 * (size_t)page_size);
    assert_int_equal(env->open(env->context, TXN_PATH, HTT_FILE_CREATE, &world->source.file), 0);
    meta.root = (htt_root){.seed = 5, .page_count = 2, .page_size = page_size};
    meta.root.self.epoch = 1;
    memcpy(meta.declaration, "a, b", 5);
    assert_int_equal(htt_metas_create(&world->source, &meta, world->buffer, NULL), HTT_OK);
}

static void world_close(metas_world *world) {
    const htt_env *env = world->source.env;
    env->close(env->context, world->source.file);
    free(world->buffer);
    txn_free_disk(world->disk);
}

static htt_rc world_read(metas_world *world) {
    return htt_metas_read(&world->source, world->buffer, &world->metas, &world->error);
}

/* Writes a meta page with this counter and epoch; weak when boot is not 0. */
static void world_write(metas_world *world, uint32_t slot, uint64_t counter, uint64_t epoch,
                        uint8_t boot) {
    htt_meta meta = {.number = slot, .counter = counter};
    meta.root = (htt_root){.seed = 5, .page_count = 2, .page_size = world->source.page_size};
    meta.root.self.epoch = epoch;
    meta.boot_id[0] = boot;
    assert_int_equal(htt_metas_write(&world->source, &meta, true, world->buffer, NULL), HTT_OK);
}

static void world_poke(metas_world *world, uint64_t offset, const void *bytes, size_t size) {
    const htt_env *env = world->source.env;
    assert_int_equal(env->write(env->context, world->source.file, bytes, size, offset), 0);
}

static void test_metas__the_larger_counter_holds(void **state) {
    (void)state;
    metas_world world;
    world_open(&world, 4096);
    assert_int_equal(world_read(&world), HTT_OK);
    assert_int_equal(world.metas.newest, 1); /* page 1 is the newer of a new file */
    assert_string_equal(world.metas.meta[0].declaration, "a, b");
    world_write(&world, 0, 7, 2, 0);
    assert_int_equal(world_read(&world), HTT_OK);
    assert_int_equal(world.metas.newest, 0);
    assert_int_equal(world.metas.meta[0].root.self.epoch, 2);
    world_close(&world);
}

static void test_metas__a_weak_page_counts_while_its_system_runs(void **state) {
    (void)state;
    metas_world world;
    world_open(&world, 4096);
    world_write(&world, 0, 7, 2, 9);
    assert_int_equal(world_read(&world), HTT_OK);
    assert_int_equal(world.metas.newest, 0);
    world.source.ignore_weak = true;
    assert_int_equal(world_read(&world), HTT_OK);
    assert_int_equal(world.metas.newest, 1);
    world.source.ignore_weak = false;
    world.source.boot_id[0] = 10;
    assert_int_equal(world_read(&world), HTT_OK);
    assert_int_equal(world.metas.newest, 1);
    memset(world.source.boot_id, 0, 16); /* unknown */
    assert_int_equal(world_read(&world), HTT_OK);
    assert_int_equal(world.metas.newest, 1);
    world_write(&world, 1, 8, 3, 9);
    assert_int_equal(world_read(&world), HTT_CORRUPT);
    assert_non_null(strstr(world.error.text, "not synced"));
    world.source.ignore_weak = true; /* the system did not stop */
    assert_int_equal(world_read(&world), HTT_CORRUPT);
    assert_non_null(strstr(world.error.text, "a sync of 'kv.htt' failed"));
    assert_null(strstr(world.error.text, "system stopped"));
    world_close(&world);
}

static void test_metas__one_damaged_page_does_not_matter(void **state) {
    (void)state;
    for (uint32_t slot = 0; slot < 2; slot++) {
        metas_world world;
        world_open(&world, 8192);
        world_poke(&world, slot * 8192 + 8000, "x", 1);
        assert_int_equal(world_read(&world), HTT_OK);
        assert_int_equal(world.metas.newest, 1 - slot);
        assert_int_equal(world.metas.state[slot], HTT_META_DAMAGED);
        world_poke(&world, (1 - slot) * 8192 + 100, "x", 1);
        assert_int_equal(world_read(&world), HTT_CORRUPT);
        assert_non_null(strstr(world.error.text, TXN_PATH));
        world_close(&world);
    }
}

static void test_metas__a_newer_version_in_either_page_is_refused(void **state) {
    (void)state;
    for (uint32_t slot = 0; slot < 2; slot++) {
        metas_world world;
        htt_metas_found found;
        uint32_t page_size;
        world_open(&world, 4096);
        size_t size;
        uint8_t *bytes = crash_fs_get_file(world.disk, TXN_PATH, &size);
        uint8_t *page = bytes + slot * 4096;
        le16_put(page + 22, HTT_META_FORMAT_VERSION + 1);
        le64_put(page + 8, htt_hash_bytes(page + 16, 4096 - 16));
        world_poke(&world, slot * 4096, page, 4096);
        free(bytes);
        assert_int_equal(world_read(&world), HTT_NEWER);
        if (slot == 0)
            assert_int_equal(
                htt_metas_probe(&world.source, &found, &page_size, &world.error), HTT_NEWER);
        world_close(&world);
    }
}

static void test_metas__the_page_size_is_found_without_page_0(void **state) {
    (void)state;
    for (uint32_t page_size = 4096; page_size <= 65536; page_size *= 2) {
        static const uint8_t rubbish[4096] = {1, 2, 3};
        htt_metas_found found;
        uint32_t size = 0;
        metas_world world;
        world_open(&world, page_size);
        assert_int_equal(htt_metas_probe(&world.source, &found, &size, NULL), HTT_OK);
        assert_int_equal(size, page_size);
        world_poke(&world, 0, rubbish, sizeof rubbish);
        size = 0;
        assert_int_equal(htt_metas_probe(&world.source, &found, &size, NULL), HTT_OK);
        assert_int_equal(found, HTT_METAS_THERE);
        assert_int_equal(size, page_size);
        assert_int_equal(world_read(&world), HTT_OK);
        world_close(&world);
    }
}

static htt_rc metas_probe_bytes(const void *bytes, size_t size, htt_metas_found *found_out) {
    crash_fs *disk = crash_fs_new(1);
    const htt_env *env = crash_fs_env(disk);
    htt_metas_source source = {.env = env, .path = TXN_PATH};
    uint32_t page_size;
    crash_fs_put_file(disk, TXN_PATH, bytes, size);
    assert_int_equal(env->open(env->context, TXN_PATH, HTT_FILE_READ, &source.file), 0);
    const htt_rc rc = htt_metas_probe(&source, found_out, &page_size, NULL);
    env->close(env->context, source.file);
    txn_free_disk(disk);
    return rc;
}

static void test_metas__tells_foreign_empty_cut_and_unfinished_files_apart(void **state) {
    (void)state;
    uint8_t *bytes = calloc(1, 1 << 20);
    htt_metas_found found = HTT_METAS_THERE;
    assert_int_equal(metas_probe_bytes(bytes, 0, &found), HTT_OK);
    assert_int_equal(found, HTT_METAS_EMPTY);
    assert_int_equal(metas_probe_bytes(bytes, 100, &found), HTT_NOTHTT);
    assert_int_equal(metas_probe_bytes(bytes, 1 << 20, &found), HTT_NOTHTT);
    assert_int_equal(metas_probe_bytes("SQLite format 3", 16, &found), HTT_NOTHTT);
    assert_int_equal(metas_probe_bytes(bytes, 131072, &found), HTT_OK);
    assert_int_equal(found, HTT_METAS_UNFINISHED);
    found = HTT_METAS_THERE;
    assert_int_equal(metas_probe_bytes(bytes, 8192, &found), HTT_OK);
    assert_int_equal(found, HTT_METAS_UNFINISHED);
    bytes[4096 + 1000] = 1; /* no meta page has anything there */
    assert_int_equal(metas_probe_bytes(bytes, 8192, &found), HTT_NOTHTT);
    memcpy(bytes, HTT_META_MAGIC, 8);
    assert_int_equal(metas_probe_bytes(bytes, 8, &found), HTT_CORRUPT);
    assert_int_equal(metas_probe_bytes(bytes, 4000, &found), HTT_CORRUPT);
    assert_int_equal(metas_probe_bytes(bytes, 8192, &found), HTT_CORRUPT);
    free(bytes);
}

static void test_metas__a_second_write_leaves_the_zeros_behind_alone(void **state) {
    (void)state;
    metas_world world;
    world_open(&world, 65536);
    const size_t before = crash_fs_position(world.disk);
    htt_meta meta = {.number = 1, .counter = 50};
    char text[100];
    meta.root = (htt_root){.page_count = 2, .page_size = 65536};
    meta.root.self.epoch = 3;
    assert_int_equal(htt_metas_write(&world.source, &meta, false, world.buffer, NULL), HTT_OK);
    crash_fs_describe(world.disk, before, text, sizeof text);
    assert_non_null(strstr(text, "65536+4096"));
    assert_int_equal(world_read(&world), HTT_OK);
    assert_int_equal(world.metas.meta[1].root.self.epoch, 3);
    world_close(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metas__the_larger_counter_holds),
        cmocka_unit_test(test_metas__a_weak_page_counts_while_its_system_runs),
        cmocka_unit_test(test_metas__one_damaged_page_does_not_matter),
        cmocka_unit_test(test_metas__a_newer_version_in_either_page_is_refused),
        cmocka_unit_test(test_metas__the_page_size_is_found_without_page_0),
        cmocka_unit_test(test_metas__tells_foreign_empty_cut_and_unfinished_files_apart),
        cmocka_unit_test(test_metas__a_second_write_leaves_the_zeros_behind_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

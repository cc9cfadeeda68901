/* SPDX-License-Identifier: MIT */
/* The way from a file to its host, as text. */
#include "txn_support.h"

#include "txn/host.h"

typedef struct path_case {
    const char *file; /* of the store */
    const char *host; /* of the database */
    const char *way;  /* from the folder of the first to the second */
} path_case;

static void path_expect(const path_case *cases, size_t count) {
    char way[HTT_HOST_PATH_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        assert_true(htt_host_path_relative(cases[i].file, cases[i].host, way));
        if (strcmp(way, cases[i].way) != 0)
            fail_msg("%s, %s: '%s', it should be '%s'", cases[i].file, cases[i].host, way,
                     cases[i].way);
    }
}

static void test_host_path__files_that_are_moved_together_keep_their_way(void **state) {
    (void)state;
    static const path_case cases[] = {
        {"/data/a/kv.htt", "/data/a/app.db", "app.db"},
        {"/data/b/c/kv.htt", "/data/b/c/app.db", "app.db"},
        {"/data/a/kv.htt", "/data/db/app.db", "../db/app.db"},
        {"/data/a/b/kv.htt", "/data/app.db", "../../app.db"},
        {"/data/kv.htt", "/data/a/b/app.db", "a/b/app.db"},
        {"/kv.htt", "/app.db", "app.db"},
        {"/kv.htt", "/a/app.db", "a/app.db"},
        {"/a/kv.htt", "/app.db", "../app.db"},
        {"/data/ab/kv.htt", "/data/a/app.db", "../a/app.db"}, /* a part, not letters */
        {"/data/a/kv.htt", "/data/ab/app.db", "../ab/app.db"},
    };
    path_expect(cases, sizeof cases / sizeof *cases);
}

static void test_host_path__dots_and_slashes_make_no_difference(void **state) {
    (void)state;
    static const path_case cases[] = {
        {"/data/./a//kv.htt", "//data/a/./app.db", "app.db"},
        {"/data/x/../a/kv.htt", "/data/a/app.db", "app.db"},
        {"/data/a/kv.htt", "/data/a/b/../../db/app.db", "../db/app.db"},
        {"/../../a/kv.htt", "/a/app.db", "app.db"}, /* nothing is above the root */
        {"/a/.hidden/kv.htt", "/a/..b/app.db", "../..b/app.db"},
        {"/a/kv.htt", "/a/app.db/", "app.db"},
    };
    path_expect(cases, sizeof cases / sizeof *cases);
}

static void test_host_path__without_a_common_root_the_host_stands_as_it_is(void **state) {
    (void)state;
    static const path_case cases[] = {
        {"kv.htt", "/data/app.db", "/data/app.db"},
        {"/data/kv.htt", "app.db", "app.db"},
        {"kv.htt", "./x/../app.db", "./x/../app.db"},
        {"/", "/data/app.db", "/data/app.db"},
    };
    path_expect(cases, sizeof cases / sizeof *cases);
}

static void test_host_path__a_file_named_like_the_folder_of_the_other_is_not_it(void **state) {
    (void)state;
    static const path_case cases[] = {
        {"/a/b", "/a/b/app.db", "b/app.db"},
        {"/a/b/kv.htt", "/a/b", "../b"},
        {"/a/kv.htt", "/a/kv.htt", "kv.htt"},
    };
    path_expect(cases, sizeof cases / sizeof *cases);
}

static void test_host_path__what_does_not_fit_is_refused(void **state) {
    (void)state;
    char host[HTT_HOST_PATH_MAX + 100], way[HTT_HOST_PATH_MAX + 1];
    for (size_t size = HTT_HOST_PATH_MAX - 3; size <= HTT_HOST_PATH_MAX + 3; size++) {
        memset(host, 'x', size + 3);
        memcpy(host, "/a/", 3);
        host[size + 3] = '\0';
        assert_int_equal(htt_host_path_relative("/a/kv.htt", host, way),
                         size <= HTT_HOST_PATH_MAX);
        if (size <= HTT_HOST_PATH_MAX)
            assert_int_equal(strlen(way), size);
        host[size] = '\0'; /* as it is */
        assert_int_equal(htt_host_path_relative("kv.htt", host, way), size <= HTT_HOST_PATH_MAX);
    }
    /* Many parts: as it is, too. */
    char deep[2 * (HTT_HOST_PARTS_MAX + 2) + 1];
    for (size_t parts = HTT_HOST_PARTS_MAX - 1; parts <= HTT_HOST_PARTS_MAX + 1; parts++) {
        for (size_t i = 0; i < parts; i++)
            memcpy(deep + 2 * i, "/y", 2);
        deep[2 * parts] = '\0';
        const bool fits = htt_host_path_relative("/kv.htt", deep, way);
        assert_int_equal(fits, 2 * parts <= HTT_HOST_PATH_MAX || parts <= HTT_HOST_PARTS_MAX);
        if (fits)
            assert_int_equal(way[0], parts <= HTT_HOST_PARTS_MAX ? 'y' : '/');
    }
    /* As many steps up as fit. */
    deep[2 * 160] = '\0';
    assert_true(htt_host_path_relative(deep, "/app.db", way));
    assert_int_equal(strlen(way), 3 * 159 + 6);
    deep[2 * 160] = '/';
    deep[2 * 190] = '\0';
    assert_false(htt_host_path_relative(deep, "/app.db", way));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_path__files_that_are_moved_together_keep_their_way),
        cmocka_unit_test(test_host_path__dots_and_slashes_make_no_difference),
        cmocka_unit_test(test_host_path__without_a_common_root_the_host_stands_as_it_is),
        cmocka_unit_test(test_host_path__a_file_named_like_the_folder_of_the_other_is_not_it),
        cmocka_unit_test(test_host_path__what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Tests of base/error.c: results of errno values, and texts that fit and stay on one line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

static void test_error__set_fills_result_and_text(void **state) {
    (void)state;
    htt_error error;
    memset(&error, 0xee, sizeof error);
    assert_int_equal(htt_error_set(&error, HTT_MISUSE, "key of %d bytes", 7), HTT_MISUSE);
    assert_int_equal(error.rc, HTT_MISUSE);
    assert_int_equal(error.page, 0);
    assert_string_equal(error.text, "key of 7 bytes");
    htt_error_clear(&error);
    assert_int_equal(error.rc, HTT_OK);
    assert_string_equal(error.text, "");
}

static void test_error__page_is_named_in_the_text(void **state) {
    (void)state;
    htt_error error;
    assert_int_equal(htt_error_page(&error, HTT_CORRUPT, 17, "bad type '%c'", 'q'), HTT_CORRUPT);
    assert_int_equal(error.page, 17);
    assert_string_equal(error.text, "page 17: bad type 'q'");
}

static void test_error__null_is_allowed_everywhere(void **state) {
    (void)state;
    htt_error_clear(NULL);
    assert_int_equal(htt_error_set(NULL, HTT_BUSY, "x"), HTT_BUSY);
    assert_int_equal(htt_error_page(NULL, HTT_CORRUPT, 1, "x"), HTT_CORRUPT);
    assert_int_equal(htt_error_errno(NULL, HTT_IO, ENOSPC, "x"), HTT_FULL);
}

static void test_error__long_text_is_cut_between_characters(void **state) {
    (void)state;
    htt_error error;
    char text[2000];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2); /* a letter of two bytes */
    }
    text[sizeof text - 2] = '\0';
    for (int shift = 0; shift < 2; shift++) {
        (void)htt_error_set(&error, HTT_MISUSE, "%s%s", shift == 0 ? "" : "x", text);
        const size_t length = strlen(error.text);
        assert_in_range(length, sizeof error.text - 4, sizeof error.text - 1);
        assert_int_equal((unsigned char)error.text[length - 1], 0xa4);
    }
    (void)htt_error_errno(&error, HTT_IO, EIO, "%s", text);
    assert_true(strlen(error.text) < sizeof error.text);
    (void)htt_error_page(&error, HTT_CORRUPT, UINT32_MAX, "%s", text);
    assert_true(strlen(error.text) < sizeof error.text);
}

static void test_error__line_breaks_become_spaces(void **state) {
    (void)state;
    htt_error error;
    (void)htt_error_set(&error, HTT_CANTOPEN, "cannot open %s", "a\nb\tc\x7f");
    assert_string_equal(error.text, "cannot open a b c ");
}

static void test_error__errno_text_follows_the_given_one(void **state) {
    (void)state;
    htt_error error;
    assert_int_equal(htt_error_errno(&error, HTT_CANTOPEN, ENOENT, "open %s", "kv.htt"),
                     HTT_CANTOPEN);
    assert_string_equal(error.text, "open kv.htt: No such file or directory");
}

typedef struct errno_case {
    int number;   /* errno */
    htt_rc io;    /* result for HTT_IO */
    htt_rc write; /* for HTT_READONLY */
    htt_rc open;  /* for HTT_CANTOPEN */
} errno_case;

static void test_error__errno_values_map_by_what_was_tried(void **state) {
    (void)state;
    static const errno_case cases[] = {
        {ENOSPC, HTT_FULL, HTT_FULL, HTT_FULL},      {EDQUOT, HTT_FULL, HTT_FULL, HTT_FULL},
        {EFBIG, HTT_FULL, HTT_FULL, HTT_FULL},       {ENOMEM, HTT_NOMEM, HTT_NOMEM, HTT_NOMEM},
        {EROFS, HTT_IO, HTT_READONLY, HTT_CANTOPEN}, {EACCES, HTT_IO, HTT_READONLY, HTT_CANTOPEN},
        {EPERM, HTT_IO, HTT_READONLY, HTT_CANTOPEN}, {EIO, HTT_IO, HTT_IO, HTT_IO},
        {ENOENT, HTT_IO, HTT_IO, HTT_CANTOPEN},      {ELOOP, HTT_IO, HTT_IO, HTT_CANTOPEN},
        {EMFILE, HTT_IO, HTT_IO, HTT_CANTOPEN},      {EEXIST, HTT_IO, HTT_IO, HTT_EXISTS},
        {EINVAL, HTT_IO, HTT_IO, HTT_CANTOPEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(htt_error_from_errno(HTT_IO, cases[i].number), cases[i].io);
        assert_int_equal(htt_error_from_errno(HTT_READONLY, cases[i].number), cases[i].write);
        assert_int_equal(htt_error_from_errno(HTT_CANTOPEN, cases[i].number), cases[i].open);
    }
}

static void test_error__every_result_has_a_name_of_its_own(void **state) {
    (void)state;
    for (int rc = HTT_OK; rc <= (int)HTT_SQL; rc++) {
        assert_non_null(htt_strerror((htt_rc)rc));
        assert_string_not_equal(htt_strerror((htt_rc)rc), "unknown result");
        for (int other = HTT_OK; other < rc; other++) {
            assert_string_not_equal(htt_strerror((htt_rc)rc), htt_strerror((htt_rc)other));
        }
    }
    assert_string_equal(htt_strerror((htt_rc)(HTT_SQL + 1)), "unknown result");
    assert_string_equal(htt_version(), HTT_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error__set_fills_result_and_text),
        cmocka_unit_test(test_error__page_is_named_in_the_text),
        cmocka_unit_test(test_error__null_is_allowed_everywhere),
        cmocka_unit_test(test_error__long_text_is_cut_between_characters),
        cmocka_unit_test(test_error__line_breaks_become_spaces),
        cmocka_unit_test(test_error__errno_text_follows_the_given_one),
        cmocka_unit_test(test_error__errno_values_map_by_what_was_tried),
        cmocka_unit_test(test_error__every_result_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

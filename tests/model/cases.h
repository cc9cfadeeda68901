/* SPDX-License-Identifier: MIT */
/*
 * The searches that the tests run.
 */
#ifndef HTT_TESTS_MODEL_CASES_H
#define HTT_TESTS_MODEL_CASES_H

struct model_case {
    const char *suite;   /* "short" or "long" */
    const char *name;    /* what is searched */
    const char *modes;   /* enum mode as digits: one search for each */
    const char *without; /* the rule that is left out, or NULL */
    const char *breaks;  /* the invariant that then must be violated */
    const char *options; /* the bounds */
};

extern const struct model_case model_cases[]; /* the last has no name */

#endif

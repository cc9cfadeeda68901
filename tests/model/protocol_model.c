/* SPDX-License-Identifier: MIT */
/*
 * An explicit-state model of the hosted protocol: how a SQLite database that holds the root and the
 * .htt file beside it stay one, through kills, power losses, copies and each other's readers.
 * docs/durability.md gives the rules and the reasons, docs/model.md what is modelled and the
 * figures. Change a rule here first, and see what breaks.
 *
 *   protocol_model short|long             the cases of cases.c, as ctest runs them
 *   protocol_model list                   their names, the rules and the bounds
 *   protocol_model name=value...          one search; without=RULE leaves a rule out
 *
 * The files: model.h the state; state.c normal form and questions; invariants.c; search.c;
 * host.c SQLite; file.c, fold.c, table.c, reader.c what the processes do; fault.c what goes wrong.
 *
 * What must hold. The first is the promise to readers, the last two to those who DROP a table;
 * the others are what the promises to writers are made of.
 *
 *   MODEL-1  A reader that has verified reads only pages of its root.
 *   MODEL-2  While the file has its name it has a valid meta page, and the newest names its pages.
 *   MODEL-3  The root that the host shows, and the base of every fold, has its pages.
 *   MODEL-4  The meta never names a root that the host may lose.
 *   MODEL-5  A commit that SQLite acknowledged as durable is never lost.
 *   MODEL-6  No outbox row is applied twice.
 *   MODEL-7  A host that was neither copied nor exchanged is never refused.
 *   MODEL-8  A live row that the host may fall back to has its file, and owns it.
 *   MODEL-9  The file of a dropped table holds everything, and later standalone commits stay.
 *
 * With a host that was copied or exchanged, or a checkpointer that does not sync, MODEL-4, 5, 7 and
 * 8 cannot hold; what is left says that this ends in an error and not in wrong rows.
 */
#include "model.h"
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define DEFAULT_RULE(name, text) model.rule.name = true;
#define DEFAULT_BOUND(name, value, text) model.bound.name = value;
#define PRINT_RULE(name, text) printf("  %-20s %s\n", #name, text);
#define PRINT_BOUND(name, value, text) printf("  %-12s %3d  %s\n", #name, value, text);
#define COUNT_UNUSED(name, text) failed += rule_unused(#name);
#define RULE_OFF(rule_name, text) \
    if (strcmp(name, #rule_name) == 0) { \
        model.rule.rule_name = false; \
        return true; \
    }
#define BOUND_SET(bound_name, default_value, text) \
    if (strcmp(name, #bound_name) == 0) { \
        model.bound.bound_name = value; \
        return true; \
    }

static bool rule_off(const char *name) {
    MODEL_RULES(RULE_OFF)
    return false;
}

static bool bound_set(const char *name, int value) {
    MODEL_BOUNDS(BOUND_SET)
    return false;
}

static void model_default(void) {
    MODEL_RULES(DEFAULT_RULE)
    MODEL_BOUNDS(DEFAULT_BOUND)
}

/* Words name=value, separated by blanks. */
static void model_set(const char *options) {
    char copy[256], *rest = NULL;

    snprintf(copy, sizeof(copy), "%s", options);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        bool known = false;
        if (value) {
            *value++ = '\0';
            known = strcmp(word, "without") == 0 ? rule_off(value)
                                                 : bound_set(word, (int)strtol(value, NULL, 10));
        }
        if (!known) {
            fprintf(stderr, "unknown: %s; see protocol_model list\n", word);
            exit(2);
        }
    }
}

static const char *const mode_names[] = {"WAL NORMAL", "WAL FULL", "DELETE"};

static void report_print(const char *name, const struct report *r) {
    static const char *const outcomes[] = {"no violation", "", "stopped at the limit"};

    printf("%-34s %-10s %9zu states %9zu steps %3d deep %6.1f s  %s\n", name,
           mode_names[model.bound.mode], r->states, r->transitions, r->depth, r->seconds,
           r->outcome == SEARCH_VIOLATED ? r->violation : outcomes[r->outcome]);
    fflush(stdout);
}

/* One search; false if it did not end as it should. */
static bool case_search(const struct model_case *c, char mode, bool leave_out, bool again) {
    struct report r;
    char name[80];
    bool right;

    model_default();
    model_set(c->options);
    model.bound.mode = mode - '0';
    snprintf(name, sizeof(name), "%s", c->name);
    if (c->without && leave_out) {
        rule_off(c->without);
        snprintf(name, sizeof(name), "without %s", c->without);
    } else if (c->without) {
        snprintf(name, sizeof(name), "  the same with it");
    }
    search_run(&r, again);
    report_print(name, &r);
    if (c->without && leave_out)
        right = r.outcome == SEARCH_VIOLATED && strncmp(r.violation, c->breaks, 7) == 0;
    else
        right = r.outcome == SEARCH_PASSED;
    if (!right && !again) {
        printf("FAILED: expected %s; options %s\n",
               c->without && leave_out ? c->breaks : "no violation", c->options);
        case_search(c, mode, leave_out, true);
    }
    return right;
}

/* Has the suite searched these bounds in this mode already, with all rules? */
static bool case_seen(const struct model_case *c, char mode) {
    for (const struct model_case *b = model_cases; b < c; b++) {
        if (strcmp(b->suite, c->suite) == 0 && strcmp(b->options, c->options) == 0 &&
            strchr(b->modes, mode))
            return true;
    }
    return false;
}

/* Every rule must have a case that shows what it is for. */
static int rule_unused(const char *rule) {
    for (const struct model_case *c = model_cases; c->name; c++) {
        if (c->without && strcmp(c->without, rule) == 0)
            return 0;
    }
    printf("FAILED: no case leaves out the rule %s\n", rule);
    return 1;
}

/* A case with a rule left out is also run with it: the bounds are the same, so the rule decides. */
static int suite_run(const char *suite) {
    int failed = 0;
    struct rusage usage;

    for (const struct model_case *c = model_cases; c->name; c++) {
        if (strcmp(c->suite, suite) != 0)
            continue;
        for (const char *mode = c->modes; *mode; mode++) {
            if (c->without)
                failed += !case_search(c, *mode, true, false);
            if (!case_seen(c, *mode))
                failed += !case_search(c, *mode, false, false);
        }
    }
    MODEL_RULES(COUNT_UNUSED)
    getrusage(RUSAGE_SELF, &usage);
    printf("%d failed; at most %ld MiB\n", failed, usage.ru_maxrss / 1024);
    return failed ? 1 : 0;
}

int main(int argc, char **argv) {
    struct report r;

    if (argc < 2 || strcmp(argv[1], "list") == 0) {
        printf("rules\n");
        MODEL_RULES(PRINT_RULE)
        printf("bounds, their defaults\n");
        MODEL_BOUNDS(PRINT_BOUND)
        printf("cases\n");
        for (const struct model_case *c = model_cases; c->name; c++)
            printf("  %-5s %-3s %s%s: %s\n", c->suite, c->modes, c->without ? "without " : "",
                   c->without ? c->without : c->name, c->options);
        return argc < 2 ? 2 : 0;
    }
    if (!strchr(argv[1], '='))
        return suite_run(argv[1]);
    model_default();
    for (int i = 1; i < argc; i++)
        model_set(argv[i]);
    search_run(&r, true);
    report_print("search", &r);
    return (int)r.outcome;
}

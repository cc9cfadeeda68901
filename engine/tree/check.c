/* SPDX-License-Identifier: MIT */
/*
 * The check of a whole state: every page of [2, page_count) is used exactly once, by the tree, an
 * overflow run or the free list; counts are right; deep: every record is where its hash leads
 * (TREE-1), every run's checksum holds, every salt is new on its path (TREE-2).
 *
 * A `use` per page says who uses it. Index pages are used by one parent node (TREE-3), once per
 * sub-page: the use is then the parent, so that another parent shows.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/value.h"
#include "page/run.h"
#include "tree/internal.h"

enum { CHECK_USED = 1 }; /* a use that is not by a parent: those are larger */

typedef struct check_state {
    const htt_env *env;      /* whose memory */
    htt_view *view;          /* read through */
    htt_view record_view;    /* the same with pins of one record: its runs may be large */
    htt_pins record_pins;    /* those */
    const htt_root *root;    /* what is checked */
    bool deep;               /* also records and runs */
    bool stopped;            /* the report asked for it */
    htt_check_report report; /* told */
    void *arg;               /* of report */
    uint64_t problems;       /* so far */
    uint64_t keys;           /* records seen */
    uint64_t bytes;          /* payload seen */
    uint64_t free_pages;     /* named by the free list */
    uint64_t *uses;          /* one per page: 0, CHECK_USED, or (parent page << 8 | sub) + 2 */
    htt_walker walker;       /* where the check is */
} check_state;

static void check_problem(check_state *check, uint32_t page, const char *format, ...)
    HTT_PRINTF(3, 4);

static void check_problem(check_state *check, uint32_t page, const char *format, ...) {
    char text[480];
    va_list arguments;
    if (check->stopped)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* cut when longer */
    va_end(arguments);
    check->problems++;
    if (check->report != NULL && check->report(check->arg, page, text) != 0)
        check->stopped = true;
}

/* The error that reading a page left behind, as a problem. Other results end the check. */
static htt_rc check_read(check_state *check, uint32_t page, htt_rc rc) {
    assert(rc != HTT_OK);
    /* Under a pin no page is reused: a stamp from the future is damage like any other. */
    if (rc != HTT_CORRUPT && rc != HTT_SNAPSHOT)
        return rc;
    check_problem(check, page, "%s", check->view->error->text);
    return HTT_OK;
}

/* False: a page was outside of the store, or used already. */
static bool check_use(check_state *check, uint32_t first, uint64_t count, uint64_t use,
                      const char *who) {
    bool sound = true;
    assert(use != 0);
    for (uint64_t page = first; page < first + count && !check->stopped; page++) {
        if (page < 2 || page >= check->root->page_count) {
            check_problem(check, (uint32_t)page, "page %llu, named by %s, is outside of the store",
                          (unsigned long long)page, who);
            return false;
        }
        if (check->uses[page] != 0 && !(use > CHECK_USED && check->uses[page] == use)) {
            check_problem(check, (uint32_t)page, "page %llu is used twice, now by %s",
                          (unsigned long long)page, who);
            sound = false;
        }
        check->uses[page] = use;
    }
    return sound;
}

/* TREE-3: each node of an index page is named by one child of `parent`. Once per index page. */
static void check_sub_pages(check_state *check, uint32_t number, const uint8_t *page,
                            const uint8_t *parent) {
    bool seen[HTT_SUBPAGES_MAX + 1] = {false};
    uint32_t named = 0;
    for (uint32_t i = 0; i < htt_node_count(parent); i++) {
        htt_ref ref = htt_node_child(parent, i);
        if (ref.page != number)
            continue;
        if (seen[ref.sub])
            check_problem(check, number, "sub-page %u is used twice", ref.sub);
        named += !seen[ref.sub];
        seen[ref.sub] = true;
    }
    if (named != htt_page_count(page))
        check_problem(check, number, "%u sub-pages are used where %u are there", named,
                      htt_page_count(page));
}

static void check_node(check_state *check, const htt_tree_place *place) {
    const htt_walker *walker = &check->walker;
    const uint8_t *page, *node = NULL;
    uint64_t use = CHECK_USED;
    assert(!place->is_data && place->depth < HTT_DEPTH_MAX);
    assert(walker->depth == place->depth + 1); /* the walker is below the node already */
    for (uint32_t i = 0; i < place->depth; i++) {
        if (htt_path_open(check->view, walker->steps[i].ref, &page, &node) == HTT_OK &&
            node != NULL && htt_node_salt(node) == htt_node_salt(place->bytes)) /* TREE-2 */
            check_problem(check, place->page, "salt %u occurs twice on a path",
                          htt_node_salt(place->bytes));
    }
    if (place->sub != 0 && place->depth > 0) {
        htt_ref parent = walker->steps[place->depth - 1].ref;
        use = ((uint64_t)parent.page << 8 | parent.sub) + CHECK_USED + 1;
        if (node != NULL && check->uses[place->page] == 0)
            check_sub_pages(check, place->page, place->page_bytes, node);
    }
    (void)check_use(check, place->page, 1, use, "the index");
}

static htt_rc check_runs(check_state *check, uint32_t number, const htt_record *record,
                         htt_overflow *overflow) {
    uint64_t length = 0;
    assert(record->overflow);
    htt_rc rc = htt_tree_overflow(check->view, record, overflow);
    if (rc != HTT_OK)
        return check_read(check, number, rc);
    for (uint32_t i = 0; rc == HTT_OK && i < overflow->count; i++) {
        const uint8_t *run;
        (void)check_use(check, overflow->runs[i].first, overflow->runs[i].pages, CHECK_USED,
                        "an overflow run");
        if (!check->deep)
            continue;
        rc = htt_view_run(&check->record_view, overflow->runs[i].first, overflow->runs[i].pages,
                          &run);
        if (rc == HTT_OK)
            length += htt_run_length(run);
        else
            return check_read(check, overflow->runs[i].first, rc);
    }
    uint64_t wanted = overflow->value_size + (record->key_external ? record->key_size : 0);
    if (check->deep && length != wanted)
        check_problem(check, number, "overflow runs hold %llu bytes where the record says %llu",
                      (unsigned long long)length, (unsigned long long)wanted);
    return HTT_OK;
}

/* TREE-1: the hash of the record leads to the page it is in. */
static htt_rc check_record_place(check_state *check, uint32_t number, uint32_t index,
                                 uint8_t fingerprint, const htt_record *record) {
    htt_tree_buffer buffer = {check->env, NULL, 0};
    htt_path path;
    htt_datum key;
    assert(check->deep);
    htt_rc rc = htt_tree_key(&check->record_view, record, &buffer, &key);
    if (rc == HTT_OK)
        path.hash = htt_path_hash(check->view, key);
    buffer.env->release(buffer.env->context, buffer.bytes);
    if (rc != HTT_OK)
        return check_read(check, number, rc);
    if (record->key_external &&
        (le64_get(record->key) != path.hash.low || le64_get(record->key + 8) != path.hash.high))
        check_problem(check, number, "record %u has another hash than its key", index);
    if (htt_hash_fingerprint(path.hash) != fingerprint)
        check_problem(check, number, "record %u has another fingerprint than its key", index);
    rc = htt_path_find(&check->record_view, check->root->page, &path);
    if (rc != HTT_OK)
        return check_read(check, number, rc);
    if (path.leaf.page != number)
        check_problem(check, number, "record %u belongs into page %u", index, path.leaf.page);
    return HTT_OK;
}

static htt_rc check_data(check_state *check, const htt_tree_place *place) {
    uint32_t page_size = check->view->page_size;
    uint32_t count = htt_page_count(place->bytes);
    htt_rc rc = HTT_OK;
    htt_fault fault;
    assert(place->is_data);
    assert(check->record_pins.count == 0);
    (void)check_use(check, place->page, 1, CHECK_USED, "the index");
    if (check->deep && !htt_data_check(place->bytes, page_size, true, &fault))
        check_problem(check, place->page, "%s (at byte %u)", fault.reason, fault.offset);
    for (uint32_t i = 0; rc == HTT_OK && i < count && !check->stopped; i++) {
        htt_record record;
        htt_overflow overflow = {0};
        if (!htt_data_record(place->bytes, page_size, i, &record, &fault)) {
            check_problem(check, place->page, "record %u: %s (at byte %u)", i, fault.reason,
                          fault.offset);
            continue;
        }
        overflow.value_size = record.value_size;
        if (record.overflow)
            rc = check_runs(check, place->page, &record, &overflow);
        if (rc == HTT_OK && check->deep)
            rc = check_record_place(check, place->page, i, htt_data_fingerprint(place->bytes, i),
                                    &record);
        htt_pins_drop(check->view->pages, &check->record_pins);
        check->keys++;
        check->bytes += record.key_size + overflow.value_size;
    }
    return rc;
}

/* The root record names not only the root page but also its checksum. */
static htt_rc check_root_page(check_state *check) {
    const htt_root *root = check->root;
    const uint8_t *page;
    if (root->page == 0)
        return HTT_OK;
    htt_rc rc = htt_view_page(check->view, root->page, &page);
    if (rc != HTT_OK)
        return check_read(check, root->page, rc);
    if (le64_get(page + HTT_PAGE_CHECKSUM) != root->page_checksum)
        check_problem(check, root->page, "the root page is not the one of the root record");
    return HTT_OK;
}

static htt_rc check_tree(check_state *check) {
    htt_tree_root root = {check->root->page, check->root->keys, check->root->bytes};
    htt_tree_place place;
    htt_rc rc = HTT_OK;
    htt_walker_begin(&check->walker, check->view, &root);
    while (rc == HTT_OK && !check->stopped) {
        htt_pins_drop(check->view->pages, check->view->pins);
        rc = htt_walker_next(&check->walker, &place);
        if (rc == HTT_CORRUPT || rc == HTT_SNAPSHOT) {
            /* Whoever named the page uses it, though it cannot be read. */
            if (place.page >= 2 && place.page < check->root->page_count)
                check->uses[place.page] = CHECK_USED;
            rc = check_read(check, place.page, rc);
            if (check->walker.left == 0)
                break;
        } else if (rc == HTT_OK && place.is_data) {
            rc = check_data(check, &place);
        } else if (rc == HTT_OK) {
            check_node(check, &place);
        }
    }
    assert(rc != HTT_NOTFOUND || check->walker.depth == 0);
    return rc == HTT_NOTFOUND ? HTT_OK : rc;
}

static htt_rc check_free_list(check_state *check) {
    uint32_t next = check->root->free_head;
    while (next != 0 && !check->stopped) {
        const uint8_t *page;
        htt_pins_drop(check->view->pages, check->view->pins);
        /* Going on behind a page that is used already could go round for ever. */
        if (!check_use(check, next, 1, CHECK_USED, "the free list"))
            return HTT_OK;
        htt_rc rc = htt_view_page(check->view, next, &page);
        if (rc != HTT_OK)
            return check_read(check, next, rc);
        if (htt_page_type(page) != HTT_PAGE_FREE) {
            check_problem(check, next, "the free list names a page that is not of it");
            return HTT_OK;
        }
        for (uint32_t i = 0; i < htt_page_count(page); i++) {
            htt_free_run run = htt_free_entry(page, i);
            (void)check_use(check, run.first, run.pages, CHECK_USED, "the free list");
            check->free_pages += run.pages;
        }
        next = htt_free_next(page);
    }
    return HTT_OK;
}

static void check_counts(check_state *check) {
    const htt_root *root = check->root;
    assert(check->problems == 0); /* else they are wrong for known reasons */
    if (check->keys != root->keys)
        check_problem(check, 0, "%llu rows where the root record says %llu",
                      (unsigned long long)check->keys, (unsigned long long)root->keys);
    if (check->bytes != root->bytes)
        check_problem(check, 0, "%llu bytes of payload where the root record says %llu",
                      (unsigned long long)check->bytes, (unsigned long long)root->bytes);
    if (check->free_pages != root->free_pages)
        check_problem(check, 0, "%llu free pages where the root record says %u",
                      (unsigned long long)check->free_pages, root->free_pages);
    for (uint32_t page = 2; page < root->page_count && !check->stopped; page++) {
        if (check->uses[page] == 0)
            check_problem(check, page, "page %u is neither used nor free", page);
    }
}

htt_rc htt_tree_check(htt_view *view, const htt_env *env, const htt_root *root, bool deep,
                      htt_check_report report, void *arg, uint64_t *problems_out) {
    check_state check = {.env = env,
                         .view = view,
                         .record_view = *view,
                         .root = root,
                         .deep = deep,
                         .report = report,
                         .arg = arg};
    size_t size = (size_t)root->page_count * sizeof *check.uses;
    assert(root->page_count >= 2);
    check.uses = env->allocate(env->context, size);
    if (check.uses == NULL)
        return htt_error_set(view->error, HTT_NOMEM, "no memory to check %u pages",
                             root->page_count);
    memset(check.uses, 0, size);
    check.record_view.pins = &check.record_pins;
    htt_rc rc = check_root_page(&check);
    if (rc == HTT_OK)
        rc = check_tree(&check);
    if (rc == HTT_OK)
        rc = check_free_list(&check);
    if (rc == HTT_OK && check.problems == 0)
        check_counts(&check);
    htt_pins_free(view->pages, &check.record_pins);
    env->release(env->context, check.uses);
    if (rc == HTT_OK)
        *problems_out = check.problems;
    return rc;
}

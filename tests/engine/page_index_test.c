/* SPDX-License-Identifier: MIT */
/* Index pages: exact bytes, every edit against a list of nodes, and every kind of damage. */
#include "page_support.h"

#include "htt.h"
#include "page/index.h"

enum { PAGE = 4096, BIG = 65536 };

/* What the page should hold: the node with each id, as bytes. */
typedef struct model_node {
    uint32_t size;  /* 0 = id not in use */
    uint8_t *bytes; /* on the heap */
} model_node;

static model_node the_model[HTT_INDEX_SUB_MAX + 1];

static uint32_t model_last(void) {
    uint32_t last = HTT_INDEX_SUB_MAX;

    while (last > 0 && the_model[last].size == 0)
        last--;
    return last;
}

static uint32_t model_count(void) {
    uint32_t count = 0;

    for (uint32_t sub = 1; sub <= HTT_INDEX_SUB_MAX; sub++)
        count += the_model[sub].size != 0;
    return count;
}

static uint32_t model_room(uint32_t page_size) {
    uint32_t room = page_size - 28 - 2 * model_last();

    for (uint32_t sub = 1; sub <= HTT_INDEX_SUB_MAX; sub++)
        room -= the_model[sub].size;
    return room;
}

static uint32_t model_free_id(void) {
    uint32_t sub = 1;

    while (sub <= HTT_INDEX_SUB_MAX && the_model[sub].size != 0)
        sub++;
    return sub;
}

static void model_clear(void) {
    for (uint32_t sub = 0; sub <= HTT_INDEX_SUB_MAX; sub++)
        free(the_model[sub].bytes);
    memset(the_model, 0, sizeof the_model);
}

static void model_compare(uint8_t *page, uint32_t page_size) {
    htt_fault fault;

    assert_int_equal(htt_page_count(page), model_count());
    assert_int_equal(page[24], model_last());
    assert_int_equal(htt_index_room(page, page_size), model_room(page_size));
    assert_null(htt_index_node(page, page_size, 0));
    for (uint32_t sub = 1; sub <= HTT_INDEX_SUB_MAX; sub++) {
        const uint8_t *node = htt_index_node_const(page, page_size, (uint8_t)sub);
        assert_ptr_equal(node, htt_index_node(page, page_size, (uint8_t)sub));
        if (the_model[sub].size == 0) {
            assert_null(node);
        } else {
            assert_non_null(node);
            assert_memory_equal(node, the_model[sub].bytes, the_model[sub].size);
        }
    }
    if (model_count() > 0)
        assert_sound(htt_index_check(page, page_size, &fault), fault);
}

/* A node of `count` children that are told apart by `mark`, at `node`. */
static uint32_t fill_node(uint8_t *node, uint32_t slots_log2, uint32_t count, uint32_t mark) {
    uint32_t starts[64];
    htt_ref refs[64];

    for (uint32_t i = 0; i < count; i++) {
        starts[i] = i;
        refs[i] = (htt_ref){2 + mark + i, (uint8_t)mark};
    }
    htt_node_init(node, (uint8_t)mark, slots_log2);
    htt_node_splice(node, 0, 1, starts, refs, count);
    assert_int_equal(htt_node_bytes(node), htt_node_size(slots_log2, count));
    return htt_node_bytes(node);
}

static void random_add(uint8_t *page, uint32_t page_size, uint64_t *rng) {
    uint32_t slots_log2 = 6 + page_random_below(rng, 4);
    uint32_t count = 1 + page_random_below(rng, 20);
    uint32_t size = htt_node_size(slots_log2, count);
    uint32_t id = model_free_id();
    uint32_t entry = id > model_last() ? 2 : 0;
    bool fits = id <= HTT_INDEX_SUB_MAX && size + entry <= model_room(page_size);
    uint8_t sub;

    assert_int_equal(htt_index_fits(page, page_size, size), fits);
    if (!fits)
        return;
    sub = htt_index_add(page, page_size, size);
    assert_int_equal(sub, id);
    fill_node(htt_index_node(page, page_size, sub), slots_log2, count,
              page_random_below(rng, 1u << 30));
    the_model[sub].size = size;
    the_model[sub].bytes = page_alloc(size);
    memcpy(the_model[sub].bytes, htt_index_node(page, page_size, sub), size);
}

/* Another number of children, as the tree does it: bytes first or splice first. */
static void random_resize(uint8_t *page, uint32_t page_size, uint8_t sub, uint64_t *rng) {
    model_node *m = &the_model[sub];
    uint32_t slots_log2 = m->bytes[1];
    uint32_t count = 1 + page_random_below(rng, 40);
    uint32_t size = htt_node_size(slots_log2, count);
    uint32_t mark = page_random_below(rng, 1u << 30);
    uint32_t kept = size < m->size ? size : m->size;

    if (size > m->size + model_room(page_size))
        return;
    htt_index_resize(page, page_size, sub, m->size, size);
    assert_memory_equal(htt_index_node(page, page_size, sub), m->bytes, kept);
    fill_node(htt_index_node(page, page_size, sub), slots_log2, count, mark);
    free(m->bytes);
    m->size = size;
    m->bytes = page_alloc(size);
    fill_node(m->bytes, slots_log2, count, mark);
}

static void random_edits(uint32_t page_size, uint32_t edits, uint64_t *rng) {
    uint8_t *page = page_alloc(page_size);

    htt_index_init(page, page_size);
    for (uint32_t i = 0; i < edits; i++) {
        uint32_t last = model_last();
        uint8_t sub = (uint8_t)(last == 0 ? 0 : 1 + page_random_below(rng, last));
        /* Grows to full, then shrinks, then again. */
        uint32_t adds = i / 400 % 2 == 0 ? 8 : 2;
        uint32_t what = page_random_below(rng, 12);
        if (what < adds || the_model[sub].size == 0) {
            random_add(page, page_size, rng);
        } else if (what < 10) {
            random_resize(page, page_size, sub, rng);
        } else {
            htt_index_remove(page, page_size, sub);
            free(the_model[sub].bytes);
            the_model[sub] = (model_node){0, NULL};
        }
        model_compare(page, page_size);
    }
    model_clear();
    free(page);
}

static void test_index__has_the_bytes_of_the_format(void **state) {
    /* Two nodes of 64 slots and one child: 4 + 8 + 5 = 17 bytes each, at 4079 and 4062. */
    static const uint8_t head[] = {2, 0, 0xDE, 0x0F,          /* d, zero, content 4062 */
                                   0xEF, 0x0F, 0xDE, 0x0F};   /* directory: 4079, 4062 */
    static const uint8_t first[] = {5, 6, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3};
    uint8_t *page = page_alloc(PAGE);
    htt_fault fault;

    (void)state;
    htt_index_init(page, PAGE);
    assert_int_equal(htt_index_room(page, PAGE), PAGE - 28);
    assert_int_equal(htt_index_add(page, PAGE, 17), 1);
    htt_node_init(htt_index_node(page, PAGE, 1), 5, 6);
    htt_node_set_child(htt_index_node(page, PAGE, 1), 0, (htt_ref){9, 3});
    assert_int_equal(htt_index_add(page, PAGE, 17), 2);
    htt_node_init(htt_index_node(page, PAGE, 2), 6, 6);
    assert_int_equal(page[20], 'I');
    assert_int_equal(page[22], 2);
    assert_memory_equal(page + 24, head, sizeof head);
    assert_memory_equal(page + 4079, first, sizeof first);
    assert_sound(htt_index_check(page, PAGE, &fault), fault);
    free(page);
}

static void test_index__gives_the_smallest_free_id(void **state) {
    uint8_t *page = page_alloc(BIG);
    htt_fault fault;

    (void)state;
    htt_index_init(page, BIG);
    for (uint32_t sub = 1; sub <= 255; sub++) {
        assert_true(htt_index_fits(page, BIG, 17));
        assert_int_equal(htt_index_add(page, BIG, 17), sub);
        htt_node_init(htt_index_node(page, BIG, (uint8_t)sub), (uint8_t)sub, 6);
    }
    assert_false(htt_index_fits(page, BIG, 17)); /* no id is left */
    assert_sound(htt_index_check(page, BIG, &fault), fault);
    htt_index_remove(page, BIG, 200);
    htt_index_remove(page, BIG, 7);
    assert_int_equal(htt_page_count(page), 253);
    assert_int_equal(page[24], 255);
    assert_int_equal(htt_index_add(page, BIG, 17), 7);
    htt_node_init(htt_index_node(page, BIG, 7), 7, 6);
    for (uint32_t sub = 255; sub > 200; sub--)
        htt_index_remove(page, BIG, (uint8_t)sub);
    assert_int_equal(page[24], 199); /* 200 was a hole: the directory ends before it */
    for (uint32_t sub = 1; sub <= 199; sub++)
        assert_int_equal(htt_node_salt(htt_index_node(page, BIG, (uint8_t)sub)), sub);
    assert_sound(htt_index_check(page, BIG, &fault), fault);
    for (uint32_t sub = 1; sub <= 199; sub++)
        htt_index_remove(page, BIG, (uint8_t)sub);
    assert_int_equal(htt_index_room(page, BIG), BIG - 28);
    free(page);
}

static void test_index__fits_to_the_last_byte(void **state) {
    uint8_t *page = page_alloc(PAGE);

    (void)state;
    htt_index_init(page, PAGE);
    assert_true(htt_index_fits(page, PAGE, PAGE - 28 - 2));
    assert_false(htt_index_fits(page, PAGE, PAGE - 28 - 1));
    (void)htt_index_add(page, PAGE, PAGE - 28 - 2);
    assert_int_equal(htt_index_room(page, PAGE), 0);
    free(page);
}

static void test_index__random_edits_match_a_list_of_nodes(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    random_edits(PAGE, 4000, &rng);
    random_edits(BIG, 3000, &rng);
}

/* Three nodes of 17 bytes at 4079, 4062 and 4045. */
static uint8_t *sound_page(void) {
    uint8_t *page = page_alloc(PAGE);

    htt_index_init(page, PAGE);
    for (uint8_t sub = 1; sub <= 3; sub++) {
        assert_int_equal(htt_index_add(page, PAGE, 17), sub);
        htt_node_init(htt_index_node(page, PAGE, sub), sub, 6);
    }
    return page;
}

static void test_index_check__names_each_damaged_field(void **state) {
    uint8_t *page = sound_page();
    htt_fault fault;

    (void)state;
    assert_sound(htt_index_check(page, PAGE, &fault), fault);
#define DAMAGE(at, number, offset, reason)                                                         \
    do {                                                                                           \
        uint16_t kept_ = le16_get(page + (at));                                                    \
        le16_put(page + (at), (uint16_t)(number));                                                 \
        assert_fault(htt_index_check(page, PAGE, &fault), fault, offset, reason);                  \
        le16_put(page + (at), kept_);                                                              \
    } while (0)
    DAMAGE(20, 'D', 20, "not an index page");
    DAMAGE(22, 2, 22, "wrong number of sub-pages");
    DAMAGE(24, 3 + 256, 25, "reserved byte of an index page not zero");
    DAMAGE(24, 0, 24, "largest id of an index page not in use");
    DAMAGE(24, 4, 24, "largest id of an index page not in use");
    DAMAGE(26, 33, 26, "bad content offset of an index page");
    DAMAGE(26, 4096, 26, "bad content offset of an index page");
    DAMAGE(26, 0, 26, "bad content offset of an index page");
    DAMAGE(26, 4046, 32, "sub-page outside the content of its page");
    DAMAGE(26, 4044, 4045, "sub-pages overlap or leave a gap");
    DAMAGE(28, 4096, 28, "sub-page outside the content of its page");
    DAMAGE(28, 4044, 28, "sub-page outside the content of its page");
    DAMAGE(28, 4062, 4062, "sub-pages overlap or leave a gap");
    DAMAGE(28, 0, 22, "wrong number of sub-pages");
    DAMAGE(4062, 2 + 256 * 5, 4063, "bad number of slots in a node");
    DAMAGE(4064, 0, 4064, "bad number of children in a node");
    DAMAGE(4062 + 4, 3, 4064, "number of children is not that of starts");
    DAMAGE(4079 + 4, 0, 4083, "first slot of a node begins no child");
    DAMAGE(4079 + 12, 1, 4091, "meta page as a child");
#undef DAMAGE
    le16_put(page + 28, 0); /* the highest node is nobody's */
    le16_put(page + 22, 2);
    assert_fault(htt_index_check(page, PAGE, &fault), fault, 4079,
                 "sub-pages end before their page");
    free(page);
}

static void test_index_check__what_it_accepts_can_be_read(void **state) {
    uint64_t rng = page_seed();
    uint32_t accepted = 0;

    (void)state;
    for (uint32_t i = 0; i < 30000; i++) {
        uint8_t *page = sound_page();
        htt_fault fault;
        for (uint32_t n = page_random_below(&rng, 4); n > 0; n--) {
            uint32_t at = 20 + page_random_below(&rng, 14 + 51);
            at = at < 34 ? at : 4045 + at - 34;
            page[at] ^= (uint8_t)(1u << page_random_below(&rng, 8));
        }
        if (htt_index_check(page, PAGE, &fault)) {
            accepted++;
            for (uint32_t sub = 0; sub < 256; sub++) {
                const uint8_t *node = htt_index_node_const(page, PAGE, (uint8_t)sub);
                for (uint32_t slot = 0; node != NULL && slot < htt_node_slots(node); slot++)
                    (void)htt_node_child(node, htt_node_find(node, slot));
            }
        }
        free(page);
    }
    assert_in_range(accepted, 1000, 29999);
}

static void test_index_check__survives_random_bytes(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t *page = page_alloc(PAGE);
        htt_fault fault;
        page_random_fill(&rng, page, PAGE);
        page[20] = 'I';
        page[25] = 0;
        if (i % 2 != 0) {
            page[27] &= 0x0F;
            for (uint32_t sub = 0; sub < 255; sub++)
                page[29 + 2 * sub] &= 0x0F;
        }
        assert_false(htt_index_check(page, PAGE, &fault));
        free(page);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index__has_the_bytes_of_the_format),
        cmocka_unit_test(test_index__gives_the_smallest_free_id),
        cmocka_unit_test(test_index__fits_to_the_last_byte),
        cmocka_unit_test(test_index__random_edits_match_a_list_of_nodes),
        cmocka_unit_test(test_index_check__names_each_damaged_field),
        cmocka_unit_test(test_index_check__what_it_accepts_can_be_read),
        cmocka_unit_test(test_index_check__survives_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

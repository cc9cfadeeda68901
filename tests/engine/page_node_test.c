/* SPDX-License-Identifier: MIT */
/* Index nodes: exact bytes, every edit against a plain array, and every kind of damage. */
#include "page_support.h"

#include "page/node.h"

enum { PAGE = 4096, BIG = 65536, MODEL_MAX = 9800 };

/* Children of a node as a plain array. */
typedef struct model {
    uint8_t salt;              /* as in the node */
    uint32_t slots_log2;       /* as in the node */
    uint32_t count;            /* children */
    uint32_t starts[MODEL_MAX]; /* first slots, ascending */
    htt_ref refs[MODEL_MAX];   /* where they lead */
} model;

static model the_model;

/* The node's bytes, written slowly from the table in docs/format.md. */
static uint32_t model_encode(const model *m, uint8_t *bytes) {
    uint32_t slots = 1u << m->slots_log2;
    uint32_t ranks = slots > 512 ? slots / 512 * 2 : 0;
    uint32_t size = 4 + ranks + slots / 8 + 5 * m->count;

    memset(bytes, 0, size);
    bytes[0] = m->salt;
    bytes[1] = (uint8_t)m->slots_log2;
    bytes[2] = (uint8_t)m->count;
    bytes[3] = (uint8_t)(m->count >> 8);
    for (uint32_t i = 0; i < m->count; i++) {
        uint8_t *starts = bytes + 4 + ranks;
        uint8_t *child = starts + slots / 8 + 5 * i;
        starts[m->starts[i] / 8] |= (uint8_t)(1u << m->starts[i] % 8);
        for (uint32_t b = 0; b < 4; b++)
            child[b] = (uint8_t)(m->refs[i].page >> 8 * b);
        child[4] = m->refs[i].sub;
        for (uint32_t block = m->starts[i] / 512 + 1; block < ranks / 2; block++) {
            uint32_t rank = bytes[4 + 2 * block] + 256u * bytes[5 + 2 * block] + 1;
            bytes[4 + 2 * block] = (uint8_t)rank;
            bytes[5 + 2 * block] = (uint8_t)(rank >> 8);
        }
    }
    return size;
}

/* The same bytes, the same children, and the same answer for every slot. */
static void model_compare(const model *m, const uint8_t *node, uint32_t page_size) {
    static uint8_t expected[BIG];
    uint32_t size = model_encode(m, expected);
    htt_fault fault;

    assert_int_equal(htt_node_bytes(node), size);
    assert_memory_equal(node, expected, size);
    assert_sound(htt_node_check(node, size, page_size, 0, &fault), fault);
    for (uint32_t i = 0, slot = 0; i < m->count; i++) {
        uint32_t end = i + 1 < m->count ? m->starts[i + 1] : 1u << m->slots_log2;
        htt_ref ref = htt_node_child(node, i);
        assert_int_equal(htt_node_start(node, i), m->starts[i]);
        assert_int_equal(ref.page, m->refs[i].page);
        assert_int_equal(ref.sub, m->refs[i].sub);
        for (; slot < end; slot++)
            assert_int_equal(htt_node_find(node, slot), i);
    }
    assert_int_equal(htt_node_start(node, m->count), 1u << m->slots_log2);
}

static void model_init(model *m, uint8_t salt, uint32_t slots_log2) {
    m->salt = salt;
    m->slots_log2 = slots_log2;
    m->count = 1;
    m->starts[0] = 0;
    m->refs[0] = (htt_ref){0, 0};
}

static htt_ref random_ref(uint64_t *rng) {
    htt_ref ref = {0, 0};

    if (page_random_below(rng, 4) != 0) {
        ref.page = 2 + page_random_below(rng, 0xFFFFFFF0u);
        ref.sub = (uint8_t)page_random(rng);
    }
    return ref;
}

/* Children [first, first + old) become up to 6 others, if `room` allows it. */
static void random_splice(model *m, uint8_t *node, uint32_t room, uint64_t *rng) {
    uint32_t first = page_random_below(rng, m->count);
    uint32_t left = m->count - first;
    uint32_t old = 1 + page_random_below(rng, left < 4 ? left : 4);
    uint32_t end = first + old < m->count ? m->starts[first + old] : 1u << m->slots_log2;
    uint32_t count = 0;
    uint32_t starts[6];
    htt_ref refs[6];

    for (uint32_t slot = m->starts[first]; count < 6 && slot < end; count++) {
        starts[count] = slot;
        refs[count] = random_ref(rng);
        slot += 1 + page_random_below(rng, page_random_below(rng, 3) == 0 ? 3 : end - slot);
    }
    if (htt_node_size(m->slots_log2, m->count - old + count) > room)
        return;
    memmove(m->starts + first + count, m->starts + first + old,
            (left - old) * sizeof m->starts[0]);
    memmove(m->refs + first + count, m->refs + first + old, (left - old) * sizeof m->refs[0]);
    memcpy(m->starts + first, starts, count * sizeof starts[0]);
    memcpy(m->refs + first, refs, count * sizeof refs[0]);
    m->count = m->count - old + count;
    htt_node_splice(node, first, old, starts, refs, count);
}

static void random_remove(model *m, uint8_t *node, uint64_t *rng) {
    uint32_t index = page_random_below(rng, m->count);

    if (m->count < 2)
        return;
    memmove(m->starts + index, m->starts + index + 1,
            (m->count - index - 1) * sizeof m->starts[0]);
    memmove(m->refs + index, m->refs + index + 1, (m->count - index - 1) * sizeof m->refs[0]);
    m->starts[0] = 0;
    m->count--;
    htt_node_remove(node, index);
}

static void random_scale(model *m, uint8_t *node, uint32_t room, uint32_t log2_max,
                         uint64_t *rng) {
    bool odd = false;

    for (uint32_t i = 0; i < m->count; i++)
        odd = odd || m->starts[i] % 2 != 0;
    assert_int_equal(htt_node_can_halve(node), !odd && m->slots_log2 > 6);
    if (!odd && m->slots_log2 > 6 && page_random_below(rng, 3) == 0) {
        m->slots_log2--;
        for (uint32_t i = 0; i < m->count; i++)
            m->starts[i] /= 2;
        htt_node_halve(node);
    } else if (m->slots_log2 < log2_max && htt_node_size(m->slots_log2 + 1, m->count) <= room) {
        m->slots_log2++;
        for (uint32_t i = 0; i < m->count; i++)
            m->starts[i] *= 2;
        htt_node_double(node);
    }
}

static void random_edits(uint32_t page_size, uint32_t edits, uint64_t *rng) {
    uint32_t room = page_size - HTT_PAGE_HEADER_SIZE;
    uint8_t *node = page_alloc(room);
    model *m = &the_model;

    model_init(m, (uint8_t)page_random(rng), 6 + page_random_below(rng, 3));
    htt_node_init(node, m->salt, m->slots_log2);
    for (uint32_t i = 0; i < edits; i++) {
        uint32_t what = page_random_below(rng, 32);
        if (what < 20) {
            random_splice(m, node, room, rng);
        } else if (what < 26) {
            random_remove(m, node, rng);
        } else if (what < 30) {
            uint32_t index = page_random_below(rng, m->count);
            m->refs[index] = random_ref(rng);
            htt_node_set_child(node, index, m->refs[index]);
        } else {
            random_scale(m, node, room, htt_node_slots_log2_max(page_size), rng);
        }
        model_compare(m, node, page_size);
    }
    free(node);
}

static void test_node__has_the_bytes_of_the_format(void **state) {
    /* salt 7, k 6, 3 children; starts 0, 20, 41; whole page 0x11223344; sub-page 9 of page 2;
     * empty */
    static const uint8_t expected[] = {
        7,    6,    3,    0,                                  /* head */
        0x01, 0x00, 0x10, 0x00, 0x00, 0x02, 0x00, 0x00,       /* bits 0, 20, 41 */
        0x44, 0x33, 0x22, 0x11, 0,    2,    0,    0,    0, 9, /* children 0 and 1 */
        0,    0,    0,    0,    0};                           /* child 2 */
    const uint32_t starts[] = {0, 20, 41};
    const htt_ref refs[] = {{0x11223344, 0}, {2, 9}, {0, 0}};
    uint8_t node[sizeof expected];

    (void)state;
    htt_node_init(node, 7, 6);
    assert_int_equal(htt_node_bytes(node), 4 + 8 + 5);
    htt_node_splice(node, 0, 1, starts, refs, 3);
    assert_int_equal(htt_node_bytes(node), sizeof expected);
    assert_memory_equal(node, expected, sizeof expected);
    assert_int_equal(htt_node_find(node, 0), 0);
    assert_int_equal(htt_node_find(node, 19), 0);
    assert_int_equal(htt_node_find(node, 20), 1);
    assert_int_equal(htt_node_find(node, 30), 1);
    assert_int_equal(htt_node_find(node, 40), 1);
    assert_int_equal(htt_node_find(node, 41), 2);
    assert_int_equal(htt_node_find(node, 63), 2);
    assert_int_equal(htt_node_salt(node), 7);
    assert_int_equal(htt_node_slots(node), 64);
}

static void test_node__counts_starts_before_each_block_of_512_slots(void **state) {
    const uint32_t starts[] = {0, 511, 512, 1023};
    const htt_ref refs[] = {{2, 0}, {3, 0}, {4, 0}, {5, 0}};
    uint8_t *node = page_alloc(htt_node_size(10, 4));

    (void)state;
    htt_node_init(node, 0, 10);
    htt_node_splice(node, 0, 1, starts, refs, 4);
    assert_int_equal(htt_node_bytes(node), 4 + 4 + 128 + 20);
    assert_memory_equal(node, "\x00\x0a\x04\x00" "\x00\x00\x02\x00", 8);
    assert_int_equal(node[8], 0x01); /* slot 0 */
    assert_int_equal(node[8 + 63], 0x80);
    assert_int_equal(node[8 + 64], 0x01);
    assert_int_equal(node[8 + 127], 0x80);
    assert_int_equal(htt_node_find(node, 510), 0);
    assert_int_equal(htt_node_find(node, 511), 1);
    assert_int_equal(htt_node_find(node, 512), 2);
    assert_int_equal(htt_node_find(node, 1022), 2);
    assert_int_equal(htt_node_find(node, 1023), 3);
    free(node);
}

static void test_node__doubling_spreads_starts_and_halving_undoes_it(void **state) {
    const uint32_t starts[] = {0, 1, 7, 8, 63};
    const htt_ref refs[] = {{2, 0}, {3, 1}, {4, 2}, {5, 3}, {6, 255}};
    uint8_t *node = page_alloc(htt_node_size(13, 5));
    uint8_t before[64];

    (void)state;
    htt_node_init(node, 3, 6);
    htt_node_splice(node, 0, 1, starts, refs, 5);
    assert_false(htt_node_can_halve(node)); /* 64 slots are the least */
    memcpy(before, node, htt_node_bytes(node));
    for (uint32_t k = 7; k <= 13; k++) {
        htt_node_double(node);
        assert_int_equal(htt_node_slots_log2(node), k);
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(htt_node_start(node, i), starts[i] << (k - 6));
    }
    while (htt_node_can_halve(node))
        htt_node_halve(node);
    assert_int_equal(htt_node_slots_log2(node), 6);
    assert_memory_equal(node, before, htt_node_bytes(node));
    free(node);
}

static void test_node__removing_gives_the_range_to_the_neighbour_before(void **state) {
    const uint32_t starts[] = {0, 10, 20};
    const htt_ref refs[] = {{2, 0}, {3, 0}, {4, 0}};
    uint8_t node[64];

    (void)state;
    htt_node_init(node, 0, 6);
    htt_node_splice(node, 0, 1, starts, refs, 3);
    htt_node_remove(node, 1);
    assert_int_equal(htt_node_count(node), 2);
    assert_int_equal(htt_node_child(node, htt_node_find(node, 15)).page, 2);
    htt_node_remove(node, 0); /* but the first gives it to the next */
    assert_int_equal(htt_node_count(node), 1);
    assert_int_equal(htt_node_child(node, htt_node_find(node, 0)).page, 4);
}

static void test_node__slots_are_at_most_twice_the_page_size(void **state) {
    (void)state;
    assert_int_equal(htt_node_slots_log2_max(4096), 13);
    assert_int_equal(htt_node_slots_log2_max(8192), 14);
    assert_int_equal(htt_node_slots_log2_max(65536), 17);
}

static void test_node__random_edits_match_an_array_of_children(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t round = 0; round < 6; round++)
        random_edits(PAGE, 1000, &rng);
    random_edits(BIG, 1500, &rng);
}

static void test_node__fills_the_largest_page(void **state) {
    uint32_t room = BIG - HTT_PAGE_HEADER_SIZE;
    uint32_t count = (room - htt_node_size(17, 0)) / 5;
    uint8_t *node = page_alloc(htt_node_size(17, count));
    model *m = &the_model;

    (void)state;
    model_init(m, 255, 17);
    htt_node_init(node, 255, 17);
    m->count = count;
    for (uint32_t i = 0; i < count; i++) {
        m->starts[i] = i * 13;
        m->refs[i] = (htt_ref){2 + i, (uint8_t)i};
    }
    htt_node_splice(node, 0, 1, m->starts, m->refs, count);
    model_compare(m, node, BIG);
    free(node);
}

/* A sound node of 1024 slots with three children, on the heap. */
static uint8_t *sound_node(void) {
    const uint32_t starts[] = {0, 300, 600};
    const htt_ref refs[] = {{9, 4}, {0, 0}, {7, 0}};
    uint8_t *node = page_alloc(htt_node_size(10, 3));

    htt_node_init(node, 1, 10);
    htt_node_splice(node, 0, 1, starts, refs, 3);
    return node;
}

static void test_node_check__names_each_damaged_field(void **state) {
    uint8_t *node = sound_node();
    uint32_t size = htt_node_bytes(node);
    const uint32_t starts = 4 + 4;
    const uint32_t children = starts + 128;
    htt_fault fault;

    (void)state;
    assert_sound(htt_node_check(node, size, PAGE, 100, &fault), fault);
    assert_fault(htt_node_check(node, 3, PAGE, 100, &fault), fault, 100,
                 "node past the end of its page");
    assert_fault(htt_node_check(node, size - 1, PAGE, 100, &fault), fault, 102,
                 "node past the end of its page");
    node[1] = 5;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 101,
                 "bad number of slots in a node");
    node[1] = 14;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 101,
                 "bad number of slots in a node");
    node[1] = 10;
    node[2] = 0;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 102,
                 "bad number of children in a node");
    node[3] = 5;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 102,
                 "bad number of children in a node");
    node[3] = 0;
    node[2] = 2;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 102,
                 "number of children is not that of starts");
    node[2] = 3;
    node[6] = 1;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 106,
                 "wrong rank in a node");
    node[6] = 2;
    node[starts] = 2;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 100 + starts,
                 "first slot of a node begins no child");
    node[starts] = 1;
    node[children] = 1;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 100 + children,
                 "meta page as a child");
    node[children] = 9;
    node[children + 5 + 4] = 1;
    assert_fault(htt_node_check(node, size, PAGE, 100, &fault), fault, 100 + children + 9,
                 "sub-page of no page as a child");
    node[children + 5 + 4] = 0;
    assert_sound(htt_node_check(node, size, PAGE, 100, &fault), fault);
    free(node);
}

static void test_node_check__survives_random_bytes(void **state) {
    uint64_t rng = page_seed();
    uint32_t accepted = 0;

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t size = page_random_below(&rng, 400);
        uint8_t *node = page_alloc(size + 1);
        htt_fault fault;
        page_random_fill(&rng, node, size);
        if (size > 4) {
            node[1] = (uint8_t)(5 + page_random_below(&rng, 6));
            node[2] = (uint8_t)page_random_below(&rng, 40);
            node[3] = 0;
        }
        if (htt_node_check(node, size, PAGE, 0, &fault))
            accepted++;
        free(node);
    }
    assert_true(accepted < 20000);
}

static void test_node_check__what_it_accepts_can_be_read(void **state) {
    uint64_t rng = page_seed();

    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t *node = sound_node();
        uint32_t size = htt_node_bytes(node);
        htt_fault fault;
        for (uint32_t n = 1 + page_random_below(&rng, 3); n > 0; n--)
            node[page_random_below(&rng, size)] ^= (uint8_t)(1u << page_random_below(&rng, 8));
        if (htt_node_check(node, size, PAGE, 0, &fault)) {
            for (uint32_t slot = 0; slot < htt_node_slots(node); slot++)
                assert_in_range(htt_node_find(node, slot), 0, htt_node_count(node) - 1);
            for (uint32_t c = 0; c < htt_node_count(node); c++)
                assert_int_equal(htt_node_find(node, htt_node_start(node, c)), c);
        }
        free(node);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node__has_the_bytes_of_the_format),
        cmocka_unit_test(test_node__counts_starts_before_each_block_of_512_slots),
        cmocka_unit_test(test_node__doubling_spreads_starts_and_halving_undoes_it),
        cmocka_unit_test(test_node__removing_gives_the_range_to_the_neighbour_before),
        cmocka_unit_test(test_node__slots_are_at_most_twice_the_page_size),
        cmocka_unit_test(test_node__random_edits_match_an_array_of_children),
        cmocka_unit_test(test_node__fills_the_largest_page),
        cmocka_unit_test(test_node_check__names_each_damaged_field),
        cmocka_unit_test(test_node_check__survives_random_bytes),
        cmocka_unit_test(test_node_check__what_it_accepts_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

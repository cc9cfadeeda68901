/* SPDX-License-Identifier: MIT */
/*
 * The search: breadth first over all states, so that the first violation has a shortest trace.
 *
 * Of a visited state only a 64-bit hash is kept, its parent, and the label of the step to it; the
 * states of the present and the next depth are kept whole, with runs of zeros packed. Two states
 * with one hash would be taken for one: for n states the chance is about n*n / 2^65.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    STATE_BYTES = offsetof(struct state, backup) + sizeof(struct version),
    LABELS = 250 /* different labels of steps */
};

/* How a state was reached first. */
struct origin {
    uint32_t parent; /* index of the state before it */
    u8 label;        /* index into labels */
    int8_t process;  /* -1: the world */
    int8_t number;   /* -1: none */
};

/* Packed states of one depth, one behind the other, each with its index in front. */
struct level {
    u8 *bytes;   /* the packed states */
    size_t used; /* bytes in use */
    size_t size; /* bytes allocated */
};

static struct {
    uint64_t *slots;        /* hashes of the states found; 0 is empty */
    size_t capacity;        /* a power of two */
    struct origin *origins; /* of each state found */
    size_t count;           /* states found */
    size_t room;            /* origins allocated */
    struct level now, next; /* states of this depth and of the one after it */
    const char *labels[LABELS];
    int label_count;
    uint32_t current; /* state whose steps are being emitted */
    size_t transitions;
    const char *pending;   /* an invariant broken by the step being taken */
    const char *violation; /* the first invariant that was broken */
} search;

static void *grow(void *old, size_t bytes) {
    void *p = realloc(old, bytes);

    if (!p) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(2);
    }
    return p;
}

/* ---- The set of hashes ---- */

/* Most words are zero: they are passed over, the others carry their place. */
static uint64_t bytes_hash(const u8 *bytes, size_t count) {
    uint64_t a = 0x9E3779B97F4A7C15u, b = 0xD6E8FEB86659FD93u;

    for (size_t i = 0; i < count; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, count - i < 8 ? count - i : 8);
        if (word == 0)
            continue;
        a = (a ^ word) * 0xFF51AFD7ED558CCDu;
        a ^= a >> 32;
        b = (b + word + i) * 0xC4CEB9FE1A85EC53u;
        b ^= b >> 29;
    }
    a ^= b * 31;
    return a ? a : 1;
}

static u8 process_swapped(u8 one_more) {
    return one_more ? (u8)(3 - one_more) : 0;
}

/* The two processes are alike as long as they work on one host: swapping them changes nothing. */
static uint64_t state_hash(const struct state *s) {
    struct state t;

    if (s->process[0].host != s->process[1].host || model.bound.copy ||
        memcmp(&s->process[0], &s->process[1], sizeof(s->process[0])) <= 0)
        return bytes_hash((const u8 *)s, STATE_BYTES);
    t = *s;
    t.process[0] = s->process[1];
    t.process[1] = s->process[0];
    t.lock.writer = process_swapped(s->lock.writer);
    for (int host = 0; host < HOSTS; host++)
        t.host[host].writer = process_swapped(s->host[host].writer);
    return bytes_hash((const u8 *)&t, STATE_BYTES);
}

/* Puts the hash in; false if it was there. */
static bool set_insert(uint64_t *slots, size_t capacity, uint64_t hash) {
    size_t at = hash & (capacity - 1);

    while (slots[at]) {
        if (slots[at] == hash)
            return false;
        at = (at + 1) & (capacity - 1);
    }
    slots[at] = hash;
    return true;
}

static void set_grow(void) {
    size_t capacity = search.capacity ? search.capacity * 2 : (size_t)1 << 12;
    uint64_t *slots = calloc(capacity, sizeof(*slots));

    if (!slots) {
        fprintf(stderr, "no memory for %zu hashes\n", capacity);
        exit(2);
    }
    for (size_t i = 0; i < search.capacity; i++) {
        if (search.slots[i])
            set_insert(slots, capacity, search.slots[i]);
    }
    free(search.slots);
    search.slots = slots;
    search.capacity = capacity;
}

/* ---- Packed states ---- */

/* Pairs of {zeros, others} and the others; both counts fit a byte. */
static void level_push(struct level *level, const struct state *s, uint32_t index) {
    const u8 *in = (const u8 *)s;
    size_t at = 0;

    if (level->size - level->used < 2 * sizeof(*s) + sizeof(index)) {
        level->size = level->size ? level->size * 3 / 2 : (size_t)1 << 16;
        level->bytes = grow(level->bytes, level->size);
    }
    memcpy(level->bytes + level->used, &index, sizeof(index));
    level->used += sizeof(index);
    while (at < STATE_BYTES) {
        u8 zeros = 0, others = 0;
        u8 *head = level->bytes + level->used;
        while (at < STATE_BYTES && zeros < 255 && in[at] == 0) {
            zeros++;
            at++;
        }
        while (at < STATE_BYTES && others < 255 &&
               (in[at] != 0 || (at + 1 < STATE_BYTES && in[at + 1] != 0)))
            head[2 + others++] = in[at++];
        head[0] = zeros;
        head[1] = others;
        level->used += 2u + others;
    }
}

static size_t level_read(const struct level *level, size_t from, struct state *s,
                         uint32_t *index) {
    u8 *out = (u8 *)s;
    size_t at = 0;

    memset(s, 0, sizeof(*s));
    memcpy(index, level->bytes + from, sizeof(*index));
    from += sizeof(*index);
    while (at < STATE_BYTES) {
        const u8 *head = level->bytes + from;
        memcpy(out + at + head[0], head + 2, head[1]);
        at += (size_t)head[0] + head[1];
        from += 2u + head[1];
    }
    return from;
}

/* ---- Steps ---- */

static u8 label_index(const char *label) {
    int i = 0;

    while (i < search.label_count && search.labels[i] != label)
        i++;
    if (i == search.label_count) {
        if (i == LABELS) {
            fprintf(stderr, "LABELS is too small\n");
            exit(2);
        }
        search.labels[search.label_count++] = label;
    }
    return (u8)i;
}

static void origin_add(uint32_t parent, int p, const char *label, int number) {
    if (search.count == search.room) {
        search.room = search.room ? search.room * 3 / 2 : 4096;
        search.origins = grow(search.origins, search.room * sizeof(*search.origins));
    }
    search.origins[search.count++] = (struct origin){
        .parent = parent,
        .label = label_index(label),
        .process = (int8_t)p,
        .number = (int8_t)number,
    };
}

/* An invariant does not hold in the state that is emitted next. */
void violated(const char *invariant) {
    if (!search.pending)
        search.pending = invariant;
}

/* A step leads to this state. */
void emit(struct state *next, int p, const char *label, int number) {
    if (search.violation)
        return;
    search.transitions++;
    state_normalise(next);
    state_check(next);
    if (search.count * 2 >= search.capacity)
        set_grow();
    if (!set_insert(search.slots, search.capacity, state_hash(next)) && !search.pending)
        return;
    origin_add(search.current, p, label, number);
    search.violation = search.pending;
    level_push(&search.next, next, (uint32_t)(search.count - 1));
}

static void successors(const struct state *s) {
    for (int p = 0; p < PROCESSES; p++) {
        if (s->process[p].step == IDLE) {
            if (s->lock.closed)
                continue;
            fold_begin(s, p);
            table_begin(s, p);
            reader_begin(s, p);
        } else {
            if (!fold_step(s, p) && !table_step(s, p) && !host_writer_step(s, p))
                reader_step(s, p);
            fault_process(s, p);
        }
    }
    for (int host = 0; host < HOSTS; host++)
        host_checkpointer_step(s, host);
    fault_world(s);
}

/* ---- Results ---- */

static void trace_print(uint32_t last, int depth) {
    uint32_t *path = grow(NULL, (size_t)depth * sizeof(*path));

    for (int i = depth; i-- > 0; last = search.origins[last].parent)
        path[i] = last;
    for (int i = 0; i < depth; i++) {
        const struct origin *o = &search.origins[path[i]];
        printf("  %2d. ", i + 1);
        if (o->process >= 0)
            printf("P%d ", o->process + 1);
        printf("%s", search.labels[o->label]);
        if (o->number >= 0)
            printf(" %d", o->number);
        printf("\n");
    }
    free(path);
}

static int depth_of(uint32_t state) {
    int depth = 0;

    for (; state; state = search.origins[state].parent)
        depth++;
    return depth;
}

static void search_free(void) {
    free(search.slots);
    free(search.origins);
    free(search.now.bytes);
    free(search.next.bytes);
    memset(&search, 0, sizeof(search));
}

void search_run(struct report *report, bool trace) {
    struct state s;
    clock_t start = clock();
    size_t limit = (size_t)model.bound.limit * 1000000;

    memset(report, 0, sizeof(*report));
    set_grow();
    state_start(&s);
    state_normalise(&s);
    set_insert(search.slots, search.capacity, state_hash(&s));
    origin_add(0, -1, "start", -1);
    level_push(&search.next, &s, 0);
    while (search.next.used > 0 && !search.violation && search.count < limit) {
        struct level old = search.now;
        search.now = search.next;
        search.next = old;
        search.next.used = 0;
        for (size_t at = 0; at < search.now.used && !search.violation && search.count < limit;) {
            at = level_read(&search.now, at, &s, &search.current);
            search.pending = NULL;
            successors(&s);
        }
    }
    report->outcome = search.violation      ? SEARCH_VIOLATED
                      : search.next.used > 0 ? SEARCH_STOPPED
                                             : SEARCH_PASSED;
    if (search.violation)
        snprintf(report->violation, sizeof(report->violation), "%s", search.violation);
    report->states = search.count;
    report->transitions = search.transitions;
    report->depth = depth_of((uint32_t)(search.count - 1));
    if (trace && search.violation)
        trace_print((uint32_t)(search.count - 1), report->depth);
    report->seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    search_free();
}

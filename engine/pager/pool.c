/* SPDX-License-Identifier: MIT */
/*
 * The pool: page numbers that this transaction may write, as a set of bits.
 *
 *   chunks   NULL   *   NULL   *          one for 32768 pages, made when one of them is needed
 *                   |          |
 *                   words      words      512 of 64 bits
 *
 * Every page that the transaction allocates gets a chunk then, so giving it back needs no memory,
 * and giving it back twice changes nothing.
 */
#include <assert.h>

#include "pager/writer_internal.h"

enum { POOL_CHUNK = 1 << HTT_POOL_CHUNK_BITS, POOL_LOOK_MAX = 256 };

bool htt_pool_fit(htt_writer *writer, uint32_t first, uint32_t pages) {
    const htt_env *env = writer->options.env;
    htt_pool *pool = &writer->pool;
    uint32_t last = (uint32_t)(((uint64_t)first + pages - 1) >> HTT_POOL_CHUNK_BITS);

    assert(pages >= 1);
    if (last >= pool->chunk_count) {
        uint32_t count = last + 1 + pool->chunk_count / 4;
        htt_pool_chunk **chunks =
            env->reallocate(env->context, pool->chunks, count * sizeof *chunks);
        if (chunks == NULL)
            return false;
        memset(chunks + pool->chunk_count, 0, (count - pool->chunk_count) * sizeof *chunks);
        pool->chunks = chunks;
        pool->chunk_count = count;
    }
    for (uint32_t i = first >> HTT_POOL_CHUNK_BITS; i <= last; i++) {
        if (pool->chunks[i] != NULL)
            continue;
        htt_pool_chunk *chunk = env->allocate(env->context, sizeof *chunk);
        if (chunk == NULL)
            return false;
        memset(chunk, 0, sizeof *chunk);
        chunk->low = HTT_POOL_WORDS;
        pool->chunks[i] = chunk;
        pool->chunks_made++;
    }
    assert(htt_pool_covers(pool, first, pages));
    return true;
}

bool htt_pool_covers(const htt_pool *pool, uint32_t first, uint32_t pages) {
    uint64_t last = ((uint64_t)first + pages - 1) >> HTT_POOL_CHUNK_BITS;

    assert(pages >= 1);
    if (last >= pool->chunk_count)
        return false;
    for (uint64_t i = first >> HTT_POOL_CHUNK_BITS; i <= last; i++) {
        if (pool->chunks[i] == NULL)
            return false;
    }
    return true;
}

/* The bits of [first, end) that are in the word of page `first`. */
static uint64_t pool_mask(uint64_t first, uint64_t end) {
    uint64_t from = first & 63;
    uint64_t count = end - first;
    uint64_t bits = count >= 64 - from ? UINT64_MAX : (UINT64_C(1) << count) - 1;

    assert(end > first);
    return bits << from;
}

static uint64_t *pool_word(const htt_pool *pool, uint64_t number) {
    uint64_t index = number >> HTT_POOL_CHUNK_BITS;

    if (index >= pool->chunk_count || pool->chunks[index] == NULL)
        return NULL;
    return &pool->chunks[index]->words[(number & (POOL_CHUNK - 1)) / 64];
}

bool htt_pool_has_any(const htt_pool *pool, uint32_t first, uint32_t pages) {
    uint64_t end = (uint64_t)first + pages;

    assert(pages >= 1);
    for (uint64_t number = first; number < end; number = (number | 63) + 1) {
        const uint64_t *word = pool_word(pool, number);
        if (word != NULL && (*word & pool_mask(number, end)) != 0)
            return true;
    }
    return false;
}

void htt_pool_add(htt_pool *pool, uint32_t first, uint32_t pages) {
    uint64_t end = (uint64_t)first + pages;
    uint64_t bound = 2 * (uint64_t)pool->run_bound + pages; /* it may join two runs */

    assert(htt_pool_covers(pool, first, pages));
    pool->run_bound = bound < UINT32_MAX ? (uint32_t)bound : UINT32_MAX;
    for (uint64_t number = first; number < end; number = (number | 63) + 1) {
        uint32_t index = (uint32_t)(number >> HTT_POOL_CHUNK_BITS);
        uint32_t at = (uint32_t)(number & (POOL_CHUNK - 1)) / 64;
        htt_pool_chunk *chunk = pool->chunks[index];
        uint64_t added = pool_mask(number, end) & ~chunk->words[at];
        uint32_t count = (uint32_t)__builtin_popcountll(added);
        chunk->words[at] |= added;
        chunk->pages += count;
        pool->pages += count;
        if (at < chunk->low)
            chunk->low = at;
        if (index < pool->low)
            pool->low = index;
    }
}

void htt_pool_remove(htt_pool *pool, uint32_t first, uint32_t pages) {
    uint64_t end = (uint64_t)first + pages;

    for (uint64_t number = first; number < end; number = (number | 63) + 1) {
        uint64_t *word = pool_word(pool, number);
        if (word == NULL)
            continue;
        uint64_t gone = pool_mask(number, end) & *word;
        uint32_t count = (uint32_t)__builtin_popcountll(gone);
        assert(pool->pages >= count);
        *word &= ~gone;
        pool->chunks[number >> HTT_POOL_CHUNK_BITS]->pages -= count;
        pool->pages -= count;
    }
}

bool htt_pool_take(htt_pool *pool, uint32_t *number_out) {
    htt_pool_chunk *chunk;
    uint32_t number;

    if (pool->pages == 0)
        return false;
    while (pool->chunks[pool->low] == NULL || pool->chunks[pool->low]->pages == 0)
        pool->low++;
    assert(pool->low < pool->chunk_count);
    chunk = pool->chunks[pool->low];
    while (chunk->words[chunk->low] == 0)
        chunk->low++;
    assert(chunk->low < HTT_POOL_WORDS);
    number = (pool->low << HTT_POOL_CHUNK_BITS) + chunk->low * 64 +
             (uint32_t)__builtin_ctzll(chunk->words[chunk->low]);
    htt_pool_remove(pool, number, 1);
    *number_out = number;
    return true;
}

/* The first page at or above `from` that is in the pool (or is not), below `limit`, or `limit`. */
static uint64_t pool_next(const htt_pool *pool, uint64_t from, uint64_t limit, bool in) {
    assert(limit <= (uint64_t)pool->chunk_count << HTT_POOL_CHUNK_BITS);
    while (from < limit) {
        uint64_t index = from >> HTT_POOL_CHUNK_BITS;
        const htt_pool_chunk *chunk = pool->chunks[index];
        if (chunk == NULL || chunk->pages == (in ? 0 : POOL_CHUNK)) {
            if (!in && chunk == NULL)
                return from;
            from = (index + 1) << HTT_POOL_CHUNK_BITS;
            continue;
        }
        if (in && (from & (POOL_CHUNK - 1)) / 64 < chunk->low) /* nothing is before it */
            from = (index << HTT_POOL_CHUNK_BITS) + (uint64_t)chunk->low * 64;
        if (from >= limit)
            break;
        uint64_t word = chunk->words[(from & (POOL_CHUNK - 1)) / 64];
        word = (in ? word : ~word) & (UINT64_MAX << (from & 63));
        if (word != 0)
            return (from & ~UINT64_C(63)) + (uint64_t)__builtin_ctzll(word);
        from = (from | 63) + 1;
    }
    return limit;
}

bool htt_pool_next_run(const htt_pool *pool, uint64_t from, htt_run_ref *run_out) {
    uint64_t limit = (uint64_t)pool->chunk_count << HTT_POOL_CHUNK_BITS;
    uint64_t first;
    uint64_t end;

    if (pool->pages == 0)
        return false;
    first = pool_next(pool, from, limit, true);
    if (first >= limit)
        return false;
    end = pool_next(pool, first, limit, false);
    assert(end > first);
    run_out->first = (uint32_t)first;
    run_out->pages = (uint32_t)(end - first);
    return true;
}

bool htt_pool_find_run(htt_pool *pool, uint32_t pages, htt_run_ref *run_out) {
    htt_run_ref run = {0, 0};
    htt_run_ref best = {0, 0};
    uint32_t longest = 0;
    uint32_t looked = 0; /* runs since one was found */
    uint64_t from = (uint64_t)pool->low << HTT_POOL_CHUNK_BITS;

    assert(pages >= 1);
    if (pages > pool->run_bound || pages > pool->pages)
        return false;
    while (looked < POOL_LOOK_MAX && htt_pool_next_run(pool, from, &run)) {
        from = (uint64_t)run.first + run.pages;
        if (run.pages > longest)
            longest = run.pages;
        if (run.pages >= pages && (best.pages == 0 || run.pages < best.pages))
            best = run;
        if (best.pages == pages)
            break;
        if (best.pages != 0)
            looked++;
    }
    if (best.pages == 0) {
        pool->run_bound = longest; /* all were seen */
        return false;
    }
    assert(best.pages >= pages);
    *run_out = best;
    return true;
}

void htt_pool_end(htt_writer *writer) {
    const htt_env *env = writer->options.env;
    htt_pool *pool = &writer->pool;

    for (uint32_t i = 0; i < pool->chunk_count; i++) {
        if (pool->chunks[i] != NULL)
            env->release(env->context, pool->chunks[i]);
    }
    if (pool->chunks != NULL)
        env->release(env->context, pool->chunks);
    memset(pool, 0, sizeof *pool);
}

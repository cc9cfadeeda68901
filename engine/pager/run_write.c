/* SPDX-License-Identifier: MIT */
/*
 * Overflow runs go to the file at once: a payload may be larger than the budget, and it is not
 * changed afterwards.
 *
 *   head | part 1 | part 2 ........................................ | zeros
 *   \__ gathered up to a page's end __/\__ written from the caller's bytes __/\__ gathered __/
 *
 * Whole pages are written in all cases, so that the system need not read old ones first.
 */
#include <assert.h>

#include "base/error.h"
#include "base/limits.h"
#include "page/run.h"
#include "pager/writer_internal.h"

/* Where pages come from when no free run is long enough: pieces, if a good part of the store is
 * free (1 page in 8), else the file's end. */
enum {
    RUN_PIECES_DIVISOR = 8, /* see above */
    RUN_LOOK_LOW_MAX = 1024 /* free runs that a vacuum looks at for a payload */
};

/* A payload in two parts; a slice of it is one as well. */
typedef struct run_payload {
    const uint8_t *part1; /* first */
    const uint8_t *part2; /* behind it */
    size_t size1;         /* bytes */
    size_t size2;         /* bytes */
} run_payload;

/* Bytes on their way into one run. */
typedef struct run_stream {
    htt_writer *writer;
    htt_run_ref run; /* where they go */
    uint64_t offset; /* in the file, of the next write */
    size_t held;     /* bytes in the writer's scratch */
} run_stream;

/* ------------------------------------------------------------------- streams */

static htt_rc run_stream_write(run_stream *stream, const uint8_t *bytes, size_t size,
                               htt_error *error) {
    htt_rc rc;

    assert((stream->offset & (stream->writer->page_size - 1)) == 0);
    assert((size & (stream->writer->page_size - 1)) == 0);
    rc = htt_writer_write(stream->writer, stream->run.first, stream->run.pages, stream->offset,
                          bytes, size, error);
    stream->offset += size;
    return rc;
}

static htt_rc run_stream_flush(run_stream *stream, htt_error *error) {
    size_t size = stream->held;

    assert(size <= HTT_WRITER_SCRATCH);
    stream->held = 0;
    return size == 0 ? HTT_OK : run_stream_write(stream, stream->writer->scratch, size, error);
}

static htt_rc run_stream_add(run_stream *stream, const uint8_t *bytes, size_t size,
                             htt_error *error) {
    size_t page_size = stream->writer->page_size;
    htt_rc rc = HTT_OK;

    while (rc == HTT_OK && size > 0) {
        size_t taken = HTT_WRITER_SCRATCH - stream->held;
        bool is_long = size >= HTT_WRITER_SCRATCH;
        if (is_long && stream->held == 0) {
            taken = size & ~(page_size - 1);
            rc = run_stream_write(stream, bytes, taken, error);
        } else {
            if (is_long) /* only to the page's end: the rest goes without a copy */
                taken = page_size - (stream->held & (page_size - 1));
            if (taken > size)
                taken = size;
            memcpy(stream->writer->scratch + stream->held, bytes, taken);
            stream->held += taken;
            if (is_long || stream->held == HTT_WRITER_SCRATCH)
                rc = run_stream_flush(stream, error);
        }
        assert(taken >= 1 && taken <= size);
        bytes += taken;
        size -= taken;
    }
    return rc;
}

static htt_rc run_stream_end(run_stream *stream, htt_error *error) {
    size_t mask = stream->writer->page_size - 1;
    size_t full = (stream->held + mask) & ~mask;

    assert(full <= HTT_WRITER_SCRATCH);
    memset(stream->writer->scratch + stream->held, 0, full - stream->held);
    stream->held = full;
    return run_stream_flush(stream, error);
}

/* Writes one run with all of a payload. */
static htt_rc run_write(htt_writer *writer, htt_run_ref run, const run_payload *payload,
                        htt_error *error) {
    run_stream stream = {writer, run, (uint64_t)run.first << writer->page_shift, 0};
    uint8_t head[HTT_RUN_HEADER_SIZE];
    htt_rc rc;

    assert((uint64_t)payload->size1 + payload->size2 <=
           htt_run_capacity(writer->page_size, run.pages));
    htt_run_head(head, run.first, writer->epoch, run.pages, payload->part1, payload->size1,
                 payload->part2, payload->size2);
    rc = run_stream_add(&stream, head, sizeof head, error);
    if (rc == HTT_OK)
        rc = run_stream_add(&stream, payload->part1, payload->size1, error);
    if (rc == HTT_OK)
        rc = run_stream_add(&stream, payload->part2, payload->size2, error);
    if (rc == HTT_OK)
        rc = run_stream_end(&stream, error);
    assert(rc != HTT_OK ||
           stream.offset == ((uint64_t)run.first + run.pages) << writer->page_shift);
    return rc;
}

/* The first `size` bytes of a payload; they are taken off it. */
static run_payload run_payload_cut(run_payload *payload, uint64_t size) {
    run_payload cut = *payload;

    if (size < cut.size1)
        cut.size1 = (size_t)size;
    size -= cut.size1;
    if (size < cut.size2)
        cut.size2 = (size_t)size;
    payload->part1 = payload->part1 == NULL ? NULL : payload->part1 + cut.size1;
    payload->size1 -= cut.size1;
    payload->part2 = payload->part2 == NULL ? NULL : payload->part2 + cut.size2;
    payload->size2 -= cut.size2;
    return cut;
}

/* ---------------------------------------------------------------- allocation */

/* Keeps the longest runs, longest first. */
static void run_keep_longest(htt_overflow *overflow, htt_run_ref run) {
    uint32_t at = overflow->count;

    assert(at <= HTT_DATA_RUNS_MAX && run.pages >= 1);
    if (at == HTT_DATA_RUNS_MAX) {
        if (overflow->runs[at - 1].pages >= run.pages)
            return;
        at--;
    } else {
        overflow->count++;
    }
    while (at > 0 && overflow->runs[at - 1].pages < run.pages) {
        overflow->runs[at] = overflow->runs[at - 1];
        at--;
    }
    overflow->runs[at] = run;
}

/* Cuts the runs that were kept to what `length` bytes need; false when `runs_max` of them do not
 * hold them. */
static bool run_cut_pieces(const htt_writer *writer, uint64_t length, uint32_t runs_max,
                           htt_overflow *overflow) {
    assert(length >= 1);
    for (uint32_t i = 0; i < overflow->count && i < runs_max; i++) {
        uint64_t capacity = htt_run_capacity(writer->page_size, overflow->runs[i].pages);
        if (capacity >= length) {
            overflow->runs[i].pages = (uint32_t)htt_run_pages_for(writer->page_size, length);
            overflow->count = i + 1;
            return true;
        }
        length -= capacity;
    }
    return false;
}

/* As few of the longest free runs as hold `length` bytes; false when `runs_max` do not. */
static bool run_find_pieces(htt_writer *writer, uint64_t length, uint32_t runs_max,
                            htt_overflow *overflow) {
    htt_run_ref run;
    uint64_t from = 0;

    overflow->count = 0;
    while (htt_pool_next_run(&writer->pool, from, &run)) {
        run_keep_longest(overflow, run);
        from = (uint64_t)run.first + run.pages;
    }
    return run_cut_pieces(writer, length, runs_max, overflow);
}

/*
 * For a vacuum: the lowest place, and not the one that fits best. That is the first run that is
 * long enough, or pieces below it. Of many short runs only the lowest are looked at.
 */
static bool run_find_low(htt_writer *writer, uint64_t length, uint32_t pages, uint32_t runs_max,
                         htt_overflow *overflow) {
    htt_run_ref run, fit = {0, 0};
    uint64_t from = 0;

    overflow->count = 0;
    for (uint32_t i = 0; i < RUN_LOOK_LOW_MAX && htt_pool_next_run(&writer->pool, from, &run);
         i++) {
        if (run.pages >= pages) {
            fit = run;
            break;
        }
        run_keep_longest(overflow, run);
        from = (uint64_t)run.first + run.pages;
    }
    if (run_cut_pieces(writer, length, runs_max, overflow))
        return true;
    if (fit.pages == 0)
        return false;
    overflow->runs[0] = (htt_run_ref){fit.first, pages};
    overflow->count = 1;
    return true;
}

/* Free runs for a payload. False: the file's end is the place. */
static htt_rc run_find(htt_writer *writer, uint64_t length, uint32_t runs_max,
                       htt_overflow *overflow, bool *found_out, htt_error *error) {
    uint32_t pages = (uint32_t)htt_run_pages_for(writer->page_size, length);
    uint64_t before;
    htt_rc rc;

    if (writer->options.low_first) { /* all of the free list was read at the begin */
        *found_out = run_find_low(writer, length, pages, runs_max, overflow);
        if (*found_out)
            return HTT_OK;
    }
    do {
        *found_out = htt_pool_find_run(&writer->pool, pages, &overflow->runs[0]);
        if (*found_out) {
            overflow->runs[0].pages = pages;
            overflow->count = 1;
            return HTT_OK;
        }
        before = writer->chain_read;
        rc = htt_freelist_fill(writer, writer->pool.pages + 1, error);
        if (rc != HTT_OK)
            return rc;
    } while (writer->chain_read != before);
    if (writer->pool.pages < pages ||
        (uint64_t)writer->pool.run_bound * runs_max < pages)
        return HTT_OK;
    if (writer->options.low_first ||
        writer->pool.pages >= writer->page_count / RUN_PIECES_DIVISOR)
        *found_out = run_find_pieces(writer, length, runs_max, overflow);
    return HTT_OK;
}

static htt_rc run_allocate(htt_writer *writer, uint64_t length, uint32_t runs_max,
                           htt_overflow *overflow, htt_error *error) {
    uint64_t pages = htt_run_pages_for(writer->page_size, length);
    bool found;
    htt_rc rc;

    if (pages > HTT_PAGE_NUMBER_MAX)
        return htt_error_set(error, HTT_TOOBIG, "a value of %llu bytes",
                             (unsigned long long)length);
    rc = run_find(writer, length, runs_max, overflow, &found, error);
    if (rc != HTT_OK)
        return rc;
    if (!found) {
        if (pages > HTT_PAGE_NUMBER_MAX - writer->page_count)
            return htt_error_set(error, HTT_FULL, "the store has no numbers for %llu more pages",
                                 (unsigned long long)pages);
        if (!htt_pool_fit(writer, writer->page_count, (uint32_t)pages))
            return htt_writer_no_memory(error);
        overflow->count = 1;
        overflow->runs[0].first = writer->page_count;
        overflow->runs[0].pages = (uint32_t)pages;
        writer->page_count += (uint32_t)pages;
    }
    assert(overflow->count >= 1 && overflow->count <= runs_max);
    /* What a reserve has promised still holds: spare frames are the calls that are left. */
    if (!htt_writer_fit(writer, writer->spare_count + HTT_DATA_RUNS_MAX)) {
        if (!found)
            writer->page_count -= (uint32_t)pages;
        return htt_writer_no_memory(error);
    }
    for (uint32_t i = 0; i < overflow->count; i++) {
        htt_run_ref run = overflow->runs[i];
        htt_pool_remove(&writer->pool, run.first, run.pages);
        htt_writer_log(writer, run.first, run.pages);
        writer->allocated += run.pages;
        *(found ? &writer->stat.reused : &writer->stat.extended) += run.pages;
    }
    return HTT_OK;
}

htt_rc htt_writer_put_run(htt_writer *writer, const uint8_t *part1, size_t size1,
                          const uint8_t *part2, size_t size2, htt_overflow *overflow_out,
                          htt_error *error) {
    return htt_writer_put_runs(writer, part1, size1, part2, size2, HTT_DATA_RUNS_MAX, overflow_out,
                               error);
}

htt_rc htt_writer_put_runs(htt_writer *writer, const uint8_t *part1, size_t size1,
                           const uint8_t *part2, size_t size2, uint32_t runs_max,
                           htt_overflow *overflow_out, htt_error *error) {
    run_payload payload = {part1, part2, size1, size2};
    htt_overflow overflow;
    htt_rc rc;

    assert(size1 + size2 >= 1);
    assert(runs_max >= 1 && runs_max <= HTT_DATA_RUNS_MAX);
    memset(&overflow, 0, sizeof overflow);
    overflow.value_size = size2;
    rc = htt_writer_scratch(writer, error);
    if (rc == HTT_OK)
        rc = run_allocate(writer, (uint64_t)size1 + size2, runs_max, &overflow, error);
    if (rc != HTT_OK)
        return rc;
    for (uint32_t i = 0; rc == HTT_OK && i < overflow.count; i++) {
        htt_run_ref run = overflow.runs[i];
        run_payload cut = run_payload_cut(&payload, htt_run_capacity(writer->page_size, run.pages));
        assert(cut.size1 + cut.size2 >= 1); /* no run is empty */
        rc = htt_writer_extend(writer, run.first + run.pages, error);
        if (rc == HTT_OK)
            rc = run_write(writer, run, &cut, error);
    }
    if (rc != HTT_OK) {
        for (uint32_t i = 0; i < overflow.count; i++)
            htt_pool_add(&writer->pool, overflow.runs[i].first, overflow.runs[i].pages);
        return rc;
    }
    assert(payload.size1 == 0 && payload.size2 == 0);
    *overflow_out = overflow;
    return HTT_OK;
}

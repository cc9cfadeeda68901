/* SPDX-License-Identifier: MIT */
/*
 * The workloads: their names, which subject can do which, and choosing the loop.
 */
#include "bench_work.h"

#include <stdlib.h>

#include "bench_clock.h"

const bench_work_info bench_work_infos[BENCH_WORKLOADS] = {
    [BENCH_LOAD] = {"load", "load, random order, one transaction", "ns/row", false, true},
    [BENCH_SETTLE] = {"settle", "checkpoint or compaction after the load", "s", false, false},
    [BENCH_SIZE_LOADED] = {"size_loaded", "file bytes per payload byte, loaded", "B/B", false,
                           false},
    [BENCH_LOAD_HALF] = {"load_half", "load, write budget half the payload", "ns/row", false, true},
    [BENCH_GET] = {"get", "get, one transaction", "ns", false, true},
    [BENCH_GET_ALONE] = {"get_alone", "get, each its own transaction", "ns", false, true},
    [BENCH_MISS] = {"miss", "get of absent keys, one transaction", "ns", false, true},
    [BENCH_ZIPF] = {"zipf", "get, Zipf .99, one transaction", "ns", false, true},
    [BENCH_GET_MANY] = {"get_many", "key IN (1000 keys), one transaction", "ns/key", false, true},
    [BENCH_SCAN] = {"scan", "scan of keys and values", "ns/row", false, true},
    [BENCH_COUNT] = {"count", "count(*)", "us", false, true},
    [BENCH_COLD] = {"cold", "cold get, read-ahead of the system", "us", false, false},
    [BENCH_COLD_RANDOM] = {"cold_random", "cold get, no read-ahead", "us", false, false},
    [BENCH_PUT] = {"put", "overwrite (REPLACE), 1000 per transaction", "ns/row", false, true},
    [BENCH_UPDATE] = {"update", "overwrite (UPDATE), 1000 per transaction", "ns/row", false, true},
    [BENCH_COMMIT_FULL] = {"commit_full", "one-row commits, FULL", "1/s", true, false},
    [BENCH_COMMIT_NORMAL] = {"commit_normal", "one-row commits, NORMAL", "1/s", true, true},
    [BENCH_COMMIT_OFF] = {"commit_off", "one-row commits, OFF", "1/s", true, true},
    [BENCH_FEW_FULL] = {"few_full", "ten-row commits, FULL", "1/s", true, false},
    [BENCH_FEW_NORMAL] = {"few_normal", "ten-row commits, NORMAL", "1/s", true, true},
    [BENCH_FEW_OFF] = {"few_off", "ten-row commits, OFF", "1/s", true, true},
    [BENCH_BIG_FULL] = {"commit_256m_full", "one-row commits, FULL, cache 256 MB", "1/s", true,
                        false},
    [BENCH_BIG_NORMAL] = {"commit_256m_normal", "one-row commits, NORMAL, cache 256 MB", "1/s",
                          true, false},
    [BENCH_BIG_OFF] = {"commit_256m_off", "one-row commits, OFF, cache 256 MB", "1/s", true, false},
    [BENCH_SIZE_WRITTEN] = {"size_written", "file bytes per payload byte, after overwrites", "B/B",
                            false, false},
    [BENCH_DELETE] = {"delete", "delete, 1000 per transaction", "ns/row", false, false},
};

bool bench_work_applies(const bench_subject *subject, bench_workload workload) {
    if (subject->only_alone && workload != BENCH_LOAD && workload != BENCH_GET_ALONE &&
        (workload < BENCH_COMMIT_FULL || workload > BENCH_FEW_OFF)) {
        return false;
    }
    switch (workload) {
    case BENCH_SETTLE: return subject->settle != NULL;
    case BENCH_SIZE_LOADED:
    case BENCH_SIZE_WRITTEN:
    case BENCH_COLD:
    case BENCH_COLD_RANDOM: return !subject->in_memory;
    case BENCH_LOAD_HALF: return subject->has_budget;
    case BENCH_GET_MANY: return subject->get_many != NULL;
    case BENCH_COUNT: return subject->count != NULL;
    case BENCH_COMMIT_FULL:
    case BENCH_FEW_FULL: return (subject->syncs & BENCH_SYNC(HTT_SYNC_FULL)) != 0;
    case BENCH_COMMIT_NORMAL:
    case BENCH_FEW_NORMAL: return (subject->syncs & BENCH_SYNC(HTT_SYNC_NORMAL)) != 0;
    case BENCH_COMMIT_OFF:
    case BENCH_FEW_OFF: return (subject->syncs & BENCH_SYNC(HTT_SYNC_OFF)) != 0;
    case BENCH_BIG_FULL:
    case BENCH_BIG_NORMAL:
    case BENCH_BIG_OFF: return subject->group == BENCH_SQL && !subject->in_memory;
    default: return true;
    }
}

double bench_work_measure(bench_run *run, bench_workload workload, int round) {
    run->extra_count = 0;
    switch (workload) {
    case BENCH_LOAD: return round == 0 ? bench_run_load(run) : bench_write_load_again(run);
    case BENCH_SETTLE: return bench_write_settle(run);
    case BENCH_LOAD_HALF: return bench_write_load_half(run);
    case BENCH_GET:
    case BENCH_GET_ALONE:
    case BENCH_MISS: return bench_read_get(run, workload, round);
    case BENCH_ZIPF: return bench_read_zipf(run, round);
    case BENCH_GET_MANY: return bench_read_many(run, round);
    case BENCH_SCAN: return bench_read_scan(run);
    case BENCH_COUNT: return bench_read_count(run);
    case BENCH_COLD: return bench_read_cold(run, true, round);
    case BENCH_COLD_RANDOM: return bench_read_cold(run, false, round);
    case BENCH_PUT:
    case BENCH_UPDATE: return bench_write_put(run, workload, round);
    case BENCH_COMMIT_FULL:
    case BENCH_COMMIT_NORMAL:
    case BENCH_COMMIT_OFF:
    case BENCH_FEW_FULL:
    case BENCH_FEW_NORMAL:
    case BENCH_FEW_OFF:
    case BENCH_BIG_FULL:
    case BENCH_BIG_NORMAL:
    case BENCH_BIG_OFF: return bench_write_commits(run, workload, round);
    case BENCH_SIZE_LOADED:
    case BENCH_SIZE_WRITTEN: return bench_run_size(run);
    case BENCH_DELETE: return bench_write_delete(run);
    case BENCH_WORKLOADS: break;
    }
    bench_fail("there is no workload %d", (int)workload);
}

double bench_work_overhead(const bench_config *config) {
    const bench_dataset *dataset = &config->dataset;
    uint8_t key[BENCH_KEY_MAX];
    uint8_t *value = bench_allocate(dataset->value_size + 1, 1);
    uint64_t random = dataset->seed;
    uint64_t right = 0;
    const uint64_t start = bench_clock_now();
    for (uint64_t i = 0; i < config->gets; i++) {
        bench_dataset_key(dataset, bench_random_below(&random, dataset->rows), key);
        right += bench_dataset_is_value(dataset, key, 0, value, dataset->value_size);
    }
    const double figure = bench_clock_per(start, config->gets);
    free(value);
    return right <= config->gets ? figure : 0; /* `right` is used: the loop is not left out */
}

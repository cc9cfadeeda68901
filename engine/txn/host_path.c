/* SPDX-License-Identifier: MIT */
/*
 * The way from a store's file to its host's, as text: so that both can be moved together.
 *
 *     /data/a/kv.htt, /data/a/app.db     ->  app.db
 *     /data/a/kv.htt, /data/db/app.db    ->  ../db/app.db
 *     kv.htt, /data/app.db               ->  /data/app.db         (nothing in common to go by)
 */
#include <string.h>

#include "txn/host.h"

/* The next part of a path; "." and empty ones are left out. False: there is none. */
static bool path_next(const char **at, const char **part_out, size_t *size_out) {
    for (;;) {
        *at += strspn(*at, "/");
        const size_t size = strcspn(*at, "/");
        if (size == 0)
            return false;
        *part_out = *at;
        *size_out = size;
        *at += size;
        if (size != 1 || (*part_out)[0] != '.')
            return true;
    }
}

/* Cuts a path into parts, ".." taking the one before away. False: more than fit. */
static bool path_cut(const char *path, htt_host_parts *parts) {
    const char *part;
    size_t size;

    parts->count = 0;
    while (path_next(&path, &part, &size)) {
        if (size == 2 && part[0] == '.' && part[1] == '.') {
            parts->count -= parts->count > 0;
            continue;
        }
        if (parts->count == HTT_HOST_PARTS_MAX)
            return false;
        parts->part[parts->count] = part;
        parts->size[parts->count++] = size;
    }
    return parts->count > 0;
}

static bool path_append(char *text, size_t *used, const char *part, size_t size) {
    if (*used + size > HTT_HOST_PATH_MAX)
        return false;
    memcpy(text + *used, part, size);
    *used += size;
    text[*used] = '\0';
    return true;
}

bool htt_host_path_relative(const char *file, const char *host,
                            char relative_out[HTT_HOST_PATH_MAX + 1]) {
    htt_host_parts from, to;
    size_t used = 0, same = 0;

    relative_out[0] = '\0';
    if (file[0] != '/' || host[0] != '/' || !path_cut(file, &from) || !path_cut(host, &to))
        return path_append(relative_out, &used, host, strlen(host));
    while (same + 1 < from.count && same + 1 < to.count && from.size[same] == to.size[same] &&
           memcmp(from.part[same], to.part[same], from.size[same]) == 0)
        same++;
    bool fits = true;
    for (size_t i = same; fits && i + 1 < from.count; i++)
        fits = path_append(relative_out, &used, "../", 3);
    for (size_t i = same; fits && i < to.count; i++) {
        fits = path_append(relative_out, &used, to.part[i], to.size[i]);
        if (fits && i + 1 < to.count)
            fits = path_append(relative_out, &used, "/", 1);
    }
    return fits;
}

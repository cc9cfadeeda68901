#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: release
#
# libhtt.so exports what the public headers declare with HTT_API (sqlite3_htt_init and htt_*), no
# more and no less; it is linked with neither SQLite nor xxHash; libhtt.a has the entry point too.
set -euo pipefail
cd "$HTT_SOURCE_DIR"
declared() {
    # Declarations end with ';' and may span lines; the name is the word before the first '('.
    cat engine/htt.h engine/htt_env.h engine/htt_host.h ext/htt_sqlite.h sql/htt_*.h |
        grep -v '^#' |
        tr '\n' ' ' | grep -oE 'HTT_API [^;{(]*\(' | grep -oE '[a-z0-9_]+\($' | tr -d '('
}
exported() {
    nm -D --defined-only "$HTT_LIBRARY.so" | awk '$2 ~ /^[A-Z]$/ && $2 != "A" { print $3 }' |
        sed 's/@.*//' | grep -v '^__\(sanitizer\|asan\|tsan\|ubsan\|start\|stop\)' || true
}
if ! difference=$(diff <(declared | LC_ALL=C sort -u) <(exported | LC_ALL=C sort -u)); then
    echo "libhtt.so: '<' is declared HTT_API but not exported, '>' exported but not declared:"
    echo "$difference" | grep '^[<>]'
    exit 1
fi
needed=$(readelf -d "$HTT_LIBRARY.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if echo "$needed" | grep -E 'sqlite3|xxhash'; then
    echo "libhtt.so must not need these libraries: a host brings its own SQLite"
    exit 1
fi
nm --defined-only "$HTT_LIBRARY.a" 2>/dev/null | grep ' T sqlite3_htt_init$' >/dev/null ||
    { echo "libhtt.a has no sqlite3_htt_init"; exit 1; }
echo "$(exported | wc -l) exported names, needed libraries:" $needed

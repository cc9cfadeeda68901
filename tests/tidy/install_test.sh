#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: release
#
# What cmake --install writes is enough for a stranger: a C program builds and runs with htt.pc
# (shared and static), with find_package(htt), with libhtt.a beside SQLite, and C++ takes htt.h.
set -euo pipefail
if [ -n "$HTT_SANITIZE" ]; then
    echo "skipped: the installed library is not for sanitizers"
    exit 0
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/htt-install.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cmake --install "$HTT_BUILD_DIR" --prefix "$folder/usr" >"$folder/install.log" ||
    { cat "$folder/install.log"; exit 1; }
cd "$folder"
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$folder/usr" -name htt.pc)")
prefix=(--define-variable=prefix="$folder/usr")

cat >kv.c <<'C'
#include <htt.h>
#include <htt_env.h>
#include <stdio.h>

int main(void) {
    htt_store *store;
    char *text;
    if (htt_open("kv.htt", NULL, &store, NULL) != HTT_OK || htt_env_system() == NULL ||
        htt_put_text(store, "hostname", "www.example.com") != HTT_OK ||
        htt_get_text(store, "hostname", &text) != HTT_OK) {
        return 1;
    }
    puts(text);
    htt_free(text);
    htt_close(store);
    return 0;
}
C
cat >sql.c <<'C'
#include <htt_sqlite.h>
#include <sqlite3.h>

int main(void) {
    sqlite3 *db;
    sqlite3_auto_extension((void (*)(void))sqlite3_htt_init);
    return sqlite3_open(":memory:", &db) != SQLITE_OK ||
           sqlite3_exec(db, "SELECT htt_version();", 0, 0, 0) != SQLITE_OK ||
           sqlite3_close(db) != SQLITE_OK;
}
C
cat >CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C)
find_package(htt REQUIRED)
add_executable(consumer kv.c)
target_link_libraries(consumer PRIVATE htt::htt)
add_executable(consumer_static kv.c)
target_link_libraries(consumer_static PRIVATE htt::static)
CMAKE

runs() { # <what> <program>: prints the value, from a file of its own
    local got
    rm -f kv.htt*
    got=$("$2") || { echo "$1: exit code $?"; exit 1; }
    [ "$got" = www.example.com ] || { echo "$1: printed '$got'"; exit 1; }
    echo "$1: good"
}
read -ra flags < <(pkg-config "${prefix[@]}" --cflags htt)
read -ra shared < <(pkg-config "${prefix[@]}" --libs htt)
cc kv.c -o kv "${flags[@]}" "${shared[@]}" -Wl,-rpath,"$(dirname "$PKG_CONFIG_PATH")"
runs "htt.pc, shared" ./kv
static=$(find "$folder/usr" -name libhtt.a)
cc kv.c -o kv_static "${flags[@]}" "$static" -pthread
runs "htt.pc, static, without SQLite" ./kv_static
cc sql.c -o sql "${flags[@]}" "$static" -lsqlite3 -pthread && ./sql
echo "sqlite3_auto_extension: good"
cmake -S . -B consumer -DCMAKE_PREFIX_PATH="$folder/usr" >cmake.log 2>&1 &&
    cmake --build consumer >>cmake.log 2>&1 || { cat cmake.log; exit 1; }
runs "find_package, shared" consumer/consumer
runs "find_package, static" consumer/consumer_static
cat >kv.cc <<'C'
#include <htt.h>
#include <htt_env.h>
#include <htt_sqlite.h>
#include <htt_event.h>
#include <htt_idempotency.h>
#include <htt_result.h>
#include <htt_saga.h>
#include <htt_uow.h>
int main() { return htt_null().type != HTT_NULL; }
C
c++ -Wall -Wextra -Werror -pedantic "${flags[@]}" kv.cc -o kv_cc && ./kv_cc
echo "C++: good"

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ctest: asan release
#
# The sqlite3 shell loads ./libhtt by that name alone and answers with it.
set -euo pipefail
folder=$(mktemp -d "${TMPDIR:-/tmp}/htt-load.XXXXXX")
trap 'rm -rf "$folder"' EXIT
cp "$HTT_LIBRARY.so" "$folder/"
cd "$folder"

shell() {
    env ${HTT_PRELOAD:+LD_PRELOAD="$HTT_PRELOAD"} sqlite3 -batch -bail "$@"
}

expect() { # <what> <expected> <got>
    if [ "$2" != "$3" ]; then
        printf '%s: expected "%s", got "%s"\n' "$1" "$2" "$3" >&2
        exit 1
    fi
}

header=$(sed -n 's/^#define HTT_VERSION "\(.*\)"$/\1/p' "$HTT_SOURCE_DIR/engine/htt.h")
got=$(printf '.load ./libhtt\nSELECT htt_version();\n' | shell)
expect 'htt_version()' "$header" "$got"

got=$(shell demo.db <<'SQL'
.load ./libhtt
CREATE VIRTUAL TABLE kv USING htt('kv.htt');
INSERT INTO kv VALUES ('hostname', 'www.example.com'), (1, 2.5);
SELECT value FROM kv WHERE key = 'hostname';
SELECT count(*) FROM kv;
SQL
)
expect 'a first table' $'www.example.com\n2' "$got"

got=$(printf ".load ./libhtt\nSELECT value FROM kv WHERE key = 1;\n" | shell demo.db)
expect 'the table after a restart' 2.5 "$got"
echo "loaded libhtt $header"

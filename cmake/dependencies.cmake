# SPDX-License-Identifier: MIT
#
# What the system must have: threads, xxHash (hash and checksum), SQLite (headers for the module).
# cmocka, for the tests only, is looked for in tests/.
find_package(Threads REQUIRED)

find_path(HTT_XXHASH_INCLUDE xxhash.h)
if(NOT HTT_XXHASH_INCLUDE)
    message(FATAL_ERROR "xxhash.h is missing; on Debian: apt-get install libxxhash-dev")
endif()

find_path(HTT_SQLITE_INCLUDE sqlite3ext.h)
find_library(HTT_SQLITE_LIBRARY sqlite3)
if(NOT HTT_SQLITE_INCLUDE OR NOT HTT_SQLITE_LIBRARY)
    message(FATAL_ERROR "SQLite is missing; on Debian: apt-get install libsqlite3-dev")
endif()

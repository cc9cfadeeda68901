# SPDX-License-Identifier: MIT
#
# Puts the statements of sql/schema/*.sql into C files: htt_schema_objects of ext/schema.h, what the
# module makes, and htt_schema_parts of sql/base/schema.h, what htt_db_install makes.
#
#   CREATE TABLE IF NOT EXISTS htt_x(...);   ->   "CREATE TABLE IF NOT EXISTS ", "htt_x(...);\n"
#
# The text is cut before the name of each object that a statement makes or fills, where the schema's
# name goes in: behind CREATE ... IF NOT EXISTS, and behind an INSERT OR IGNORE INTO that begins a
# line. A comment stands on lines of its own; those lines are left out.
set(htt_schema_names htt_schema htt_store htt_outbox htt_consumer htt_change) # in this order

# The parts of sql/: htt_schema_<part>_version and htt_schema_<part>_files, in the order in which
# they are made, without htt_schema, which comes first in each. One of them fills in the part's row:
# INSERT OR IGNORE INTO htt_schema(name, version) VALUES ('<part>', <version>);
set(htt_schema_parts event saga)
set(htt_schema_event_version 1)
set(htt_schema_event_files htt_consumer htt_event htt_delivery htt_inbox htt_idempotency)
set(htt_schema_saga_version 1)
set(htt_schema_saga_files htt_saga)

set(htt_schema_source ${PROJECT_BINARY_DIR}/generated/schema.c)
set(htt_schema_parts_source ${PROJECT_BINARY_DIR}/generated/schema_parts.c)

function(htt_schema_embed name parts_out)
    set(path ${PROJECT_SOURCE_DIR}/sql/schema/${name}.sql)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(READ ${path} text)
    string(REGEX REPLACE "\n *--[^\n]*" "" text "\n${text}")
    string(REGEX REPLACE "^\n+" "" text "${text}")
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REGEX REPLACE "\n$" "" text "${text}")
    string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
    string(REGEX REPLACE
        "(CREATE [A-Z ]+ IF NOT EXISTS |\n    \"INSERT OR IGNORE INTO )(htt_)"
        "\\1\",\n    \"\\2" text "${text}")
    set(${parts_out} "    \"${text}\\n\"" PARENT_SCOPE)
endfunction()

# The arrays of the files' texts: <prefix>_<name>.
function(htt_schema_arrays prefix names text_out)
    set(text "")
    foreach(name IN LISTS names)
        htt_schema_embed(${name} parts)
        string(APPEND text "\nstatic const char *const ${prefix}_${name}[] = {\n${parts},\n"
            "    NULL,\n};\n")
    endforeach()
    set(${text_out} "${text}" PARENT_SCOPE)
endfunction()

function(htt_schema_write_file path text)
    set(before "")
    if(EXISTS ${path})
        file(READ ${path} before)
    endif()
    if(NOT before STREQUAL text)
        file(WRITE ${path} "${text}")
    endif()
endfunction()

set(htt_schema_head "/* Made of the files in sql/schema by cmake/schema.cmake. */\n")

function(htt_schema_write)
    htt_schema_arrays(parts "${htt_schema_names}" arrays)
    set(table "")
    foreach(name IN LISTS htt_schema_names)
        string(APPEND table "    {\"${name}\", parts_${name}},\n")
    endforeach()
    htt_schema_write_file(${htt_schema_source} "${htt_schema_head}#include \"schema.h\"\n${arrays}
const htt_schema_object htt_schema_objects[] = {\n${table}    {NULL, NULL},\n};\n")
endfunction()

function(htt_schema_write_parts)
    set(names "")
    set(lists "")
    set(table "")
    foreach(part IN LISTS htt_schema_parts)
        list(APPEND names htt_schema ${htt_schema_${part}_files})
        string(APPEND lists "\nstatic const htt_schema_file part_${part}[] = {\n")
        foreach(name IN ITEMS htt_schema ${htt_schema_${part}_files})
            string(APPEND lists "    {\"${name}\", file_${name}},\n")
        endforeach()
        string(APPEND lists "    {NULL, NULL},\n};\n")
        string(APPEND table "    {\"${part}\", ${htt_schema_${part}_version}, part_${part}},\n")
    endforeach()
    list(REMOVE_DUPLICATES names)
    htt_schema_arrays(file "${names}" arrays)
    htt_schema_write_file(${htt_schema_parts_source}
        "${htt_schema_head}#include \"sql/base/schema.h\"\n${arrays}${lists}
const htt_schema_part htt_schema_parts[] = {\n${table}    {NULL, 0, NULL},\n};\n")
endfunction()

htt_schema_write()
htt_schema_write_parts()

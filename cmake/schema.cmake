# SPDX-License-Identifier: MIT
#
# Puts the statements of sql/schema/*.sql into a C file: htt_schema_objects of ext/schema.h.
#
#   CREATE TABLE IF NOT EXISTS htt_x(...);   ->   "CREATE TABLE IF NOT EXISTS ", "htt_x(...);\n"
#
# The text is cut before the name of each object that a statement makes or fills, where the schema's
# name goes in. A comment stands on lines of its own; those lines are left out.
set(htt_schema_names htt_schema htt_store htt_outbox htt_consumer htt_change) # in this order
set(htt_schema_source ${PROJECT_BINARY_DIR}/generated/schema.c)

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
    string(REGEX REPLACE "(CREATE TABLE IF NOT EXISTS |CREATE VIEW IF NOT EXISTS |INTO )(htt_)"
        "\\1\",\n    \"\\2" text "${text}")
    set(${parts_out} "    \"${text}\\n\"" PARENT_SCOPE)
endfunction()

function(htt_schema_write)
    set(text "/* Made of the files in sql/schema by cmake/schema.cmake. */\n")
    string(APPEND text "#include \"schema.h\"\n")
    set(table "")
    foreach(name IN LISTS htt_schema_names)
        htt_schema_embed(${name} parts)
        string(APPEND text "\nstatic const char *const parts_${name}[] = {\n${parts},\n"
            "    NULL,\n};\n")
        string(APPEND table "    {\"${name}\", parts_${name}},\n")
    endforeach()
    string(APPEND text "\nconst htt_schema_object htt_schema_objects[] = {\n"
        "${table}    {NULL, NULL},\n};\n")
    set(before "")
    if(EXISTS ${htt_schema_source})
        file(READ ${htt_schema_source} before)
    endif()
    if(NOT before STREQUAL text)
        file(WRITE ${htt_schema_source} "${text}")
    endif()
endfunction()
htt_schema_write()

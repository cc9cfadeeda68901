# SPDX-License-Identifier: MIT
#
# The libraries.
#
#   engine/<layer>/*.c  ->  htt_layer_<layer>   objects, one target per layer
#   ext/*.c             ->  htt_ext_loadable    objects that call SQLite through sqlite3ext.h
#   and sql/schema/     ->  htt_ext_static      the same with SQLITE_CORE: calls SQLite directly
#   sql/<part>/*.c      ->  htt_sql_loadable, htt_sql_static   the same two ways
#   and sql/schema/
#
#   libhtt.so      = layers + both loadable  .load ./libhtt, or cc -lhtt for the C interface
#   libhtt.a       = layers + both static    for sqlite3_auto_extension(sqlite3_htt_init)
#   libhtt_engine  = layers                  not installed; what the engine's tests link
set(htt_engine_objects "")
foreach(layer IN ITEMS base os page pager tree txn)
    file(GLOB sources CONFIGURE_DEPENDS engine/${layer}/*.c)
    if(sources)
        add_library(htt_layer_${layer} OBJECT ${sources})
        target_include_directories(htt_layer_${layer} PRIVATE
            ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/engine ${HTT_XXHASH_INCLUDE})
        target_link_libraries(htt_layer_${layer} PRIVATE htt_flags Threads::Threads)
        list(APPEND htt_engine_objects $<TARGET_OBJECTS:htt_layer_${layer}>)
    endif()
endforeach()

include(${CMAKE_CURRENT_LIST_DIR}/schema.cmake)
file(GLOB ext_sources CONFIGURE_DEPENDS ext/*.c)
set(htt_ext_loadable_objects "")
set(htt_ext_static_objects "")
if(ext_sources)
    foreach(kind IN ITEMS loadable static)
        add_library(htt_ext_${kind} OBJECT ${ext_sources} ${htt_schema_source})
        target_include_directories(htt_ext_${kind} PRIVATE ${PROJECT_SOURCE_DIR}
            ${PROJECT_SOURCE_DIR}/engine ${PROJECT_SOURCE_DIR}/ext ${HTT_SQLITE_INCLUDE})
        target_link_libraries(htt_ext_${kind} PRIVATE htt_flags Threads::Threads)
        set(htt_ext_${kind}_objects $<TARGET_OBJECTS:htt_ext_${kind}>)
    endforeach()
    target_compile_definitions(htt_ext_static PRIVATE SQLITE_CORE)
endif()

set(sql_sources ${htt_schema_parts_source})
foreach(part IN ITEMS base repo uow event saga)
    file(GLOB sources CONFIGURE_DEPENDS sql/${part}/*.c)
    list(APPEND sql_sources ${sources})
endforeach()
foreach(kind IN ITEMS loadable static)
    add_library(htt_sql_${kind} OBJECT ${sql_sources})
    target_include_directories(htt_sql_${kind} PRIVATE
        ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/engine ${HTT_SQLITE_INCLUDE})
    target_link_libraries(htt_sql_${kind} PRIVATE htt_flags Threads::Threads)
endforeach()
target_compile_definitions(htt_sql_static PRIVATE SQLITE_CORE)

add_library(htt_engine STATIC ${htt_engine_objects})
add_library(htt_shared SHARED ${htt_engine_objects} ${htt_ext_loadable_objects}
    $<TARGET_OBJECTS:htt_sql_loadable>)
add_library(htt_static STATIC ${htt_engine_objects} ${htt_ext_static_objects}
    $<TARGET_OBJECTS:htt_sql_static>)
foreach(library IN ITEMS htt_engine htt_shared htt_static)
    set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
    target_include_directories(${library} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/engine> $<INSTALL_INTERFACE:include>)
    target_link_libraries(${library} PUBLIC Threads::Threads)
endforeach()
foreach(library IN ITEMS htt_shared htt_static)
    target_include_directories(${library} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/ext> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/sql>)
endforeach()
# Of the names that are not hidden, only the public ones leave the library.
set(map ${PROJECT_SOURCE_DIR}/cmake/libhtt.map)
# -Bsymbolic-functions: a host that has another libhtt in it keeps its own, and we ours.
target_link_options(htt_shared PRIVATE
    -Wl,--version-script=${map} -Wl,--as-needed -Wl,-Bsymbolic-functions)
set_property(TARGET htt_shared APPEND PROPERTY LINK_DEPENDS ${map})
if(HTT_SANITIZE)
    target_link_options(htt_shared PRIVATE -fsanitize=${HTT_SANITIZE})
else()
    target_link_options(htt_shared PRIVATE -Wl,-z,defs)
endif()
set_target_properties(htt_shared htt_static PROPERTIES
    OUTPUT_NAME htt PREFIX lib
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR} ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
set_target_properties(htt_shared PROPERTIES EXPORT_NAME htt SUFFIX .so)
set_target_properties(htt_static PROPERTIES EXPORT_NAME static)
add_library(htt::htt ALIAS htt_shared)
add_library(htt::static ALIAS htt_static)

# SPDX-License-Identifier: MIT
#
# How a file under tests/ becomes a test. The names and words are told in tests/CMakeLists.txt.

set(htt_test_work ${PROJECT_BINARY_DIR}/tests/work)
file(MAKE_DIRECTORY ${htt_test_work})
set(HTT_FUZZ_SECONDS 10 CACHE STRING "How long ctest fuzzes each target in the fuzz preset")
set(HTT_FUZZ_SECONDS_LONG 1800 CACHE STRING "The same for ./test long")

# A static library of the files in a folder that are not tests; empty folders give an empty library.
# It does not name the engine it calls: each program links its own behind it.
function(htt_test_library target folder)
    file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c)
    list(FILTER sources EXCLUDE REGEX "_(test|fuzz)\\.c$")
    if(NOT sources)
        add_library(${target} INTERFACE)
        return()
    endif()
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} PUBLIC ${htt_test_includes})
    target_compile_options(${target} PRIVATE ${htt_test_options})
    target_link_libraries(${target} PRIVATE htt_flags)
endfunction()
# The files' names are ours and short; one that were cut would not be found, and fail the test.
set(htt_test_options $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
set(htt_test_includes ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/engine
    ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/tests/support
    ${HTT_XXHASH_INCLUDE} ${HTT_SQLITE_INCLUDE} ${HTT_CMOCKA_INCLUDE})

# The words of the line "ctest: ..." among a file's first lines.
function(htt_test_words source words_out)
    file(STRINGS ${source} lines REGEX "^[ #/*]*ctest:" LIMIT_COUNT 1)
    string(REGEX REPLACE "^[^:]*:|[*]/" "" line "${lines}")
    separate_arguments(words UNIX_COMMAND "${line}")
    set(${words_out} "${words}" PARENT_SCOPE)
endfunction()

# Adds the test, and its long form where it has one. `kind` is c, script or fuzz.
function(htt_test_add name kind source)
    htt_test_words(${source} words)
    set(labels "")
    set(seconds ${TIMEOUT_DEFAULT})
    if("long" IN_LIST words)
        list(APPEND labels long)
        set(seconds ${TIMEOUT_LONG})
    else()
        list(APPEND labels short)
    endif()
    if("${words}" MATCHES "timeout=([0-9]+)")
        set(seconds ${CMAKE_MATCH_1})
    endif()
    if((kind STREQUAL "c" AND NOT "no-asan" IN_LIST words) OR "asan" IN_LIST words)
        list(APPEND labels asan)
    endif()
    foreach(label IN ITEMS tsan release)
        if(label IN_LIST words)
            list(APPEND labels ${label})
        endif()
    endforeach()
    if(kind STREQUAL "fuzz")
        list(APPEND labels asan fuzz)
    endif()
    htt_test_entry(${name} ${kind} "${labels}" "${words}" ${seconds} "${ARGN}")

    file(STRINGS ${source} asks_long REGEX "HTT_TEST_LONG" LIMIT_COUNT 1)
    if(asks_long)
        htt_test_entry(${name}.long ${kind} long "${words}" ${TIMEOUT_LONG} "${ARGN}")
        set_property(TEST ${name}.long APPEND PROPERTY ENVIRONMENT HTT_TEST_LONG=1)
    endif()
endfunction()

# One entry of ctest. Scripts find what they need in environment variables.
function(htt_test_entry name kind labels words seconds command)
    math(EXPR seconds "${seconds} * ${TIMEOUT_SLACK}")
    if(HTT_SANITIZE)
        math(EXPR seconds "${seconds} * ${SANITIZER_FACTOR}")
    endif()
    add_test(NAME ${name} COMMAND ${command} WORKING_DIRECTORY ${htt_test_work})
    # The slow ones start first.
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${seconds} COST ${seconds}
        ENVIRONMENT_MODIFICATION "PYTHONPATH=unset:;PYTHONHOME=unset:")
    set(environment
        HTT_SOURCE_DIR=${PROJECT_SOURCE_DIR} HTT_BUILD_DIR=${PROJECT_BINARY_DIR}
        HTT_LIBRARY=${PROJECT_BINARY_DIR}/libhtt HTT_CC=${CMAKE_C_COMPILER}
        HTT_SANITIZE=${HTT_SANITIZE} PYTHONDONTWRITEBYTECODE=1
        HYPOTHESIS_STORAGE_DIRECTORY=${htt_test_work}/hypothesis
        UBSAN_OPTIONS=print_stacktrace=1)
    if(kind STREQUAL "script" AND htt_preload)
        # Leaks are looked for in the C tests; the shell and python3 have their own.
        list(APPEND environment HTT_PRELOAD=${htt_preload} ASAN_OPTIONS=detect_leaks=0)
    endif()
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${environment}")
    if("serial" IN_LIST words)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()

function(htt_test_program folder source libraries)
    get_filename_component(stem ${source} NAME_WE)
    string(REGEX REPLACE "_test$" "" name ${stem})
    set(target test_${folder}_${name})
    add_executable(${target} ${source})
    target_include_directories(${target} PRIVATE ${htt_test_includes})
    target_compile_options(${target} PRIVATE ${htt_test_options})
    target_link_libraries(${target} PRIVATE
        htt_flags ${libraries} ${HTT_CMOCKA_LIBRARY} Threads::Threads m)
    htt_test_add(${folder}.${name} c ${source} ${target})
endfunction()

function(htt_test_script folder source)
    get_filename_component(stem ${source} NAME_WE)
    string(REGEX REPLACE "_test$" "" name ${stem})
    if(source MATCHES "\\.py$")
        htt_test_add(${folder}.${name} script ${source} /usr/bin/python3 ${source})
    else()
        htt_test_add(${folder}.${name} script ${source} bash ${source})
    endif()
endfunction()

# With libFuzzer: the corpus, then new inputs, for HTT_FUZZ_SECONDS from one seed and, as the test
# <name>.long, for HTT_FUZZ_SECONDS_LONG from any. Without: the corpus alone.
function(htt_test_fuzz source)
    get_filename_component(stem ${source} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" name ${stem})
    set(target fuzz_${name})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
    add_executable(${target} ${source})
    target_include_directories(${target} PRIVATE ${htt_test_includes})
    target_compile_options(${target} PRIVATE ${htt_test_options})
    target_link_libraries(${target} PRIVATE
        htt_flags htt_test_support htt_static ${HTT_SQLITE_LIBRARY} Threads::Threads m)
    if(NOT HTT_FUZZ)
        target_sources(${target} PRIVATE fuzz/main/replay.c)
        htt_test_add(fuzz.${name} fuzz ${source} ${target} ${corpus})
        return()
    endif()
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    set(found ${PROJECT_BINARY_DIR}/fuzz/${name})
    file(MAKE_DIRECTORY ${found})
    set(command ${target} -verbosity=0 -print_final_stats=1 -timeout=20 -rss_limit_mb=4096
        -artifact_prefix=${found}- ${found})
    if(EXISTS ${corpus})
        list(APPEND command ${corpus})
    endif()
    htt_test_add(fuzz.${name} fuzz ${source}
        ${command} -seed=1 -max_total_time=${HTT_FUZZ_SECONDS})
    htt_test_entry(fuzz.${name}.long fuzz long "" ${TIMEOUT_LONG}
        "${command};-max_total_time=${HTT_FUZZ_SECONDS_LONG}")
endfunction()

# The models of the protocol: model.protocol and its long form, and model.<name> for each script.
# They are searches: optimised in every preset.
function(htt_test_model)
    file(GLOB sources CONFIGURE_DEPENDS model/*.c)
    add_executable(protocol_model ${sources})
    target_compile_options(protocol_model PRIVATE -O2)
    target_link_libraries(protocol_model PRIVATE htt_flags)
    htt_test_entry(model.protocol c short "" ${TIMEOUT_DEFAULT} "protocol_model;short")
    htt_test_entry(model.protocol.long c long "" ${TIMEOUT_LONG} "protocol_model;long")
    file(GLOB sources CONFIGURE_DEPENDS model/*_model.py)
    foreach(source IN LISTS sources)
        get_filename_component(stem ${source} NAME_WE)
        string(REGEX REPLACE "_model$" "" name ${stem})
        htt_test_entry(model.${name} script short "" ${TIMEOUT_DEFAULT}
            "/usr/bin/python3;${source}")
    endforeach()
endfunction()

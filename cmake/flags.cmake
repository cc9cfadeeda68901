# SPDX-License-Identifier: MIT
#
# htt_flags: the compiler flags of every target here, engine, module, tests and benchmarks alike.
add_library(htt_flags INTERFACE)
target_compile_features(htt_flags INTERFACE c_std_11)
target_compile_definitions(htt_flags INTERFACE _GNU_SOURCE)
target_compile_options(htt_flags INTERFACE
    -std=c11 -fvisibility=hidden
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes)
if(HTT_WERROR)
    target_compile_options(htt_flags INTERFACE -Werror)
endif()
if(HTT_SANITIZE)
    target_compile_options(htt_flags INTERFACE
        -fsanitize=${HTT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(htt_flags INTERFACE -fsanitize=${HTT_SANITIZE})
endif()
if(HTT_FUZZ)
    # Coverage counters everywhere; only the fuzz targets link libFuzzer's main.
    target_compile_options(htt_flags INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(htt_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# What a program without sanitizers (the sqlite3 shell, python3) must preload to load libhtt.so.
set(htt_preload "")
if(HTT_SANITIZE MATCHES "address|thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    if(HTT_SANITIZE MATCHES "address")
        set(htt_runtime libasan.so)
    else()
        set(htt_runtime libtsan.so)
    endif()
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=${htt_runtime}
        OUTPUT_VARIABLE htt_preload OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()

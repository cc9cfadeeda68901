/* SPDX-License-Identifier: MIT */
/*
 * Files that are mostly zeros, written short: what a fuzzer is given in place of a file.
 *
 *   chunk, again and again   u16 zeros to skip, u16 length, length bytes (little-endian)
 *
 * Every input means some file: a chunk that is cut off has the bytes that are there. The file ends
 * with the last chunk.
 */
#ifndef TEST_SPARSE_H
#define TEST_SPARSE_H

#include <stddef.h>
#include <stdint.h>

/* The file, at most size_max bytes of it. Caller frees with free(). */
uint8_t *sparse_decode(const uint8_t *input, size_t input_size, size_t size_max, size_t *size_out);

/* The other way. Caller frees with free(). */
uint8_t *sparse_encode(const uint8_t *bytes, size_t size, size_t *input_size_out);

#endif

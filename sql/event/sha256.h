/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4), of what is in memory. */
#ifndef HTT_SQL_EVENT_SHA256_H
#define HTT_SQL_EVENT_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define HTT_SHA256_SIZE 32

void htt_sha256(const void *data, size_t size, uint8_t digest_out[HTT_SHA256_SIZE]);

#endif

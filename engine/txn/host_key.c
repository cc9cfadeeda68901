/* SPDX-License-Identifier: MIT */
/*
 * Keys and rows of an outbox, as the host keeps them outside of the tree: their hash, whether two
 * are equal, and the chain of tokens. Nothing here looks at a file.
 *
 * A token is the XXH3-64 of these bytes; numbers are little-endian. Tokens are in databases:
 * changing this breaks them.
 *
 *     OFFSET      SIZE  FIELD
 *     0           8     token of the row before, or the first token of the root
 *     8           8     seq
 *     16          4     op
 *     20          1     type of the key
 *     21          8     size of the key = k
 *     29          k     bytes of the key
 *     29 + k      1     type of the value
 *     30 + k      8     size of the value = v
 *     38 + k      v     bytes of the value
 *
 *     +--------+-----+----+------+----------+-----+------+------------+-------+
 *     | before | seq | op | type | key size | key | type | value size | value |
 *     +--------+-----+----+------+----------+-----+------+------------+-------+
 *
 * The first token is the XXH3-64 of 16 bytes: the root's epoch, its nonce.
 */
#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "base/le.h"
#include "base/value.h"
#include "htt_host.h"

enum {
    TOKEN_BEFORE = 0,
    TOKEN_SEQ = 8,
    TOKEN_OP = 16,
    TOKEN_TYPE = 20,
    TOKEN_KEY_SIZE = 21,
    TOKEN_HEAD = 29,
    VALUE_TYPE = 0,
    VALUE_SIZE = 1,
    VALUE_HEAD = 9,
    TOKEN_SMALL = 256 /* bytes of most rows: put together, they are hashed at once */
};

static_assert(TOKEN_KEY_SIZE + 8 == TOKEN_HEAD, "the key's bytes follow its size");
static_assert(VALUE_SIZE + 8 == VALUE_HEAD, "the value's bytes follow its size");
static_assert(TOKEN_HEAD + VALUE_HEAD < TOKEN_SMALL, "a small row has room for bytes");

static uint64_t host_key_hash_small(const htt_hash_part *parts, size_t count) {
    uint8_t bytes[TOKEN_SMALL];
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        assert(parts[i].size <= TOKEN_SMALL - size);
        if (parts[i].size > 0)
            memcpy(bytes + size, parts[i].bytes, parts[i].size);
        size += parts[i].size;
    }
    return htt_hash_bytes(bytes, size);
}

uint64_t htt_host_token(uint64_t before, uint64_t seq, unsigned op, htt_datum key,
                        htt_datum value) {
    uint8_t head[TOKEN_HEAD];
    uint8_t middle[VALUE_HEAD];

    assert(key.data != NULL || key.size == 0);
    assert(value.data != NULL || value.size == 0);
    le64_put(head + TOKEN_BEFORE, before);
    le64_put(head + TOKEN_SEQ, seq);
    le32_put(head + TOKEN_OP, op);
    head[TOKEN_TYPE] = key.type;
    le64_put(head + TOKEN_KEY_SIZE, key.size);
    middle[VALUE_TYPE] = value.type;
    le64_put(middle + VALUE_SIZE, value.size);
    const htt_hash_part parts[] = {{head, sizeof head},
                                   {key.data, key.size},
                                   {middle, sizeof middle},
                                   {value.data, value.size}};
    const size_t count = sizeof parts / sizeof parts[0];
    const size_t room = TOKEN_SMALL - TOKEN_HEAD - VALUE_HEAD;
    if (key.size <= room && value.size <= room - key.size)
        return host_key_hash_small(parts, count);
    return htt_hash_parts(parts, count);
}

uint64_t htt_host_first_token(const htt_host_root *root) {
    uint8_t bytes[16];

    assert(root != NULL);
    le64_put(bytes, root->epoch);
    le64_put(bytes + 8, root->nonce);
    return htt_hash_bytes(bytes, sizeof bytes);
}

uint64_t htt_host_hash(htt_datum key) {
    assert(key.data != NULL || key.size == 0);
    return htt_hash_key(0, htt_key_class(key.type), key.data, key.size).low;
}

bool htt_host_same_key(htt_datum a, htt_datum b) {
    if (htt_key_class(a.type) != htt_key_class(b.type) || a.size != b.size)
        return false;
    return a.size == 0 || memcmp(a.data, b.data, a.size) == 0;
}

/* SPDX-License-Identifier: MIT */
/* The identity map of a repository in a unit of work: a hash table of entries, in chains. */
#include <string.h>

#include "sql/base/memory.h"
#include "sql/repo/repo.h"

enum { IDENTITY_FIRST = 16 }; /* buckets; a power of two, as all later numbers */

struct htt_identity {
    const htt_codec *codec;        /* frees objects; borrowed */
    htt_identity_entry **buckets;  /* owned */
    size_t bucket_count;           /* 0 at first */
    size_t count;                  /* entries */
    htt_identity_entry *forgotten; /* owned list */
};

htt_identity *htt_identity_new(const htt_codec *codec) {
    htt_identity *const identity = htt_memory_new(sizeof *identity);
    if (identity != NULL) {
        identity->codec = codec;
    }
    return identity;
}

static void identity_free_entry(htt_identity *identity, htt_identity_entry *entry) {
    if (identity->codec->release != NULL) {
        identity->codec->release(identity->codec->context, entry->object);
    }
    htt_memory_free(entry);
}

void htt_identity_free(htt_identity *identity) {
    if (identity == NULL) {
        return;
    }
    htt_identity_forget_all(identity);
    while (identity->forgotten != NULL) {
        htt_identity_entry *const entry = identity->forgotten;
        identity->forgotten = entry->next;
        identity_free_entry(identity, entry);
    }
    htt_memory_free(identity->buckets);
    htt_memory_free(identity);
}

/* FNV-1a; a map of one unit, with keys that the application chose. */
static uint64_t identity_hash(const htt_canonical *key) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ key->klass;
    const uint8_t *const bytes = key->bytes.data;
    for (size_t i = 0; i < key->bytes.size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash ^ hash >> 29;
}

static htt_identity_entry **identity_bucket(const htt_identity *identity, uint64_t hash) {
    return &identity->buckets[hash & (identity->bucket_count - 1)];
}

htt_identity_entry *htt_identity_find(htt_identity *identity, htt_datum key) {
    htt_canonical wanted;
    if (identity->count == 0) {
        return NULL;
    }
    htt_canonical_of(key, &wanted);
    const uint64_t hash = identity_hash(&wanted);
    htt_identity_entry *entry = *identity_bucket(identity, hash);
    while (entry != NULL &&
           (entry->hash != hash || entry->klass != wanted.klass ||
            entry->size != wanted.bytes.size ||
            (entry->size > 0 && memcmp(entry->key, wanted.bytes.data, entry->size) != 0))) {
        entry = entry->next;
    }
    return entry;
}

static bool identity_grow(htt_identity *identity) {
    const size_t wanted = identity->bucket_count == 0 ? IDENTITY_FIRST : identity->bucket_count * 2;
    if (identity->count < identity->bucket_count) {
        return true;
    }
    htt_identity_entry **const old = identity->buckets;
    const size_t old_count = identity->bucket_count;
    htt_identity_entry **const buckets = htt_memory_new(wanted * sizeof *buckets);
    if (buckets == NULL) {
        return false;
    }
    identity->buckets = buckets;
    identity->bucket_count = wanted;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            htt_identity_entry *const entry = old[i];
            htt_identity_entry **const bucket = identity_bucket(identity, entry->hash);
            old[i] = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    htt_memory_free(old);
    return true;
}

htt_identity_entry *htt_identity_add(htt_identity *identity, htt_datum key, void *object,
                                     int64_t version, unsigned depth) {
    htt_canonical canonical;
    htt_canonical_of(key, &canonical);
    if (!identity_grow(identity)) {
        return NULL;
    }
    htt_identity_entry *const entry = htt_memory_new(sizeof *entry + canonical.bytes.size);
    if (entry == NULL) {
        return NULL;
    }
    entry->object = object;
    entry->version = version;
    entry->loaded = depth;
    entry->hash = identity_hash(&canonical);
    entry->klass = canonical.klass;
    entry->size = canonical.bytes.size;
    if (entry->size > 0) {
        memcpy(entry->key, canonical.bytes.data, entry->size);
    }
    htt_identity_entry **const bucket = identity_bucket(identity, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    identity->count++;
    return entry;
}

/* *link is the entry in its bucket. */
static void identity_forget_at(htt_identity *identity, htt_identity_entry **link) {
    htt_identity_entry *const entry = *link;
    *link = entry->next;
    entry->next = identity->forgotten;
    identity->forgotten = entry;
    identity->count--;
}

void htt_identity_forget(htt_identity *identity, htt_identity_entry *entry) {
    htt_identity_entry **link = identity_bucket(identity, entry->hash);
    while (*link != entry) {
        link = &(*link)->next;
    }
    identity_forget_at(identity, link);
}

/* Forgets the entries that were loaded or written in `depth` or deeper. */
static void identity_forget_from(htt_identity *identity, unsigned depth) {
    for (size_t i = 0; i < identity->bucket_count; i++) {
        for (htt_identity_entry **link = &identity->buckets[i]; *link != NULL;) {
            if ((*link)->loaded >= depth || (*link)->written >= depth) {
                identity_forget_at(identity, link);
            } else {
                link = &(*link)->next;
            }
        }
    }
}

void htt_identity_forget_all(htt_identity *identity) {
    identity_forget_from(identity, 0);
}

void htt_identity_commit(htt_identity *identity, unsigned depth) {
    for (htt_identity_entry *entry = identity->forgotten; entry != NULL; entry = entry->next) {
        entry->loaded -= entry->loaded == depth ? 1 : 0;
    }
    for (size_t i = 0; i < identity->bucket_count; i++) {
        for (htt_identity_entry *entry = identity->buckets[i]; entry != NULL; entry = entry->next) {
            entry->loaded -= entry->loaded == depth ? 1 : 0;
            entry->written -= entry->written == depth ? 1 : 0;
        }
    }
}

void htt_identity_rollback(htt_identity *identity, unsigned depth) {
    identity_forget_from(identity, depth);
}

void htt_identity_end(htt_identity *identity, unsigned depth) {
    for (htt_identity_entry **link = &identity->forgotten; *link != NULL;) {
        htt_identity_entry *const entry = *link;
        if (entry->loaded >= depth) {
            *link = entry->next;
            identity_free_entry(identity, entry);
        } else {
            link = &entry->next;
        }
    }
}

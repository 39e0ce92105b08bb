/* SPDX-License-Identifier: Apache-2.0
 *
 * Between gguf.c (what is asked of an open file) and gguf_parse.c (checking and indexing it).
 */
#ifndef CORE_FILE_GGUF_PARTS_H
#define CORE_FILE_GGUF_PARTS_H

#include "base/memory.h"
#include "file/gguf.h"
#include "file/map.h"
#include "file/names.h"

enum value_type {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_TYPES
};

/* Bytes of one value; 0: it tells its own length. */
extern const size_t gguf_value_bytes[VALUE_TYPES];

struct pair {
    uint32_t type, item_type;  /* enum value_type; item_type of arrays */
    uint64_t count;            /* bytes of a string, items of an array */
    const unsigned char *data; /* the value, or the first item */
    const char *text;          /* a string's copy with a NUL behind */
    const uint64_t *offsets;   /* array of strings: where each begins, from data */
};

struct gguf {
    struct file_map map;
    struct arena memory;
    struct pair *pairs;
    struct tensor_view *tensors;
    size_t pair_count, tensor_count;
    struct gguf_metadata metadata;
    struct name *keys, *names; /* sorted */
};

const struct pair *gguf_find_pair(const struct gguf *file, const char *key);
uint64_t gguf_little_endian(const unsigned char *p, size_t bytes);

/* Checks the whole file and fills everything but `map`. */
GRAFT_MUST_USE enum graft_status gguf_parse(struct gguf *file, struct error *e);

#endif

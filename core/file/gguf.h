/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF v3 reader. The file is mapped; every length and offset is checked against its size before
 * use. Format: docs/gguf.md of ggml-org/ggml.
 */
#ifndef CORE_FILE_GGUF_H
#define CORE_FILE_GGUF_H

#include "base/error.h"
#include "file/tensor.h"

#include <stdbool.h>

struct gguf;

/* Errors name the file, what was found and what is allowed. Missing or unreadable: GRAFT_E_INVALID
 * too, since the path was the caller's. */
GRAFT_MUST_USE enum graft_status gguf_open(const char *path, struct gguf **file, struct error *e);
void gguf_close(struct gguf *file);

size_t gguf_tensor_count(const struct gguf *file);
const struct tensor_view *gguf_tensor(const struct gguf *file, size_t index);
const struct tensor_view *gguf_find_tensor(const struct gguf *file, const char *name);

/* Metadata. False: no such key, or another type (integers of any width are taken for get_int, any
 * number for get_number). Strings are NUL-terminated copies of the file; they may hold NULs. */
bool gguf_has(const struct gguf *file, const char *key);
bool gguf_get_int(const struct gguf *file, const char *key, int64_t *value);
bool gguf_get_number(const struct gguf *file, const char *key, double *value);
bool gguf_get_bool(const struct gguf *file, const char *key, bool *value);
bool gguf_get_string(const struct gguf *file, const char *key, const char **text, size_t *length);

/* All metadata as the bytes of the file, for a writer that copies it. */
struct gguf_metadata {
    const unsigned char *bytes;
    size_t length, count; /* of bytes, of keys */
    size_t alignment;     /* of tensors, by general.alignment */
};
struct gguf_metadata gguf_metadata(const struct gguf *file);
/* The id of a type by the name that views have; -1: none. */
int32_t gguf_type_id(const char *type_name);
/* Bytes of a row of n numbers; 0 where n is not a multiple of the type's block. */
uint64_t gguf_type_bytes(int32_t id, int64_t n);

/* Arrays: the number of items, 0 where the key is absent or is no array. */
size_t gguf_array_count(const struct gguf *file, const char *key);
bool gguf_array_string(const struct gguf *file, const char *key, size_t index, const char **text,
                       size_t *length); /* O(1); not NUL-terminated */
bool gguf_array_int(const struct gguf *file, const char *key, size_t index, int64_t *value);
bool gguf_array_number(const struct gguf *file, const char *key, size_t index, double *value);

#endif

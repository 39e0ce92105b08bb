/* SPDX-License-Identifier: Apache-2.0
 *
 * An open GGUF file: its tensors and metadata.
 */
#include "file/gguf_parts.h"

#include <string.h>

enum graft_status gguf_open(const char *path, struct gguf **file, struct error *e)
{
    struct gguf *made = mem_zalloc(1, sizeof *made);
    if (made == NULL) return error_memory(e, path, sizeof *made);
    enum graft_status status = file_map_open(path, &made->map, e);
    if (status == GRAFT_OK && (status = gguf_parse(made, e)) != GRAFT_OK)
        error_place(e, "%s", path);
    if (status != GRAFT_OK) {
        gguf_close(made);
        return status;
    }
    *file = made;
    return GRAFT_OK;
}

void gguf_close(struct gguf *file)
{
    if (file == NULL) return;
    arena_free(&file->memory);
    file_map_close(&file->map);
    mem_free(file);
}

size_t gguf_tensor_count(const struct gguf *file)
{
    return file->tensor_count;
}

const struct tensor_view *gguf_tensor(const struct gguf *file, size_t index)
{
    return index < file->tensor_count ? &file->tensors[index] : NULL;
}

const struct tensor_view *gguf_find_tensor(const struct gguf *file, const char *name)
{
    const struct name *found = names_find(file->names, file->tensor_count, name);
    return found != NULL ? &file->tensors[found->index] : NULL;
}

const struct pair *gguf_find_pair(const struct gguf *file, const char *key)
{
    const struct name *found = names_find(file->keys, file->pair_count, key);
    return found != NULL ? &file->pairs[found->index] : NULL;
}

struct gguf_metadata gguf_metadata(const struct gguf *file)
{
    return file->metadata;
}

/* ---- values ---- */

static bool decode_int(uint32_t type, const unsigned char *data, int64_t *value)
{
    uint64_t bits;
    if (type >= VALUE_TYPES || gguf_value_bytes[type] == 0) return false;
    bits = gguf_little_endian(data, gguf_value_bytes[type]);
    switch (type) {
    case VALUE_U8:
    case VALUE_U16:
    case VALUE_U32: *value = (int64_t)bits; return true;
    case VALUE_I8: *value = (int8_t)bits; return true;
    case VALUE_I16: *value = (int16_t)bits; return true;
    case VALUE_I32: *value = (int32_t)bits; return true;
    case VALUE_I64: *value = (int64_t)bits; return true;
    case VALUE_U64:
        if (bits > INT64_MAX) return false;
        *value = (int64_t)bits;
        return true;
    default: return false;
    }
}

static bool decode_number(uint32_t type, const unsigned char *data, double *value)
{
    int64_t integer;
    float single;
    if (type == VALUE_F32) {
        uint32_t bits = (uint32_t)gguf_little_endian(data, 4);
        memcpy(&single, &bits, sizeof single);
        *value = (double)single;
        return true;
    }
    if (type == VALUE_F64) {
        uint64_t bits = gguf_little_endian(data, 8);
        memcpy(value, &bits, sizeof *value);
        return true;
    }
    if (!decode_int(type, data, &integer)) return false;
    *value = (double)integer;
    return true;
}

bool gguf_has(const struct gguf *file, const char *key)
{
    return gguf_find_pair(file, key) != NULL;
}

bool gguf_get_int(const struct gguf *file, const char *key, int64_t *value)
{
    const struct pair *pair = gguf_find_pair(file, key);
    return pair != NULL && decode_int(pair->type, pair->data, value);
}

bool gguf_get_number(const struct gguf *file, const char *key, double *value)
{
    const struct pair *pair = gguf_find_pair(file, key);
    return pair != NULL && decode_number(pair->type, pair->data, value);
}

bool gguf_get_bool(const struct gguf *file, const char *key, bool *value)
{
    const struct pair *pair = gguf_find_pair(file, key);
    if (pair == NULL || pair->type != VALUE_BOOL) return false;
    *value = pair->data[0] != 0;
    return true;
}

bool gguf_get_string(const struct gguf *file, const char *key, const char **text, size_t *length)
{
    const struct pair *pair = gguf_find_pair(file, key);
    if (pair == NULL || pair->type != VALUE_STRING) return false;
    *text = pair->text;
    *length = (size_t)pair->count;
    return true;
}

size_t gguf_array_count(const struct gguf *file, const char *key)
{
    const struct pair *pair = gguf_find_pair(file, key);
    return pair != NULL && pair->type == VALUE_ARRAY ? (size_t)pair->count : 0;
}

/* The place of an item of fixed size, or NULL. */
static const unsigned char *array_item(const struct pair *pair, size_t index)
{
    if (pair == NULL || pair->type != VALUE_ARRAY || index >= pair->count) return NULL;
    return pair->data + index * gguf_value_bytes[pair->item_type];
}

bool gguf_array_string(const struct gguf *file, const char *key, size_t index, const char **text,
                       size_t *length)
{
    const struct pair *pair = gguf_find_pair(file, key);
    if (pair == NULL || pair->offsets == NULL || index >= pair->count) return false;
    const unsigned char *item = pair->data + pair->offsets[index];
    *length = (size_t)gguf_little_endian(item, 8);
    *text = (const char *)(item + 8);
    return true;
}

bool gguf_array_int(const struct gguf *file, const char *key, size_t index, int64_t *value)
{
    const struct pair *pair = gguf_find_pair(file, key);
    const unsigned char *item = array_item(pair, index);
    return item != NULL && decode_int(pair->item_type, item, value);
}

bool gguf_array_number(const struct gguf *file, const char *key, size_t index, double *value)
{
    const struct pair *pair = gguf_find_pair(file, key);
    const unsigned char *item = array_item(pair, index);
    return item != NULL && decode_number(pair->item_type, item, value);
}

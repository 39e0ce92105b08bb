/* SPDX-License-Identifier: Apache-2.0
 *
 * One safetensors file: a mapping, its header and its tensors.
 */
#include "file/safetensors_shard.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100000000, MAX_DIMENSIONS = 32 };

static const struct number_type {
    const char *name;
    unsigned bits;
    int32_t dtype;
} number_types[] = {
    {"F32", 32, GRAFT_DTYPE_F32},           {"F16", 16, GRAFT_DTYPE_F16},
    {"BF16", 16, GRAFT_DTYPE_BF16},         {"U8", 8, GRAFT_DTYPE_U8},
    {"I32", 32, GRAFT_DTYPE_I32},           {"F64", 64, GRAFT_DTYPE_F64},
    {"BOOL", 8, TENSOR_DTYPE_OTHER},        {"I8", 8, TENSOR_DTYPE_OTHER},
    {"I16", 16, TENSOR_DTYPE_OTHER},        {"U16", 16, TENSOR_DTYPE_OTHER},
    {"U32", 32, TENSOR_DTYPE_OTHER},        {"I64", 64, TENSOR_DTYPE_OTHER},
    {"U64", 64, TENSOR_DTYPE_OTHER},        {"C64", 64, TENSOR_DTYPE_OTHER},
    {"F8_E4M3", 8, TENSOR_DTYPE_OTHER},     {"F8_E5M2", 8, TENSOR_DTYPE_OTHER},
    {"F8_E8M0", 8, TENSOR_DTYPE_OTHER},     {"F8_E4M3FNUZ", 8, TENSOR_DTYPE_OTHER},
    {"F8_E5M2FNUZ", 8, TENSOR_DTYPE_OTHER}, {"F6_E2M3", 6, TENSOR_DTYPE_OTHER},
    {"F6_E3M2", 6, TENSOR_DTYPE_OTHER},     {"F4", 4, TENSOR_DTYPE_OTHER},
};

/* ---- one entry of a header ---- */

/* A tensor and where it says that it lies. */
struct span {
    uint64_t begin, end;
    struct tensor_view *tensor;
};

static const struct number_type *find_type(const char *name)
{
    for (size_t i = 0; i < sizeof number_types / sizeof number_types[0]; i++)
        if (strcmp(number_types[i].name, name) == 0) return &number_types[i];
    return NULL;
}

static bool read_count(const json_t *value, uint64_t *count)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *count = (uint64_t)json_integer_value(value);
    return true;
}

/* Dimensions before the last four are multiplied into the first. */
static enum graft_status read_shape(const json_t *shape, struct tensor_view *tensor,
                                    uint64_t *numbers, struct error *e)
{
    size_t rank = json_array_size(shape), outer = rank > GRAFT_MAX_RANK ? rank - GRAFT_MAX_RANK : 0;
    uint64_t count = 1,
             bound = 1; /* bound: as if zeros were ones, so no partial product overflows */
    if (!json_is_array(shape) || rank > MAX_DIMENSIONS)
        return error_set(e, GRAFT_E_INVALID, "\"shape\" is not a list of at most %d numbers",
                         MAX_DIMENSIONS);
    tensor->shape = (struct graft_shape){{1, 1, 1, 1}, (int32_t)(rank - outer)};
    for (size_t i = 0; i < rank; i++) {
        uint64_t dim;
        if (!read_count(json_array_get(shape, i), &dim))
            return error_set(e, GRAFT_E_INVALID,
                             "\"shape\" holds something other than whole numbers");
        if (bound > INT64_MAX / 64 / (dim != 0 ? dim : 1))
            return error_set(e, GRAFT_E_INVALID, "\"shape\" has too many numbers");
        bound *= dim != 0 ? dim : 1;
        count *= dim;
        tensor->shape.dim[i < outer ? 0 : i - outer] *= (int64_t)dim;
    }
    *numbers = count;
    return GRAFT_OK;
}

static enum graft_status read_entry(const json_t *entry, struct span *span, struct error *e)
{
    struct tensor_view *tensor = span->tensor;
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    uint64_t numbers = 0;
    if (name == NULL || json_array_size(offsets) != 2 ||
        !read_count(json_array_get(offsets, 0), &span->begin) ||
        !read_count(json_array_get(offsets, 1), &span->end))
        return error_set(e, GRAFT_E_INVALID,
                         "the entry is not {\"dtype\":\"...\",\"shape\":[...],"
                         "\"data_offsets\":[begin,end]}");
    const struct number_type *type = find_type(name);
    if (type == NULL) return error_set(e, GRAFT_E_INVALID, "unknown dtype \"%s\"", name);
    enum graft_status status = read_shape(json_object_get(entry, "shape"), tensor, &numbers, e);
    if (status != GRAFT_OK) return status;
    bool folded = json_array_size(json_object_get(entry, "shape")) > GRAFT_MAX_RANK;
    tensor->dtype = folded ? TENSOR_DTYPE_OTHER : type->dtype;
    tensor->type_name = folded ? "of more than 4 dimensions" : type->name;
    uint64_t bits = numbers * type->bits;
    if (span->end < span->begin || bits % 8 != 0 || bits / 8 != span->end - span->begin)
        return error_set(e, GRAFT_E_INVALID,
                         "data_offsets [%llu,%llu] do not hold its %llu numbers of type %s",
                         (unsigned long long)span->begin, (unsigned long long)span->end,
                         (unsigned long long)numbers, type->name);
    tensor->bytes = (size_t)(bits / 8);
    return GRAFT_OK;
}

/* ---- one shard ---- */

static int by_place(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The data is covered from its first to its last byte, each byte by one tensor. */
static enum graft_status place(struct span *spans, size_t count, const unsigned char *data,
                               uint64_t size, struct error *e)
{
    uint64_t at = 0;
    qsort(spans, count, sizeof *spans, by_place);
    for (size_t i = 0; i < count; i++) {
        if (spans[i].begin != at)
            return error_set(e, GRAFT_E_INVALID,
                             "tensor %s begins at byte %llu of the data, but %llu is where the "
                             "tensor before it ends",
                             spans[i].tensor->name, (unsigned long long)spans[i].begin,
                             (unsigned long long)at);
        at = spans[i].end;
        if (at > size)
            return error_set(e, GRAFT_E_INVALID,
                             "the file ends inside the data of tensor %s: the download or copy is "
                             "incomplete",
                             spans[i].tensor->name);
        spans[i].tensor->data = data + spans[i].begin;
    }
    if (at != size)
        return error_set(e, GRAFT_E_INVALID, "%llu bytes behind the last tensor belong to none",
                         (unsigned long long)(size - at));
    return GRAFT_OK;
}

static enum graft_status take_metadata(struct shard *shard, json_t *value, struct error *e)
{
    const char *key;
    json_t *text;
    if (!json_is_object(value))
        return error_set(e, GRAFT_E_INVALID, "\"__metadata__\" is not an object");
    json_object_foreach(value, key, text)
    {
        if (!json_is_string(text))
            return error_set(e, GRAFT_E_INVALID, "\"__metadata__\": \"%s\" is not a string", key);
    }
    shard->metadata = json_incref(value);
    return GRAFT_OK;
}

static enum graft_status read_entries(struct arena *memory, struct shard *shard, json_t *header,
                                      struct span *spans, struct error *e)
{
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach(header, key, value)
    {
        enum graft_status status = GRAFT_OK;
        if (strcmp(key, "__metadata__") == 0) {
            if ((status = take_metadata(shard, value, e)) != GRAFT_OK) return status;
            continue;
        }
        struct tensor_view *tensor = &shard->tensors[n];
        spans[n].tensor = tensor;
        tensor->name = arena_strdup(memory, key);
        if (tensor->name == NULL) return error_memory(e, "tensor names", strlen(key));
        if (key[0] == '\0') return error_set(e, GRAFT_E_INVALID, "a tensor has an empty name");
        status = read_entry(value, &spans[n], e);
        if (status != GRAFT_OK) return error_place(e, "tensor %s", key);
        shard->names[n] = (struct name){tensor->name, n};
        n++;
    }
    shard->count = n;
    names_sort(shard->names, n);
    return GRAFT_OK;
}

static enum graft_status read_header(struct arena *memory, struct shard *shard, json_t *header,
                                     size_t header_bytes, struct error *e)
{
    size_t most = json_object_size(header);
    if (!json_is_object(header))
        return error_set(e, GRAFT_E_INVALID, "the header is not a JSON object");
    struct span *spans = mem_zalloc(most, sizeof *spans);
    shard->tensors = arena_alloc(memory, most, sizeof *shard->tensors);
    shard->names = arena_alloc(memory, most, sizeof *shard->names);
    enum graft_status status = GRAFT_OK;
    if (spans == NULL || shard->tensors == NULL || shard->names == NULL)
        status = error_memory(e, "the tensors of a safetensors file",
                              most * (sizeof *spans + sizeof *shard->tensors));
    if (status == GRAFT_OK) status = read_entries(memory, shard, header, spans, e);
    if (status == GRAFT_OK)
        status = place(spans, shard->count, shard->map.data + 8 + header_bytes,
                       shard->map.size - 8 - header_bytes, e);
    mem_free(spans);
    return status;
}

static enum graft_status parse_shard(struct arena *memory, struct shard *shard, struct error *e)
{
    const struct file_map *map = &shard->map;
    uint64_t length = 0;
    json_t *header = NULL;
    if (map->size < 8)
        return error_set(e, GRAFT_E_INVALID, "not a safetensors file: it looks like %s",
                         file_map_kind(map));
    for (unsigned i = 0; i < 8; i++) length |= (uint64_t)map->data[i] << 8 * i;
    if (map->size < 9 || map->data[8] != '{')
        return error_set(e, GRAFT_E_INVALID, "not a safetensors file: it looks like %s",
                         file_map_kind(map));
    if (length > MAX_HEADER)
        return error_set(e, GRAFT_E_INVALID, "the header has %llu bytes, at most %d are allowed",
                         (unsigned long long)length, MAX_HEADER);
    if (length > map->size - 8)
        return error_set(
            e, GRAFT_E_INVALID,
            "the file ends inside its header (%zu bytes of %llu): the download or copy "
            "is incomplete",
            map->size - 8, (unsigned long long)length);
    enum graft_status status =
        json_read_bytes((const char *)map->data + 8, (size_t)length, &header, e);
    if (status != GRAFT_OK) {
        error_place(e, "header");
        return status;
    }
    status = read_header(memory, shard, header, (size_t)length, e);
    json_decref(header);
    return status;
}

enum graft_status shard_open(struct shard *shard, const char *path, struct arena *memory,
                             struct error *e)
{
    enum graft_status status = file_map_open(path, &shard->map, e);
    if (status != GRAFT_OK) return status;
    status = parse_shard(memory, shard, e);
    if (status != GRAFT_OK) error_place(e, "%s", path);
    return status;
}

void shard_close(struct shard *shard)
{
    json_decref(shard->metadata);
    file_map_close(&shard->map);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF reader: header, metadata and tensor table are parsed once, strings and numbers stay in the
 * mapping. A count is believed only after the bytes that it promises are known to be there.
 */
#include "file/gguf_parts.h"

#include "base/text.h"

#include <string.h>

/* Bytes of one value; 0: it tells its own length. */
const size_t gguf_value_bytes[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

enum {
    DEFAULT_ALIGNMENT = 32,
    MAX_KEY = 65535,
    MAX_TENSOR_NAME = 63,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 1 << 20
};
enum { MIN_PAIR = 8 + 4 + 1, MIN_TENSOR = 8 + 4 + 4 + 8 }; /* bytes in the file */
static const uint64_t MAX_STRING = (uint64_t)1 << 30, MAX_ITEMS = (uint64_t)1 << 30;

/* Tensor types of GGUF by id (ggml.h); a block of 0 is an id that was removed. */
static const struct tensor_type {
    const char *name;
    int32_t block, bytes, dtype;
} tensor_types[] = {
    [0] = {"F32", 1, 4, GRAFT_DTYPE_F32},
    [1] = {"F16", 1, 2, GRAFT_DTYPE_F16},
    [2] = {"Q4_0", 32, 18, GRAFT_DTYPE_Q4_0},
    [3] = {"Q4_1", 32, 20, GRAFT_DTYPE_Q4_1},
    [6] = {"Q5_0", 32, 22, GRAFT_DTYPE_Q5_0},
    [7] = {"Q5_1", 32, 24, GRAFT_DTYPE_Q5_1},
    [8] = {"Q8_0", 32, 34, GRAFT_DTYPE_Q8_0},
    [9] = {"Q8_1", 32, 36, TENSOR_DTYPE_OTHER},
    [10] = {"Q2_K", 256, 84, TENSOR_DTYPE_OTHER},
    [11] = {"Q3_K", 256, 110, TENSOR_DTYPE_OTHER},
    [12] = {"Q4_K", 256, 144, GRAFT_DTYPE_Q4_K},
    [13] = {"Q5_K", 256, 176, GRAFT_DTYPE_Q5_K},
    [14] = {"Q6_K", 256, 210, GRAFT_DTYPE_Q6_K},
    [15] = {"Q8_K", 256, 292, TENSOR_DTYPE_OTHER},
    [16] = {"IQ2_XXS", 256, 66, TENSOR_DTYPE_OTHER},
    [17] = {"IQ2_XS", 256, 74, TENSOR_DTYPE_OTHER},
    [18] = {"IQ3_XXS", 256, 98, TENSOR_DTYPE_OTHER},
    [19] = {"IQ1_S", 256, 50, TENSOR_DTYPE_OTHER},
    [20] = {"IQ4_NL", 32, 18, TENSOR_DTYPE_OTHER},
    [21] = {"IQ3_S", 256, 110, TENSOR_DTYPE_OTHER},
    [22] = {"IQ2_S", 256, 82, TENSOR_DTYPE_OTHER},
    [23] = {"IQ4_XS", 256, 136, TENSOR_DTYPE_OTHER},
    [24] = {"I8", 1, 1, TENSOR_DTYPE_OTHER},
    [25] = {"I16", 1, 2, TENSOR_DTYPE_OTHER},
    [26] = {"I32", 1, 4, GRAFT_DTYPE_I32},
    [27] = {"I64", 1, 8, TENSOR_DTYPE_OTHER},
    [28] = {"F64", 1, 8, GRAFT_DTYPE_F64},
    [29] = {"IQ1_M", 256, 56, TENSOR_DTYPE_OTHER},
    [30] = {"BF16", 1, 2, GRAFT_DTYPE_BF16},
    [34] = {"TQ1_0", 256, 54, TENSOR_DTYPE_OTHER},
    [35] = {"TQ2_0", 256, 66, TENSOR_DTYPE_OTHER},
    [39] = {"MXFP4", 32, 17, TENSOR_DTYPE_OTHER},
    [40] = {"NVFP4", 64, 36, TENSOR_DTYPE_OTHER},
    [41] = {"Q1_0", 128, 18, TENSOR_DTYPE_OTHER},
    [42] = {"Q2_0", 64, 18, TENSOR_DTYPE_OTHER},
};
enum { TENSOR_TYPES = sizeof tensor_types / sizeof tensor_types[0] };

int32_t gguf_type_id(const char *type_name)
{
    for (int32_t id = 0; id < TENSOR_TYPES; id++)
        if (tensor_types[id].block != 0 && strcmp(tensor_types[id].name, type_name) == 0) return id;
    return -1;
}

uint64_t gguf_type_bytes(int32_t id, int64_t n)
{
    const struct tensor_type *type = &tensor_types[id];
    if (n % type->block != 0) return 0;
    return (uint64_t)(n / type->block) * (uint64_t)type->bytes;
}

/* ---- reading from the mapping ---- */

struct cursor {
    const unsigned char *start, *at;
    size_t left;
    struct error *e;
};

static enum graft_status cut(const struct cursor *c, const char *what)
{
    return error_set(c->e, GRAFT_E_INVALID,
                     "the file ends inside %s (byte %zu): the download or copy is incomplete", what,
                     (size_t)(c->at - c->start) + c->left);
}

static void skip(struct cursor *c, size_t bytes)
{
    c->at += bytes;
    c->left -= bytes;
}

uint64_t gguf_little_endian(const unsigned char *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)p[i] << 8 * i;
    return value;
}

static enum graft_status read_u32(struct cursor *c, const char *what, uint32_t *value)
{
    if (c->left < 4) return cut(c, what);
    *value = (uint32_t)gguf_little_endian(c->at, 4);
    skip(c, 4);
    return GRAFT_OK;
}

static enum graft_status read_u64(struct cursor *c, const char *what, uint64_t *value)
{
    if (c->left < 8) return cut(c, what);
    *value = gguf_little_endian(c->at, 8);
    skip(c, 8);
    return GRAFT_OK;
}

static enum graft_status read_string(struct cursor *c, const char *what, const unsigned char **text,
                                     uint64_t *length)
{
    uint64_t n = 0;
    enum graft_status status = read_u64(c, what, &n);
    if (status != GRAFT_OK) return status;
    if (n > MAX_STRING)
        return error_set(c->e, GRAFT_E_INVALID,
                         "%s has a length of %llu bytes, at most 1 GiB is read", what,
                         (unsigned long long)n);
    if (n > c->left) return cut(c, what);
    *text = c->at;
    *length = n;
    skip(c, (size_t)n);
    return GRAFT_OK;
}

/* A key or tensor name: 1..most bytes of UTF-8 without NUL, copied. */
static enum graft_status read_name(struct cursor *c, struct arena *memory, const char *what,
                                   size_t most, const char **name)
{
    const unsigned char *text = NULL;
    uint64_t length = 0;
    enum graft_status status = read_string(c, what, &text, &length);
    if (status != GRAFT_OK) return status;
    if (length == 0 || length > most)
        return error_set(c->e, GRAFT_E_INVALID, "%s has %llu bytes, allowed are 1 to %zu", what,
                         (unsigned long long)length, most);
    if (memchr(text, 0, (size_t)length) != NULL ||
        utf8_check((const char *)text, (size_t)length) != length)
        return error_set(c->e, GRAFT_E_INVALID, "%s is not UTF-8 text", what);
    char *copy = arena_alloc(memory, (size_t)length + 1, 1);
    if (copy == NULL) return error_memory(c->e, "the names of a GGUF file", (size_t)length);
    memcpy(copy, text, (size_t)length);
    *name = copy;
    return GRAFT_OK;
}

/* ---- metadata ---- */

static enum graft_status read_string_array(struct cursor *c, struct arena *memory,
                                           struct pair *pair)
{
    uint64_t *offsets = NULL;
    enum graft_status status = GRAFT_OK;
    if (pair->count > c->left / 8) return cut(c, "an array of strings");
    offsets = arena_alloc(memory, (size_t)pair->count, sizeof *offsets);
    if (offsets == NULL)
        return error_memory(c->e, "an array of strings", (size_t)pair->count * sizeof *offsets);
    for (uint64_t i = 0; i < pair->count && status == GRAFT_OK; i++) {
        const unsigned char *text;
        uint64_t length;
        offsets[i] = (uint64_t)(c->at - pair->data);
        status = read_string(c, "an array of strings", &text, &length);
    }
    pair->offsets = offsets;
    return status;
}

static enum graft_status read_array(struct cursor *c, struct arena *memory, struct pair *pair)
{
    enum graft_status status = read_u32(c, "an array", &pair->item_type);
    if (status == GRAFT_OK) status = read_u64(c, "an array", &pair->count);
    if (status != GRAFT_OK) return status;
    if (pair->item_type >= VALUE_TYPES || pair->item_type == VALUE_ARRAY)
        return error_set(c->e, GRAFT_E_INVALID,
                         pair->item_type == VALUE_ARRAY
                             ? "an array of arrays (item type %u), which GGUF readers do not take"
                             : "unknown item type %u, known are 0 to 12",
                         (unsigned)pair->item_type);
    if (pair->count > MAX_ITEMS)
        return error_set(c->e, GRAFT_E_INVALID, "an array of %llu items, at most 2^30 are read",
                         (unsigned long long)pair->count);
    pair->data = c->at;
    if (pair->item_type == VALUE_STRING) return read_string_array(c, memory, pair);
    size_t bytes = (size_t)pair->count * gguf_value_bytes[pair->item_type];
    if (bytes > c->left) return cut(c, "an array");
    skip(c, bytes);
    return GRAFT_OK;
}

static enum graft_status read_text_value(struct cursor *c, struct arena *memory, struct pair *pair)
{
    enum graft_status status = read_string(c, "a string", &pair->data, &pair->count);
    if (status != GRAFT_OK) return status;
    char *copy = arena_alloc(memory, (size_t)pair->count + 1, 1);
    if (copy == NULL) return error_memory(c->e, "metadata", (size_t)pair->count);
    memcpy(copy, pair->data, (size_t)pair->count);
    pair->text = copy;
    return GRAFT_OK;
}

static enum graft_status read_value(struct cursor *c, struct arena *memory, struct pair *pair)
{
    enum graft_status status = read_u32(c, "a value", &pair->type);
    if (status != GRAFT_OK) return status;
    if (pair->type >= VALUE_TYPES)
        return error_set(c->e, GRAFT_E_INVALID, "unknown value type %u, known are 0 to 12",
                         (unsigned)pair->type);
    if (pair->type == VALUE_STRING) return read_text_value(c, memory, pair);
    if (pair->type == VALUE_ARRAY) return read_array(c, memory, pair);
    if (c->left < gguf_value_bytes[pair->type]) return cut(c, "a value");
    pair->data = c->at;
    skip(c, gguf_value_bytes[pair->type]);
    if (pair->type == VALUE_BOOL && pair->data[0] > 1)
        return error_set(c->e, GRAFT_E_INVALID, "a bool of %u, allowed are 0 and 1",
                         (unsigned)pair->data[0]);
    return GRAFT_OK;
}

static enum graft_status read_pairs(struct gguf *file, struct cursor *c)
{
    for (size_t i = 0; i < file->pair_count; i++) {
        const char *key;
        enum graft_status status = read_name(c, &file->memory, "a metadata key", MAX_KEY, &key);
        if (status != GRAFT_OK) return status;
        file->keys[i] = (struct name){key, i};
        status = read_value(c, &file->memory, &file->pairs[i]);
        if (status != GRAFT_OK) return error_place(c->e, "metadata %s", key);
    }
    names_sort(file->keys, file->pair_count);
    const char *twice = names_double(file->keys, file->pair_count);
    if (twice != NULL) return error_set(c->e, GRAFT_E_INVALID, "metadata %s is there twice", twice);
    return GRAFT_OK;
}

/* ---- tensors ---- */

static enum graft_status find_alignment(const struct gguf *file, size_t *alignment, struct error *e)
{
    const struct pair *pair = gguf_find_pair(file, "general.alignment");
    *alignment = DEFAULT_ALIGNMENT;
    if (pair == NULL) return GRAFT_OK;
    if (pair->type != VALUE_U32)
        return error_set(e, GRAFT_E_INVALID,
                         "metadata general.alignment has value type %u, not u32",
                         (unsigned)pair->type);
    size_t value = (size_t)gguf_little_endian(pair->data, 4);
    if ((value & (value - 1)) != 0 || value < MIN_ALIGNMENT || value > MAX_ALIGNMENT)
        return error_set(
            e, GRAFT_E_INVALID,
            "metadata general.alignment is %zu, allowed are powers of two from %d to %d", value,
            MIN_ALIGNMENT, MAX_ALIGNMENT);
    *alignment = value;
    return GRAFT_OK;
}

/* dims are innermost first in the file. */
static enum graft_status read_shape(struct cursor *c, struct tensor_view *tensor)
{
    uint32_t rank = 0;
    uint64_t count = 1; /* without zeros, so that no partial product overflows either */
    enum graft_status status = read_u32(c, "a tensor's shape", &rank);
    if (status != GRAFT_OK) return status;
    if (rank > GRAFT_MAX_RANK)
        return error_set(c->e, GRAFT_E_INVALID, "has %u dimensions, at most %d are read",
                         (unsigned)rank, GRAFT_MAX_RANK);
    tensor->shape = (struct graft_shape){{1, 1, 1, 1}, (int32_t)rank};
    for (uint32_t i = 0; i < rank; i++) {
        uint64_t dim = 0;
        if ((status = read_u64(c, "a tensor's shape", &dim)) != GRAFT_OK) return status;
        uint64_t factor = dim != 0 ? dim : 1;
        if (count > INT64_MAX / factor)
            return error_set(c->e, GRAFT_E_INVALID, "has more numbers than fit in 63 bits");
        count *= factor;
        tensor->shape.dim[rank - 1 - i] = (int64_t)dim;
    }
    return GRAFT_OK;
}

static enum graft_status read_type(struct cursor *c, struct tensor_view *tensor)
{
    uint32_t id = 0;
    enum graft_status status = read_u32(c, "a tensor's type", &id);
    if (status != GRAFT_OK) return status;
    if (id >= TENSOR_TYPES || tensor_types[id].block == 0)
        return error_set(c->e, GRAFT_E_INVALID,
                         "has type id %u, which is unknown or was removed from GGUF", (unsigned)id);
    const struct tensor_type *type = &tensor_types[id];
    int32_t rank = tensor->shape.rank;
    int64_t row = rank > 0 ? tensor->shape.dim[rank - 1] : 1;
    if (row % type->block != 0)
        return error_set(c->e, GRAFT_E_INVALID,
                         "has rows of %lld numbers, type %s needs a multiple of %d", (long long)row,
                         type->name, (int)type->block);
    int64_t blocks = graft_shape_count(tensor->shape) / type->block;
    if (blocks > INT64_MAX / type->bytes)
        return error_set(c->e, GRAFT_E_INVALID, "has more bytes than fit in 63 bits");
    tensor->dtype = type->dtype;
    tensor->type_name = type->name;
    tensor->bytes = (size_t)(blocks * type->bytes);
    return GRAFT_OK;
}

/* One entry of the table. `expected` is the running sum of the padded sizes before it. */
static enum graft_status read_tensor(struct cursor *c, struct tensor_view *tensor,
                                     uint64_t expected)
{
    uint64_t offset = 0;
    enum graft_status status = read_shape(c, tensor);
    if (status == GRAFT_OK) status = read_type(c, tensor);
    if (status == GRAFT_OK) status = read_u64(c, "a tensor's offset", &offset);
    if (status != GRAFT_OK) return status;
    if (offset != expected)
        return error_set(
            c->e, GRAFT_E_INVALID,
            "has offset %llu, expected is %llu: tensors follow each other without gaps",
            (unsigned long long)offset, (unsigned long long)expected);
    return GRAFT_OK;
}

static enum graft_status read_table(struct gguf *file, struct cursor *c, size_t alignment)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        enum graft_status status =
            read_name(c, &file->memory, "a tensor's name", MAX_TENSOR_NAME, &tensor->name);
        if (status != GRAFT_OK) return status;
        status = read_tensor(c, tensor, offset);
        if (status != GRAFT_OK) return error_place(c->e, "tensor %s", tensor->name);
        file->names[i] = (struct name){tensor->name, i};
        offset += (tensor->bytes + (alignment - 1)) / alignment * alignment;
        if (offset > INT64_MAX)
            return error_set(c->e, GRAFT_E_INVALID,
                             "the tensors have more bytes than fit in 63 bits");
    }
    names_sort(file->names, file->tensor_count);
    const char *twice = names_double(file->names, file->tensor_count);
    if (twice != NULL) return error_set(c->e, GRAFT_E_INVALID, "tensor %s is there twice", twice);
    return GRAFT_OK;
}

/* Padding to the data and after each tensor; the last tensor's may be missing. */
static enum graft_status place_data(struct gguf *file, struct cursor *c, size_t alignment)
{
    if (file->tensor_count == 0) return GRAFT_OK;
    size_t at = (size_t)(c->at - c->start), padding = (alignment - at % alignment) % alignment;
    for (size_t i = 0; i < file->tensor_count; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        if (c->left < padding || c->left - padding < tensor->bytes) {
            return error_set(c->e, GRAFT_E_INVALID,
                             "the file ends inside the data of tensor %s (it has %zu bytes): the "
                             "download or copy is incomplete",
                             tensor->name, file->map.size);
        }
        skip(c, padding);
        tensor->data = c->at;
        skip(c, tensor->bytes);
        padding = (alignment - tensor->bytes % alignment) % alignment;
    }
    return GRAFT_OK;
}

/* ---- the file ---- */

static enum graft_status read_version(struct cursor *c, const struct file_map *map)
{
    uint32_t version = 0;
    if (c->left < 4 || memcmp(c->at, "GGUF", 4) != 0)
        return error_set(c->e, GRAFT_E_INVALID, "not a GGUF file: it looks like %s",
                         file_map_kind(map));
    skip(c, 4);
    enum graft_status status = read_u32(c, "the header", &version);
    if (status != GRAFT_OK || version == 2 || version == 3) return status;
    if ((version & 0xFFFF) == 0)
        return error_set(c->e, GRAFT_E_INVALID,
                         "a big-endian GGUF file; graft reads little-endian ones: convert it with "
                         "gguf-py's gguf-convert-endian");
    return error_set(c->e, GRAFT_E_INVALID, "GGUF version %u; graft reads 2 and 3: convert it anew",
                     (unsigned)version);
}

static enum graft_status read_counts(struct gguf *file, struct cursor *c)
{
    uint64_t tensors = 0, pairs = 0;
    enum graft_status status = read_u64(c, "the header", &tensors);
    if (status == GRAFT_OK) status = read_u64(c, "the header", &pairs);
    if (status != GRAFT_OK) return status;
    if (pairs > c->left / MIN_PAIR || tensors > c->left / MIN_TENSOR)
        return error_set(c->e, GRAFT_E_INVALID,
                         "the header promises %llu tensors and %llu metadata keys, more than %zu "
                         "bytes can hold: the file is damaged or incomplete",
                         (unsigned long long)tensors, (unsigned long long)pairs, c->left);
    file->tensor_count = (size_t)tensors;
    file->pair_count = (size_t)pairs;
    file->pairs = arena_alloc(&file->memory, file->pair_count, sizeof *file->pairs);
    file->keys = arena_alloc(&file->memory, file->pair_count, sizeof *file->keys);
    file->tensors = arena_alloc(&file->memory, file->tensor_count, sizeof *file->tensors);
    file->names = arena_alloc(&file->memory, file->tensor_count, sizeof *file->names);
    if (file->pairs == NULL || file->keys == NULL || file->tensors == NULL || file->names == NULL)
        return error_memory(c->e, "the table of a GGUF file",
                            file->pair_count * sizeof *file->pairs +
                                file->tensor_count * sizeof *file->tensors);
    return GRAFT_OK;
}

enum graft_status gguf_parse(struct gguf *file, struct error *e)
{
    struct cursor c = {file->map.data, file->map.data, file->map.size, e};
    size_t alignment = DEFAULT_ALIGNMENT;
    enum graft_status status = read_version(&c, &file->map);
    if (status == GRAFT_OK) status = read_counts(file, &c);
    const unsigned char *metadata = c.at;
    if (status == GRAFT_OK) status = read_pairs(file, &c);
    if (status == GRAFT_OK) status = find_alignment(file, &alignment, e);
    file->metadata =
        (struct gguf_metadata){metadata, (size_t)(c.at - metadata), file->pair_count, alignment};
    if (status == GRAFT_OK) status = read_table(file, &c, alignment);
    if (status == GRAFT_OK) status = place_data(file, &c, alignment);
    return status;
}

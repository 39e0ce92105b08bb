/* SPDX-License-Identifier: Apache-2.0
 *
 * Writer: order and header as the reference writer's (tensor.rs, prepare and serialize).
 */
#include "file/safetensors.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/text.h"
#include "file/atomic.h"
#include "file/names.h"
#include "ref/quant.h"

#include <stdlib.h>
#include <string.h>

/* Largest numbers first; the place in this list is the place in the file. */
static const int32_t order[] = {GRAFT_DTYPE_F64,  GRAFT_DTYPE_F32, GRAFT_DTYPE_I32,
                                GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16, GRAFT_DTYPE_U8};
enum { ORDERS = sizeof order / sizeof order[0] };

struct entry {
    size_t order;
    const struct tensor_view *tensor;
};

static int by_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->order != y->order) return x->order < y->order ? -1 : 1;
    return strcmp(x->tensor->name, y->tensor->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct safetensors_pair *)a)->key,
                  ((const struct safetensors_pair *)b)->key);
}

static enum graft_status check_tensor(const struct tensor_view *tensor, size_t *place,
                                      struct error *e)
{
    size_t at = 0;
    while (at < ORDERS && order[at] != tensor->dtype) at++;
    if (at == ORDERS)
        return error_set(
            e, GRAFT_E_INVALID,
            "tensor %s is of type %s; a safetensors file takes F64, F32, I32, BF16, F16 "
            "and U8",
            tensor->name,
            quant_name(tensor->dtype) != NULL ? quant_name(tensor->dtype) : "unknown");
    int64_t numbers = graft_shape_count(tensor->shape);
    if (strcmp(tensor->name, "__metadata__") == 0 || tensor->name[0] == '\0' ||
        (numbers != 0 && quant_row_bytes(tensor->dtype, numbers) == 0) ||
        quant_row_bytes(tensor->dtype, numbers) != tensor->bytes)
        return error_set(
            e, GRAFT_E_INVALID,
            "tensor %s: %zu bytes do not agree with its shape, or the name is not allowed",
            tensor->name, tensor->bytes);
    *place = at;
    return GRAFT_OK;
}

static enum graft_status sort_tensors(const struct tensor_view *tensors, size_t count,
                                      struct entry *entries, struct error *e)
{
    struct name *names = mem_zalloc(count, sizeof *names);
    enum graft_status status = GRAFT_OK;
    if (names == NULL) return error_memory(e, "tensor names", count * sizeof *names);
    for (size_t i = 0; i < count && status == GRAFT_OK; i++) {
        entries[i].tensor = &tensors[i];
        names[i] = (struct name){tensors[i].name, i};
        status = check_tensor(&tensors[i], &entries[i].order, e);
    }
    if (status == GRAFT_OK) {
        names_sort(names, count);
        const char *twice = names_double(names, count);
        if (twice != NULL)
            status = error_set(e, GRAFT_E_INVALID, "tensor %s is there twice", twice);
        qsort(entries, count, sizeof *entries, by_order);
    }
    mem_free(names);
    return status;
}

static void put_metadata(struct str *out, const struct safetensors_pair *pairs, size_t count)
{
    str_puts(out, "\"__metadata__\":{");
    for (size_t i = 0; i < count; i++) {
        if (i != 0) str_putc(out, ',');
        json_write_string(out, pairs[i].key, strlen(pairs[i].key));
        str_putc(out, ':');
        json_write_string(out, pairs[i].value, strlen(pairs[i].value));
    }
    str_putc(out, '}');
}

static void put_tensor(struct str *out, const struct tensor_view *tensor, uint64_t begin)
{
    json_write_string(out, tensor->name, strlen(tensor->name));
    str_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", quant_name(tensor->dtype));
    for (int32_t i = 0; i < tensor->shape.rank; i++)
        str_printf(out, i != 0 ? ",%lld" : "%lld", (long long)tensor->shape.dim[i]);
    str_printf(out, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
               (unsigned long long)(begin + tensor->bytes));
}

/* The length in 8 bytes, then the text, padded so that the data begins at a multiple of 8. */
static void put_header(struct str *out, const struct entry *entries, size_t count,
                       const struct safetensors_pair *metadata, size_t metadata_count)
{
    uint64_t at = 0;
    str_add(out, "\0\0\0\0\0\0\0\0", 8);
    str_putc(out, '{');
    if (metadata_count != 0) put_metadata(out, metadata, metadata_count);
    for (size_t i = 0; i < count; i++) {
        if (i != 0 || metadata_count != 0) str_putc(out, ',');
        put_tensor(out, entries[i].tensor, at);
        at += entries[i].tensor->bytes;
    }
    str_putc(out, '}');
    while (!out->failed && out->length % 8 != 0) str_putc(out, ' ');
    if (out->failed) return;
    uint64_t length = out->length - 8;
    for (unsigned i = 0; i < 8; i++) out->data[i] = (char)(unsigned char)(length >> 8 * i);
}

struct content {
    const struct entry *entries; /* sorted */
    size_t count;
    const struct tensor_source *source;
};

static enum graft_status write_tensor(struct atomic_file *file, const struct tensor_view *tensor,
                                      const struct tensor_source *source, struct error *e)
{
    const void *data = tensor->data;
    enum graft_status status = GRAFT_OK;
    if (data == NULL && tensor->bytes != 0 && source != NULL)
        status = source->give(source->context, tensor, &data, e);
    return status == GRAFT_OK ? atomic_write(file, data, tensor->bytes, e) : status;
}

static enum graft_status write_all(const char *path, const struct str *header,
                                   const struct content *c, struct error *e)
{
    struct atomic_file *file = NULL;
    enum graft_status status = atomic_begin(path, &file, e);
    if (status != GRAFT_OK) return status;
    status = atomic_write(file, header->data, header->length, e);
    for (size_t i = 0; i < c->count && status == GRAFT_OK; i++)
        status = write_tensor(file, c->entries[i].tensor, c->source, e);
    if (status == GRAFT_OK) return atomic_commit(file, e);
    atomic_abort(file);
    return status;
}

static enum graft_status check_metadata(struct safetensors_pair *sorted, size_t count,
                                        struct error *e)
{
    qsort(sorted, count, sizeof *sorted, by_key);
    for (size_t i = 1; i < count; i++)
        if (strcmp(sorted[i - 1].key, sorted[i].key) == 0)
            return error_set(e, GRAFT_E_INVALID, "metadata %s is there twice", sorted[i].key);
    return GRAFT_OK;
}

/* metadata: sorted */
static enum graft_status write_sorted(const char *path, const struct tensor_view *tensors,
                                      struct content *c, const struct safetensors_pair *metadata,
                                      size_t metadata_count, struct error *e)
{
    struct str header = {0};
    struct entry *entries = mem_zalloc(c->count, sizeof *entries);
    if (entries == NULL) return error_memory(e, path, c->count * sizeof *entries);
    enum graft_status status = sort_tensors(tensors, c->count, entries, e);
    if (status == GRAFT_E_INVALID) error_place(e, "%s", path);
    if (status == GRAFT_OK) put_header(&header, entries, c->count, metadata, metadata_count);
    if (header.failed) status = error_memory(e, path, header.length);
    c->entries = entries;
    if (status == GRAFT_OK) status = write_all(path, &header, c, e);
    str_free(&header);
    mem_free(entries);
    return status;
}

enum graft_status safetensors_write(const char *path, const struct tensor_view *tensors,
                                    size_t count, const struct safetensors_pair *metadata,
                                    size_t metadata_count, struct error *e)
{
    struct content content = {.count = count};
    struct safetensors_pair *sorted = mem_zalloc(metadata_count, sizeof *sorted);
    enum graft_status status = GRAFT_OK;
    if (sorted == NULL) status = error_memory(e, path, metadata_count * sizeof *sorted);
    if (status == GRAFT_OK && metadata_count != 0) {
        memcpy(sorted, metadata, metadata_count * sizeof *sorted);
        status = check_metadata(sorted, metadata_count, e);
        if (status != GRAFT_OK) error_place(e, "%s", path);
    }
    if (status == GRAFT_OK)
        status = write_sorted(path, tensors, &content, sorted, metadata_count, e);
    mem_free(sorted);
    return status;
}

enum graft_status safetensors_write_from(const char *path, const struct tensor_view *tensors,
                                         size_t count, const struct tensor_source *source,
                                         struct error *e)
{
    static const struct safetensors_pair metadata[] = {{"format", "pt"}};
    struct content content = {.count = count, .source = source};
    return write_sorted(path, tensors, &content, metadata, 1, e);
}

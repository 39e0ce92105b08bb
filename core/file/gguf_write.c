/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer's side of gguf_parse.c: offsets are the running sum of padded sizes, as the reference
 * reader (ggml's gguf.cpp) demands.
 */
#include "file/gguf_write.h"

#include "base/memory.h"
#include "base/text.h"
#include "file/atomic.h"
#include "file/names.h"

#include <string.h>

enum { VERSION = 3, MAX_NAME = 63 };

static void put_number(struct str *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) str_putc(out, (char)(unsigned char)(value >> 8 * i));
}

static size_t padded(size_t bytes, size_t alignment)
{
    return (bytes + (alignment - 1)) / alignment * alignment;
}

static enum graft_status check_tensor(const struct tensor_view *t, struct error *e)
{
    int32_t id = gguf_type_id(t->type_name);
    if (t->name[0] == '\0' || strlen(t->name) > MAX_NAME)
        return error_set(e, GRAFT_E_INVALID,
                         "tensor %s: the name has %zu bytes, allowed are 1 to %d", t->name,
                         strlen(t->name), MAX_NAME);
    if (id < 0)
        return error_set(e, GRAFT_E_INVALID, "tensor %s is of type %s, which GGUF has not", t->name,
                         t->type_name);
    int64_t count = graft_shape_count(t->shape);
    int64_t row = t->shape.rank > 0 ? t->shape.dim[t->shape.rank - 1] : 1;
    uint64_t bytes = row > 0 ? gguf_type_bytes(id, row) * (uint64_t)(count / row) : 0;
    if (t->bytes != bytes || (bytes == 0 && count != 0))
        return error_set(e, GRAFT_E_INVALID, "tensor %s: %zu bytes do not agree with its shape",
                         t->name, t->bytes);
    return GRAFT_OK;
}

static enum graft_status check_tensors(const struct tensor_view *tensors, size_t count,
                                       struct error *e)
{
    struct name *names = mem_zalloc(count, sizeof *names);
    enum graft_status status = GRAFT_OK;
    if (names == NULL) return error_memory(e, "tensor names", count * sizeof *names);
    for (size_t i = 0; i < count && status == GRAFT_OK; i++) {
        names[i] = (struct name){tensors[i].name, i};
        status = check_tensor(&tensors[i], e);
    }
    if (status == GRAFT_OK) {
        names_sort(names, count);
        const char *twice = names_double(names, count);
        if (twice != NULL)
            status = error_set(e, GRAFT_E_INVALID, "tensor %s is there twice", twice);
    }
    mem_free(names);
    return status;
}

static void put_tensor(struct str *out, const struct tensor_view *t, uint64_t offset)
{
    size_t length = strlen(t->name);
    put_number(out, length, 8);
    str_add(out, t->name, length);
    put_number(out, (uint64_t)t->shape.rank, 4);
    for (int32_t i = t->shape.rank - 1; i >= 0; i--) put_number(out, (uint64_t)t->shape.dim[i], 8);
    put_number(out, (uint64_t)gguf_type_id(t->type_name), 4);
    put_number(out, offset, 8);
}

/* Everything before the data, with its padding. */
static void put_header(struct str *out, const struct gguf_metadata *m,
                       const struct tensor_view *tensors, size_t count)
{
    uint64_t offset = 0;
    str_puts(out, "GGUF");
    put_number(out, VERSION, 4);
    put_number(out, count, 8);
    put_number(out, m->count, 8);
    str_add(out, (const char *)m->bytes, m->length);
    for (size_t i = 0; i < count; i++) {
        put_tensor(out, &tensors[i], offset);
        offset += padded(tensors[i].bytes, m->alignment);
    }
    while (!out->failed && count != 0 && out->length % m->alignment != 0) str_putc(out, '\0');
}

static enum graft_status write_tensor(struct atomic_file *file, const struct tensor_view *t,
                                      const struct tensor_source *source, size_t alignment,
                                      struct error *e)
{
    static const unsigned char zeros[256];
    const void *data = t->data;
    size_t padding = padded(t->bytes, alignment) - t->bytes;
    enum graft_status status = GRAFT_OK;
    if (data == NULL && t->bytes != 0) status = source->give(source->context, t, &data, e);
    if (status == GRAFT_OK) status = atomic_write(file, data, t->bytes, e);
    while (padding != 0 && status == GRAFT_OK) {
        size_t piece = padding < sizeof zeros ? padding : sizeof zeros;
        status = atomic_write(file, zeros, piece, e);
        padding -= piece;
    }
    return status;
}

enum graft_status gguf_write(const char *path, const struct gguf_metadata *metadata,
                             const struct tensor_view *tensors, size_t count,
                             const struct tensor_source *source, struct error *e)
{
    struct atomic_file *file = NULL;
    struct str header = {0};
    enum graft_status status = check_tensors(tensors, count, e);
    if (status == GRAFT_E_INVALID) error_place(e, "%s", path);
    if (status != GRAFT_OK) return status;
    put_header(&header, metadata, tensors, count);
    status = header.failed ? error_memory(e, path, header.length) : atomic_begin(path, &file, e);
    if (status == GRAFT_OK) status = atomic_write(file, header.data, header.length, e);
    str_free(&header);
    for (size_t i = 0; i < count && status == GRAFT_OK; i++)
        status = write_tensor(file, &tensors[i], source, metadata->alignment, e);
    if (status == GRAFT_OK) return atomic_commit(file, e);
    atomic_abort(file);
    return status;
}

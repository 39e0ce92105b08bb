/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries by class, laid end to end; one buffer per class.
 */
#include "graph/store.h"

#include "base/memory.h"

#include <string.h>

struct region {
    struct stored *first, *last;
    struct stored *flat; /* spans them all; NULL until asked for */
    uint64_t bytes;
    struct graft_buffer *buffer;
    const struct graft_backend *api;
};

struct store {
    struct arena arena;
    struct region region[STORE_CLASSES];
};

enum { ALIGNMENT = 64 };

const char *store_class_name(enum store_class kind)
{
    static const char *const names[STORE_CLASSES] = {"base",  "adapter", "frozen", "gradients",
                                                     "state", "cache",   "inputs"};
    return names[kind];
}

/* Numbers and bytes of one block. */
static void block_size(int32_t dtype, uint64_t *numbers, uint64_t *bytes)
{
    static const struct {
        uint16_t dtype, numbers, bytes;
    } blocks[] = {
        {GRAFT_DTYPE_F32, 1, 4},      {GRAFT_DTYPE_F16, 1, 2},      {GRAFT_DTYPE_BF16, 1, 2},
        {GRAFT_DTYPE_I32, 1, 4},      {GRAFT_DTYPE_U8, 1, 1},       {GRAFT_DTYPE_F64, 1, 8},
        {GRAFT_DTYPE_Q8_0, 32, 34},   {GRAFT_DTYPE_Q4_0, 32, 18},   {GRAFT_DTYPE_Q4_1, 32, 20},
        {GRAFT_DTYPE_Q5_0, 32, 22},   {GRAFT_DTYPE_Q5_1, 32, 24},   {GRAFT_DTYPE_Q4_K, 256, 144},
        {GRAFT_DTYPE_Q5_K, 256, 176}, {GRAFT_DTYPE_Q6_K, 256, 210},
    };
    *numbers = 1;
    *bytes = 0;
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (blocks[i].dtype == dtype) {
            *numbers = blocks[i].numbers;
            *bytes = blocks[i].bytes;
        }
}

uint64_t dtype_bytes(int32_t dtype, struct graft_shape shape)
{
    uint64_t numbers, bytes;
    block_size(dtype, &numbers, &bytes);
    return (uint64_t)graft_shape_count(shape) / numbers * bytes;
}

enum graft_status store_create(struct store **out, struct error *e)
{
    struct store *store = mem_zalloc(1, sizeof *store);
    if (store == NULL) return error_memory(e, "the store", sizeof *store);
    *out = store;
    return GRAFT_OK;
}

void store_destroy(struct store *store)
{
    if (store == NULL) return;
    for (int kind = 0; kind < STORE_CLASSES; kind++)
        if (store->region[kind].buffer != NULL)
            store->region[kind].api->buffer_destroy(store->region[kind].buffer);
    arena_free(&store->arena);
    mem_free(store);
}

static struct stored *new_entry(struct store *store, enum store_class kind, const char *name,
                                int32_t dtype, struct graft_shape shape, int32_t rows)
{
    struct stored *s = arena_alloc(&store->arena, 1, sizeof *s);
    const char *copy = arena_strdup(&store->arena, name);
    if (s == NULL || copy == NULL) return NULL;
    s->name = copy;
    s->kind = kind;
    s->dtype = dtype;
    s->rows = rows;
    s->shape = shape;
    s->bytes = dtype_bytes(dtype, shape);
    return s;
}

struct stored *store_add(struct store *store, enum store_class kind, const char *name,
                         int32_t dtype, struct graft_shape shape, int32_t rows)
{
    struct stored *s = new_entry(store, kind, name, dtype, shape, rows);
    if (s == NULL) return NULL;
    struct region *r = &store->region[kind];
    if (kind != STORE_BASE) s->offset = r->bytes;
    r->bytes += (s->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (r->last != NULL)
        r->last->next = s;
    else
        r->first = s;
    r->last = s;
    return s;
}

struct stored *store_add_trained(struct store *store, const char *name, struct graft_shape shape)
{
    struct stored *s =
        store_add(store, STORE_ADAPTER, name, GRAFT_DTYPE_F32, shape, GRAFT_ROWS_FIXED);
    if (s == NULL) return NULL;
    s->gradient = store_add(store, STORE_GRADIENT, name, GRAFT_DTYPE_F32, shape, GRAFT_ROWS_FIXED);
    return s->gradient != NULL ? s : NULL;
}

struct stored *store_find(const struct store *store, enum store_class kind, const char *name)
{
    for (struct stored *s = store->region[kind].first; s != NULL; s = s->next)
        if (strcmp(s->name, name) == 0) return s;
    return NULL;
}

const struct stored *store_first(const struct store *store, enum store_class kind)
{
    return store->region[kind].first;
}

uint64_t store_bytes(const struct store *store, enum store_class kind)
{
    return store->region[kind].bytes;
}

struct stored *store_flat(struct store *store, enum store_class kind)
{
    struct region *r = &store->region[kind];
    struct graft_shape shape = graft_shape1((int64_t)(r->bytes / sizeof(float)));
    if (r->flat == NULL)
        r->flat = new_entry(store, kind, store_class_name(kind), GRAFT_DTYPE_F32, shape,
                            GRAFT_ROWS_FIXED);
    if (r->flat != NULL) r->flat->buffer = r->buffer;
    return r->flat;
}

static enum graft_status failed(const struct backend *backend, int32_t status, const char *what,
                                struct error *e)
{
    if (e != backend->error && e != NULL && backend->error != NULL) *e = *backend->error;
    if (e != NULL) e->status = (enum graft_status)status;
    error_place(e, "%s", what);
    return (enum graft_status)status;
}

enum graft_status store_allocate(struct store *store, enum store_class kind,
                                 const struct backend *backend, struct error *e)
{
    struct region *r = &store->region[kind];
    if (r->bytes == 0 || r->buffer != NULL) return GRAFT_OK;
    int32_t status = backend->api->buffer_create(backend->device, r->bytes, &r->buffer);
    if (status != GRAFT_OK) return failed(backend, status, store_class_name(kind), e);
    r->api = backend->api;
    for (struct stored *s = r->first; s != NULL; s = s->next) s->buffer = r->buffer;
    if (r->flat != NULL) r->flat->buffer = r->buffer;
    return GRAFT_OK;
}

enum graft_status stored_write(const struct stored *s, const struct backend *backend,
                               const void *from, uint64_t bytes, struct error *e)
{
    int32_t status = backend->api->buffer_write(s->buffer, s->offset, from, bytes);
    return status == GRAFT_OK ? GRAFT_OK : failed(backend, status, s->name, e);
}

enum graft_status stored_read(const struct stored *s, const struct backend *backend, void *to,
                              uint64_t bytes, struct error *e)
{
    int32_t status = backend->api->buffer_read(s->buffer, s->offset, to, bytes);
    return status == GRAFT_OK ? GRAFT_OK : failed(backend, status, s->name, e);
}

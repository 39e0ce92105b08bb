/* SPDX-License-Identifier: Apache-2.0
 *
 * What outlives a program: weights, parameters, gradients, optimizer states, caches and the values
 * that the host uploads. Each class but the weights is one buffer, laid out before the first run.
 */
#ifndef CORE_GRAPH_STORE_H
#define CORE_GRAPH_STORE_H

#include "base/error.h"

#include <graft/backend.h>
#include <stdbool.h>

/* A device that is open, with its functions: what the core passes around as "the backend". */
struct backend {
    const struct graft_backend *api;
    struct graft_device *device;
    struct error *error; /* where host->error writes */
    int32_t compute;     /* dtype of products with frozen weights, ops.h; F32 unless asked for */
    bool sweeps;         /* runs them (graft_device_info) */
};

enum store_class {
    STORE_BASE,     /* frozen weights, each in a buffer of its own */
    STORE_ADAPTER,  /* parameters */
    STORE_FROZEN,   /* an adapter's numbers that are not trained */
    STORE_GRADIENT, /* sums over a step, laid out as the parameters */
    STORE_STATE,    /* the optimizer's */
    STORE_CACHE,    /* keys and values of generation */
    STORE_INPUT,    /* uploaded before a run */
    STORE_CLASSES
};

/* The name of a class in tables: "base", "adapter", "gradients", ... */
const char *store_class_name(enum store_class kind);

struct stored {
    const char *name;
    enum store_class kind;
    int32_t dtype;
    int32_t rows; /* enum graft_rows */
    struct graft_shape shape;
    uint64_t bytes;
    uint64_t offset;             /* in its class's buffer; STORE_BASE: in `buffer` */
    struct graft_buffer *buffer; /* NULL until allocated (weights: until uploaded) */
    struct stored *gradient;     /* where its gradient is summed; NULL: not trained */
    struct stored *next;
};

struct store;

GRAFT_MUST_USE enum graft_status store_create(struct store **store, struct error *e);
/* Frees the class buffers; buffers of weights belong to the model. */
void store_destroy(struct store *store);

/* A new entry, owned by the store; NULL when memory is refused. Names are copied. Entries of a
 * class lie in the order they were added, each at a multiple of 64 bytes. */
struct stored *store_add(struct store *store, enum store_class kind, const char *name,
                         int32_t dtype, struct graft_shape shape, int32_t rows);
/* A parameter with a gradient beside it. */
struct stored *store_add_trained(struct store *store, const char *name, struct graft_shape shape);
struct stored *store_find(const struct store *store, enum store_class kind, const char *name);
const struct stored *store_first(const struct store *store, enum store_class kind);

/* Bytes of a class so far. */
uint64_t store_bytes(const struct store *store, enum store_class kind);
/* The entry that spans a finished class: [n] f32, padding included; for updates on flat vectors.
 * It lies over the others and adds nothing. */
struct stored *store_flat(struct store *store, enum store_class kind);

/* Makes the class's buffer (zeroed) and points its entries at it. Once per class. */
GRAFT_MUST_USE enum graft_status store_allocate(struct store *store, enum store_class kind,
                                                const struct backend *backend, struct error *e);

GRAFT_MUST_USE enum graft_status stored_write(const struct stored *s, const struct backend *backend,
                                              const void *from, uint64_t bytes, struct error *e);
GRAFT_MUST_USE enum graft_status stored_read(const struct stored *s, const struct backend *backend,
                                             void *to, uint64_t bytes, struct error *e);

/* Bytes of a value of this type; quantized rows included; NF4 by its buffer's own header. */
uint64_t dtype_bytes(int32_t dtype, struct graft_shape shape);

#endif

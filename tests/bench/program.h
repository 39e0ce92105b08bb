/* SPDX-License-Identifier: Apache-2.0
 *
 * A small program for one backend, put together tensor by tensor: what the unit tests of the CPU
 * backend and the timing of its ops share. All tensors lie in one buffer, in separate memory.
 */
#ifndef TESTS_BENCH_PROGRAM_H
#define TESTS_BENCH_PROGRAM_H

#include "base/threads.h"
#include "kernel.h"
#include "ref/quant.h"

#include <dlfcn.h>
#include <glob.h>
#include <graft/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAM_TENSORS = 32, PROGRAM_NODES = 8 };

/* The host's side: its pool, its last error text, and how many more allocations it grants. */
struct program_host {
    struct graft_host table;
    struct thread_pool *pool;
    char error[512];
    long grants; /* < 0: all */
    long held;   /* allocations not released */
};

struct program {
    struct program_host *host;
    const struct graft_backend *backend;
    struct graft_device *device;
    struct graft_tensor tensors[PROGRAM_TENSORS];
    uint64_t sizes[PROGRAM_TENSORS];
    const void *data[PROGRAM_TENSORS]; /* borrowed; NULL: poisoned */
    struct graft_node nodes[PROGRAM_NODES];
    uint32_t tensor_count, node_count;
    uint64_t bytes;
    struct graft_buffer *buffer;
    struct graft_program *program;
};

static inline void *program_alloc(void *context, size_t size)
{
    struct program_host *h = context;
    if (h->grants == 0) return NULL;
    if (h->grants > 0) h->grants--;
    h->held++;
    return malloc(size);
}

static inline void program_release(void *context, void *memory)
{
    struct program_host *h = context;
    if (memory != NULL) h->held--;
    free(memory);
}

static inline void program_log(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static inline void program_error(void *context, const char *text)
{
    struct program_host *h = context;
    snprintf(h->error, sizeof h->error, "%s", text);
}

static inline void program_parallel(void *context, uint32_t tasks, graft_task *task, void *argument)
{
    struct program_host *h = context;
    thread_pool_run(h->pool, tasks, task, argument);
}

static inline bool program_host_init(struct program_host *h, uint32_t threads)
{
    struct error e;
    memset(h, 0, sizeof *h);
    h->grants = -1;
    if (thread_pool_create(threads, &h->pool, &e) != GRAFT_OK) return false;
    h->table.struct_size = sizeof h->table;
    h->table.context = h;
    h->table.alloc = program_alloc;
    h->table.release = program_release;
    h->table.log = program_log;
    h->table.error = program_error;
    h->table.thread_count = thread_pool_size(h->pool);
    h->table.parallel = program_parallel;
    h->table.kernels = getenv("GRAFT_KERNELS"); /* as for graft; NULL: the best */
    return true;
}

static inline void program_host_fini(struct program_host *h)
{
    thread_pool_destroy(h->pool);
}

/* backend-<name>.so of this build tree. */
static inline const struct graft_plugin *program_plugin(const char *name)
{
    glob_t found;
    const struct graft_plugin *plugin = NULL;
    int flags = 0;
    memset(&found, 0, sizeof found);
    for (const char *stars = "/*/*"; *stars != '\0'; stars += 2) {
        char pattern[1024];
        snprintf(pattern, sizeof pattern, "%s%s/graft/plugins/backend-%s.so", GRAFT_BUILD_DIR,
                 stars, name);
        glob(pattern, flags, NULL, &found);
        flags = GLOB_APPEND;
    }
    if (found.gl_pathc > 0) {
        void *library = dlopen(found.gl_pathv[0], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) plugin = dlsym(library, "graft_plugin");
    }
    globfree(&found);
    return plugin;
}

static inline bool program_init(struct program *p, struct program_host *host,
                                const struct graft_backend *backend)
{
    memset(p, 0, sizeof *p);
    p->host = host;
    p->backend = backend;
    return backend->open(&host->table, 0, &p->device) == GRAFT_OK;
}

static inline uint32_t program_sized(struct program *p, int32_t dtype, struct graft_shape shape,
                                     const void *data, uint64_t bytes)
{
    uint32_t i = p->tensor_count++;
    p->tensors[i] = (struct graft_tensor){.dtype = dtype, .shape = shape, .offset = p->bytes};
    p->sizes[i] = bytes;
    p->data[i] = data;
    p->bytes += (bytes + 63) / 64 * 64 + 64;
    return i;
}

static inline uint32_t program_tensor(struct program *p, int32_t dtype, struct graft_shape shape,
                                      const void *data)
{
    int64_t inner = shape.dim[shape.rank - 1];
    uint64_t rows = (uint64_t)(graft_shape_count(shape) / inner);
    return program_sized(p, dtype, shape, data, rows * quant_row_bytes(dtype, inner));
}

/* Lists end with GRAFT_ABSENT - 1; GRAFT_ABSENT is an absent tensor. */
#define PROGRAM_END (GRAFT_ABSENT - 1)
static inline struct graft_node *program_node(struct program *p, int32_t op, const uint32_t *in,
                                              const uint32_t *out)
{
    struct graft_node *n = &p->nodes[p->node_count++];
    memset(n, 0, sizeof *n);
    n->op = op;
    while (in[n->input_count] != PROGRAM_END) {
        n->input[n->input_count] = in[n->input_count];
        n->input_count++;
    }
    while (out[n->output_count] != PROGRAM_END) {
        n->output[n->output_count] = out[n->output_count];
        n->output_count++;
    }
    return n;
}

/* Every tensor as at the beginning: its data, or bytes that are NaNs as f32. */
static inline int32_t program_fill(struct program *p)
{
    int32_t status = GRAFT_OK;
    for (uint32_t i = 0; i < p->tensor_count && status == GRAFT_OK; i++) {
        void *poison = malloc(p->sizes[i] + 1);
        if (poison == NULL) return GRAFT_E_MEMORY;
        memset(poison, 0xFF, p->sizes[i]);
        status = p->backend->buffer_write(p->buffer, p->tensors[i].offset,
                                          p->data[i] != NULL ? p->data[i] : poison, p->sizes[i]);
        free(poison);
    }
    return status;
}

static inline int32_t program_build(struct program *p)
{
    uint64_t scratch;
    int32_t status = p->backend->buffer_create(p->device, p->bytes, &p->buffer);
    if (status != GRAFT_OK) return status;
    struct graft_program_desc desc = {.struct_size = sizeof desc,
                                      .tensor_stride = sizeof(struct graft_tensor),
                                      .node_stride = sizeof(struct graft_node),
                                      .tensor_count = p->tensor_count,
                                      .node_count = p->node_count,
                                      .buffer_count = 1,
                                      .tensors = p->tensors,
                                      .nodes = p->nodes,
                                      .buffers = &p->buffer};
    status = program_fill(p);
    if (status != GRAFT_OK) return status;
    return p->backend->program_create(p->device, &desc, &p->program, &scratch);
}

static inline int32_t program_run(struct program *p, int64_t tokens, int64_t trained)
{
    struct graft_run run = {.struct_size = sizeof run, .live = {0, tokens, trained}};
    return p->backend->program_run(p->program, &run);
}

static inline int32_t program_read(struct program *p, uint32_t tensor, void *to)
{
    return p->backend->buffer_read(p->buffer, p->tensors[tensor].offset, to, p->sizes[tensor]);
}

static inline void program_fini(struct program *p)
{
    p->backend->program_destroy(p->program);
    p->backend->buffer_destroy(p->buffer);
    p->backend->close(p->device);
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of models share: the reference as a device, and a run of one graph on it.
 */
#ifndef TESTS_UNIT_TEST_MODEL_H
#define TESTS_UNIT_TEST_MODEL_H

#include "check/reference.h"
#include "graph/plan.h"
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#define GOLDEN GRAFT_SOURCE_DIR "/tests/golden/data/"

static inline void *host_alloc(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static inline void host_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static inline void host_log(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static inline void host_error(void *context, const char *text)
{
    error_set(context, GRAFT_E_FAILED, "%s", text);
}

static inline void host_parallel(void *context, uint32_t tasks, graft_task *task, void *argument)
{
    (void)context;
    for (uint32_t i = 0; i < tasks; i++) task(argument, i, 0);
}

struct machine {
    struct error error;
    struct graft_host host;
    struct backend backend;
};

static inline void machine_open(struct machine *m, const struct graft_backend *api)
{
    memset(m, 0, sizeof *m);
    m->host = (struct graft_host){.struct_size = sizeof m->host,
                                  .context = &m->error,
                                  .alloc = host_alloc,
                                  .release = host_release,
                                  .log = host_log,
                                  .error = host_error,
                                  .thread_count = 1,
                                  .parallel = host_parallel};
    m->backend.api = api;
    m->backend.error = &m->error;
    if (api->open(&m->host, 0, &m->backend.device) != GRAFT_OK) fail_msg("%s", m->error.text);
}

static inline void machine_close(struct machine *m)
{
    m->backend.api->close(m->backend.device);
}

/* A planned graph with a transient region of its own. */
struct ready {
    struct plan *plan;
    struct program *program;
    struct graft_buffer *transient;
};

static inline void ready_make(struct ready *r, struct graph *graph, const struct machine *m)
{
    struct error e = {0};
    assert_ok(graph_status(graph, &e), &e);
    graph_prune(graph);
    assert_ok(plan_create(graph, &r->plan, &e), &e);
    uint64_t bytes = plan_transient(r->plan, &m->backend);
    assert_int_equal(m->backend.api->buffer_create(m->backend.device, bytes, &r->transient),
                     GRAFT_OK);
    assert_ok(program_create(r->plan, &m->backend, r->transient, &r->program, &e), &e);
}

static inline void ready_free(struct ready *r, const struct machine *m)
{
    program_destroy(r->program);
    plan_destroy(r->plan);
    m->backend.api->buffer_destroy(r->transient);
}

/* The stored values that a model's graph reads, of `capacity` tokens. */
struct input_entries {
    struct stored *tokens, *positions, *first, *last, *cache_rows, *targets;
};

static inline struct input_entries input_entries(struct store *store, int64_t capacity)
{
    static const char *const names[6] = {"tokens", "positions",  "first",
                                         "last",   "cache_rows", "targets"};
    struct stored *s[6];
    for (int i = 0; i < 6; i++) {
        s[i] = store_add(store, STORE_INPUT, names[i], GRAFT_DTYPE_I32, graft_shape1(capacity),
                         GRAFT_ROWS_TOKENS);
        assert_non_null(s[i]);
    }
    return (struct input_entries){s[0], s[1], s[2], s[3], s[4], s[5]};
}

static inline struct model_inputs input_values(struct graph *graph, const struct input_entries *in)
{
    return (struct model_inputs){.tokens = graph_stored(graph, in->tokens),
                                 .positions = graph_stored(graph, in->positions),
                                 .first = graph_stored(graph, in->first),
                                 .last = graph_stored(graph, in->last),
                                 .cache_rows = graph_stored(graph, in->cache_rows)};
}

#endif

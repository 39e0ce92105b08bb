/* SPDX-License-Identifier: Apache-2.0
 *
 * Plan, compile, run, read, forget.
 */
#include "graph/once.h"

enum graft_status once_run(struct once *once, struct graph *graph, const struct backend *backend,
                           struct error *e)
{
    const int64_t live[GRAFT_ROWS_KINDS] = {0};
    once->backend = backend;
    enum graft_status status = plan_create(graph, &once->plan, e);
    if (status != GRAFT_OK) return status;
    uint64_t bytes = plan_transient(once->plan, backend);
    if (bytes != 0 &&
        backend->api->buffer_create(backend->device, bytes, &once->transient) != GRAFT_OK)
        return error_set(e, backend->error->status, "%s", backend->error->text);
    struct backend exact = *backend;
    exact.compute = GRAFT_DTYPE_F32;
    status = program_create(once->plan, &exact, once->transient, &once->program, e);
    return status == GRAFT_OK ? program_run(once->program, live, e) : status;
}

enum graft_status once_read(struct once *once, graft_value v, void *to, uint64_t bytes,
                            struct error *e)
{
    return program_read(once->program, v, to, bytes, e);
}

void once_end(struct once *once)
{
    program_destroy(once->program);
    if (once->transient != NULL) once->backend->api->buffer_destroy(once->transient);
    plan_destroy(once->plan);
    *once = (struct once){0};
}

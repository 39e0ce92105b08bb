/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing a device under watch.
 */
#include "check/run.h"

#include <string.h>

static void *watch_alloc(void *context, size_t size)
{
    struct watch *w = context;
    void *memory = w->inner->alloc(w->inner->context, size);
    if (memory != NULL) w->live++;
    return memory;
}

static void watch_release(void *context, void *memory)
{
    struct watch *w = context;
    if (memory != NULL) w->live--;
    w->inner->release(w->inner->context, memory);
}

static void watch_log(void *context, const char *line)
{
    struct watch *w = context;
    w->inner->log(w->inner->context, line);
}

static void watch_error(void *context, const char *text)
{
    struct watch *w = context;
    error_set(&w->error, GRAFT_E_FAILED, "%s", text);
}

static void watch_parallel(void *context, uint32_t tasks, graft_task *task, void *argument)
{
    struct watch *w = context;
    w->inner->parallel(w->inner->context, tasks, task, argument);
}

enum graft_status bench_failed(const struct bench *b, const char *what, int32_t status,
                               struct error *e)
{
    if (b->watch->error.status == GRAFT_OK)
        return error_set(e, GRAFT_E_FAILED, "%s returned %d without a text", what, (int)status);
    return error_set(e, GRAFT_E_FAILED, "%s: %s", what, b->watch->error.text);
}

enum graft_status bench_open(struct bench *b, const struct graft_backend *api,
                             const struct graft_host *host, uint32_t device, struct error *e)
{
    struct watch *w = mem_zalloc(1, sizeof *w);
    memset(b, 0, sizeof *b);
    if (w == NULL) return error_memory(e, "a device under watch", sizeof *w);
    w->inner = host;
    w->host = (struct graft_host){.struct_size = sizeof w->host,
                                  .context = w,
                                  .alloc = watch_alloc,
                                  .release = watch_release,
                                  .log = watch_log,
                                  .error = watch_error,
                                  .thread_count = host->thread_count,
                                  .parallel = watch_parallel,
                                  .kernels = host->kernels};
    *b = (struct bench){.api = api, .watch = w};
    int32_t status = api->open(&w->host, device, &b->device);
    if (status == GRAFT_OK) return GRAFT_OK;
    bench_failed(b, "open", status, e);
    mem_free(w);
    b->watch = NULL;
    return GRAFT_E_FAILED;
}

enum graft_status bench_close(struct bench *b, struct error *e)
{
    if (b->watch == NULL) return GRAFT_OK;
    b->api->close(b->device);
    int64_t live = b->watch->live;
    mem_free(b->watch);
    memset(b, 0, sizeof *b);
    if (live == 0) return GRAFT_OK;
    return error_set(e, GRAFT_E_FAILED, "close left %lld allocations of the host unreleased",
                     (long long)live);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A host for tests of backends: the core's allocator and a thread pool of a given size.
 */
#ifndef TESTS_CONFORM_HOST_H
#define TESTS_CONFORM_HOST_H

#include "base/memory.h"
#include "base/threads.h"

#include <graft/host.h>
#include <stdio.h>

struct test_host {
    struct graft_host host;
    struct thread_pool *pool;
    char text[512];
};

static void *test_host_alloc(void *context, size_t size)
{
    (void)context;
    return mem_alloc(size);
}

static void test_host_release(void *context, void *memory)
{
    (void)context;
    mem_free(memory);
}

static void test_host_log(void *context, const char *line)
{
    (void)context;
    print_message("%s\n", line);
}

static void test_host_error(void *context, const char *text)
{
    struct test_host *h = context;
    snprintf(h->text, sizeof h->text, "%s", text);
}

static void test_host_parallel(void *context, uint32_t tasks, graft_task *task, void *argument)
{
    struct test_host *h = context;
    thread_pool_run(h->pool, tasks, task, argument);
}

static inline void test_host_init(struct test_host *h, uint32_t threads)
{
    struct error e = {0};
    *h = (struct test_host){.host = {.struct_size = sizeof h->host,
                                     .context = h,
                                     .alloc = test_host_alloc,
                                     .release = test_host_release,
                                     .log = test_host_log,
                                     .error = test_host_error,
                                     .thread_count = threads,
                                     .parallel = test_host_parallel}};
    assert_ok(thread_pool_create(threads, &h->pool, &e), &e);
}

static inline void test_host_fini(struct test_host *h)
{
    thread_pool_destroy(h->pool);
}

#endif

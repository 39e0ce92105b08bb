/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host gives a backend. A plugin never calls exit, abort, printf or getenv, starts no
 * thread and installs no signal handler: it has these instead.
 */
#ifndef GRAFT_HOST_H
#define GRAFT_HOST_H

#include <graft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* task(argument, index, thread): thread < thread_count. */
typedef void graft_task(void *argument, uint32_t index, uint32_t thread);

struct graft_host {
    uint32_t struct_size;
    void *context; /* first argument of every function here */

    /* NULL when refused. Any thread. Aligned for any type. */
    void *(*alloc)(void *context, size_t size);
    void (*release)(void *context, void *memory);

    /* One line, without its end. Any thread but a task's. */
    void (*log)(void *context, const char *line);

    /* The text that belongs to the failing status which the plugin is about to return:
     * what was found, what is allowed, what to change. Same thread as the call. */
    void (*error)(void *context, const char *text);

    /* Runs task for every index below `tasks` on the one pool and returns when all are done.
     * Only from a call that the host made into the plugin; never from a task. Cut no sum
     * by thread_count, or results will depend on the number of threads. */
    uint32_t thread_count;
    void (*parallel)(void *context, uint32_t tasks, graft_task *task, void *argument);

    /* An absolute folder of the user's for what only saves time, like compiled kernels; NULL: none.
     * Programs share it: a file there may be missing, old or broken at any time, and is put there
     * by a rename. */
    const char *cache_folder;
    /* Since 0.2: the way of computing that a test asks for by GRAFT_KERNELS ("avx2"), where a
     * backend has several; NULL: its own choice. One that the device lacks is refused. */
    const char *kernels;
};

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The one thread pool. Work is cut by the caller into tasks of whole sums, so results do not
 * depend on the number of threads. Workers block all signals.
 */
#ifndef CORE_BASE_THREADS_H
#define CORE_BASE_THREADS_H

#include "base/error.h"

#include <stdint.h>

struct thread_pool;

/* count 0: as many as the processors this process may use. The caller's thread is one of them. */
GRAFT_MUST_USE enum graft_status thread_pool_create(uint32_t count, struct thread_pool **pool,
                                                    struct error *e);
void thread_pool_destroy(struct thread_pool *pool);
uint32_t thread_processors(void); /* that this process may use */
uint32_t thread_pool_size(const struct thread_pool *pool);

/* Runs task(context, index, thread) for every index below `tasks`, thread in [0, size); returns
 * when all are done. Not reentrant; one caller at a time. */
void thread_pool_run(struct thread_pool *pool, uint32_t tasks,
                     void (*task)(void *context, uint32_t index, uint32_t thread), void *context);

#endif

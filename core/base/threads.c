/* SPDX-License-Identifier: Apache-2.0
 *
 * A pool of workers that take task numbers from one counter. Between two rounds they look out for a
 * moment before they sleep: a decoding step has hundreds of rounds of some microseconds, and waking
 * a thread takes longer than that.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/threads.h"

#include "base/memory.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum {
    LOOKS = 400 /* some microseconds: longer than the gap between two ops of a decoding step */
};

typedef void task_function(void *context, uint32_t index, uint32_t thread);

struct worker {
    struct thread_pool *pool;
    pthread_t thread;
    uint32_t number; /* 0 is the caller */
};

struct thread_pool {
    pthread_mutex_t mutex;
    pthread_cond_t start, finish;
    /* Written under the mutex, looked at without it. */
    atomic_uint round;   /* counts calls of run, and the end */
    atomic_uint running; /* workers still in this round */
    bool stopping;
    uint32_t looks; /* 0: more threads than processors, whoever looks out keeps one from working */
    atomic_uint next;
    uint32_t tasks;
    task_function *task;
    void *context;
    uint32_t workers; /* started ones, without the caller */
    struct worker worker[];
};

static void take_tasks(struct thread_pool *pool, uint32_t thread)
{
    for (;;) {
        uint32_t index = atomic_fetch_add(&pool->next, 1);
        if (index >= pool->tasks) return;
        pool->task(pool->context, index, thread);
    }
}

static void pause_a_moment(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void *worker_main(void *argument)
{
    struct worker *self = argument;
    struct thread_pool *pool = self->pool;
    uint32_t seen = 0;

    for (;;) {
        for (uint32_t i = 0; i < pool->looks && atomic_load(&pool->round) == seen; i++)
            pause_a_moment();
        pthread_mutex_lock(&pool->mutex);
        while (atomic_load(&pool->round) == seen) pthread_cond_wait(&pool->start, &pool->mutex);
        seen = atomic_load(&pool->round);
        bool stopping = pool->stopping;
        pthread_mutex_unlock(&pool->mutex);
        if (stopping) return NULL;
        take_tasks(pool, self->number);
        pthread_mutex_lock(&pool->mutex);
        if (atomic_fetch_sub(&pool->running, 1) == 1) pthread_cond_signal(&pool->finish);
        pthread_mutex_unlock(&pool->mutex);
    }
}

uint32_t thread_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

static int start_workers(struct thread_pool *pool, uint32_t count)
{
    sigset_t all, before;
    int failure = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->workers < count && failure == 0) {
        struct worker *w = &pool->worker[pool->workers];
        w->pool = pool;
        w->number = pool->workers + 1;
        failure = pthread_create(&w->thread, NULL, worker_main, w);
        if (failure == 0) pool->workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

enum graft_status thread_pool_create(uint32_t count, struct thread_pool **out, struct error *e)
{
    uint32_t processors = thread_processors();
    if (count == 0) count = processors;
    size_t size = sizeof(struct thread_pool) + (count - 1) * sizeof(struct worker);
    struct thread_pool *pool = mem_zalloc(1, size);
    if (pool == NULL) return error_memory(e, "the thread pool", size);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->finish, NULL);
    pool->looks = count <= processors ? LOOKS : 0;
    int failure = start_workers(pool, count - 1);
    if (failure != 0) {
        thread_pool_destroy(pool);
        return error_set(e, GRAFT_E_FAILED, "cannot start %u threads: %s", count,
                         strerror(failure));
    }
    *out = pool;
    return GRAFT_OK;
}

void thread_pool_destroy(struct thread_pool *pool)
{
    if (pool == NULL) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    atomic_fetch_add(&pool->round, 1);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
    for (uint32_t i = 0; i < pool->workers; i++) pthread_join(pool->worker[i].thread, NULL);
    pthread_cond_destroy(&pool->finish);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->mutex);
    mem_free(pool);
}

uint32_t thread_pool_size(const struct thread_pool *pool)
{
    return pool->workers + 1;
}

void thread_pool_run(struct thread_pool *pool, uint32_t tasks, task_function *task, void *context)
{
    if (pool->workers == 0 || tasks <= 1) {
        for (uint32_t i = 0; i < tasks; i++) task(context, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->tasks = tasks;
    pool->task = task;
    pool->context = context;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->running, pool->workers);
    atomic_fetch_add(&pool->round, 1);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
    take_tasks(pool, 0);
    for (uint32_t i = 0; i < pool->looks && atomic_load(&pool->running) != 0; i++) pause_a_moment();
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->running) != 0) pthread_cond_wait(&pool->finish, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

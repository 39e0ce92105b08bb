/* SPDX-License-Identifier: Apache-2.0
 *
 * A pool of workers. A round's tasks are dealt out in shares that follow each other, so that a
 * thread finds what it reads beside what it has read; who has finished a share goes on with
 * another's. Between two rounds workers look out for a moment before they sleep: a decoding step
 * has hundreds of rounds of some microseconds, and waking a thread takes longer than that. The
 * mutex is for those who sleep alone: to meet at it costs as much.
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
    LOOKS = 1000, /* some ten microseconds: longer than most gaps between two ops */
    LINE = 64     /* bytes of a cache line */
};

typedef void task_function(void *context, uint32_t index, uint32_t thread);

/* Tasks [next, end), each share in a cache line of its own. */
struct share {
    atomic_uint next;
    uint32_t end;
    char apart[LINE - sizeof(atomic_uint) - sizeof(uint32_t)];
};

struct worker {
    struct share share;
    struct thread_pool *pool;
    pthread_t thread;
    uint32_t number; /* 0 is the caller */
};

struct thread_pool {
    pthread_mutex_t mutex;
    pthread_cond_t start, finish;
    atomic_uint sleepers; /* workers that wait for start, or are about to */
    atomic_bool waiting;  /* so does the caller for finish */
    atomic_uint round;    /* odd while one is open: counts beginnings and ends */
    atomic_uint running;  /* workers in this round, or about to see that it is over */
    /* Written before round, read after it. */
    bool stopping;
    task_function *task;
    void *context;
    uint32_t looks; /* 0: more threads than processors, whoever looks out keeps one from working */
    uint32_t workers;       /* started ones, without the caller */
    struct worker worker[]; /* the first is the caller */
};

static void take_tasks(struct thread_pool *pool, uint32_t thread)
{
    uint32_t threads = pool->workers + 1;
    for (uint32_t i = 0; i < threads; i++) {
        struct share *share = &pool->worker[(thread + i) % threads].share;
        for (;;) {
            uint32_t index = atomic_fetch_add(&share->next, 1);
            if (index >= share->end) break;
            pool->task(pool->context, index, thread);
        }
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

static bool is_open(struct thread_pool *pool, uint32_t seen, uint32_t *round)
{
    *round = atomic_load(&pool->round);
    return *round % 2 == 1 && *round != seen;
}

/* Until a round other than `seen` is open; returns it. Who is about to sleep says so before looking
 * a last time, who begins a round looks for sleepers after that: one of them sees the other. */
static uint32_t await_round(struct thread_pool *pool, uint32_t seen)
{
    uint32_t round;
    for (uint32_t i = 0; i < pool->looks; i++) {
        if (is_open(pool, seen, &round)) return round;
        pause_a_moment();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!is_open(pool, seen, &round)) pthread_cond_wait(&pool->start, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return round;
}

static void begin_round(struct thread_pool *pool)
{
    atomic_fetch_add(&pool->round, 1);
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);
}

/* All tasks are taken: whoever has not begun finds the round closed, whoever has is waited for. */
static void end_round(struct thread_pool *pool)
{
    atomic_fetch_add(&pool->round, 1);
    for (uint32_t i = 0; i <= pool->looks; i++) {
        if (atomic_load(&pool->running) == 0) return;
        pause_a_moment();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->waiting, true);
    while (atomic_load(&pool->running) != 0) pthread_cond_wait(&pool->finish, &pool->mutex);
    atomic_store(&pool->waiting, false);
    pthread_mutex_unlock(&pool->mutex);
}

static void leave_round(struct thread_pool *pool)
{
    if (atomic_fetch_sub(&pool->running, 1) != 1 || !atomic_load(&pool->waiting)) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->finish);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument)
{
    struct worker *self = argument;
    struct thread_pool *pool = self->pool;
    bool stopping = false;

    for (uint32_t seen = 0; !stopping;) {
        seen = await_round(pool, seen);
        atomic_fetch_add(&pool->running, 1);
        if (atomic_load(&pool->round) == seen) {
            stopping = pool->stopping;
            take_tasks(pool, self->number);
        }
        leave_round(pool);
    }
    return NULL;
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
        struct worker *w = &pool->worker[pool->workers + 1];
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
    size_t size = sizeof(struct thread_pool) + count * sizeof(struct worker);
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
    pool->stopping = true;
    begin_round(pool);
    for (uint32_t i = 1; i <= pool->workers; i++) pthread_join(pool->worker[i].thread, NULL);
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
    uint64_t threads = pool->workers + 1;
    for (uint64_t i = 0; i < threads; i++) {
        struct share *share = &pool->worker[i].share;
        share->end = (uint32_t)((i + 1) * tasks / threads);
        atomic_store(&share->next, (uint32_t)(i * tasks / threads));
    }
    pool->task = task;
    pool->context = context;
    begin_round(pool);
    take_tasks(pool, 0);
    end_round(pool);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * A sweep runs a tile of rows at a time: all its kernels, each as if the tile's rows were all there
 * are. A tile's numbers stay in the near caches from one kernel to the next, and what only the
 * sweep reads is kept in the thread's scratch and never written to memory.
 */
#include "step.h"

#include "ref/quant.h"

#include <stdio.h>
#include <string.h>

enum {
    TILE_BYTES = 16384, /* of the widest tensor: some ten of them fit the second cache */
    TASK_TILES = 4,
    ALIGNMENT = 64,
    MOST_TILES = 64 /* tensors that live in scratch */
};

static size_t row_bytes(const struct kernel_tensor *t)
{
    return quant_row_bytes(t->dtype, graft_shape_count(t->shape) / t->shape.dim[0]);
}

static bool reads_rows(const struct step *s, int input)
{
    return (s->by_row >> input & 1) && s->call.in[input].data != NULL;
}

/* The rows are the sweep's, and the kernel needs nothing but its tensors. */
static bool fits(const struct step *s, const struct step *first)
{
    int64_t rows = first->call.out[0].shape.dim[0];
    if (s->kernel == NULL || s->kernel->size != NULL || s->kernel->phase[1].run != NULL)
        return false;
    for (int i = 0; i < GRAFT_MAX_INPUTS; i++) {
        if (!reads_rows(s, i) && s->in_inner[i] != 0) return false;
        if (reads_rows(s, i) &&
            (s->call.in[i].shape.dim[0] != rows || s->in_rows[i] != first->out_rows[0]))
            return false;
    }
    for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++)
        if (s->call.out[i].data != NULL &&
            (s->call.out[i].shape.dim[0] != rows || s->out_rows[i] != first->out_rows[0]))
            return false;
    return true;
}

static size_t widest_row(const struct step *steps)
{
    size_t widest = 1;
    for (int k = 0; k < steps->sweep; k++)
        for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++) {
            const struct kernel_tensor *t = &steps[k].call.out[i];
            size_t bytes = t->data != NULL ? row_bytes(t) : 0;
            if (bytes > widest) widest = bytes;
        }
    return widest;
}

struct tiles {
    size_t number[MOST_TILES], at[MOST_TILES], count, bytes;
};

/* Puts the tensor's place in scratch in place of its number. */
static bool give_tile(struct tiles *t, size_t *inner, const struct kernel_tensor *tensor,
                      int64_t rows)
{
    size_t i = 0;
    if (*inner == 0) return true;
    while (i < t->count && t->number[i] != *inner) i++;
    if (i == MOST_TILES) return false;
    if (i == t->count) {
        t->number[t->count] = *inner;
        t->at[t->count++] = t->bytes;
        t->bytes += ((size_t)rows * row_bytes(tensor) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    *inner = 1 + t->at[i];
    return true;
}

bool sweep_plan(struct step *steps, uint32_t left, size_t *scratch, char text[256])
{
    struct tiles tiles = {.count = 0};
    bool given = steps->sweep <= left;
    for (int k = 0; given && k < steps->sweep; k++) given = fits(&steps[k], steps);
    steps->tile = given ? (int64_t)(TILE_BYTES / widest_row(steps)) : 1;
    if (steps->tile == 0) steps->tile = 1;
    for (int k = 0; given && k < steps->sweep; k++) {
        struct step *s = &steps[k];
        for (int i = 0; i < GRAFT_MAX_INPUTS; i++)
            given = given && give_tile(&tiles, &s->in_inner[i], &s->call.in[i], steps->tile);
        for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++)
            given = given && give_tile(&tiles, &s->out_inner[i], &s->call.out[i], steps->tile);
    }
    *scratch = tiles.bytes;
    if (!given)
        snprintf(text, 256,
                 "a sweep of %d nodes from here on: %u are left, they do not make the "
                 "same rows, or more than %d of their tensors have no memory",
                 (int)steps->sweep, (unsigned)left, MOST_TILES);
    return given;
}

struct sweep {
    const struct step *steps;
    const struct cpu_job *job;
    const int64_t *live;
    int64_t rows;
};

static void put_rows(struct kernel_tensor *t, size_t tile, int64_t begin, int64_t rows,
                     uint8_t *scratch)
{
    t->data = tile != 0 ? scratch + tile - 1 : (uint8_t *)t->data + (size_t)begin * row_bytes(t);
    t->shape.dim[0] = rows;
}

static void run_tile(const struct sweep *w, int64_t begin, int64_t rows, uint8_t *scratch)
{
    for (int k = 0; k < w->steps->sweep; k++) {
        const struct step *s = &w->steps[k];
        const struct cpu_phase *phase = &s->kernel->phase[0];
        struct cpu_job job = *w->job;
        step_live(s, w->live, &job.call);
        for (int i = 0; i < GRAFT_MAX_INPUTS; i++)
            if (reads_rows(s, i)) put_rows(&job.call.in[i], s->in_inner[i], begin, rows, scratch);
        for (int i = 0; i < GRAFT_MAX_OUTPUTS; i++)
            if (s->call.out[i].data != NULL)
                put_rows(&job.call.out[i], s->out_inner[i], begin, rows, scratch);
        uint32_t tasks = phase->tasks(&job);
        for (uint32_t i = 0; i < tasks; i++) phase->run(&job, i, scratch);
    }
}

static void task(void *argument, uint32_t index, uint32_t thread)
{
    const struct sweep *w = argument;
    uint8_t *scratch = (uint8_t *)w->job->scratch + thread * w->job->scratch_stride;
    struct cpu_range r = cpu_piece(w->rows, TASK_TILES * w->steps->tile, index);
    for (int64_t at = r.begin; at < r.end; at += w->steps->tile)
        run_tile(w, at, cpu_smaller(w->steps->tile, r.end - at), scratch);
}

void sweep_run(const struct graft_host *host, const struct step *steps, const int64_t *live,
               const struct cpu_job *job)
{
    struct sweep w = {.steps = steps, .job = job, .live = live};
    w.rows = steps->out_rows[0] != GRAFT_ROWS_FIXED ? live[steps->out_rows[0]]
                                                    : steps->call.out[0].shape.dim[0];
    uint32_t tasks = (uint32_t)cpu_parts(w.rows, TASK_TILES * steps->tile);
    if (tasks == 1)
        task(&w, 0, 0);
    else if (tasks > 1)
        host->parallel(host->context, tasks, task, &w);
}

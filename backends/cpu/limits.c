/* SPDX-License-Identifier: Apache-2.0
 *
 * The processor's limits by measurement, all threads at once: the best of a few short rounds, since
 * whatever else runs can only make one slower.
 */
#include "cpu_backend.h"

#include "cpu/narrow.h"

#include <string.h>
#include <time.h>

enum {
    ROUNDS = 15,
    MULTIPLIES = 1 << 20,
    PARTS = 64,    /* tasks of a round */
    PART = 1 << 20 /* floats of a task's memory: together more than any cache */
};

/* bf16 products: operands that stay in the first cache, as often as makes a task of some 0.1 ms. */
enum { SIDE = 64, DEPTH = 256, TIMES = 16 };

enum work { MULTIPLY, READ, COPY, NARROW };

struct limit_run {
    const struct cpu_kernels *kernels;
    const struct cpu_narrow *narrow;
    enum work work;
    float *memory, *copy;
    double flops[PARTS];
    float result[PARTS][16]; /* a register of floats: keeps the work alive */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Zeros will do: the instructions take as long. */
static void multiply_narrow(const struct limit_run *r, float *memory)
{
    const uint16_t *operands = (const uint16_t *)(void *)memory;
    struct narrow_gemm g = {.m = SIDE, .n = SIDE, .k = DEPTH, .a = operands, .a_row = DEPTH};
    g.b = operands + SIDE * DEPTH;
    g.c = memory + SIDE * DEPTH;
    g.c_row = SIDE;
    for (int i = 0; i < TIMES; i++) r->narrow->gemm(&g);
}

static void task(void *argument, uint32_t index, uint32_t thread)
{
    struct limit_run *r = argument;
    float *part = r->memory + (size_t)index * PART;
    (void)thread;
    if (r->work == MULTIPLY)
        r->flops[index] = r->kernels->multiply(MULTIPLIES / PARTS, r->result[index]);
    else if (r->work == NARROW)
        multiply_narrow(r, part);
    else if (r->work == READ)
        r->result[index][0] = r->kernels->read(part, PART);
    else
        memcpy(r->copy + (size_t)index * PART, part, PART * sizeof *part);
}

/* Seconds of the fastest round. */
static double fastest(const struct graft_host *host, struct limit_run *r, enum work work)
{
    double best = 1e9;
    r->work = work;
    for (int i = 0; i < ROUNDS; i++) {
        double began = now();
        host->parallel(host->context, PARTS, task, r);
        double took = now() - began;
        if (took < best) best = took;
    }
    return best > 1e-9 ? best : 1e-9;
}

int32_t cpu_limits(struct graft_device *device, struct graft_limits *limits)
{
    const double bytes = (double)PARTS * PART * sizeof(float);
    struct graft_limits full = {.struct_size = limits->struct_size};
    struct limit_run r = {.kernels = device->kernels, .narrow = device->narrow};
    struct graft_buffer *memory = NULL, *copy = NULL;
    int32_t status = cpu_buffer_create(device, (uint64_t)bytes, &memory);
    if (status == GRAFT_OK) status = cpu_buffer_create(device, (uint64_t)bytes, &copy);
    if (status == GRAFT_OK) {
        memset(memory->data, 0, (size_t)bytes);
        r.memory = (float *)(void *)memory->data;
        r.copy = (float *)(void *)copy->data;
        double seconds = fastest(device->host, &r, MULTIPLY);
        for (int i = 0; i < PARTS; i++) full.flops_f32 += r.flops[i];
        full.flops_f32 /= seconds;
        if (r.narrow != NULL)
            full.flops_bf16 =
                2.0 * SIDE * SIDE * DEPTH * TIMES * PARTS / fastest(device->host, &r, NARROW);
        full.read = bytes / fastest(device->host, &r, READ);
        full.copy = 2.0 * bytes / fastest(device->host, &r, COPY);
        uint32_t size = limits->struct_size;
        memcpy(limits, &full, size < sizeof full ? size : sizeof full);
    }
    cpu_buffer_destroy(copy);
    cpu_buffer_destroy(memory);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * How the fast kernels are called: a node's work is cut into tasks by its shapes alone, or where no
 * sum is cut, so results do not depend on the number of threads. Every file here, and the
 * dequantizers of kernels/ref, is compiled once per instruction set; isa.h gives each copy its own
 * names.
 */
#ifndef KERNELS_CPU_CPU_H
#define KERNELS_CPU_CPU_H

#include "kernel.h"

enum { CPU_PHASES = 2, CPU_CHUNK = 16384 /* numbers of a task of a cheap op */ };

struct cpu_narrow;

/* One node of one run. */
struct cpu_job {
    const struct cpu_narrow *narrow; /* narrow.h; NULL: this processor has none */
    struct kernel_call call;         /* shapes with live rows */
    void *shared;                    /* for this node alone until it is done; aligned to 64 */
    void *scratch;                   /* thread t's begins at t * scratch_stride */
    size_t scratch_stride;
    uint32_t threads; /* at least 1 */
};

struct cpu_size {
    size_t thread, shared; /* bytes */
};

/* Phases follow each other; a phase's tasks may run in any order and at once. */
struct cpu_phase {
    uint32_t (*tasks)(struct cpu_job *job); /* may prepare job->shared; 1: not worth a thread */
    void (*run)(const struct cpu_job *job, uint32_t index, void *scratch);
};

struct cpu_kernel {
    /* What the largest run of a node needs; NULL: nothing. */
    void (*size)(const struct kernel_call *largest, struct cpu_size *size);
    struct cpu_phase phase[CPU_PHASES]; /* a NULL ends them */
};

/* One copy of the kernels. NULL: not an op, or RESHAPE and DETACH that need none. */
struct cpu_kernels {
    const char *name;
    const struct cpu_kernel *(*find)(int32_t op);
    /* The yardstick: one thread at its fastest. Return the FLOPs made; the sum of the numbers. */
    double (*multiply)(int64_t rounds, float *result);
    float (*read)(const float *from, int64_t count);
};

extern const struct cpu_kernels cpu_kernels_baseline;
#ifdef CPU_HAVE_X86
extern const struct cpu_kernels cpu_kernels_avx2, cpu_kernels_avx512;
#endif

/* The families, one per file; used by table.c only. */
extern const struct cpu_kernel cpu_binary, cpu_unary, cpu_sum, cpu_broadcast, cpu_reshape,
    cpu_matmul, cpu_embedding, cpu_gather_rows, cpu_scatter_rows, cpu_rms_norm,
    cpu_rms_norm_backward, cpu_rope_table, cpu_rope, cpu_swiglu, cpu_swiglu_backward, cpu_attention,
    cpu_attention_backward, cpu_cross_entropy, cpu_cross_entropy_backward, cpu_head_loss,
    cpu_dropout, cpu_assign, cpu_accumulate, cpu_write_rows, cpu_slice, cpu_place, cpu_permute,
    cpu_skew, cpu_skew_backward, cpu_dequantize_op, cpu_embedding_backward, cpu_encode, cpu_decode;

/* cpu_matmul's further inputs, each absent or f32: c + a2 · b2 + d is added to a · b in that order.
 * a2 and b2 lie as a and b do, a not transposed, and K is at most GRAFT_SUM_DEPTH; c and d are of
 * the output's shape and not in its memory. */
enum { CPU_MATMUL_BEFORE = 2, CPU_MATMUL_A2, CPU_MATMUL_B2, CPU_MATMUL_AFTER };

/* limits.c */
double cpu_multiply(int64_t rounds, float *result);
float cpu_read(const float *from, int64_t count);

static inline int64_t cpu_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t cpu_larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* a / b, upwards; a >= 0, b > 0. */
static inline int64_t cpu_parts(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* A range of `count` things cut into pieces of `size`. */
struct cpu_range {
    int64_t begin, end;
};

static inline struct cpu_range cpu_piece(int64_t count, int64_t size, int64_t index)
{
    return (struct cpu_range){index * size, cpu_smaller(count, (index + 1) * size)};
}

/* Rows of `width` numbers that make one cheap task. */
static inline int64_t cpu_rows_per_task(int64_t width)
{
    return cpu_larger(1, CPU_CHUNK / cpu_larger(1, width));
}

static inline uint32_t cpu_row_tasks(int64_t rows, int64_t width)
{
    return (uint32_t)cpu_parts(rows, cpu_rows_per_task(width));
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What makes one source two kernels: the number type and the name. With REF_DOUBLE the kernels are
 * ref_*_f64 on double, else ref_* on float.
 */
#ifndef KERNELS_REF_REAL_H
#define KERNELS_REF_REAL_H

#include "kernel.h"

#ifdef REF_DOUBLE
typedef double real;
#define REF_NAME(name) ref_##name##_f64
#define REF_DTYPE GRAFT_DTYPE_F64
#else
typedef float real;
#define REF_NAME(name) ref_##name
#define REF_DTYPE GRAFT_DTYPE_F32
#endif

/* Widest piece of a row that a kernel holds on its stack; a multiple of every storage block. */
enum { REF_PIECE = 256 };

/* Numbers [col, col + count) of one row of a stored weight [rows, cols] of any type. col is a
 * multiple of its block; count too, and at most REF_PIECE. */
void REF_NAME(load)(const struct kernel_tensor *weight, int64_t row, int64_t col, int64_t count,
                    real *out /* [count] */);

kernel_function REF_NAME(elementwise), REF_NAME(sum), REF_NAME(broadcast), REF_NAME(reshape),
    REF_NAME(matmul), REF_NAME(embedding), REF_NAME(gather_rows), REF_NAME(scatter_rows),
    REF_NAME(rms_norm), REF_NAME(rms_norm_backward), REF_NAME(rope_table), REF_NAME(rope),
    REF_NAME(swiglu), REF_NAME(swiglu_backward), REF_NAME(attention), REF_NAME(attention_backward),
    REF_NAME(cross_entropy), REF_NAME(cross_entropy_backward), REF_NAME(head_loss), REF_NAME(slice),
    REF_NAME(place), REF_NAME(permute), REF_NAME(skew), REF_NAME(skew_backward),
    REF_NAME(dequantize), REF_NAME(embedding_backward), REF_NAME(encode), REF_NAME(decode),
    REF_NAME(dropout), REF_NAME(assign), REF_NAME(accumulate), REF_NAME(write_rows);

#endif

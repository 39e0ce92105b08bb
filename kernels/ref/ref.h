/* SPDX-License-Identifier: Apache-2.0
 *
 * The oracle: plain C kernels for every op that reaches a backend, each compiled for float and for
 * double from one source. Simple before fast; sums and products accumulate in double in both.
 *
 * In the double kernels every tensor that a program calls F32 is an array of double with dtype
 * F64. I32 tensors and stored weights of other types are the same in both.
 */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H

#include "kernel.h"

/* NULL: not an op of ops.h, or DETACH. */
kernel_function *ref_kernel(int32_t op);
kernel_function *ref_kernel_f64(int32_t op);

#endif

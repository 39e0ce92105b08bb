/* SPDX-License-Identifier: Apache-2.0
 *
 * How every kernel is called, reference and fast alike: one node with the addresses of its tensors
 * and the shapes of this run (live rows already put in). Knows only the sdk.
 */
#ifndef KERNELS_KERNEL_H
#define KERNELS_KERNEL_H

#include <graft/backend.h>

struct kernel_tensor {
    void *data; /* NULL: absent */
    int32_t dtype;
    struct graft_shape shape; /* the first dimension is the live count where it has one */
};

struct kernel_call {
    int32_t op;
    union graft_params params;
    struct kernel_tensor in[GRAFT_MAX_INPUTS];
    struct kernel_tensor out[GRAFT_MAX_OUTPUTS];
};

typedef void kernel_function(const struct kernel_call *call);

#endif

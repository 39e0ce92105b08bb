/* SPDX-License-Identifier: Apache-2.0
 *
 * The oracle as a backend: programs run on the reference kernels, in plain memory, one node after
 * the other. In its double form every f32 number of a program is a double beside the f32 that is
 * written and read through the interface, so whole graphs run in double.
 */
#ifndef CORE_CHECK_REFERENCE_H
#define CORE_CHECK_REFERENCE_H

#include "kernel.h"

#include <stdbool.h>

const struct graft_backend *reference_backend(bool f64);

/* The numbers behind count floats at a byte offset; the double form keeps them whole. */
void reference_read(const struct graft_buffer *buffer, uint64_t offset, double *to, int64_t count);
void reference_write(struct graft_buffer *buffer, uint64_t offset, const double *from,
                     int64_t count);

/* Detached values are constants to a gradient, so finite differences must not move them: while
 * `hold` is set, DETACH gives what it gave when its program last ran without. For programs whose
 * graph keeps them (graph_keep_detached); the number of their DETACH nodes. */
void reference_hold(struct graft_device *device, bool hold);
size_t reference_detached(const struct graft_device *device);

/* For tests of the tests: programs of this device, made from now on, look their kernels up here. */
typedef kernel_function *reference_lookup(int32_t op);
void reference_set_kernels(struct graft_device *device, reference_lookup *lookup);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * For every backend: reading a program's description, and what a legal tensor and a legal node are.
 * The host builds legal programs; this is the border's own check, so that a fault there is a
 * message and not a wild write. Live rows only make first dimensions smaller, so capacity shapes
 * are what counts.
 */
#ifndef KERNELS_LEGAL_H
#define KERNELS_LEGAL_H

#include "kernel.h"

#include <stdbool.h>

/* Structs of a host with another version: what it lacks is zero, what it has more is not used. */
struct graft_tensor desc_tensor(const struct graft_program_desc *desc, uint32_t index);
struct graft_node desc_node(const struct graft_program_desc *desc, uint32_t index);

/* A tensor inside its buffer, which has `bytes`; text: what is wrong with it. */
bool tensor_legal(const struct graft_tensor *t, uint64_t bytes, char text[256]);
/* A node whose present tensors (capacity shapes, data not NULL) are legal each; text: what is
 * wrong. */
bool node_legal(const struct graft_node *node, const struct kernel_call *call, char text[256]);

#endif

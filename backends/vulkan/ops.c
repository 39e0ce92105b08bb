/* SPDX-License-Identifier: Apache-2.0
 *
 * All families of ops.
 */
#include "program.h"

static const struct vk_op *const families[] = {
    vk_elementwise_ops,
};

vk_record *vk_op_find(int32_t op)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        for (const struct vk_op *o = families[i]; o->op != 0; o++)
            if (o->op == op) return o->record;
    return NULL;
}

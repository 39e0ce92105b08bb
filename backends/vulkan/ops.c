/* SPDX-License-Identifier: Apache-2.0
 *
 * All families of ops.
 */
#include "program.h"

static const struct vk_op *const families[] = {
    vk_attention_ops,   vk_norm_ops,   vk_rope_ops,   vk_swiglu_ops, vk_cross_entropy_ops,
    vk_elementwise_ops, vk_sum_ops,    vk_rows_ops,   vk_assign_ops, vk_codes_ops,
    vk_head_ops,        vk_weight_ops, vk_matmul_ops,
};

vk_record *vk_op_find(int32_t op)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        for (const struct vk_op *o = families[i]; o->op != 0; o++)
            if (o->op == op) return o->record;
    return NULL;
}

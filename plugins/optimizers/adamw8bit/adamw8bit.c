/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW with moments in 8 bits (Dettmers et al. 2022): codes into bitsandbytes' dynamic maps and
 * one scale for each block of 256 numbers; a step computes in f32. Small tensors keep f32 moments.
 */
#include "maps.h"

#include <graft/optimizer.h>

#include <math.h>

enum { BLOCK = 256 };

struct adamw8bit {
    double beta1, beta2, eps;
    int64_t min_8bit_size;
};

static const struct graft_option options[] = {
    {.key = "beta1",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adamw8bit, beta1),
     .fallback = "0.9",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the first moment"},
    {.key = "beta2",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adamw8bit, beta2),
     .fallback = "0.999",
     .min = 0,
     .max = 0.999999,
     .help = "decay of the second moment"},
    {.key = "eps",
     .type = GRAFT_OPTION_FLOAT,
     .offset = offsetof(struct adamw8bit, eps),
     .fallback = "1e-8",
     .min = 1e-30,
     .max = 1,
     .help = "added to the root of the second moment"},
    {.key = "min_8bit_size",
     .type = GRAFT_OPTION_INT,
     .offset = offsetof(struct adamw8bit, min_8bit_size),
     .fallback = "4096",
     .min = 1,
     .max = 1e15,
     .help = "tensors of fewer numbers keep f32 moments"},
};

/* A moment, [n]: what is kept of it between two steps, and its new value. */
struct moment {
    const char *codes_name, *scale_name;
    const float *map;
    int small;
};

static graft_value moved(struct graft_builder *b, const struct graft_update *u,
                         const struct moment *m, graft_value to, double t)
{
    int64_t n = graft_shape_count(u->shape);
    struct graft_shape all = graft_shape1(n), blocks = graft_shape1((n + BLOCK - 1) / BLOCK);
    if (m->small) {
        graft_value old = graft_state(b, u, m->codes_name, all, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
        return graft_assign(b, old, graft_lerp(b, old, to, t));
    }
    /* A block that begins with scale 0 is all zeros, whatever its codes say. */
    graft_value map = graft_table(b, m->map, 256);
    graft_value codes = graft_state(b, u, m->codes_name, all, GRAFT_DTYPE_U8, GRAFT_INIT_ZEROS);
    graft_value scale = graft_state(b, u, m->scale_name, blocks, GRAFT_DTYPE_F32, GRAFT_INIT_ZEROS);
    graft_value now = graft_lerp(b, graft_decode(b, codes, scale, map, BLOCK), to, t), new_scale;
    graft_assign(b, codes, graft_encode(b, now, map, BLOCK, &new_scale));
    graft_assign(b, scale, new_scale);
    return now;
}

static void update(struct graft_builder *b, const void *settings, const struct graft_update *u)
{
    const struct adamw8bit *o = (const struct adamw8bit *)settings;
    int64_t n = graft_shape_count(u->shape);
    struct moment first = {"exp_avg", "exp_avg_scale", signed_map, n < o->min_8bit_size};
    struct moment second = {"exp_avg_sq", "exp_avg_sq_scale", unsigned_map, first.small};
    graft_value g = graft_reshape(b, u->grad, graft_shape1(n));
    graft_value m = moved(b, u, &first, g, 1.0 - o->beta1);
    graft_value v = moved(b, u, &second, graft_mul(b, g, g), 1.0 - o->beta2);

    const struct graft_adam adam = {o->beta1, o->beta2, o->eps};
    graft_value step = graft_adam_step(b, u, &adam, m, v);
    graft_value keep = graft_affine(b, graft_mul(b, u->lr, u->weight_decay), -1.0, 1.0);
    graft_assign(b, u->param,
                 graft_sub(b, graft_mul(b, u->param, keep), graft_reshape(b, step, u->shape)));
}

static const struct graft_optimizer functions = {.struct_size = (uint32_t)sizeof functions,
                                                 .update = update};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_OPTIMIZER, options, struct adamw8bit),
    .name = "adamw8bit",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .summary = "AdamW whose moments take 2 bytes a number instead of 8",
    .options = options,
    .functions = &functions,
};

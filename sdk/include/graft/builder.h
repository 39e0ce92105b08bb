/* SPDX-License-Identifier: Apache-2.0
 *
 * How a plugin adds to a graph. The builder keeps the first error; after it every call does
 * nothing and returns the failed value, so authors write no error ladder. A plugin calls these from
 * the functions that the host calls, on the builder it was handed, and keeps nothing.
 *
 * The wrappers reach one table, so a plugin has no undefined graft symbol.
 */
#ifndef GRAFT_BUILDER_H
#define GRAFT_BUILDER_H

#include <graft/ops.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a parameter or a state begins. Draws depend on seed, place in the stack and name only. */
enum graft_init {
    GRAFT_INIT_ZEROS = 0,
    GRAFT_INIT_ONES = 1,
    GRAFT_INIT_CONSTANT = 2, /* scale */
    GRAFT_INIT_NORMAL = 3,   /* mean 0, standard deviation `scale` */
    GRAFT_INIT_UNIFORM = 4,  /* in [-scale, scale) */
    GRAFT_INIT_KAIMING_UNIFORM =
        5 /* in +-1/sqrt(fan in), fan in = last dimension: torch's Linear */
};

struct graft_param_desc {
    uint32_t struct_size;
    int32_t init; /* enum graft_init */
    double scale;
    const void *site; /* the site it belongs to; NULL: shared by the whole adapter */
    const char *name; /* PEFT's, under the site: "lora_A.weight" */
    struct graft_shape shape;
    int32_t frozen;  /* 1: no gradient */
    int32_t unsaved; /* 1: not in the adapter's file */
};

struct graft_builder {
    const struct graft_builder_api *api;
};

struct graft_builder_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* One node; absent optional inputs are the value 0. Returns output 0. */
    graft_value (*op)(struct graft_builder *b, int32_t op, const graft_value *inputs,
                      uint32_t count, const union graft_params *params);
    /* Another output of the node that made v. */
    graft_value (*output)(struct graft_builder *b, graft_value v, uint32_t index);
    graft_value (*constant)(struct graft_builder *b, double value); /* shape [1] */
    struct graft_shape (*shape)(struct graft_builder *b, graft_value v);
    void (*refuse)(struct graft_builder *b, const char *text);
    /* Adapters only. */
    graft_value (*param)(struct graft_builder *b, const struct graft_param_desc *desc);
    graft_value (*base)(struct graft_builder *b, const void *site, graft_value x);
    graft_value (*dropout)(struct graft_builder *b, graft_value x, double rate);
    /* Optimizers only. */
    graft_value (*state)(struct graft_builder *b, const void *update, const char *name,
                         struct graft_shape shape, int32_t dtype, int32_t init);
    graft_value (*assign)(struct graft_builder *b, graft_value stored, graft_value value);
};

/* An author's own refusal; the host adds the site's name. */
GRAFT_PRINTF(2, 3)
static inline void graft_fail(struct graft_builder *b, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    b->api->refuse(b, text);
}

static inline struct graft_shape graft_shape_of(struct graft_builder *b, graft_value v)
{
    return b->api->shape(b, v);
}

static inline graft_value graft_constant(struct graft_builder *b, double value)
{
    return b->api->constant(b, value);
}

static inline graft_value graft_unary(struct graft_builder *b, enum graft_op op, graft_value a)
{
    return b->api->op(b, (int32_t)op, &a, 1, NULL);
}

static inline graft_value graft_binary(struct graft_builder *b, enum graft_op op, graft_value x,
                                       graft_value y)
{
    graft_value inputs[2];
    inputs[0] = x;
    inputs[1] = y;
    return b->api->op(b, (int32_t)op, inputs, 2, NULL);
}

static inline graft_value graft_add(struct graft_builder *b, graft_value x, graft_value y)
{
    return graft_binary(b, GRAFT_OP_ADD, x, y);
}

static inline graft_value graft_sub(struct graft_builder *b, graft_value x, graft_value y)
{
    return graft_binary(b, GRAFT_OP_SUB, x, y);
}

static inline graft_value graft_mul(struct graft_builder *b, graft_value x, graft_value y)
{
    return graft_binary(b, GRAFT_OP_MUL, x, y);
}

static inline graft_value graft_div(struct graft_builder *b, graft_value x, graft_value y)
{
    return graft_binary(b, GRAFT_OP_DIV, x, y);
}

/* scale * x + shift */
static inline graft_value graft_affine(struct graft_builder *b, graft_value x, double scale,
                                       double shift)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.affine.scale = scale;
    p.affine.shift = shift;
    return b->api->op(b, GRAFT_OP_AFFINE, &x, 1, &p);
}

static inline graft_value graft_scale(struct graft_builder *b, graft_value x, double factor)
{
    return graft_affine(b, x, factor, 0.0);
}

/* from + t * (to - from), t a constant */
static inline graft_value graft_lerp(struct graft_builder *b, graft_value from, graft_value to,
                                     double t)
{
    return graft_add(b, graft_scale(b, from, 1.0 - t), graft_scale(b, to, t));
}

static inline graft_value graft_matmul(struct graft_builder *b, graft_value x, graft_value y,
                                       int transpose_x, int transpose_y)
{
    graft_value inputs[2];
    union graft_params p;
    memset(&p, 0, sizeof p);
    inputs[0] = x;
    inputs[1] = y;
    p.matmul.transpose_a = transpose_x;
    p.matmul.transpose_b = transpose_y;
    return b->api->op(b, GRAFT_OP_MATMUL, inputs, 2, &p);
}

/* x [T, in], w [out, in] -> [T, out] */
static inline graft_value graft_linear(struct graft_builder *b, graft_value x, graft_value w)
{
    return graft_matmul(b, x, w, 0, 1);
}

/* Sums the axes of the mask (bit i: axis i) and keeps them as dimensions of 1. */
static inline graft_value graft_sum(struct graft_builder *b, graft_value x, int32_t axes)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.sum.axes = axes;
    return b->api->op(b, GRAFT_OP_SUM, &x, 1, &p);
}

static inline graft_value graft_reshape(struct graft_builder *b, graft_value x,
                                        struct graft_shape s)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.shape = s;
    return b->api->op(b, GRAFT_OP_RESHAPE, &x, 1, &p);
}

/* In training: zeroes each number with probability rate and divides the others by 1 - rate.
 * In evaluation, and with rate 0: x itself. */
static inline graft_value graft_dropout(struct graft_builder *b, graft_value x, double rate)
{
    return b->api->dropout(b, x, rate);
}

#ifdef __cplusplus
}
#endif

#endif

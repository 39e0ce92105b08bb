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
#include <graft/site.h>

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
    const struct graft_site
        *site;        /* NULL: shared by the whole adapter, saved under its bare name */
    const char *name; /* PEFT's, under the site: "lora_A.weight" */
    struct graft_shape shape;
    int32_t frozen;  /* 1: no gradient */
    int32_t unsaved; /* 1: not in the adapter's file */
    /* If not 0, the parameter begins as this value instead: computed once before training; it may
     * read frozen weights and other parameters that begin by `init`. */
    graft_value initial;
    double lr_scale; /* its learning rate is this times the recipe's; 0 means 1 */
};

/* Two factors of a weight [out, in], of the largest rank that is asked for. */
enum graft_factor {
    GRAFT_FACTOR_SVD = 1, /* W = U S V^T: U sqrt(S) and sqrt(S) V^T, largest values first */
    GRAFT_FACTOR_QR = 2   /* W = Q R: the first columns of Q, the first rows of R */
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
    graft_value (*base)(struct graft_builder *b, const struct graft_site *site,
                        const graft_value *inputs, uint32_t count);
    graft_value (*weight)(struct graft_builder *b, const struct graft_site *site, int32_t bias);
    graft_value (*dropout)(struct graft_builder *b, graft_value x, double rate);
    void (*save)(struct graft_builder *b, const char *key, graft_value v);
    void (*share)(struct graft_builder *b, const char *name, graft_value v);
    graft_value (*shared)(struct graft_builder *b, const char *name);
    /* 1: the numbers will be read from the adapter's file, so declare what `save` put there. 2: and
     * so do the options come from it, of an adapter that another program may have made: declare
     * what they say. */
    int32_t (*from_file)(struct graft_builder *b);
    /* Optimizers only. */
    graft_value (*state)(struct graft_builder *b, const void *update, const char *name,
                         struct graft_shape shape, int32_t dtype, int32_t init);
    graft_value (*assign)(struct graft_builder *b, graft_value stored, graft_value value);
    /* Numbers that never change, f32 [count]; copied. */
    graft_value (*table)(struct graft_builder *b, const float *values, int64_t count);
    /* Adapters only: i32 [count], the token ids of a text, repeated or cut to count; text NULL:
     * drawn from the vocabulary. For initial values. */
    graft_value (*tokens)(struct graft_builder *b, const char *text, int64_t count);
    /* Adapters only: [count, layers * 2 * G * D], the keys (after RoPE) and the values that every
     * layer of the bare model has of these tokens, a layer's keys before its values. For initial
     * values. */
    graft_value (*text_state)(struct graft_builder *b, const char *text, int64_t count);
    /* Adapters only, at a linear site: a factor of its frozen weight, the left one [out, rank] or
     * the right one [rank, in]; f32, computed once when training starts and kept beside the model.
     */
    graft_value (*factor)(struct graft_builder *b, const struct graft_site *site,
                          int32_t kind /* enum graft_factor */, int64_t rank, int32_t right);
    /* In the save function: the config gets this option's number, and those of its patterns, times
     * `times`. */
    void (*save_scaled)(struct graft_builder *b, const char *option, double times);
    /* Adapters only (graft/adapter.h). */
    void (*penalty)(struct graft_builder *b, graft_value v);
    graft_value (*updated)(struct graft_builder *b, const struct graft_site *site, const char *name,
                           graft_value *gradient);
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

/* A constant vector [count]. */
static inline graft_value graft_table(struct graft_builder *b, const float *values, int64_t count)
{
    return b->api->table(b, values, count);
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

static inline graft_value graft_minimum(struct graft_builder *b, graft_value x, graft_value y)
{
    return graft_binary(b, GRAFT_OP_MINIMUM, x, y);
}

static inline graft_value graft_maximum(struct graft_builder *b, graft_value x, graft_value y)
{
    return graft_binary(b, GRAFT_OP_MAXIMUM, x, y);
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

/* Repeats dimensions of 1. Of a constant: that number in every place. */
static inline graft_value graft_broadcast(struct graft_builder *b, graft_value x,
                                          struct graft_shape s)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.shape = s;
    return b->api->op(b, GRAFT_OP_BROADCAST, &x, 1, &p);
}

/* Entries begin .. begin + length of an axis. */
static inline graft_value graft_slice(struct graft_builder *b, graft_value x, int32_t axis,
                                      int64_t begin, int64_t length)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.slice.axis = axis;
    p.slice.begin = begin;
    p.slice.length = length;
    return b->api->op(b, GRAFT_OP_SLICE, &x, 1, &p);
}

/* Zeros, `length` along the axis, with x at `begin`. */
static inline graft_value graft_place(struct graft_builder *b, graft_value x, int32_t axis,
                                      int64_t begin, int64_t length)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.slice.axis = axis;
    p.slice.begin = begin;
    p.slice.length = length;
    return b->api->op(b, GRAFT_OP_PLACE, &x, 1, &p);
}

/* Axis i of the result is axis[i] of x. */
static inline graft_value graft_permute(struct graft_builder *b, graft_value x,
                                        const int32_t axis[GRAFT_MAX_RANK])
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    memcpy(p.permute.axis, axis, sizeof p.permute.axis);
    return b->api->op(b, GRAFT_OP_PERMUTE, &x, 1, &p);
}

/* v [R, size (size - 1) / 2] -> skew-symmetric matrices [R, size, size] */
static inline graft_value graft_skew(struct graft_builder *b, graft_value v, int32_t size)
{
    union graft_params p;
    memset(&p, 0, sizeof p);
    p.skew.size = size;
    return b->api->op(b, GRAFT_OP_SKEW, &v, 1, &p);
}

/* x [n] -> 8-bit codes, the result, and *scale [n / block] */
static inline graft_value graft_encode(struct graft_builder *b, graft_value x, graft_value map,
                                       int64_t block, graft_value *scale)
{
    graft_value inputs[2], codes;
    union graft_params p;
    memset(&p, 0, sizeof p);
    inputs[0] = x;
    inputs[1] = map;
    p.codes.block = block;
    codes = b->api->op(b, GRAFT_OP_ENCODE, inputs, 2, &p);
    *scale = b->api->output(b, codes, 1);
    return codes;
}

static inline graft_value graft_decode(struct graft_builder *b, graft_value codes,
                                       graft_value scale, graft_value map, int64_t block)
{
    graft_value inputs[3];
    union graft_params p;
    memset(&p, 0, sizeof p);
    inputs[0] = codes;
    inputs[1] = scale;
    inputs[2] = map;
    p.codes.block = block;
    return b->api->op(b, GRAFT_OP_DECODE, inputs, 3, &p);
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

/* SPDX-License-Identifier: Apache-2.0
 *
 * The vocabulary of the border: status codes, storage types, shapes and value handles.
 * Everything here is fixed for ever; it is passed by value between graft and its plugins.
 */
#ifndef GRAFT_TYPES_H
#define GRAFT_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GRAFT_MUST_USE __attribute__((warn_unused_result))
#define GRAFT_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define GRAFT_EXPORT __attribute__((visibility("default")))
#else
#define GRAFT_MUST_USE
#define GRAFT_PRINTF(text, first)
#define GRAFT_EXPORT
#endif

/* What a function that can fail returns. The numbers are part of the ABI. */
enum graft_status {
    GRAFT_OK = 0,
    GRAFT_E_INVALID = -1,     /* the request, recipe or data is wrong: nothing was started */
    GRAFT_E_FAILED = -2,      /* the work itself failed */
    GRAFT_E_MEMORY = -3,      /* an allocation was refused */
    GRAFT_E_IO = -4,          /* the system refused to read or write */
    GRAFT_E_UNSUPPORTED = -5, /* this device, build or family lacks it */
    GRAFT_E_INTERRUPTED = -6  /* a signal asked to stop */
};

/* How numbers lie in memory. Quantized types are GGUF's blocks (and bitsandbytes' NF4); they
 * appear as frozen weights only. Values are pinned: they cross the border as int32_t. */
enum graft_dtype {
    GRAFT_DTYPE_F32 = 0,
    GRAFT_DTYPE_F16 = 1,
    GRAFT_DTYPE_BF16 = 2,
    GRAFT_DTYPE_I32 = 3,
    GRAFT_DTYPE_U8 = 4,
    GRAFT_DTYPE_F64 = 5, /* the reference's second precision; never in a program */
    GRAFT_DTYPE_Q8_0 = 16,
    GRAFT_DTYPE_Q4_0 = 17,
    GRAFT_DTYPE_Q4_1 = 18,
    GRAFT_DTYPE_Q5_0 = 19,
    GRAFT_DTYPE_Q5_1 = 20,
    GRAFT_DTYPE_Q4_K = 21,
    GRAFT_DTYPE_Q5_K = 22,
    GRAFT_DTYPE_Q6_K = 23,
    GRAFT_DTYPE_NF4 = 24 /* see struct graft_nf4 in quant.h */
};

#define GRAFT_MAX_RANK 4

/* Row-major, outermost dimension first; dim[rank..] are 1. */
struct graft_shape {
    int64_t dim[GRAFT_MAX_RANK];
    int32_t rank;
};

/* A symbol of a graph. 0 is "none" or "failed": every builder call accepts it and returns it. */
typedef struct graft_value {
    uint32_t id;
} graft_value;

static inline struct graft_shape graft_shape4(int64_t a, int64_t b, int64_t c, int64_t d)
{
    struct graft_shape s = {{a, b, c, d}, 4};
    return s;
}

static inline struct graft_shape graft_shape3(int64_t a, int64_t b, int64_t c)
{
    struct graft_shape s = {{a, b, c, 1}, 3};
    return s;
}

static inline struct graft_shape graft_shape2(int64_t a, int64_t b)
{
    struct graft_shape s = {{a, b, 1, 1}, 2};
    return s;
}

static inline struct graft_shape graft_shape1(int64_t a)
{
    struct graft_shape s = {{a, 1, 1, 1}, 1};
    return s;
}

static inline int64_t graft_shape_count(struct graft_shape s)
{
    return s.dim[0] * s.dim[1] * s.dim[2] * s.dim[3];
}

#ifdef __cplusplus
}
#endif

#endif

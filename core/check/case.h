/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the check room: a case is an op with its parameters and a description of its inputs; its
 * data are the inputs, what the double reference makes of them, and how far a backend may be off.
 */
#ifndef CORE_CHECK_CASE_H
#define CORE_CHECK_CASE_H

#include "base/memory.h"
#include "check/draw.h"
#include "graph/op.h"
#include "kernel.h"

enum fill {
    FILL_NORMAL,   /* mean 0, deviation 1, times `scale` if that is not 0 */
    FILL_POSITIVE, /* uniform in [0.1, 2) */
    FILL_AWAY,     /* normal, moved away from 0 by 0.5: divisors */
    FILL_SPECIAL,  /* normal with infinities, NaNs and the largest numbers between */
    FILL_INDEX,    /* uniform in [0, limit) */
    FILL_DISTINCT, /* distinct in [0, limit) */
    FILL_TARGET,   /* in [0, limit), every fourth -1 */
    FILL_COUNT,    /* 0, 1, 2, .. */
    FILL_DOCUMENT, /* first key of packed documents: 0, 0, 0, 3, 3, 5, .. */
    FILL_WORD,     /* any 31 bits */
    FILL_CODE,     /* any byte, u8 */
    FILL_WEIGHT,   /* of any storage type, rank 2 */
    FILL_MAP,      /* bitsandbytes' signed dynamic map [256] */
    FILL_ZERO,
    FILL_ONE
};

struct check_input {
    int32_t dtype, rows;
    struct graft_shape shape; /* rank 0: absent */
    enum fill fill;
    double scale;
    int64_t limit;
};

struct check_case {
    char name[112];
    int32_t op;
    union graft_params params;
    uint32_t input_count;
    struct check_input in[GRAFT_MAX_INPUTS];
    uint32_t absent; /* mask of outputs that nobody reads, or that these inputs have not */
    int64_t live[GRAFT_ROWS_KINDS];
    uint32_t index;  /* in its family */
    int32_t compute; /* the type that its products are asked for in */
};

struct check_data {
    struct arena arena;
    struct check_case c;
    const struct op_info *info;
    struct op_shape out[GRAFT_MAX_OUTPUTS];
    void *in[GRAFT_MAX_INPUTS]; /* as uploaded, dead rows poisoned */
    uint64_t in_bytes[GRAFT_MAX_INPUTS];
    struct kernel_call call;               /* on doubles; out: what is expected */
    double *budget[GRAFT_MAX_OUTPUTS];     /* one per element that is expected, f32 outputs only */
    uint64_t out_bytes[GRAFT_MAX_OUTPUTS]; /* capacity, as in a program */
};

struct check_family {
    uint32_t count;
    void (*make)(uint32_t index, struct check_case *c);
    /* Inputs that depend on others; NULL: none. On d->call's doubles and integers, which are
     * rounded to f32 after. */
    void (*derive)(struct check_data *d, struct draw *draw);
    /* Fills d->budget with magnitudes: what an error is measured by, before the op's factor.
     * Returns the length of the sums, by whose square root the factor grows. */
    int64_t (*magnitude)(struct check_data *d);
    /* Is another integer as good as what is expected? NULL: no. */
    bool (*accept)(const struct check_data *d, uint32_t output, int64_t at, int32_t found);
};

extern const struct check_family check_elementwise, check_broadcast, check_sum, check_matmul,
    check_embedding, check_rows, check_rms_norm, check_rms_norm_backward, check_rope_table,
    check_rope, check_swiglu, check_swiglu_backward, check_attention, check_attention_backward,
    check_cross_entropy, check_cross_entropy_backward, check_head_loss, check_dropout, check_assign,
    check_slice, check_skew, check_dequantize, check_embedding_backward, check_encode, check_decode;
/* All of them, ended by NULL. */
extern const struct check_family *const check_families[];

/* Case makers. */
void case_begin(struct check_case *c, int32_t op, const char *format, ...) GRAFT_PRINTF(3, 4);
struct check_input *case_input(struct check_case *c, enum fill fill, struct graft_shape shape,
                               int32_t rows); /* f32, but i32 for fills of whole numbers */
/* The first dimension of the case's token rows is `live` of it. */
void case_live(struct check_case *c, int64_t tokens, int64_t trained);

uint64_t check_bytes(const struct check_input *in);

/* Case `index`, whose products are asked for in this type; false: the op knows f32 alone. */
bool case_make(const struct check_family *family, uint32_t index, int32_t compute,
               struct check_case *c);

/* Makes the inputs, what is expected and the budgets of case_make's case, which d->c takes.
 * Released with check_data_fini, also after a failure. */
GRAFT_MUST_USE enum graft_status check_data_init(struct check_data *d,
                                                 const struct check_family *family,
                                                 const struct check_case *c, uint64_t seed,
                                                 struct error *e);
void check_data_fini(struct check_data *d);

/* A weight as doubles [rows * cols], from the arena; NULL without memory. */
double *check_weight_f64(struct check_data *d, uint32_t input);

/* Fills one input with numbers; the weight's bytes are laid out by its type. */
bool fill_input(const struct check_input *in, int64_t live_count, struct draw *draw, void *data,
                struct arena *arena);

/* Units in the last place (2^-24 of the magnitude) that op may be off, sums of `length`, products
 * of operands rounded to `compute`. */
double check_budget(int32_t op, int64_t length, int32_t compute);

static inline const double *f64_in(const struct check_data *d, uint32_t i)
{
    return d->call.in[i].data;
}

static inline const int32_t *i32_in(const struct check_data *d, uint32_t i)
{
    return d->call.in[i].data;
}

static inline const double *f64_out(const struct check_data *d, uint32_t i)
{
    return d->call.out[i].data;
}

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases of the loss: on logits, and with the head inside for every storage type of the head.
 */
#include "check/case.h"

#include "ref/quant.h"
#include "ref/ref.h"

#include <math.h>

static const int64_t sizes[][3] = {/* rows, live, vocabulary */
                                   {1, 1, 1},  {1, 1, 2},    {5, 5, 33},   {70, 41, 257},
                                   {9, 0, 16}, {3, 3, 5003}, {300, 300, 7}};
static const double scales[] = {0, 15};
static const int32_t types[] = {GRAFT_DTYPE_F32,  GRAFT_DTYPE_F16,  GRAFT_DTYPE_BF16,
                                GRAFT_DTYPE_Q8_0, GRAFT_DTYPE_Q4_0, GRAFT_DTYPE_Q4_1,
                                GRAFT_DTYPE_Q5_0, GRAFT_DTYPE_Q5_1, GRAFT_DTYPE_Q4_K,
                                GRAFT_DTYPE_Q5_K, GRAFT_DTYPE_Q6_K, GRAFT_DTYPE_NF4};
static const int64_t heads[][4] = {/* rows, live, channels, vocabulary */
                                   {1, 1, 256, 3},
                                   {9, 9, 256, 50},
                                   {40, 23, 256, 130},
                                   {5, 0, 256, 20},
                                   {3, 3, 512, 600}};
/* More words than a backend takes at once, and rows enough for its widest tiles. */
static const int64_t long_head[] = {70, 67, 64, 8300};
static const int32_t long_types[] = {GRAFT_DTYPE_F32, GRAFT_DTYPE_Q8_0};

enum {
    SIZES = sizeof sizes / sizeof sizes[0],
    SCALES = sizeof scales / sizeof scales[0],
    TYPES = sizeof types / sizeof types[0],
    HEADS = sizeof heads / sizeof heads[0],
    LONG = sizeof long_types / sizeof long_types[0],
    SHORT = (4 + TYPES) * HEADS
};

static void make(uint32_t index, struct check_case *c)
{
    const int64_t *s = sizes[index % SIZES];
    double scale = scales[index / SIZES % SCALES];
    c->absent = index / (SIZES * SCALES);
    case_begin(c, GRAFT_OP_CROSS_ENTROPY, "rows %d live %d vocabulary %d scale %g absent %u",
               (int)s[0], (int)s[1], (int)s[2], scale, index / (SIZES * SCALES));
    case_input(c, FILL_NORMAL, graft_shape2(s[0], s[2]), GRAFT_ROWS_TRAINED)->scale = scale;
    case_input(c, FILL_TARGET, graft_shape1(s[0]), GRAFT_ROWS_TRAINED)->limit = s[2];
    case_live(c, 0, s[1]);
    c->absent = index / (SIZES * SCALES);
}

static void make_backward(uint32_t index, struct check_case *c)
{
    make(index, c);
    c->op = GRAFT_OP_CROSS_ENTROPY_BACKWARD;
    case_input(c, FILL_NORMAL, c->in[1].shape, GRAFT_ROWS_TRAINED);
}

static void make_head(uint32_t index, struct check_case *c)
{
    bool longer = index >= SHORT, odd = index >= 3 * HEADS + TYPES * HEADS && !longer;
    const int64_t *s = longer ? long_head : heads[index % HEADS];
    int64_t channels = odd ? 37 : s[2];
    int32_t type = longer                     ? long_types[index - SHORT]
                   : index < 3 * HEADS || odd ? GRAFT_DTYPE_F32
                                              : types[index / HEADS - 3];
    uint32_t absent = index < 3 * HEADS ? 1u << index / HEADS : 0;
    case_begin(c, GRAFT_OP_HEAD_LOSS, "%s [%d, %d] rows %d live %d absent %u", quant_name(type),
               (int)s[3], (int)channels, (int)s[0], (int)s[1], absent);
    case_input(c, FILL_NORMAL, graft_shape2(s[0], channels), GRAFT_ROWS_TRAINED)->scale = 0.2;
    case_input(c, FILL_WEIGHT, graft_shape2(s[3], channels), GRAFT_ROWS_FIXED)->dtype = type;
    case_input(c, FILL_TARGET, graft_shape1(s[0]), GRAFT_ROWS_TRAINED)->limit = s[3];
    case_live(c, 0, s[1]);
    c->absent = absent;
}

static double log_sum(const double *z, int64_t n)
{
    double largest = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, z[i]);
    for (int64_t i = 0; i < n; i++) sum += exp(z[i] - largest);
    return largest + log(sum);
}

static int64_t magnitude(struct check_data *d)
{
    int64_t rows = d->call.in[0].shape.dim[0], n = d->call.in[0].shape.dim[1];
    for (int64_t r = 0; r < rows; r++) {
        const double *z = f64_in(d, 0) + r * n;
        int32_t target = i32_in(d, 1)[r];
        if (target >= 0) d->budget[0][r] = 1.0 + fabs(log_sum(z, n)) + fabs(z[target]);
    }
    return n;
}

static int64_t magnitude_backward(struct check_data *d)
{
    int64_t rows = d->call.in[0].shape.dim[0], n = d->call.in[0].shape.dim[1];
    for (int64_t r = 0; r < rows; r++) {
        const double *z = f64_in(d, 0) + r * n;
        double lse = log_sum(z, n), g = fabs(f64_in(d, 2)[r]);
        int32_t target = i32_in(d, 1)[r];
        for (int64_t v = 0; target >= 0 && v < n; v++)
            d->budget[0][r * n + v] =
                g * (exp(z[v] - lse) * (1.0 + fabs(z[v]) + fabs(lse)) + (v == target ? 1.0 : 0.0));
    }
    return n;
}

/* Logits of one row and the largest sum |x w|. */
static double logits(const struct check_data *d, const double *w, int64_t r, double *z)
{
    int64_t channels = d->call.in[0].shape.dim[1], n = d->call.in[1].shape.dim[0];
    const double *x = f64_in(d, 0) + r * channels;
    double most = 0.0;
    for (int64_t v = 0; v < n; v++) {
        double terms = 0.0;
        z[v] = 0.0;
        for (int64_t c = 0; c < channels; c++) {
            double product = x[c] * w[v * channels + c];
            z[v] += product;
            terms += fabs(product);
        }
        most = fmax(most, terms);
    }
    return most;
}

static int64_t magnitude_head(struct check_data *d)
{
    int64_t rows = d->call.in[0].shape.dim[0], channels = d->call.in[0].shape.dim[1];
    int64_t n = d->call.in[1].shape.dim[0];
    const double *w = check_weight_f64(d, 1);
    double *z = arena_alloc(&d->arena, (size_t)n + 1, sizeof *z);
    for (int64_t r = 0; w != NULL && z != NULL && r < rows; r++) {
        double most = logits(d, w, r, z), lse = log_sum(z, n);
        int32_t target = i32_in(d, 2)[r];
        if (target < 0) continue;
        d->budget[0][r] = 1.0 + fabs(lse) + most;
        for (int64_t v = 0; v < n; v++) {
            double p = exp(z[v] - lse) * (1.0 + most + fabs(lse)) + (v == target ? 1.0 : 0.0);
            for (int64_t c = 0; c < channels; c++)
                d->budget[2][r * channels + c] += p * fabs(w[v * channels + c]);
        }
    }
    return channels > n ? channels : n;
}

/* An argmax that is no worse than rounding can make it. */
static bool accept_head(const struct check_data *d, uint32_t output, int64_t at, int32_t found)
{
    struct check_data copy = *d; /* its arena: what is made here is freed here */
    int64_t n = d->call.in[1].shape.dim[0];
    if (output != 1 || found < 0 || found >= n) return false;
    copy.arena = (struct arena){NULL};
    const double *w = check_weight_f64(&copy, 1);
    double *z = arena_alloc(&copy.arena, (size_t)n, sizeof *z);
    bool fine = false;
    if (w != NULL && z != NULL) {
        double most = logits(d, w, at, z);
        double units = check_budget(d->c.op, d->call.in[0].shape.dim[1], d->c.compute);
        const int32_t *best = d->call.out[1].data;
        fine = z[found] >= z[best[at]] - 0x1p-24 * units * most;
    }
    arena_free(&copy.arena);
    return fine;
}

const struct check_family check_cross_entropy = {3 * SIZES * SCALES, make, NULL, magnitude, NULL};
const struct check_family check_cross_entropy_backward = {SIZES * SCALES, make_backward, NULL,
                                                          magnitude_backward, NULL};
const struct check_family check_head_loss = {SHORT + LONG, make_head, NULL, magnitude_head,
                                             accept_head};

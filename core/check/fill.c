/* SPDX-License-Identifier: Apache-2.0
 *
 * Input makers: numbers, indices, packed documents, and weights of every storage type.
 */
#include "check/case.h"
#include "ref/half.h"
#include "ref/quant.h"

#include <math.h>
#include <string.h>

/* Box and Muller 1958. */
double draw_normal(struct draw *d)
{
    double r = sqrt(-2.0 * log(1.0 - draw_unit(d)));
    return r * cos(6.283185307179586 * draw_unit(d));
}

static float special(struct draw *d)
{
    static const float numbers[] = {INFINITY,       -INFINITY, NAN,  3.4028235e38f,
                                    -3.4028235e38f, 1e-40f,    0.0f, -0.0f};
    int64_t pick = draw_below(d, 16);
    return pick < 8 ? numbers[pick] : (float)draw_normal(d);
}

static float number(const struct check_input *in, struct draw *d)
{
    double normal;
    switch (in->fill) {
    case FILL_POSITIVE: return (float)(0.1 + 1.9 * draw_unit(d));
    case FILL_AWAY: normal = draw_normal(d); return (float)(normal + (normal < 0 ? -0.5 : 0.5));
    case FILL_SPECIAL: return special(d);
    case FILL_ZERO: return 0.0f;
    case FILL_ONE: return 1.0f;
    default: return (float)((in->scale != 0.0 ? in->scale : 1.0) * draw_normal(d));
    }
}

/* `count` distinct numbers below limit, by selection (Knuth, algorithm S), then shuffled. */
static void distinct(int32_t *out, int64_t count, int64_t limit, struct draw *d)
{
    int64_t made = 0;
    for (int64_t i = 0; i < limit && made < count; i++)
        if (draw_below(d, limit - i) < count - made) out[made++] = (int32_t)i;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = draw_below(d, i + 1);
        int32_t kept = out[i];
        out[i] = out[j];
        out[j] = kept;
    }
}

static void whole_numbers(const struct check_input *in, int64_t count, struct draw *d, int32_t *out)
{
    if (in->fill == FILL_DISTINCT) distinct(out, count, in->limit, d);
    for (int64_t i = 0; i < count; i++) switch (in->fill) {
        case FILL_INDEX: out[i] = (int32_t)draw_below(d, in->limit); break;
        case FILL_TARGET: out[i] = i % 4 == 3 ? -1 : (int32_t)draw_below(d, in->limit); break;
        case FILL_COUNT: out[i] = (int32_t)i; break;
        case FILL_DOCUMENT:
            out[i] = i == 0 || draw_below(d, 6) == 0 ? (int32_t)i : out[i - 1];
            break;
        case FILL_WORD: out[i] = (int32_t)(draw_word(d) >> 1); break;
        default: break;
        }
}

/* Blocks that no recipe here makes: random codes, and scales that keep the numbers near 1. */
static void random_blocks(int32_t dtype, uint8_t *out, uint64_t bytes, struct draw *d)
{
    uint64_t block = dtype == GRAFT_DTYPE_Q4_K ? 144 : dtype == GRAFT_DTYPE_Q5_K ? 176 : 210;
    for (uint64_t i = 0; i < bytes; i++) out[i] = (uint8_t)draw_word(d);
    for (uint64_t at = 0; at < bytes; at += block) {
        uint8_t *scales = out + at + (dtype == GRAFT_DTYPE_Q6_K ? 208 : 0);
        store_u16(scales, f16_from_f32((float)(0.0005 + 0.001 * draw_unit(d))));
        if (dtype != GRAFT_DTYPE_Q6_K)
            store_u16(scales + 2, f16_from_f32((float)(0.005 + 0.01 * draw_unit(d))));
    }
}

static bool nf4(const struct check_input *in, const float *x, void *data, struct arena *arena)
{
    int64_t count = graft_shape_count(in->shape);
    struct graft_nf4 *w = data;
    nf4_init(w, count, 64, in->limit == 0); /* limit 1: plain scales */
    float *absmax = arena_alloc(arena, (size_t)(count / 32 + 1), sizeof *absmax);
    if (absmax == NULL) return false;
    quantize_nf4(x, 0, count, w, absmax);
    quantize_nf4_scales(absmax, w);
    return true;
}

static bool weight(const struct check_input *in, struct draw *d, uint8_t *data, struct arena *arena)
{
    int64_t rows = in->shape.dim[0], cols = in->shape.dim[1];
    if (in->dtype == GRAFT_DTYPE_Q4_K || in->dtype == GRAFT_DTYPE_Q5_K ||
        in->dtype == GRAFT_DTYPE_Q6_K) {
        random_blocks(in->dtype, data, check_bytes(in), d);
        return true;
    }
    float *x = arena_alloc(arena, (size_t)(rows * cols) + 1, sizeof *x);
    if (x == NULL) return false;
    for (int64_t i = 0; i < rows * cols; i++) x[i] = (float)draw_normal(d);
    if (in->dtype == GRAFT_DTYPE_NF4) return nf4(in, x, data, arena);
    for (int64_t r = 0; r < rows; r++)
        if (!quantize_row(in->dtype, x + r * cols,
                          data + (size_t)r * quant_row_bytes(in->dtype, cols), cols))
            return false;
    return true;
}

bool fill_input(const struct check_input *in, int64_t live_count, struct draw *draw, void *data,
                struct arena *arena)
{
    if (in->fill == FILL_WEIGHT) return weight(in, draw, data, arena);
    if (in->fill == FILL_MAP) {
        nf4_nested_map(data);
        return true;
    }
    if (in->fill == FILL_CODE) {
        for (int64_t i = 0; i < live_count; i++) ((uint8_t *)data)[i] = (uint8_t)draw_word(draw);
        return true;
    }
    if (in->dtype == GRAFT_DTYPE_I32)
        whole_numbers(in, live_count, draw, data);
    else
        for (int64_t i = 0; i < live_count; i++) ((float *)data)[i] = number(in, draw);
    return true;
}

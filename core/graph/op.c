/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of every op, and the table of them.
 */
#include "graph/op.h"

#include <stdio.h>
#include <string.h>

char *shape_text(struct graft_shape s, char *out)
{
    size_t at = 0;
    out[at++] = '[';
    for (int32_t i = 0; i < s.rank; i++)
        at += (size_t)snprintf(out + at, 64 - at, i == 0 ? "%lld" : ", %lld", (long long)s.dim[i]);
    snprintf(out + at, 64 - at, "]");
    return out;
}

int32_t *op_compute(int32_t op, struct graft_shape a, union graft_params *params)
{
    switch (op) {
    case GRAFT_OP_MATMUL:
        return a.rank == 2 && !params->matmul.transpose_a ? &params->matmul.compute : NULL;
    case GRAFT_OP_ATTENTION:
    case GRAFT_OP_ATTENTION_BACKWARD: return &params->attention.compute;
    case GRAFT_OP_HEAD_LOSS: return &params->head.compute;
    default: return NULL;
    }
}

static bool same_shape(struct graft_shape a, struct graft_shape b)
{
    return a.rank == b.rank && memcmp(a.dim, b.dim, sizeof a.dim) == 0;
}

static bool unfit(struct graft_shape a, struct graft_shape b, struct error *e)
{
    char x[64], y[64];
    error_set(e, GRAFT_E_INVALID, "%s and %s do not fit", shape_text(a, x), shape_text(b, y));
    return false;
}

static bool need(bool fits, const char *what, struct error *e)
{
    if (!fits) error_set(e, GRAFT_E_INVALID, "%s", what);
    return fits;
}

static struct op_shape f32(struct graft_shape shape, int32_t rows)
{
    return (struct op_shape){shape, GRAFT_DTYPE_F32, rows};
}

static int64_t dim_from_end(struct graft_shape s, int32_t i)
{
    return i < s.rank ? s.dim[s.rank - 1 - i] : 1;
}

static bool infer_binary(const struct op_shape *in, const union graft_params *p,
                         struct op_shape *out, struct error *e)
{
    struct graft_shape a = in[0].shape, b = in[1].shape;
    struct graft_shape s = {{1, 1, 1, 1}, a.rank > b.rank ? a.rank : b.rank};
    (void)p;
    for (int32_t i = 0; i < s.rank; i++) {
        int64_t x = dim_from_end(a, i), y = dim_from_end(b, i);
        if (x != y && x != 1 && y != 1) return unfit(a, b, e);
        s.dim[s.rank - 1 - i] = x == 1 ? y : x;
    }
    int32_t ra = a.rank == s.rank ? in[0].rows : GRAFT_ROWS_FIXED;
    int32_t rb = b.rank == s.rank ? in[1].rows : GRAFT_ROWS_FIXED;
    bool a_repeats = a.rank < s.rank || a.dim[0] == 1, b_repeats = b.rank < s.rank || b.dim[0] == 1;
    if (ra != rb && !(a_repeats && ra == GRAFT_ROWS_FIXED) &&
        !(b_repeats && rb == GRAFT_ROWS_FIXED))
        return need(false, "live rows of one kind meet rows of another", e);
    *out = f32(s, ra != GRAFT_ROWS_FIXED ? ra : rb);
    return true;
}

static bool infer_same(const struct op_shape *in, const union graft_params *p, struct op_shape *out,
                       struct error *e)
{
    (void)p, (void)e;
    *out = f32(in[0].shape, in[0].rows);
    return true;
}

static bool infer_sum(const struct op_shape *in, const union graft_params *p, struct op_shape *out,
                      struct error *e)
{
    (void)e;
    *out = f32(in[0].shape, (p->sum.axes & 1) ? GRAFT_ROWS_FIXED : in[0].rows);
    for (int32_t i = 0; i < in[0].shape.rank; i++)
        if (p->sum.axes >> i & 1) out->shape.dim[i] = 1;
    return true;
}

static bool infer_broadcast(const struct op_shape *in, const union graft_params *p,
                            struct op_shape *out, struct error *e)
{
    for (int32_t i = 0; i < in[0].shape.rank || i < p->shape.rank; i++) {
        int64_t from = dim_from_end(in[0].shape, i), to = dim_from_end(p->shape, i);
        if (from != 1 && from != to) return unfit(in[0].shape, p->shape, e);
    }
    bool first_kept = in[0].shape.rank == p->shape.rank && in[0].shape.dim[0] == p->shape.dim[0];
    *out = f32(p->shape, first_kept ? in[0].rows : GRAFT_ROWS_FIXED);
    return true;
}

static bool infer_reshape(const struct op_shape *in, const union graft_params *p,
                          struct op_shape *out, struct error *e)
{
    if (graft_shape_count(in[0].shape) != graft_shape_count(p->shape))
        return unfit(in[0].shape, p->shape, e);
    if (in[0].rows != GRAFT_ROWS_FIXED && in[0].shape.dim[0] != p->shape.dim[0])
        return need(false, "a first dimension of live rows must stay first", e);
    *out = (struct op_shape){p->shape, in[0].dtype, in[0].rows};
    return true;
}

static bool infer_matmul(const struct op_shape *in, const union graft_params *p,
                         struct op_shape *out, struct error *e)
{
    struct graft_shape a = in[0].shape, b = in[1].shape;
    if (!need(a.rank == b.rank && (a.rank == 2 || a.rank == 3), "matmul takes rank 2 or 3", e))
        return false;
    int32_t r = a.rank, first = r - 2;
    int64_t m = a.dim[first + (p->matmul.transpose_a != 0)];
    int64_t k = a.dim[first + (p->matmul.transpose_a == 0)];
    int64_t n = b.dim[first + (p->matmul.transpose_b == 0)];
    int64_t kb = b.dim[first + (p->matmul.transpose_b != 0)];
    if (k != kb || (r == 3 && a.dim[0] != b.dim[0])) return unfit(a, b, e);
    if (!need(in[0].dtype == GRAFT_DTYPE_F32 && (r == 2 || in[1].dtype == GRAFT_DTYPE_F32),
              "only the second operand of a plain product may be stored in another type", e))
        return false;
    if (r == 3) {
        if (!need(in[0].rows == in[1].rows, "batches of one kind", e)) return false;
        *out = f32(graft_shape3(a.dim[0], m, n), in[0].rows);
        return true;
    }
    int32_t inner = p->matmul.transpose_a ? in[0].rows : GRAFT_ROWS_FIXED;
    int32_t inner_b = p->matmul.transpose_b ? GRAFT_ROWS_FIXED : in[1].rows;
    if (!need(inner == inner_b && (!p->matmul.transpose_b || in[1].rows == GRAFT_ROWS_FIXED),
              "a product sums over live rows only when both operands have them first", e))
        return false;
    *out = f32(graft_shape2(m, n), p->matmul.transpose_a ? GRAFT_ROWS_FIXED : in[0].rows);
    return true;
}

/* SLICE takes length numbers of x from begin; PLACE puts x at begin among length. */
static bool infer_cut(const struct op_shape *in, const union graft_params *p, struct op_shape *out,
                      int64_t whole, int64_t part, struct error *e)
{
    int32_t axis = p->slice.axis;
    if (p->slice.begin < 0 || part < 1 || p->slice.begin > whole - part) {
        error_set(e, GRAFT_E_INVALID, "%lld numbers from %lld on do not lie within %lld",
                  (long long)part, (long long)p->slice.begin, (long long)whole);
        return false;
    }
    *out = f32(in[0].shape, in[0].rows);
    out->shape.dim[axis] = p->slice.length;
    return true;
}

static bool legal_axis(const struct op_shape *in, const union graft_params *p, struct error *e)
{
    int32_t axis = p->slice.axis;
    if (axis < 0 || axis >= in[0].shape.rank) {
        error_set(e, GRAFT_E_INVALID, "there is no axis %d among %d", axis, in[0].shape.rank);
        return false;
    }
    return need(axis > 0 || in[0].rows == GRAFT_ROWS_FIXED, "live rows cannot be cut", e);
}

static bool infer_slice(const struct op_shape *in, const union graft_params *p,
                        struct op_shape *out, struct error *e)
{
    return legal_axis(in, p, e) &&
           infer_cut(in, p, out, in[0].shape.dim[p->slice.axis], p->slice.length, e);
}

static bool infer_place(const struct op_shape *in, const union graft_params *p,
                        struct op_shape *out, struct error *e)
{
    return legal_axis(in, p, e) &&
           infer_cut(in, p, out, p->slice.length, in[0].shape.dim[p->slice.axis], e);
}

static bool infer_permute(const struct op_shape *in, const union graft_params *p,
                          struct op_shape *out, struct error *e)
{
    int32_t seen = 0, rank = in[0].shape.rank;
    *out = f32(in[0].shape, in[0].rows);
    for (int32_t i = 0; i < rank; i++) {
        int32_t from = p->permute.axis[i];
        if (!need(from >= 0 && from < rank && !(seen >> from & 1),
                  "permute: the axes are not each named once", e))
            return false;
        seen |= 1 << from;
        out->shape.dim[i] = in[0].shape.dim[from];
    }
    return need(in[0].rows == GRAFT_ROWS_FIXED || p->permute.axis[0] == 0,
                "a first dimension of live rows must stay first", e);
}

static bool infer_skew(const struct op_shape *in, const union graft_params *p, struct op_shape *out,
                       struct error *e)
{
    int64_t size = p->skew.size;
    if (!need(size >= 2 && in[0].shape.rank == 2 && in[0].shape.dim[1] == size * (size - 1) / 2,
              "skew takes v [R, b (b - 1) / 2]", e))
        return false;
    *out = f32(graft_shape3(in[0].shape.dim[0], size, size), in[0].rows);
    return true;
}

static bool infer_skew_backward(const struct op_shape *in, const union graft_params *p,
                                struct op_shape *out, struct error *e)
{
    int64_t size = p->skew.size;
    if (!need(size >= 2 && in[0].shape.rank == 3 && in[0].shape.dim[1] == size &&
                  in[0].shape.dim[2] == size,
              "the gradient of skew takes m [R, b, b]", e))
        return false;
    *out = f32(graft_shape2(in[0].shape.dim[0], size * (size - 1) / 2), in[0].rows);
    return true;
}

static bool infer_dequantize(const struct op_shape *in, const union graft_params *p,
                             struct op_shape *out, struct error *e)
{
    (void)p;
    if (!need(in[0].dtype != GRAFT_DTYPE_I32 && in[0].dtype != GRAFT_DTYPE_U8,
              "whole numbers are no weight", e))
        return false;
    *out = f32(in[0].shape, in[0].rows);
    return true;
}

static bool infer_embedding(const struct op_shape *in, const union graft_params *p,
                            struct op_shape *out, struct error *e)
{
    (void)p;
    if (!need(in[0].dtype == GRAFT_DTYPE_I32 && in[0].shape.rank == 1 && in[1].shape.rank == 2 &&
                  in[1].rows == GRAFT_ROWS_FIXED,
              "embedding takes ids [T] and a table [V, C] without live rows", e))
        return false;
    *out = f32(graft_shape2(in[0].shape.dim[0], in[1].shape.dim[1]), in[0].rows);
    return true;
}

static bool infer_embedding_backward(const struct op_shape *in, const union graft_params *p,
                                     struct op_shape *out, struct error *e)
{
    if (!need(in[1].dtype == GRAFT_DTYPE_I32 && in[1].shape.rank == 1 && in[0].shape.rank == 2 &&
                  in[0].shape.dim[0] == in[1].shape.dim[0] && in[0].rows == in[1].rows &&
                  p->embedding.rows >= 1,
              "the gradient of an embedding takes dy [T, C] and ids [T]", e))
        return false;
    *out = f32(graft_shape2(p->embedding.rows, in[0].shape.dim[1]), GRAFT_ROWS_FIXED);
    return true;
}

static bool infer_gather(const struct op_shape *in, const union graft_params *p,
                         struct op_shape *out, struct error *e)
{
    (void)p;
    if (!need(in[1].dtype == GRAFT_DTYPE_I32 && in[1].shape.rank == 1 && in[0].shape.rank == 2,
              "gather takes x [T, C] and indices [R]", e))
        return false;
    *out = f32(graft_shape2(in[1].shape.dim[0], in[0].shape.dim[1]), in[1].rows);
    return true;
}

static bool infer_scatter(const struct op_shape *in, const union graft_params *p,
                          struct op_shape *out, struct error *e)
{
    if (!need(in[1].dtype == GRAFT_DTYPE_I32 && in[0].shape.rank == 2 &&
                  in[0].shape.dim[0] == in[1].shape.dim[0],
              "scatter takes x [R, C] and indices [R]", e))
        return false;
    *out = f32(graft_shape2(p->rows.capacity, in[0].shape.dim[1]), p->rows.kind);
    return true;
}

static bool infer_norm(const struct op_shape *in, const union graft_params *p, struct op_shape *out,
                       struct error *e)
{
    (void)p;
    if (in[1].shape.dim[in[1].shape.rank - 1] != in[0].shape.dim[in[0].shape.rank - 1])
        return unfit(in[0].shape, in[1].shape, e);
    *out = f32(in[0].shape, in[0].rows);
    return true;
}

static bool infer_rope_table(const struct op_shape *in, const union graft_params *p,
                             struct op_shape *out, struct error *e)
{
    (void)p;
    if (!need(in[0].dtype == GRAFT_DTYPE_I32, "positions are whole numbers", e)) return false;
    *out = f32(graft_shape2(in[0].shape.dim[0], 2 * in[1].shape.dim[0]), in[0].rows);
    return true;
}

static bool infer_rope(const struct op_shape *in, const union graft_params *p, struct op_shape *out,
                       struct error *e)
{
    if (!need(in[0].shape.dim[1] % p->rope.head_size == 0 && in[1].shape.dim[1] == p->rope.rotary &&
                  p->rope.rotary <= p->rope.head_size,
              "rope: head size, rotary part and table do not agree", e))
        return false;
    *out = f32(in[0].shape, in[0].rows);
    return true;
}

static bool infer_swiglu_backward(const struct op_shape *in, const union graft_params *p,
                                  struct op_shape *out, struct error *e)
{
    (void)p;
    if (!same_shape(in[0].shape, in[1].shape) || !same_shape(in[0].shape, in[2].shape))
        return unfit(in[0].shape, in[1].shape, e);
    out[0] = out[1] = f32(in[0].shape, in[0].rows);
    return true;
}

static bool infer_swiglu(const struct op_shape *in, const union graft_params *p,
                         struct op_shape *out, struct error *e)
{
    (void)p;
    if (!same_shape(in[0].shape, in[1].shape)) return unfit(in[0].shape, in[1].shape, e);
    *out = f32(in[0].shape, in[0].rows);
    return true;
}

static bool absent(const struct op_shape *s)
{
    return s->shape.rank == 0;
}

static bool is_matrix(const struct op_shape *s, int64_t rows, int64_t columns)
{
    return s->shape.rank == 2 && s->shape.dim[0] == rows && s->shape.dim[1] == columns;
}

/* q; k, v, first and last or none of them; pk and pv or neither. */
static bool attention_fits(const struct op_shape *in, const struct op_shape *pk,
                           const struct op_shape *pv, const union graft_params *p, struct error *e)
{
    int64_t h = p->attention.heads, g = p->attention.kv_heads, d = p->attention.head_size;
    bool own = !absent(&in[1]), prefix = !absent(pk);
    for (int i = 2; i <= 4; i++)
        if (!need(absent(&in[i]) == !own, "attention: k, v, first and last come together", e))
            return false;
    if (!need(absent(pv) == !prefix, "attention: pk and pv come together", e) ||
        !need(own || prefix, "attention: there is no key", e) ||
        !need(!prefix || (pk->rows == GRAFT_ROWS_FIXED && pv->rows == GRAFT_ROWS_FIXED),
              "attention: pk and pv have no live rows", e))
        return false;
    return need(h > 0 && g > 0 && d > 0 && h % g == 0 &&
                    is_matrix(&in[0], in[0].shape.dim[0], h * d) &&
                    (!own || (is_matrix(&in[1], in[1].shape.dim[0], g * d) &&
                              is_matrix(&in[2], in[1].shape.dim[0], g * d))) &&
                    (!prefix || (is_matrix(pk, pk->shape.dim[0], g * d) &&
                                 is_matrix(pv, pk->shape.dim[0], g * d))),
                "attention: heads, key/value heads and shapes do not agree", e);
}

static bool infer_attention(const struct op_shape *in, const union graft_params *p,
                            struct op_shape *out, struct error *e)
{
    if (!attention_fits(in, &in[5], &in[6], p, e)) return false;
    out[0] = f32(in[0].shape, in[0].rows);
    out[1] = f32(graft_shape2(in[0].shape.dim[0], p->attention.heads), in[0].rows);
    return true;
}

static bool infer_attention_backward(const struct op_shape *in, const union graft_params *p,
                                     struct op_shape *out, struct error *e)
{
    static const int source[] = {0, 1, 2, 8, 9};
    if (!attention_fits(in, &in[8], &in[9], p, e)) return false;
    if (!need(absent(&in[1]) || in[0].shape.dim[0] == in[1].shape.dim[0],
              "attention: the gradient needs S = T", e))
        return false;
    for (int i = 0; i < 5; i++)
        if (!absent(&in[source[i]])) out[i] = f32(in[source[i]].shape, in[source[i]].rows);
    return true;
}

static bool infer_cross_entropy(const struct op_shape *in, const union graft_params *p,
                                struct op_shape *out, struct error *e)
{
    (void)p;
    if (!need(in[1].dtype == GRAFT_DTYPE_I32 && in[1].shape.dim[0] == in[0].shape.dim[0],
              "cross entropy takes logits [R, V] and targets [R]", e))
        return false;
    out[0] = f32(graft_shape1(in[0].shape.dim[0]), in[0].rows);
    out[1] = (struct op_shape){out[0].shape, GRAFT_DTYPE_I32, in[0].rows};
    return true;
}

static bool infer_head_loss(const struct op_shape *in, const union graft_params *p,
                            struct op_shape *out, struct error *e)
{
    struct op_shape logits_targets[2] = {in[0], in[2]};
    if (in[0].shape.dim[1] != in[1].shape.dim[1]) return unfit(in[0].shape, in[1].shape, e);
    if (!infer_cross_entropy(logits_targets, p, out, e)) return false;
    out[2] = f32(in[0].shape, in[0].rows);
    return true;
}

static bool infer_dropout(const struct op_shape *in, const union graft_params *p,
                          struct op_shape *out, struct error *e)
{
    if (!need(p->dropout.rate >= 0 && p->dropout.rate < 1, "dropout rates lie in [0, 1)", e) ||
        !need(in[0].shape.rank == 2 && in[1].shape.dim[0] == in[0].shape.dim[0],
              "dropout takes x [T, C]", e))
        return false;
    *out = f32(in[0].shape, in[0].rows);
    return true;
}

/* Scales of n numbers; the last block may be short. */
static bool codes_fit(int64_t n, const struct op_shape *map, const union graft_params *p,
                      int64_t *scales, struct error *e)
{
    if (!need(map->shape.rank == 1 && map->shape.dim[0] == 256 && p->codes.block >= 1,
              "codes take a map [256] and a block of at least 1", e))
        return false;
    *scales = n / p->codes.block + (n % p->codes.block != 0);
    return true;
}

static bool infer_encode(const struct op_shape *in, const union graft_params *p,
                         struct op_shape *out, struct error *e)
{
    int64_t scales;
    if (!need(in[0].shape.rank == 1 && in[0].rows == GRAFT_ROWS_FIXED, "encode takes x [n]", e) ||
        !codes_fit(in[0].shape.dim[0], &in[1], p, &scales, e))
        return false;
    out[0] = (struct op_shape){in[0].shape, GRAFT_DTYPE_U8, GRAFT_ROWS_FIXED};
    out[1] = f32(graft_shape1(scales), GRAFT_ROWS_FIXED);
    return true;
}

static bool infer_decode(const struct op_shape *in, const union graft_params *p,
                         struct op_shape *out, struct error *e)
{
    int64_t scales;
    if (!need(in[0].shape.rank == 1 && in[0].dtype == GRAFT_DTYPE_U8 && in[1].shape.rank == 1,
              "decode takes codes u8 [n] and their scales", e) ||
        !codes_fit(in[0].shape.dim[0], &in[2], p, &scales, e))
        return false;
    if (in[1].shape.dim[0] != scales) return unfit(in[0].shape, in[1].shape, e);
    *out = f32(in[0].shape, GRAFT_ROWS_FIXED);
    return true;
}

static bool infer_assign(const struct op_shape *in, const union graft_params *p,
                         struct op_shape *out, struct error *e)
{
    (void)p;
    if (!same_shape(in[0].shape, in[1].shape)) return unfit(in[0].shape, in[1].shape, e);
    if (!need(in[0].dtype == in[1].dtype, "a stored value takes values of its own type", e))
        return false;
    *out = in[0];
    return true;
}

static bool infer_write_rows(const struct op_shape *in, const union graft_params *p,
                             struct op_shape *out, struct error *e)
{
    (void)p;
    if (in[0].shape.dim[1] != in[1].shape.dim[1] || in[1].shape.dim[0] != in[2].shape.dim[0])
        return unfit(in[0].shape, in[1].shape, e);
    *out = in[0];
    return true;
}

static const struct op_info table[] = {
    {GRAFT_OP_ADD, "add", 2, 2, 0, 1, 3, 3, false, infer_binary},
    {GRAFT_OP_SUB, "sub", 2, 2, 0, 1, 3, 3, false, infer_binary},
    {GRAFT_OP_MUL, "mul", 2, 2, 0, 1, 3, 3, false, infer_binary},
    {GRAFT_OP_DIV, "div", 2, 2, 0, 1, 3, 3, false, infer_binary},
    {GRAFT_OP_AFFINE, "affine", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_SQRT, "sqrt", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_EXP, "exp", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_EXPM1, "expm1", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_TANH, "tanh", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_SIGMOID, "sigmoid", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_SILU, "silu", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_FINITE, "finite", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_MINIMUM, "minimum", 2, 2, 0, 1, 3, 3, false, infer_binary},
    {GRAFT_OP_MAXIMUM, "maximum", 2, 2, 0, 1, 3, 3, false, infer_binary},
    {GRAFT_OP_ABS, "abs", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_SIGN, "sign", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_RELU, "relu", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_GELU, "gelu", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_GELU_TANH, "gelu_tanh", 1, 1, 0, 1, 1, 1, false, infer_same},
    {GRAFT_OP_SUM, "sum", 1, 1, 0, 1, 0, 0, false, infer_sum},
    {GRAFT_OP_BROADCAST, "broadcast", 1, 1, 0, 1, 0, 1, false, infer_broadcast},
    {GRAFT_OP_RESHAPE, "reshape", 1, 1, 0, 1, 0, 0, false, infer_reshape},
    {GRAFT_OP_SLICE, "slice", 1, 1, 0, 1, 0, 1, false, infer_slice},
    {GRAFT_OP_PLACE, "place", 1, 1, 0, 1, 0, 1, false, infer_place},
    {GRAFT_OP_PERMUTE, "permute", 1, 1, 0, 1, 0, 0, false, infer_permute},
    {GRAFT_OP_SKEW, "skew", 1, 1, 0, 1, 0, 0, false, infer_skew},
    {GRAFT_OP_SKEW_BACKWARD, "skew_backward", 1, 1, 0, 1, 0, 0, false, infer_skew_backward},
    {GRAFT_OP_MATMUL, "matmul", 2, 2, 0, 1, 0, 0, false, infer_matmul},
    {GRAFT_OP_DEQUANTIZE, "dequantize", 1, 1, 0, 1, 0, 0, false, infer_dequantize},
    {GRAFT_OP_EMBEDDING, "embedding", 2, 2, 0, 1, 0, 0, false, infer_embedding},
    {GRAFT_OP_EMBEDDING_BACKWARD, "embedding_backward", 2, 2, 0, 1, 0, 0, false,
     infer_embedding_backward},
    {GRAFT_OP_GATHER_ROWS, "gather_rows", 2, 2, 0, 1, 0, 0, false, infer_gather},
    {GRAFT_OP_SCATTER_ROWS, "scatter_rows", 2, 2, 0, 1, 0, 0, false, infer_scatter},
    {GRAFT_OP_RMS_NORM, "rms_norm", 2, 2, 0, 1, 1, 1, false, infer_norm},
    {GRAFT_OP_RMS_NORM_BACKWARD, "rms_norm_backward", 3, 3, 0, 1, 1, 3, false, infer_same},
    {GRAFT_OP_ROPE_TABLE, "rope_table", 2, 2, 0, 1, 0, 0, false, infer_rope_table},
    {GRAFT_OP_ROPE, "rope", 2, 2, 0, 1, 1, 3, false, infer_rope},
    {GRAFT_OP_SWIGLU, "swiglu", 2, 2, 0, 1, 3, 3, false, infer_swiglu},
    {GRAFT_OP_SWIGLU_BACKWARD, "swiglu_backward", 3, 3, 0, 2, 0, 7, false, infer_swiglu_backward},
    {GRAFT_OP_ATTENTION, "attention", 5, 7, 0x7E, 2, 0, 0, false, infer_attention},
    {GRAFT_OP_ATTENTION_BACKWARD, "attention_backward", 8, 10, 0x31E, 5, 0, 0, false,
     infer_attention_backward},
    {GRAFT_OP_CROSS_ENTROPY, "cross_entropy", 2, 2, 0, 2, 0, 0, false, infer_cross_entropy},
    {GRAFT_OP_CROSS_ENTROPY_BACKWARD, "cross_entropy_backward", 3, 3, 0, 1, 1, 0, false,
     infer_same},
    {GRAFT_OP_HEAD_LOSS, "head_loss", 3, 3, 0, 3, 0, 0, false, infer_head_loss},
    {GRAFT_OP_DROPOUT, "dropout", 4, 4, 0, 1, 1, 7, false, infer_dropout},
    {GRAFT_OP_ENCODE, "encode", 2, 2, 0, 2, 0, 0, false, infer_encode},
    {GRAFT_OP_DECODE, "decode", 3, 3, 0, 1, 0, 0, false, infer_decode},
    {GRAFT_OP_ASSIGN, "assign", 2, 3, 1 << 2, 1, 0, 3, true, infer_assign},
    {GRAFT_OP_ACCUMULATE, "accumulate", 2, 2, 0, 1, 0, 0, true, infer_assign},
    {GRAFT_OP_WRITE_ROWS, "write_rows", 3, 3, 0, 1, 0, 0, true, infer_write_rows},
    {GRAFT_OP_DETACH, "detach", 1, 1, 0, 1, 1, 0, false, infer_same},
};

const struct op_info *op_info(int32_t op)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].op == op) return &table[i];
    return NULL;
}

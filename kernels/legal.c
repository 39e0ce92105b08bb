/* SPDX-License-Identifier: Apache-2.0
 *
 * One rule per op: types by a letter each, shapes by a function.
 */
#include "legal.h"

#include "ref/quant.h"

#include <graft/quant.h>
#include <stdio.h>
#include <string.h>

enum { ALIGNMENT = 64, TEXT = 256 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct graft_tensor desc_tensor(const struct graft_program_desc *desc, uint32_t index)
{
    struct graft_tensor t = {0};
    memcpy(&t, (const uint8_t *)desc->tensors + (size_t)index * desc->tensor_stride,
           smaller(sizeof t, desc->tensor_stride));
    return t;
}

struct graft_node desc_node(const struct graft_program_desc *desc, uint32_t index)
{
    struct graft_node n = {0};
    memcpy(&n, (const uint8_t *)desc->nodes + (size_t)index * desc->node_stride,
           smaller(sizeof n, desc->node_stride));
    return n;
}

/* Bytes of a weight; 0: not a legal one. NF4: of its codes, the least that its buffer can hold. */
static uint64_t tensor_bytes(const struct graft_tensor *t)
{
    int64_t outer = 1, inner = t->shape.dim[t->shape.rank - 1];
    for (int32_t i = 0; i + 1 < t->shape.rank; i++)
        if (__builtin_mul_overflow(outer, t->shape.dim[i], &outer)) return 0;
    uint64_t row = quant_row_bytes(t->dtype, inner), bytes;
    if (t->dtype == GRAFT_DTYPE_NF4) {
        if (__builtin_mul_overflow((uint64_t)inner, (uint64_t)outer, &bytes)) return 0;
        return bytes / 2 + sizeof(struct graft_nf4);
    }
    return __builtin_mul_overflow(row, (uint64_t)outer, &bytes) ? 0 : bytes;
}

bool tensor_legal(const struct graft_tensor *t, uint64_t bytes, char text[TEXT])
{
    const char *type = quant_name(t->dtype);
    if (t->shape.rank < 1 || t->shape.rank > GRAFT_MAX_RANK) {
        snprintf(text, TEXT, "a tensor of rank %d: 1 to %d are legal", (int)t->shape.rank,
                 GRAFT_MAX_RANK);
        return false;
    }
    for (int32_t i = 0; i < GRAFT_MAX_RANK; i++) {
        if (t->shape.dim[i] >= 1 && (i < t->shape.rank || t->shape.dim[i] == 1)) continue;
        snprintf(text, TEXT, "dimension %d of a tensor of rank %d is %lld", (int)i,
                 (int)t->shape.rank, (long long)t->shape.dim[i]);
        return false;
    }
    if (type == NULL || t->rows < 0 || t->rows >= GRAFT_ROWS_KINDS) {
        snprintf(text, TEXT, "a tensor of type %d with rows of kind %d: there is no such thing",
                 (int)t->dtype, (int)t->rows);
        return false;
    }
    uint64_t need = tensor_bytes(t);
    if (need == 0) {
        snprintf(text, TEXT, "a %s tensor with rows of %lld numbers: %lld make a block", type,
                 (long long)t->shape.dim[t->shape.rank - 1], (long long)quant_block(t->dtype));
        return false;
    }
    if (t->offset % ALIGNMENT != 0 || t->offset > bytes || need > bytes - t->offset) {
        snprintf(text, TEXT,
                 "%llu bytes at %llu of a buffer of %llu: offsets are multiples of %d, and a "
                 "tensor ends inside",
                 (unsigned long long)need, (unsigned long long)t->offset, (unsigned long long)bytes,
                 ALIGNMENT);
        return false;
    }
    return true;
}

/* Types, one letter a tensor: f f32, i i32, n either, w any weight, u u8, s f32 or u8; upper case
 * may be absent. All outputs may be. */
struct rule {
    int32_t op;
    const char *name, *in, *out;
    bool (*fits)(const struct kernel_call *c);
};

static bool same(const struct kernel_tensor *a, const struct kernel_tensor *b)
{
    return memcmp(a->shape.dim, b->shape.dim, sizeof a->shape.dim) == 0;
}

static bool is2(const struct kernel_tensor *t, int64_t rows, int64_t columns)
{
    return t->shape.rank == 2 && t->shape.dim[0] == rows && t->shape.dim[1] == columns;
}

static bool is1(const struct kernel_tensor *t, int64_t n)
{
    return t->shape.rank == 1 && t->shape.dim[0] == n;
}

/* Output i is absent or has that shape. */
static bool out_same(const struct kernel_call *c, int i, const struct kernel_tensor *as)
{
    return c->out[i].data == NULL || same(&c->out[i], as);
}

static bool out2(const struct kernel_call *c, int i, int64_t rows, int64_t columns)
{
    return c->out[i].data == NULL || is2(&c->out[i], rows, columns);
}

static bool out1(const struct kernel_call *c, int i, int64_t n)
{
    return c->out[i].data == NULL || is1(&c->out[i], n);
}

static int64_t from_end(const struct graft_shape *s, int32_t i)
{
    return i < s->rank ? s->dim[s->rank - 1 - i] : 1;
}

/* in repeats to out. */
static bool repeats(const struct kernel_tensor *in, const struct kernel_tensor *out)
{
    if (out->data == NULL) return true;
    if (in->shape.rank > out->shape.rank) return false;
    for (int32_t i = 0; i < out->shape.rank; i++)
        if (from_end(&in->shape, i) != 1 && from_end(&in->shape, i) != from_end(&out->shape, i))
            return false;
    return true;
}

static bool fits_binary(const struct kernel_call *c)
{
    return repeats(&c->in[0], &c->out[0]) && repeats(&c->in[1], &c->out[0]);
}

static bool fits_unary(const struct kernel_call *c)
{
    return out_same(c, 0, &c->in[0]);
}

static bool fits_sum(const struct kernel_call *c)
{
    const struct graft_shape *s = &c->in[0].shape;
    if (c->out[0].data == NULL) return true;
    if (c->out[0].shape.rank != s->rank) return false;
    for (int32_t i = 0; i < s->rank; i++)
        if (c->out[0].shape.dim[i] != (c->params.sum.axes >> i & 1 ? 1 : s->dim[i])) return false;
    return true;
}

static bool fits_broadcast(const struct kernel_call *c)
{
    return repeats(&c->in[0], &c->out[0]);
}

static bool fits_reshape(const struct kernel_call *c)
{
    return c->out[0].data == NULL ||
           graft_shape_count(c->in[0].shape) == graft_shape_count(c->out[0].shape);
}

static bool fits_matmul(const struct kernel_call *c)
{
    const struct graft_shape *a = &c->in[0].shape, *b = &c->in[1].shape, *o = &c->out[0].shape;
    int first = a->rank - 2;
    int ta = c->params.matmul.transpose_a != 0, tb = c->params.matmul.transpose_b != 0;
    if (first < 0 || first > 1 || b->rank != a->rank) return false;
    if (first == 1 && (a->dim[0] != b->dim[0] || c->in[1].dtype != GRAFT_DTYPE_F32)) return false;
    if (a->dim[first + !ta] != b->dim[first + tb]) return false;
    if (c->out[0].data == NULL) return true;
    return o->rank == a->rank && (first == 0 || o->dim[0] == a->dim[0]) &&
           o->dim[first] == a->dim[first + ta] && o->dim[first + 1] == b->dim[first + !tb];
}

static bool fits_slice(const struct kernel_call *c)
{
    const struct graft_shape *x = &c->in[0].shape, *out = &c->out[0].shape;
    int32_t axis = c->params.slice.axis;
    int64_t begin = c->params.slice.begin;
    if (c->out[0].data == NULL) return true;
    if (axis < 0 || axis >= x->rank || out->rank != x->rank || begin < 0) return false;
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis && x->dim[i] != out->dim[i]) return false;
    int64_t part = c->op == GRAFT_OP_SLICE ? out->dim[axis] : x->dim[axis];
    int64_t whole = c->op == GRAFT_OP_SLICE ? x->dim[axis] : out->dim[axis];
    return begin <= whole - part;
}

static bool fits_permute(const struct kernel_call *c)
{
    const struct graft_shape *x = &c->in[0].shape, *out = &c->out[0].shape;
    int32_t seen = 0;
    if (c->out[0].data == NULL) return true;
    if (out->rank != x->rank) return false;
    for (int32_t i = 0; i < x->rank; i++) {
        int32_t from = c->params.permute.axis[i];
        if (from < 0 || from >= x->rank || out->dim[i] != x->dim[from]) return false;
        seen |= 1 << from;
    }
    return seen == (1 << x->rank) - 1;
}

/* v [R, b (b - 1) / 2] and m [R, b, b] */
static bool fits_triangle(const struct kernel_tensor *v, const struct kernel_tensor *m, int64_t b)
{
    if (v->data == NULL || m->data == NULL) return true;
    return b >= 2 && is2(v, m->shape.dim[0], b * (b - 1) / 2) && m->shape.rank == 3 &&
           m->shape.dim[1] == b && m->shape.dim[2] == b;
}

static bool fits_skew(const struct kernel_call *c)
{
    return fits_triangle(&c->in[0], &c->out[0], c->params.skew.size);
}

static bool fits_skew_backward(const struct kernel_call *c)
{
    return fits_triangle(&c->out[0], &c->in[0], c->params.skew.size);
}

static bool fits_embedding_backward(const struct kernel_call *c)
{
    return c->in[0].shape.rank == 2 && is1(&c->in[1], c->in[0].shape.dim[0]) &&
           out2(c, 0, c->params.embedding.rows, c->in[0].shape.dim[1]);
}

static bool fits_codes(const struct kernel_tensor *x, const struct kernel_tensor *scale,
                       const struct kernel_tensor *map, int64_t block)
{
    return x->shape.rank == 1 && is1(map, 256) && block >= 1 &&
           (scale->data == NULL || is1(scale, (x->shape.dim[0] - 1) / block + 1));
}

static bool fits_encode(const struct kernel_call *c)
{
    return fits_codes(&c->in[0], &c->out[1], &c->in[1], c->params.codes.block) &&
           out1(c, 0, c->in[0].shape.dim[0]);
}

static bool fits_decode(const struct kernel_call *c)
{
    return fits_codes(&c->in[0], &c->in[1], &c->in[2], c->params.codes.block) &&
           out1(c, 0, c->in[0].shape.dim[0]);
}

static bool fits_embedding(const struct kernel_call *c)
{
    return c->in[0].shape.rank == 1 && c->in[1].shape.rank == 2 &&
           out2(c, 0, c->in[0].shape.dim[0], c->in[1].shape.dim[1]);
}

static bool fits_gather(const struct kernel_call *c)
{
    return c->in[0].shape.rank == 2 && c->in[1].shape.rank == 1 &&
           out2(c, 0, c->in[1].shape.dim[0], c->in[0].shape.dim[1]);
}

static bool fits_scatter(const struct kernel_call *c)
{
    return c->in[0].shape.rank == 2 && is1(&c->in[1], c->in[0].shape.dim[0]) &&
           out2(c, 0, c->params.rows.capacity, c->in[0].shape.dim[1]);
}

static bool fits_norm(const struct kernel_call *c)
{
    return is1(&c->in[1], from_end(&c->in[0].shape, 0)) && out_same(c, 0, &c->in[0]);
}

static bool fits_norm_backward(const struct kernel_call *c)
{
    return is1(&c->in[2], from_end(&c->in[0].shape, 0)) && same(&c->in[0], &c->in[1]) &&
           out_same(c, 0, &c->in[0]);
}

static bool fits_rope_table(const struct kernel_call *c)
{
    return c->in[0].shape.rank == 1 && c->in[1].shape.rank == 1 &&
           out2(c, 0, c->in[0].shape.dim[0], 2 * c->in[1].shape.dim[0]);
}

static bool fits_rope(const struct kernel_call *c)
{
    int32_t size = c->params.rope.head_size, rotary = c->params.rope.rotary;
    return c->in[0].shape.rank == 2 && size > 0 && c->in[0].shape.dim[1] % size == 0 &&
           rotary >= 0 && rotary % 2 == 0 && rotary <= size &&
           is2(&c->in[1], c->in[0].shape.dim[0], rotary) && out_same(c, 0, &c->in[0]);
}

static bool fits_swiglu(const struct kernel_call *c)
{
    return same(&c->in[0], &c->in[1]) && out_same(c, 0, &c->in[0]);
}

static bool fits_swiglu_backward(const struct kernel_call *c)
{
    return same(&c->in[0], &c->in[1]) && same(&c->in[0], &c->in[2]) && out_same(c, 0, &c->in[0]) &&
           out_same(c, 1, &c->in[0]);
}

/* k, v, first, last and then pk, pv: all or none of each, and one of them at least. */
static bool fits_heads(const struct kernel_call *c, const struct kernel_tensor *prefix)
{
    int64_t h = c->params.attention.heads, g = c->params.attention.kv_heads;
    int64_t d = c->params.attention.head_size, t = c->in[0].shape.dim[0];
    const struct kernel_tensor *k = &c->in[1], *v = &c->in[2];
    bool own = k->data != NULL, more = prefix->data != NULL;
    for (int i = 2; i <= 4; i++)
        if ((c->in[i].data != NULL) != own) return false;
    if ((prefix[1].data != NULL) != more || (!own && !more)) return false;
    if (h <= 0 || g <= 0 || d <= 0 || h % g != 0 || !is2(&c->in[0], t, h * d)) return false;
    if (own && !(is2(k, k->shape.dim[0], g * d) && is2(v, k->shape.dim[0], g * d) &&
                 is1(&c->in[3], t) && is1(&c->in[4], t)))
        return false;
    return !more || (is2(&prefix[0], prefix->shape.dim[0], g * d) &&
                     is2(&prefix[1], prefix->shape.dim[0], g * d));
}

static bool fits_attention(const struct kernel_call *c)
{
    return fits_heads(c, &c->in[5]) && out_same(c, 0, &c->in[0]) &&
           out2(c, 1, c->in[0].shape.dim[0], c->params.attention.heads);
}

static bool fits_attention_backward(const struct kernel_call *c)
{
    return fits_heads(c, &c->in[8]) && same(&c->in[5], &c->in[0]) && same(&c->in[7], &c->in[0]) &&
           is2(&c->in[6], c->in[0].shape.dim[0], c->params.attention.heads) &&
           out_same(c, 0, &c->in[0]) && out_same(c, 1, &c->in[1]) && out_same(c, 2, &c->in[2]) &&
           out_same(c, 3, &c->in[8]) && out_same(c, 4, &c->in[9]);
}

static bool fits_cross_entropy(const struct kernel_call *c)
{
    int64_t r = c->in[0].shape.dim[0];
    return c->in[0].shape.rank == 2 && is1(&c->in[1], r) && out1(c, 0, r) && out1(c, 1, r);
}

static bool fits_cross_entropy_backward(const struct kernel_call *c)
{
    int64_t r = c->in[0].shape.dim[0];
    return c->in[0].shape.rank == 2 && is1(&c->in[1], r) && is1(&c->in[2], r) &&
           out_same(c, 0, &c->in[0]);
}

static bool fits_head_loss(const struct kernel_call *c)
{
    int64_t r = c->in[0].shape.dim[0];
    return c->in[0].shape.rank == 2 && c->in[1].shape.rank == 2 &&
           c->in[0].shape.dim[1] == c->in[1].shape.dim[1] && is1(&c->in[2], r) && out1(c, 0, r) &&
           out1(c, 1, r) && out_same(c, 2, &c->in[0]);
}

static bool fits_dropout(const struct kernel_call *c)
{
    int64_t t = c->in[0].shape.dim[0];
    return c->in[0].shape.rank == 2 && is1(&c->in[1], t) && is1(&c->in[2], t) &&
           is1(&c->in[3], 1) && c->params.dropout.rate >= 0.0 && c->params.dropout.rate < 1.0 &&
           out_same(c, 0, &c->in[0]);
}

static bool in_place(const struct kernel_call *c)
{
    return c->out[0].data == NULL ||
           (c->out[0].data == c->in[0].data && same(&c->out[0], &c->in[0]));
}

static bool fits_assign(const struct kernel_call *c)
{
    return c->in[0].dtype == c->in[1].dtype && same(&c->in[0], &c->in[1]) && in_place(c) &&
           (c->in[2].data == NULL || graft_shape_count(c->in[2].shape) == 1);
}

static bool fits_accumulate(const struct kernel_call *c)
{
    return same(&c->in[0], &c->in[1]) && in_place(c);
}

static bool fits_write_rows(const struct kernel_call *c)
{
    return c->in[0].shape.rank == 2 && c->in[1].shape.rank == 2 &&
           c->in[0].shape.dim[1] == c->in[1].shape.dim[1] &&
           is1(&c->in[2], c->in[1].shape.dim[0]) && in_place(c);
}

static const struct rule rules[] = {
    {GRAFT_OP_ADD, "add", "ff", "f", fits_binary},
    {GRAFT_OP_SUB, "sub", "ff", "f", fits_binary},
    {GRAFT_OP_MUL, "mul", "ff", "f", fits_binary},
    {GRAFT_OP_DIV, "div", "ff", "f", fits_binary},
    {GRAFT_OP_MINIMUM, "minimum", "ff", "f", fits_binary},
    {GRAFT_OP_MAXIMUM, "maximum", "ff", "f", fits_binary},
    {GRAFT_OP_ABS, "abs", "f", "f", fits_unary},
    {GRAFT_OP_SIGN, "sign", "f", "f", fits_unary},
    {GRAFT_OP_RELU, "relu", "f", "f", fits_unary},
    {GRAFT_OP_GELU, "gelu", "f", "f", fits_unary},
    {GRAFT_OP_GELU_TANH, "gelu_tanh", "f", "f", fits_unary},
    {GRAFT_OP_AFFINE, "affine", "f", "f", fits_unary},
    {GRAFT_OP_SQRT, "sqrt", "f", "f", fits_unary},
    {GRAFT_OP_EXP, "exp", "f", "f", fits_unary},
    {GRAFT_OP_EXPM1, "expm1", "f", "f", fits_unary},
    {GRAFT_OP_TANH, "tanh", "f", "f", fits_unary},
    {GRAFT_OP_SIGMOID, "sigmoid", "f", "f", fits_unary},
    {GRAFT_OP_SILU, "silu", "f", "f", fits_unary},
    {GRAFT_OP_FINITE, "finite", "f", "f", fits_unary},
    {GRAFT_OP_SUM, "sum", "f", "f", fits_sum},
    {GRAFT_OP_BROADCAST, "broadcast", "f", "f", fits_broadcast},
    {GRAFT_OP_RESHAPE, "reshape", "n", "n", fits_reshape},
    {GRAFT_OP_SLICE, "slice", "f", "f", fits_slice},
    {GRAFT_OP_PLACE, "place", "f", "f", fits_slice},
    {GRAFT_OP_PERMUTE, "permute", "f", "f", fits_permute},
    {GRAFT_OP_SKEW, "skew", "f", "f", fits_skew},
    {GRAFT_OP_SKEW_BACKWARD, "skew_backward", "f", "f", fits_skew_backward},
    {GRAFT_OP_DEQUANTIZE, "dequantize", "w", "f", fits_unary},
    {GRAFT_OP_EMBEDDING_BACKWARD, "embedding_backward", "fi", "f", fits_embedding_backward},
    {GRAFT_OP_ENCODE, "encode", "ff", "uf", fits_encode},
    {GRAFT_OP_DECODE, "decode", "uff", "f", fits_decode},
    {GRAFT_OP_MATMUL, "matmul", "fw", "f", fits_matmul},
    {GRAFT_OP_EMBEDDING, "embedding", "iw", "f", fits_embedding},
    {GRAFT_OP_GATHER_ROWS, "gather_rows", "fi", "f", fits_gather},
    {GRAFT_OP_SCATTER_ROWS, "scatter_rows", "fi", "f", fits_scatter},
    {GRAFT_OP_RMS_NORM, "rms_norm", "ff", "f", fits_norm},
    {GRAFT_OP_RMS_NORM_BACKWARD, "rms_norm_backward", "fff", "f", fits_norm_backward},
    {GRAFT_OP_ROPE_TABLE, "rope_table", "if", "f", fits_rope_table},
    {GRAFT_OP_ROPE, "rope", "ff", "f", fits_rope},
    {GRAFT_OP_SWIGLU, "swiglu", "ff", "f", fits_swiglu},
    {GRAFT_OP_SWIGLU_BACKWARD, "swiglu_backward", "fff", "ff", fits_swiglu_backward},
    {GRAFT_OP_ATTENTION, "attention", "fFFIIFF", "ff", fits_attention},
    {GRAFT_OP_ATTENTION_BACKWARD, "attention_backward", "fFFIIfffFF", "fffff",
     fits_attention_backward},
    {GRAFT_OP_CROSS_ENTROPY, "cross_entropy", "fi", "fi", fits_cross_entropy},
    {GRAFT_OP_CROSS_ENTROPY_BACKWARD, "cross_entropy_backward", "fif", "f",
     fits_cross_entropy_backward},
    {GRAFT_OP_HEAD_LOSS, "head_loss", "fwi", "fif", fits_head_loss},
    {GRAFT_OP_DROPOUT, "dropout", "fiii", "f", fits_dropout},
    {GRAFT_OP_ASSIGN, "assign", "ssF", "s", fits_assign},
    {GRAFT_OP_ACCUMULATE, "accumulate", "ff", "f", fits_accumulate},
    {GRAFT_OP_WRITE_ROWS, "write_rows", "ffi", "f", fits_write_rows},
};

static bool type_fits(char letter, int32_t dtype)
{
    switch (letter) {
    case 'i':
    case 'I': return dtype == GRAFT_DTYPE_I32;
    case 'u': return dtype == GRAFT_DTYPE_U8;
    case 's': return dtype == GRAFT_DTYPE_F32 || dtype == GRAFT_DTYPE_U8;
    case 'n': return dtype == GRAFT_DTYPE_F32 || dtype == GRAFT_DTYPE_I32;
    case 'w': return quant_is_weight(dtype);
    default: return dtype == GRAFT_DTYPE_F32;
    }
}

static const char *type_text(char letter)
{
    switch (letter) {
    case 'i':
    case 'I': return "I32";
    case 'u': return "U8";
    case 's': return "F32 or U8";
    case 'n': return "F32 or I32";
    case 'w': return "a weight's type";
    default: return "F32";
    }
}

/* The inputs or outputs against their letters; tensors past the letters must be absent. */
static bool types_fit(const char *name, const char *what, const char *letters,
                      const struct kernel_tensor *t, int most, char text[TEXT])
{
    int count = (int)strlen(letters);
    for (int i = 0; i < most; i++) {
        bool output = what[0] == 'o';
        char letter = i < count ? letters[i] : '\0';
        if (t[i].data == NULL) {
            if (output || letter == '\0' || (letter >= 'A' && letter <= 'Z')) continue;
            snprintf(text, TEXT, "%s: %s %d is absent", name, what, i);
            return false;
        }
        if (letter == '\0') {
            snprintf(text, TEXT, "%s: %s %d: there are only %d", name, what, i, count);
            return false;
        }
        if (type_fits(letter, t[i].dtype)) continue;
        snprintf(text, TEXT, "%s: %s %d is %s, expected %s", name, what, i, quant_name(t[i].dtype),
                 type_text(letter));
        return false;
    }
    return true;
}

/* "[4, 8] [8, 16] -> [4, 16]" */
static void shapes_text(const struct kernel_call *call, char out[TEXT])
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < GRAFT_MAX_INPUTS + GRAFT_MAX_OUTPUTS; i++) {
        const struct kernel_tensor *t =
            i < GRAFT_MAX_INPUTS ? &call->in[i] : &call->out[i - GRAFT_MAX_INPUTS];
        if (i == GRAFT_MAX_INPUTS) at += (size_t)snprintf(out + at, TEXT - at, " ->");
        for (int32_t k = 0; t->data != NULL && k < t->shape.rank && at + 32 < TEXT; k++)
            at += (size_t)snprintf(out + at, TEXT - at, "%s%lld%s", k == 0 ? " [" : ", ",
                                   (long long)t->shape.dim[k], k + 1 == t->shape.rank ? "]" : "");
        if (at + 64 > TEXT) return;
    }
}

bool node_legal(const struct graft_node *node, const struct kernel_call *call, char text[TEXT])
{
    const struct rule *rule = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].op == node->op) rule = &rules[i];
    if (rule == NULL) {
        snprintf(text, TEXT, "there is no such op");
        return false;
    }
    if (!types_fit(rule->name, "input", rule->in, call->in, GRAFT_MAX_INPUTS, text) ||
        !types_fit(rule->name, "output", rule->out, call->out, GRAFT_MAX_OUTPUTS, text))
        return false;
    if (rule->fits(call)) return true;
    char shapes[TEXT];
    shapes_text(call, shapes);
    snprintf(text, TEXT, "%s: shapes do not fit:%.200s", rule->name, shapes);
    return false;
}

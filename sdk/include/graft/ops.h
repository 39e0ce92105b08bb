/* SPDX-License-Identifier: Apache-2.0
 *
 * The op set: what a graph is made of, and what a backend computes. Letters: T tokens, R rows, C
 * channels, H heads, G key/value heads, D head size, V vocabulary. All values are f32 unless said.
 *
 * "any" is any storage type, quantized ones included. Elementwise ops broadcast as numpy does:
 * shapes are aligned at their last dimension, a dimension of 1 is repeated.
 */
#ifndef GRAFT_OPS_H
#define GRAFT_OPS_H

#include <graft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers are part of the ABI; new ops are appended. */
enum graft_op {
    /* elementwise: (a, b) -> broadcast shape */
    GRAFT_OP_ADD = 1,
    GRAFT_OP_SUB = 2,
    GRAFT_OP_MUL = 3,
    GRAFT_OP_DIV = 4,
    /* elementwise: (a) -> shape of a */
    GRAFT_OP_AFFINE = 5, /* scale * a + shift */
    GRAFT_OP_SQRT = 6,
    GRAFT_OP_EXP = 7,
    GRAFT_OP_EXPM1 = 8,
    GRAFT_OP_TANH = 9,
    GRAFT_OP_SIGMOID = 10,
    GRAFT_OP_SILU = 11,
    GRAFT_OP_FINITE = 12, /* 1 where a is finite, else 0 */
    /* elementwise: (a, b), the smaller, the larger; have no gradient */
    GRAFT_OP_MINIMUM = 13,
    GRAFT_OP_MAXIMUM = 14,
    /* elementwise: (a) -> shape of a */
    GRAFT_OP_ABS = 15,
    GRAFT_OP_SIGN = 16, /* -1, 0 or 1; its gradient is 0 */
    GRAFT_OP_RELU = 17,
    GRAFT_OP_GELU = 18,      /* a/2 (1 + erf(a / sqrt 2)) */
    GRAFT_OP_GELU_TANH = 19, /* a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))) */

    /* (x) -> shape of x with the axes of the mask made 1 */
    GRAFT_OP_SUM = 20,
    /* (x) -> params.shape, repeating dimensions of 1 (a live first dimension: the output's) */
    GRAFT_OP_BROADCAST = 21,
    /* (x) -> params.shape, same count; a first dimension of live rows stays first. A view that the
     * planner makes: never reaches a backend. */
    GRAFT_OP_RESHAPE = 22,
    /* (x) -> params.slice.length entries from `begin` along `axis` (not a live one) */
    GRAFT_OP_SLICE = 23,
    /* (x) -> zeros with params.slice.length entries along `axis`, x at `begin` */
    GRAFT_OP_PLACE = 24,
    /* (x) -> axes in another order: axis i of the output is axis params.permute.axis[i] of x. A
     * live first axis stays first. */
    GRAFT_OP_PERMUTE = 25,
    /* (v [R, b (b - 1) / 2]) -> [R, b, b], b = params.skew.size: v's row is the strictly upper
     * triangle in row-major order, the lower one its negative, the diagonal 0 */
    GRAFT_OP_SKEW = 26,
    /* (m [R, b, b]) -> [R, b (b - 1) / 2]: m[i][j] - m[j][i] for i < j; the gradient of SKEW */
    GRAFT_OP_SKEW_BACKWARD = 27,

    /* (a [M, K], b [K, N]) -> [M, N]; transpose_a: a is [K, M], transpose_b: b is [N, K].
     * Rank 3 with equal first dimensions is a batch. b may be of any type when rank is 2. */
    GRAFT_OP_MATMUL = 30,
    /* (w any) -> the same numbers as f32; has no gradient */
    GRAFT_OP_DEQUANTIZE = 31,

    /* (ids i32 [T], table any [V, C]) -> [T, C]: row id - params.embedding.first of the table,
     * zeros for ids outside it */
    GRAFT_OP_EMBEDDING = 40,
    /* (dy [T, C], ids i32 [T]) -> [params.embedding.rows, C]: the rows of dy summed by id - first
     */
    GRAFT_OP_EMBEDDING_BACKWARD = 43,
    /* (x [T, C], index i32 [R]) -> [R, C], row r is x[index[r]]. Its gradient takes the indices to
     * be distinct. */
    GRAFT_OP_GATHER_ROWS = 41,
    /* (x [R, C], index i32 [R], distinct) -> [params.rows, C]: zeros but for row index[r] = x[r] */
    GRAFT_OP_SCATTER_ROWS = 42,

    /* (x [.., C], w [C]) -> x * rsqrt(mean(x^2) + eps) * w      (Zhang and Sennrich 2019) */
    GRAFT_OP_RMS_NORM = 50,
    /* (dy [.., C], x [.., C], w [C]) -> dx [.., C] */
    GRAFT_OP_RMS_NORM_BACKWARD = 51,

    /* (positions i32 [T], inverse frequencies [D/2]) -> [T, D]: D/2 cosines, then D/2 sines, each
     * times params.factor */
    GRAFT_OP_ROPE_TABLE = 60,
    /* (x [T, H*D], table [T, rotary]) -> x turned by the table (inverse: back); numbers past
     * `rotary` in a head pass through. Pairs (i, i + rotary/2), interleaved: (2i, 2i + 1). */
    GRAFT_OP_ROPE = 61,

    /* (gate, up) -> silu(gate) * up;   backward (dy, gate, up) -> dgate, dup */
    GRAFT_OP_SWIGLU = 70,
    GRAFT_OP_SWIGLU_BACKWARD = 71,

    /* (q [T, H*D], k [S, G*D], v [S, G*D], first i32 [T], last i32 [T], and maybe pk [P, G*D],
     * pv [P, G*D]) -> o [T, H*D], lse [T, H]
     * Query t sees keys first[t]..last[t], and of those only the last `window` if window > 0;
     * besides it sees every key of pk, with the values pv. k, v, first and last may be absent
     * together: then queries see pk alone. Head h uses key/value head h / (H/G). Scores are scale *
     * q.k, then softcap * tanh(s / softcap) if softcap > 0, softmax, values. lse is the log of the
     * sum of exponentials. Every query must see a key. */
    GRAFT_OP_ATTENTION = 80,
    /* (q, k, v, first, last, o, lse, do, and maybe pk, pv) -> dq, dk, dv, dpk, dpv; those of absent
     * inputs are absent. For packed documents: S = T, last[t] = t. */
    GRAFT_OP_ATTENTION_BACKWARD = 81,

    /* (logits [R, V], targets i32 [R]) -> nll [R], argmax i32 [R]. A negative target gives 0. */
    GRAFT_OP_CROSS_ENTROPY = 90,
    /* (logits, targets, dnll [R]) -> dlogits */
    GRAFT_OP_CROSS_ENTROPY_BACKWARD = 91,
    /* (x [R, C], w any [V, C], targets i32 [R]) -> nll [R], argmax i32 [R], g [R, C] with
     * g[r] = d nll[r] / d x[r]: the head and its backward in one, logits never stored. Output g may
     * be absent. */
    GRAFT_OP_HEAD_LOSS = 92,

    /* (x [T, C], row i32 [T], token i32 [T], step i32 [1]) -> x * keep / (1 - rate), where keep is
     * graft_unit(word) >= rate, word c % 4 of the Philox draw with counter (step, row, token,
     * c / 4). Its own gradient. */
    GRAFT_OP_DROPOUT = 100,

    /* Block-wise 8-bit codes (Dettmers et al. 2022): (x [n], map [256] rising) -> codes u8 [n],
     * scale [n / params.codes.block, upwards: the last block may be short]: scale = max |x| of a
     * block, code = the nearest map entry to x / scale (ties: the lower), 0 where scale is 0. And
     * back: (codes, scale, map) -> x [n]. */
    GRAFT_OP_ENCODE = 105,
    GRAFT_OP_DECODE = 106,

    /* Writes into stored values. The output is the value after, in the memory of `to`.
     * (to, from, guard [1] or absent) -> to := from where guard is absent or not 0 */
    GRAFT_OP_ASSIGN = 110,
    /* (to, from) -> to += from */
    GRAFT_OP_ACCUMULATE = 111,
    /* (to [S, C], from [T, C], index i32 [T], distinct) -> row index[t] of to := from[t] */
    GRAFT_OP_WRITE_ROWS = 112,

    /* (x) -> x, without a gradient; never reaches a backend */
    GRAFT_OP_DETACH = 120
};

/* Which live count of a run bounds the first dimension of a value. */
enum graft_rows { GRAFT_ROWS_FIXED = 0, GRAFT_ROWS_TOKENS = 1, GRAFT_ROWS_TRAINED = 2 };
#define GRAFT_ROWS_KINDS 3

/* Constants of one node. Unused members are zero.
 * compute: the dtype (F32, F16 or BF16) to which the operands of the products inside the op may be
 * rounded, to nearest even; products are exact and sums f32. The host sets it where the weight is
 * frozen, and only to what the device's info offers. */
union graft_params {
    struct {
        double scale, shift;
    } affine;
    struct {
        int32_t axes; /* bit i: axis i */
    } sum;
    struct graft_shape shape; /* BROADCAST, RESHAPE */
    struct {
        int64_t capacity;
        int32_t kind; /* enum graft_rows */
    } rows;           /* SCATTER_ROWS */
    struct {
        int32_t transpose_a, transpose_b;
        int32_t compute;
    } matmul;
    struct {
        int64_t begin, length;
        int32_t axis;
    } slice; /* SLICE, PLACE */
    struct {
        int32_t axis[GRAFT_MAX_RANK];
    } permute;
    struct {
        int32_t size;
    } skew;
    struct {
        int64_t first, rows;
    } embedding;
    struct {
        int64_t block;
    } codes;
    struct {
        double eps;
    } norm;
    struct {
        double factor; /* ROPE_TABLE */
        int32_t head_size, rotary, interleaved, inverse;
    } rope;
    struct {
        double scale, softcap;
        int32_t heads, kv_heads, head_size, window;
        int32_t compute;
    } attention; /* ATTENTION and its backward */
    struct {
        int32_t compute;
    } head; /* HEAD_LOSS */
    struct {
        double rate;
        uint32_t key[2];
    } dropout;
    int64_t reserved[8];
};

#ifdef __cplusplus
}
#endif

#endif

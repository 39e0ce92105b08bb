/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a backend may be from the double reference: one line per op, with the reason. The unit
 * is 2^-24 of a magnitude that the op's case file defines: the sum of |a * b| for products, so
 * that cancellation neither fails good code nor hides bad. Sums of n terms in f32, in any order
 * that a program may choose, stay well within 2 sqrt(n) units (rounding errors are independent;
 * sums of equal signs need sqrt(n / 3)).
 */
#include "check/case.h"

#include <math.h>

static const struct {
    int32_t op;
    double base, growth; /* units: base + growth * sqrt(n) */
    const char *reason;
} budgets[] = {
    {GRAFT_OP_ADD, 1, 0, "one rounding"},
    {GRAFT_OP_SUB, 1, 0, "one rounding"},
    {GRAFT_OP_MUL, 1, 0, "one rounding"},
    {GRAFT_OP_DIV, 5, 0, "one rounding; GPUs: 2.5 ulp"},
    {GRAFT_OP_AFFINE, 3, 0, "scale and shift rounded to f32, product, sum"},
    {GRAFT_OP_SQRT, 5, 0, "one rounding; GPUs through rsqrt: 2.5 ulp"},
    {GRAFT_OP_EXP, 6, 0, "times 1 + |a|: GPUs give 3 + 2 |a| ulp"},
    {GRAFT_OP_EXPM1, 8, 0, "relative near 0 too: Adam's bias correction"},
    {GRAFT_OP_TANH, 8, 0, "relative near 0 too"},
    {GRAFT_OP_SIGMOID, 6, 0, "times 1 + |a|: exp, sum, quotient"},
    {GRAFT_OP_SILU, 8, 0, "times 1 + |a|: sigmoid, product"},
    {GRAFT_OP_FINITE, 0, 0, "exact"},
    {GRAFT_OP_MINIMUM, 0, 0, "exact"},
    {GRAFT_OP_MAXIMUM, 0, 0, "exact"},
    {GRAFT_OP_ABS, 0, 0, "exact"},
    {GRAFT_OP_SIGN, 0, 0, "exact"},
    {GRAFT_OP_RELU, 0, 0, "exact"},
    {GRAFT_OP_GELU, 6, 0, "of |a|, since 1 + erf cancels: erf, sum, product"},
    {GRAFT_OP_GELU_TANH, 8, 0, "of |a|, since 1 + tanh cancels: its argument, tanh, product"},
    {GRAFT_OP_SUM, 2, 2, "of sum |x|"},
    {GRAFT_OP_BROADCAST, 0, 0, "copies"},
    {GRAFT_OP_RESHAPE, 0, 0, "copies"},
    {GRAFT_OP_SLICE, 0, 0, "copies"},
    {GRAFT_OP_PLACE, 0, 0, "copies"},
    {GRAFT_OP_PERMUTE, 0, 0, "copies"},
    {GRAFT_OP_SKEW, 0, 0, "copies"},
    {GRAFT_OP_SKEW_BACKWARD, 1, 0, "one rounding"},
    {GRAFT_OP_MATMUL, 4, 2, "of sum |a b|"},
    {GRAFT_OP_DEQUANTIZE, 0, 0, "quant.h gives one f32 rule per type"},
    {GRAFT_OP_EMBEDDING, 0, 0, "quant.h gives one f32 rule per type"},
    {GRAFT_OP_EMBEDDING_BACKWARD, 2, 2, "of sum |dy|"},
    {GRAFT_OP_GATHER_ROWS, 0, 0, "copies"},
    {GRAFT_OP_SCATTER_ROWS, 0, 0, "copies"},
    {GRAFT_OP_RMS_NORM, 8, 1, "half the relative error of a sum of squares, rsqrt, two products"},
    {GRAFT_OP_RMS_NORM_BACKWARD, 12, 2, "two such sums, a difference measured by its terms"},
    {GRAFT_OP_ROPE_TABLE, 3, 0, "times 1 + |angle|: the angle is rounded before the cosine"},
    {GRAFT_OP_ROPE, 3, 0, "of |x cos| + |y sin|"},
    {GRAFT_OP_SWIGLU, 10, 0, "times 1 + |gate|: silu, product"},
    {GRAFT_OP_SWIGLU_BACKWARD, 14, 0, "times 1 + |gate|: sigmoid, three products, a sum"},
    {GRAFT_OP_ATTENTION, 8, 2, "of sum p |v|, times 1 + the largest sum |q k| of a visible key"},
    {GRAFT_OP_ATTENTION_BACKWARD, 12, 3, "of every product's terms, times 1 + sum |q k|"},
    {GRAFT_OP_CROSS_ENTROPY, 8, 1, "of 1 + |log sum| + |logit|"},
    {GRAFT_OP_CROSS_ENTROPY_BACKWARD, 8, 1, "of |dnll| p times 1 + |z| + |log sum|"},
    {GRAFT_OP_HEAD_LOSS, 8, 3, "logits within sum |x w|, then as cross entropy"},
    {GRAFT_OP_DROPOUT, 2, 0, "1 / (1 - rate) rounded, a product"},
    {GRAFT_OP_ENCODE, 0, 0, "scales are copies; codes: a tie may fall either way"},
    {GRAFT_OP_DECODE, 1, 0, "one rounding"},
    {GRAFT_OP_ASSIGN, 0, 0, "copies"},
    {GRAFT_OP_ACCUMULATE, 1, 0, "one rounding"},
    {GRAFT_OP_WRITE_ROWS, 0, 0, "copies"},
};

/* Rounding an operand errs by at most 2^-8 (bf16) or 2^-11 (f16), so a product by twice that. In a
 * plain sum of n normal products the errors are independent: six deviations are 2.8 / sqrt(n) of
 * that share of sum |a b|. Elsewhere they go through an exponential, which earns no such credit. */
static double narrow(int32_t op, int64_t length, int32_t compute)
{
    double most = compute == GRAFT_DTYPE_BF16 ? 0x1p17 : compute == GRAFT_DTYPE_F16 ? 0x1p14 : 0.0;
    if (op != GRAFT_OP_MATMUL || length < 9) return most;
    return most * 3.0 / sqrt((double)length);
}

double check_budget(int32_t op, int64_t length, int32_t compute)
{
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++)
        if (budgets[i].op == op)
            return budgets[i].base + budgets[i].growth * sqrt((double)length) +
                   narrow(op, length, compute);
    return 0.0;
}

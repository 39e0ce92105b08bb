#version 460
/* SPDX-License-Identifier: Apache-2.0
 *
 * y = f(a) or f(a, b), one number a thread. a and b are walked with steps of their own along the
 * axes of y: 0 repeats, others leave out or turn around, so copies of parts and in another order
 * are here too. FOURS: all are walked number by number, four to a thread. y may lie in a or b where
 * that has its shape.
 */
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 0) in;
#include "common/graft.glsl"
#include "common/exp.glsl"

layout(constant_id = 1) const int OP = 1;   /* enum graft_op, or one of below */
layout(constant_id = 2) const int AXES = 1; /* of y, merged: the last of dim */
layout(constant_id = 3) const bool FOURS = false;

layout(buffer_reference, scalar, buffer_reference_align = 8) readonly buffer elementwise_args
{
    floats a, b, y;
    uint rows, row_kind, inner; /* numbers of y: live rows * inner */
    uint dim[4], a_step[4], b_step[4];
    float scale, shift;
};

layout(push_constant, scalar) uniform push
{
    elementwise_args args;
    live_t live;
};

const int ZERO = -1, COPY = 0;
const int ADD = 1, SUB = 2, MUL = 3, DIV = 4, AFFINE = 5, SQRT = 6, EXP = 7, EXPM1 = 8, TANH = 9,
          SIGMOID = 10, SILU = 11, FINITE = 12, MINIMUM = 13, MAXIMUM = 14, ABS = 15, SIGN = 16,
          RELU = 17, GELU = 18, GELU_TANH = 19;

float sigmoid(float x)
{
    return 1.0 / (1.0 + exp_f32(-x));
}

/* e^x - 1 = 2^n (e^r - 1) + (2^n - 1), relative near 0 too. */
float expm1(float x)
{
    if (x > 40.0 || is_nan(x)) return exp_f32(x);
    float z = max(x, -40.0), n = roundEven(z * 1.44269504);
    precise float most = z - n * 0.693359375, r = most + n * 2.12194440e-4; /* not joined */
    float p = 1.9875691500e-4;
    p = fma(p, r, 1.3981999507e-3);
    p = fma(p, r, 8.3334519073e-3);
    p = fma(p, r, 4.1665795894e-2);
    p = fma(p, r, 1.6666665459e-1);
    p = fma(p, r, 5.0000001201e-1);
    float power = uintBitsToFloat(uint(int(n) + 127) << 23);
    return fma(power, fma(p, r * r, r), power - 1.0);
}

/* x F(x), F the normal distribution: erfc by Abramowitz and Stegun 7.1.26, as kernels/cpu/gelu.h. */
float gelu(float x)
{
    float size = abs(x), t = 1.0 / fma(0.231641888, size, 1.0);
    float p = 0.5307027145;
    p = fma(p, t, -0.7265760135);
    p = fma(p, t, 0.7107068705);
    p = fma(p, t, -0.142248368);
    p = fma(p, t, 0.127414796);
    float part = p * t * exp_f32(-0.5 * x * x);
    return x * (x < 0.0 ? part : 1.0 - part);
}

float apply(float a, float b)
{
    switch (OP) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case AFFINE: return fma(args.scale, a, args.shift);
    case SQRT: return sqrt(a);
    case EXP: return exp_f32(a);
    case EXPM1: return expm1(a);
    case TANH: return tanh_f32(a);
    case SIGMOID: return sigmoid(a);
    case SILU: return a * sigmoid(a);
    case FINITE: return (floatBitsToUint(a) & 0x7F800000u) != 0x7F800000u ? 1.0 : 0.0;
    case MINIMUM: return a < b ? a : b;
    case MAXIMUM: return a > b ? a : b;
    case ABS: return uintBitsToFloat(floatBitsToUint(a) & 0x7FFFFFFFu);
    case SIGN: return (a > 0.0 ? 1.0 : 0.0) - (a < 0.0 ? 1.0 : 0.0);
    case RELU: return a > 0.0 ? a : 0.0;
    case GELU: return gelu(a);
    case GELU_TANH: return a * sigmoid(a * fma(0.0713548163, a * a, 1.59576912));
    default: return a;
    }
}

const bool TWO = OP <= DIV || OP == MINIMUM || OP == MAXIMUM; /* inputs */

/* Numbers 4 i .. 4 i + 3. */
void four(uint i)
{
    if (OP == ZERO) {
        vectors(args.y).v[i] = vec4(0.0);
    } else if (OP == COPY) {
        uint_vectors(args.y).v[i] = uint_vectors(args.a).v[i];
    } else {
        vec4 a = vectors(args.a).v[i], b = a, y;
        if (TWO) b = vectors(args.b).v[i];
        for (uint k = 0; k < 4; k++) y[k] = apply(a[k], b[k]);
        vectors(args.y).v[i] = y;
    }
}

void one(uint i)
{
    uint rest = i, a = 0, b = 0;
    if (OP == ZERO) {
        args.y.v[i] = 0.0;
        return;
    }
    for (int k = 3; k >= 4 - AXES; k--) {
        uint at = rest;
        if (k > 4 - AXES) {
            at = rest % args.dim[k];
            rest /= args.dim[k];
        }
        a += at * args.a_step[k];
        b += at * args.b_step[k];
    }
    if (OP == COPY) /* by bits: a driver may change a NaN or a small number on its way */
        uints(args.y).v[i] = uints(args.a).v[a];
    else
        args.y.v[i] = apply(args.a.v[a], TWO ? args.b.v[b] : 0.0);
}

void main()
{
    uint i = global_index(), count = live_rows(args.row_kind, args.rows) * args.inner;
    if (FOURS) {
        if (4 * i < count) four(i);
    } else if (i < count) {
        one(i);
    }
}

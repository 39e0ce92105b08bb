/* SPDX-License-Identifier: Apache-2.0
 *
 * exp and its like as kernels/cpu/exp.h has them: drivers may be off by 3 + 2 |x| units in the last
 * place in exp and by more in tanh and log, and need not keep NaN. Errors here are below 3 units;
 * NaN stays NaN by its bits; results below the smallest normal number may become 0. Polynomials
 * from Cephes (Moshier).
 */

bool is_nan(float x)
{
    return (floatBitsToUint(x) & 0x7FFFFFFFu) > 0x7F800000u;
}

/* e^x = 2^n e^r, n the integer nearest x / log 2; 2^n is put together from two normal numbers. */
float exp_f32(float x)
{
    float z = clamp(x, -150.0, 130.0);
    float n = roundEven(z * 1.44269504);
    int i = int(n), half_of = i >> 1;
    /* The first is exact; drivers join what is not precise, and `precise` does not reach fma. */
    precise float most = z - n * 0.693359375, r = most + n * 2.12194440e-4;
    float p = 1.9875691500e-4;
    p = fma(p, r, 1.3981999507e-3);
    p = fma(p, r, 8.3334519073e-3);
    p = fma(p, r, 4.1665795894e-2);
    p = fma(p, r, 1.6666665459e-1);
    p = fma(p, r, 5.0000001201e-1);
    p = fma(p, r * r, r) + 1.0;
    p *= uintBitsToFloat(uint(half_of + 127) << 23);
    p *= uintBitsToFloat(uint(i - half_of + 127) << 23);
    return is_nan(x) ? x : p;
}

float tanh_f32(float x)
{
    float z = x * x;
    float p = -5.70498872745e-3;
    p = fma(p, z, 2.06390887954e-2);
    p = fma(p, z, -5.37397155531e-2);
    p = fma(p, z, 1.33314422036e-1);
    p = fma(p, z, -3.33332819422e-1);
    float near_zero = fma(p * z, x, x);
    float far = 1.0 - 2.0 / (exp_f32(2.0 * abs(x)) + 1.0);
    return abs(x) < 0.625 ? near_zero : x < 0.0 ? -far : far;
}

/* Of a positive normal number: x = 2^n m, m in [sqrt(1/2), sqrt 2). */
float log_f32(float x)
{
    uint bits = floatBitsToUint(x) - 0x3F3504F3u;
    float n = float(int(bits) >> 23);
    float m = uintBitsToFloat((bits & 0x007FFFFFu) + 0x3F3504F3u) - 1.0, z = m * m;
    float p = 7.0376836292e-2;
    p = fma(p, m, -1.1514610310e-1);
    p = fma(p, m, 1.1676998740e-1);
    p = fma(p, m, -1.2420140846e-1);
    p = fma(p, m, 1.4249322787e-1);
    p = fma(p, m, -1.6668057665e-1);
    p = fma(p, m, 2.0000714765e-1);
    p = fma(p, m, -2.4999993993e-1);
    p = fma(p, m, 3.3333331174e-1);
    float y = fma(p * m, z, n * -2.12194440e-4) - 0.5 * z;
    y = m + y + n * 0.693359375;
    return floatBitsToUint(x) < 0x7F800000u ? y : x; /* infinity, NaN */
}

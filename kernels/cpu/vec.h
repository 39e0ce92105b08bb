/* SPDX-License-Identifier: Apache-2.0
 *
 * One vector register of floats in the width of the instruction set that a file is compiled for,
 * and the fused multiply-add by name, because contraction is off in the whole build.
 */
#ifndef KERNELS_CPU_VEC_H
#define KERNELS_CPU_VEC_H

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#include <immintrin.h>
enum { VEC = 16 };
typedef __m512 vec;
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_set(x) _mm512_set1_ps(x)
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
enum { VEC = 8 };
typedef __m256 vec;
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_set(x) _mm256_set1_ps(x)
#elif defined(__aarch64__)
#include <arm_neon.h>
enum { VEC = 4 };
typedef float32x4_t vec;
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_set(x) vdupq_n_f32(x)
#else
enum { VEC = 4 };
typedef float vec __attribute__((vector_size(16)));
#define vec_fma(a, b, c) ((a) * (b) + (c))
#define vec_set(x) ((vec){(x), (x), (x), (x)})
#endif

#if defined(__FMA__) || defined(__aarch64__)
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* A loop whose iterations do not depend on each other; an output may be one of its inputs. */
#if defined(__clang__)
#define PARALLEL_LOOP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define PARALLEL_LOOP _Pragma("GCC ivdep")
#else
#define PARALLEL_LOOP
#endif

#endif

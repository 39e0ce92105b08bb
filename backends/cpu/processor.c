/* SPDX-License-Identifier: Apache-2.0
 *
 * What this processor can do, and the kernels for it.
 */
#define _GNU_SOURCE /* syscall */
#include "cpu_backend.h"

#include "cpu/narrow_kernels.h"

#ifdef CPU_HAVE_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
#endif

const struct cpu_kernels *cpu_kernels_pick(void)
{
#ifdef CPU_HAVE_X86
    __builtin_cpu_init();
    bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (fma && has_avx512()) return &cpu_kernels_avx512;
    if (fma) return &cpu_kernels_avx2;
#endif
    return &cpu_kernels_baseline;
}

#if defined(CPU_NARROW_ALWAYS)
const struct cpu_narrow *cpu_narrow_pick(void)
{
    return &CPU_NARROW_ALWAYS;
}
#elif defined(CPU_HAVE_NARROW)
/* Tiles are large, so Linux hands them out on request, to the whole process (arch_prctl(2)). */
static bool tiles_permitted(void)
{
    enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

const struct cpu_narrow *cpu_narrow_pick(void)
{
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AVX512_BF16 = 1 << 5 };
    unsigned a, b, c, d;
    __builtin_cpu_init();
    if (!has_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return NULL;
    if ((d & AMX_BF16) != 0 && (d & AMX_TILE) != 0 && tiles_permitted()) return &cpu_narrow_amx;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || (a & AVX512_BF16) == 0) return NULL;
    return &cpu_narrow_avx512;
}
#else
const struct cpu_narrow *cpu_narrow_pick(void)
{
    return NULL;
}
#endif

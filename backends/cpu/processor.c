/* SPDX-License-Identifier: Apache-2.0
 *
 * What this processor can do, and the kernels for it: the best path, or the one that is asked for.
 */
#define _GNU_SOURCE /* syscall */
#include "cpu_backend.h"

#include "cpu/narrow_kernels.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef CPU_HAVE_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* __builtin_cpu_supports does not know F16C everywhere. */
static bool has_f16c(void)
{
    enum { F16C = 1 << 29 };
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & F16C) != 0;
}

static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
#endif

#ifdef CPU_HAVE_NARROW
static bool has_avx512_bf16(void)
{
    enum { AVX512_BF16 = 1 << 5 };
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & AVX512_BF16) != 0;
}

/* Tiles are large, so Linux hands them out on request, to the whole process (arch_prctl(2)). */
static bool has_amx(void)
{
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & AMX_BF16) != 0 &&
           (d & AMX_TILE) != 0 && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}
#endif

static bool always(void)
{
    return true;
}

/* The best first; the last is every processor's. */
static const struct cpu_path paths[] = {
#if defined(CPU_NARROW_ALWAYS)
#ifdef CPU_HAVE_X86
    {"emulated512", &cpu_kernels_avx512, &CPU_NARROW_ALWAYS, has_avx512},
#endif
    {"emulated", &cpu_kernels_baseline, &CPU_NARROW_ALWAYS, always},
#endif
#ifdef CPU_HAVE_NARROW
    {"amx", &cpu_kernels_avx512, &cpu_narrow_amx, has_amx},
    {"avx512bf16", &cpu_kernels_avx512, &cpu_narrow_avx512, has_avx512_bf16},
#endif
#ifdef CPU_HAVE_X86
    {"avx512", &cpu_kernels_avx512, NULL, has_avx512},
    {"avx2", &cpu_kernels_avx2, NULL, has_avx2},
#endif
    {"baseline", &cpu_kernels_baseline, NULL, always},
};

enum { PATHS = sizeof paths / sizeof paths[0] };

static const char *asked(const struct graft_host *host)
{
    size_t need = offsetof(struct graft_host, kernels) + sizeof host->kernels;
    return host->struct_size >= need ? host->kernels : NULL;
}

const struct cpu_path *cpu_path_pick(const struct graft_host *host, char text[256])
{
    const char *name = asked(host);
    for (int i = 0; i < PATHS; i++)
        if ((name == NULL || strcmp(name, paths[i].name) == 0) && paths[i].usable())
            return &paths[i];
    int length = snprintf(text, 256, "GRAFT_KERNELS: found \"%.32s\", this processor has", name);
    for (int i = 0; i < PATHS; i++)
        if (paths[i].usable())
            length += snprintf(text + length, 256 - (size_t)length, " %s", paths[i].name);
    return NULL;
}

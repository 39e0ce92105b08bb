/* SPDX-License-Identifier: Apache-2.0
 *
 * The micro-kernels, each in a file of its name.
 */
#ifndef KERNELS_CPU_NARROW_KERNELS_H
#define KERNELS_CPU_NARROW_KERNELS_H

#include "cpu/narrow.h"
#include "cpu/vec.h"

extern const struct cpu_narrow cpu_narrow_amx, cpu_narrow_avx512;

#endif

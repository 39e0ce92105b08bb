/* SPDX-License-Identifier: Apache-2.0
 *
 * What one thread can do at most: multiply-adds that wait for nothing, and reading memory in order.
 * The yardstick of `graft bench`.
 */
#include "cpu/cpu.h"
#include "cpu/vec.h"

enum { CHAINS = 12 /* enough to hide a multiply-add's latency, few enough to stay in registers */ };

double cpu_multiply(int64_t rounds, float *result)
{
    vec sum[CHAINS], factor = vec_set(0.999f), part = vec_set(0.001f);
    for (int i = 0; i < CHAINS; i++) sum[i] = vec_set((float)i);
    for (int64_t round = 0; round < rounds; round++)
        for (int i = 0; i < CHAINS; i++) sum[i] = vec_fma(sum[i], factor, part);
    for (int i = 1; i < CHAINS; i++) sum[0] += sum[i];
    vec_store(result, sum[0]);
    return 2.0 * CHAINS * VEC * (double)rounds;
}

float cpu_read(const float *from, int64_t count)
{
    vec sum[4] = {vec_set(0.0f), vec_set(0.0f), vec_set(0.0f), vec_set(0.0f)};
    for (int64_t i = 0; i + 4 * VEC <= count; i += 4 * VEC)
        for (int v = 0; v < 4; v++) sum[v] += vec_load(from + i + v * VEC);
    float out[VEC];
    vec_store(out, sum[0] + sum[1] + sum[2] + sum[3]);
    return out[0];
}

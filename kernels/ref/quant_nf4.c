/* SPDX-License-Identifier: Apache-2.0
 *
 * NF4 with and without double quantization (Dettmers et al. 2023, "QLoRA"), numbers as in
 * bitsandbytes: functional.py (tables), backends/default/ops.py (arithmetic). Its compiled CPU
 * library looks the scales' codes up in a coarse table and so misses the nearest one now and then.
 */
#include "ref/quant.h"

#include "ref/half.h"

#include <math.h>

enum {
    MAX_BLOCK = 4096,
    NESTED_BLOCK = 256,
    MAP_SIZE = 16,
    NESTED_MAP_SIZE = 256,
    ALIGNMENT = 64,
    ZERO_CODE = 7 /* of 0.0 */
};

const float nf4_map[MAP_SIZE] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/* What create_dynamic_map() gives for 8 bits: these, their negatives, 0 and 1. Kept as numbers
 * because its linspace rounds differently from machine to machine. */
static const float magnitudes[127] = {
    5.5000004e-7f, 3.2500002e-6f, 7.75e-6f,      2.1249998e-5f,  4.375e-5f,     6.625e-5f,
    8.875e-5f,     1.5625001e-4f, 2.6875004e-4f, 3.8125002e-4f,  4.9375003e-4f, 6.062501e-4f,
    7.1875006e-4f, 8.3125e-4f,    9.437501e-4f,  1.2812499e-3f,  1.84375e-3f,   2.40625e-3f,
    2.96875e-3f,   3.5312497e-3f, 4.09375e-3f,   4.6562497e-3f,  5.2187503e-3f, 5.78125e-3f,
    6.34375e-3f,   6.90625e-3f,   7.46875e-3f,   8.03125e-3f,    8.59375e-3f,   9.156249e-3f,
    9.71875e-3f,   1.140625e-2f,  1.421875e-2f,  1.703125e-2f,   1.9843752e-2f, 2.265625e-2f,
    2.546875e-2f,  2.8281251e-2f, 3.109375e-2f,  3.390625e-2f,   3.6718752e-2f, 3.953125e-2f,
    4.2343747e-2f, 4.515625e-2f,  4.796875e-2f,  5.078125e-2f,   5.359375e-2f,  5.640625e-2f,
    5.9218753e-2f, 6.203125e-2f,  6.484375e-2f,  6.7656256e-2f,  7.0468746e-2f, 7.328125e-2f,
    7.609375e-2f,  7.890625e-2f,  8.171876e-2f,  8.453125e-2f,   8.734375e-2f,  9.015625e-2f,
    9.2968754e-2f, 9.578126e-2f,  9.859375e-2f,  1.07031256e-1f, 1.2109375e-1f, 1.3515624e-1f,
    1.4921875e-1f, 1.6328125e-1f, 1.7734376e-1f, 1.9140625e-1f,  2.0546874e-1f, 2.1953125e-1f,
    2.3359375e-1f, 2.4765624e-1f, 2.6171875e-1f, 2.7578127e-1f,  2.8984374e-1f, 3.0390626e-1f,
    3.1796873e-1f, 3.3203125e-1f, 3.4609374e-1f, 3.6015624e-1f,  3.7421876e-1f, 3.8828123e-1f,
    4.0234375e-1f, 4.1640624e-1f, 4.3046874e-1f, 4.4453126e-1f,  4.5859373e-1f, 4.7265625e-1f,
    4.867187e-1f,  5.0078124e-1f, 5.148437e-1f,  5.289062e-1f,   5.4296875e-1f, 5.570313e-1f,
    5.710938e-1f,  5.8515626e-1f, 5.992187e-1f,  6.1328125e-1f,  6.273438e-1f,  6.414063e-1f,
    6.5546876e-1f, 6.695312e-1f,  6.8359375e-1f, 6.976563e-1f,   7.117188e-1f,  7.2578126e-1f,
    7.398437e-1f,  7.5390625e-1f, 7.679688e-1f,  7.8203124e-1f,  7.9609376e-1f, 8.101562e-1f,
    8.2421875e-1f, 8.382813e-1f,  8.5234374e-1f, 8.6640626e-1f,  8.804687e-1f,  8.9453125e-1f,
    9.085938e-1f,  9.2265624e-1f, 9.3671876e-1f, 9.507812e-1f,   9.6484375e-1f, 9.789063e-1f,
    9.9296874e-1f,
};

void nf4_nested_map(float map[NESTED_MAP_SIZE])
{
    for (int i = 0; i < 127; i++) {
        map[126 - i] = -magnitudes[i];
        map[128 + i] = magnitudes[i];
    }
    map[127] = 0.0f;
    map[255] = 1.0f;
}

static const float *floats(const struct graft_nf4 *w, uint64_t offset)
{
    return (const float *)(const void *)((const uint8_t *)w + offset);
}

static uint8_t *part(struct graft_nf4 *w, uint64_t offset)
{
    return (uint8_t *)w + offset;
}

static float block_scale(const struct graft_nf4 *w, int64_t block)
{
    if (w->nested_block == 0) return floats(w, w->absmax)[block];
    uint8_t code = ((const uint8_t *)w + w->absmax)[block];
    float scale = floats(w, w->nested_absmax)[block / w->nested_block];
    return floats(w, w->nested_map)[code] * scale + w->offset;
}

/* Numbers first .. first + count of one block, by its table of 16 scaled values. */
static void dequantize_run(const uint8_t *codes, int64_t first, int64_t count,
                           const float table[MAP_SIZE], float *out)
{
    if (count > 0 && first % 2 != 0) {
        *out++ = table[codes[first / 2] & 15];
        first++;
        count--;
    }
    const uint8_t *c = codes + first / 2;
    int64_t pairs = count / 2, i = 0;
    for (; i + 4 <= pairs; i += 4) {
        uint32_t four; /* one load for eight numbers */
        memcpy(&four, c + i, sizeof four);
        for (int k = 0; k < 4; k++) {
            out[2 * (i + k)] = table[four >> (8 * k + 4) & 15];
            out[2 * (i + k) + 1] = table[four >> 8 * k & 15];
        }
    }
    for (; i < pairs; i++) {
        out[2 * i] = table[c[i] >> 4];
        out[2 * i + 1] = table[c[i] & 15];
    }
    if (count % 2 > 0) out[count - 1] = table[c[count / 2] >> 4];
}

void dequantize_nf4(const struct graft_nf4 *weight, int64_t first, int64_t count, float *out)
{
    const uint8_t *codes = (const uint8_t *)weight + weight->codes;
    const float *map = floats(weight, weight->map);
    while (count > 0) {
        int64_t block = first / weight->block;
        int64_t run = (block + 1) * weight->block - first;
        float table[MAP_SIZE], scale = block_scale(weight, block);
        if (run > count) run = count;
        for (int k = 0; k < MAP_SIZE; k++) table[k] = map[k] * scale;
        dequantize_run(codes, first, run, table, out);
        first += run;
        count -= run;
        out += run;
    }
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t nf4_bytes(int64_t count, uint32_t block, bool nested)
{
    struct graft_nf4 layout;
    if (count < 1 || count > INT64_MAX / 8 || block < 32 || block > MAX_BLOCK ||
        (block & (block - 1)) != 0)
        return 0;
    nf4_init(&layout, count, block, nested);
    return layout.bytes;
}

void nf4_init(struct graft_nf4 *weight, int64_t count, uint32_t block, bool nested)
{
    uint64_t n = (uint64_t)count, blocks = (n + block - 1) / block;
    uint64_t groups = nested ? (blocks + NESTED_BLOCK - 1) / NESTED_BLOCK : 0;
    struct graft_nf4 w = {.count = n, .block = block, .nested_block = nested ? NESTED_BLOCK : 0};
    w.codes = aligned(sizeof w);
    w.absmax = aligned(w.codes + (n + 1) / 2);
    w.nested_absmax = aligned(w.absmax + blocks * (nested ? 1 : sizeof(float)));
    w.nested_map = aligned(w.nested_absmax + groups * sizeof(float));
    w.map = aligned(w.nested_map + (nested ? NESTED_MAP_SIZE * sizeof(float) : 0));
    w.bytes = aligned(w.map + MAP_SIZE * sizeof(float));
    *weight = w;
}

static float largest(const float *x, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

/* The nearest table value: how many midpoints lie strictly below. */
static void nearest_codes(const float *scaled, int64_t n, uint8_t *codes)
{
    for (int64_t i = 0; i < n; i++) codes[i] = 0;
    for (int k = 0; k + 1 < MAP_SIZE; k++) {
        float middle = (nf4_map[k] + nf4_map[k + 1]) / 2.0f;
        for (int64_t i = 0; i < n; i++) codes[i] = (uint8_t)(codes[i] + (scaled[i] > middle));
    }
}

/* Scales a block into [-1, 1] and returns its maximum. As the reference: a full block is multiplied
 * by the reciprocal, a short last one divided; the floor keeps a block of zeros from 0 / 0. */
static float normalize(const float *x, int64_t n, bool full, float *scaled)
{
    float most = largest(x, n), floor = most > 1e-38f ? most : 1e-38f;
    float reciprocal = 1.0f / floor;
    for (int64_t i = 0; i < n; i++) {
        float s = full ? x[i] * reciprocal : x[i] / floor;
        s = s > 1.0f ? 1.0f : s;
        scaled[i] = s < -1.0f ? -1.0f : s;
    }
    return full ? most : floor;
}

static float quantize_block(const float *x, int64_t n, bool full, uint8_t *packed)
{
    float scaled[MAX_BLOCK], most = normalize(x, n, full, scaled);
    uint8_t codes[MAX_BLOCK];
    nearest_codes(scaled, n, codes);
    if (n % 2 != 0) codes[n] = ZERO_CODE;
    for (int64_t i = 0; i < n; i += 2) packed[i / 2] = (uint8_t)(codes[i] << 4 | codes[i + 1]);
    return most;
}

void quantize_nf4(const float *x, int64_t first, int64_t count, struct graft_nf4 *weight,
                  float *absmax)
{
    uint8_t *codes = part(weight, weight->codes);
    for (int64_t done = 0; done < count;) {
        int64_t at = first + done, n = count - done;
        bool full = n >= weight->block;
        if (full) n = weight->block;
        absmax[at / weight->block] = quantize_block(x + done, n, full, codes + at / 2);
        done += n;
    }
}

/* Index of the nearest value of an ascending table; a midpoint goes to the lower one. */
static uint8_t nearest_nested(const float map[NESTED_MAP_SIZE], float value)
{
    int low = 0, high = NESTED_MAP_SIZE - 1;
    while (low < high) {
        int middle = (low + high) / 2;
        if (value > (map[middle] + map[middle + 1]) / 2.0f)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint8_t)low;
}

static void quantize_nested(const float *absmax, int64_t blocks, struct graft_nf4 *w)
{
    float map[NESTED_MAP_SIZE];
    uint8_t *codes = part(w, w->absmax);
    double sum = 0;
    for (int64_t i = 0; i < blocks; i++) sum += (double)absmax[i];
    w->offset = (float)(sum / (double)blocks);
    nf4_nested_map(map);
    memcpy(part(w, w->nested_map), map, sizeof map);
    for (int64_t first = 0; first < blocks; first += NESTED_BLOCK) {
        int64_t n = blocks - first < NESTED_BLOCK ? blocks - first : NESTED_BLOCK;
        float scaled[NESTED_BLOCK];
        for (int64_t i = 0; i < n; i++) scaled[i] = absmax[first + i] - w->offset;
        float most = normalize(scaled, n, n == NESTED_BLOCK, scaled);
        for (int64_t i = 0; i < n; i++) codes[first + i] = nearest_nested(map, scaled[i]);
        memcpy(part(w, w->nested_absmax) + first / NESTED_BLOCK * (int64_t)sizeof most, &most,
               sizeof most);
    }
}

void quantize_nf4_scales(const float *absmax, struct graft_nf4 *weight)
{
    int64_t blocks = ((int64_t)weight->count + weight->block - 1) / weight->block;
    memcpy(part(weight, weight->map), nf4_map, sizeof nf4_map);
    if (weight->nested_block != 0)
        quantize_nested(absmax, blocks, weight);
    else
        memcpy(part(weight, weight->absmax), absmax, (size_t)blocks * sizeof *absmax);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the parts of a quantized weight lie. GGUF types are one run of blocks per row; NF4
 * (Dettmers et al. 2023) has its parts in one buffer, laid out as this header says.
 */
#ifndef GRAFT_QUANT_H
#define GRAFT_QUANT_H

#include <graft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An NF4 weight [out, in] of n = out * in numbers with double quantization, as one buffer that
 * begins with this header. Blocks of `block` numbers run over the flat row-major array. All
 * offsets count bytes from the header and are multiples of 64.
 *   codes        u8 [(n + 1) / 2]          first number in the high nibble
 *   absmax       u8 [blocks]               codes into nested_map; f32 [blocks] when nested == 0
 *   nested_absmax f32 [ceil(blocks / nested_block)]
 *   nested_map   f32 [256]
 *   map          f32 [16]                  the 4-bit table
 * w[i] = map[code[i]] * a(i / block), a(j) = nested_map[absmax[j]] * nested_absmax[j /
 * nested_block] + offset, in f32. */
struct graft_nf4 {
    uint64_t count;        /* n */
    uint32_t block;        /* power of two, 32..4096 */
    uint32_t nested_block; /* 256; 0: absmax is plain f32 */
    float offset;
    uint32_t reserved;
    uint64_t codes, absmax, nested_absmax, nested_map, map; /* offsets */
    uint64_t bytes;                                         /* of the whole buffer */
};

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Products for the ops that are made of them.
 */
#ifndef BACKENDS_VULKAN_PRODUCT_H
#define BACKENDS_VULKAN_PRODUCT_H

#include "vulkan_backend.h"

/* c [m, n] = a [m, k] · b [k, n], or c = c * scale + a · b where `scale` [m] is given; sums in f32.
 * Tensors are used by address, bytes and (b) dtype; shapes are what the numbers here say. */
struct vk_product {
    struct vk_tensor a, b, c, scale;
    bool transpose_a, transpose_b; /* stored [k, m], [n, k] */
    uint32_t batch, m, n, k;
    uint32_t batch_rows, m_rows, k_rows; /* enum graft_rows of these dimensions */
    uint32_t m_first;                    /* rows of the live ones before this c */
    uint64_t b_first;                    /* number of b to begin with */
    int32_t compute;                     /* operands may be rounded to that dtype first */
    struct vk_tensor part;               /* scratch for many products; none: of its own */
};

/* Whether indices of 32 bits reach every number of the product. */
bool vk_product_fits(const struct vk_product *p);
/* Bytes of scratch that vk_product needs. */
uint64_t vk_product_scratch(const struct vk_product *p);
/* Whether b pays to be unpacked to `compute` before it is multiplied; MATMUL does that itself. */
bool vk_product_unpacks(struct vk_recorder *r, const struct vk_product *p);
void vk_product(struct vk_recorder *r, const struct vk_product *p);

/* Numbers first .. first + count of a stored weight as f32, f16 or bf16. */
struct vk_unpacking {
    struct vk_tensor from, to;
    uint64_t first, count;
    int32_t dtype; /* of `to` */
};
void vk_unpack(struct vk_recorder *r, const struct vk_unpacking *u);

#endif

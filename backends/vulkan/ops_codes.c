/* SPDX-License-Identifier: Apache-2.0
 *
 * Block-wise 8-bit codes and back.
 */
#include "vulkan_backend.h"

enum { THREADS = 64, LARGEST = 0, ENCODE = 1, DECODE = 2 };

/* As in encode.comp. */
struct args {
    uint64_t x, code, scale, map;
    uint32_t count, block;
};

static void step(struct vk_recorder *r, uint32_t step, const struct args *args, uint64_t threads,
                 const struct vk_access *access)
{
    struct vk_dispatch d = {.shader = VK_SHADER_ENCODE,
                            .constant_count = 2,
                            .constants = {THREADS, step},
                            .args = args,
                            .args_bytes = sizeof *args,
                            .access = {access[0], access[1], access[2], access[3]}};
    vk_flat(&d, threads, THREADS);
    vk_dispatch(r, &d);
}

static void record_encode(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *x = &n->in[0], *map = &n->in[1], *code = &n->out[0];
    struct vk_tensor scale = n->out[1];
    uint64_t count = (uint64_t)x->shape.dim[0], block = (uint64_t)n->params.codes.block;
    uint64_t blocks = (count + block - 1) / block;
    if (scale.address == 0) scale = vk_scratch(r, blocks * sizeof(float));
    struct args args = {x->address,   code->address,   scale.address,
                        map->address, (uint32_t)count, (uint32_t)block};
    step(r, LARGEST, &args, blocks * THREADS,
         (const struct vk_access[4]){vk_reads(x), vk_writes(&scale)});
    if (code->address == 0) return;
    step(r, ENCODE, &args, (count + 3) / 4,
         (const struct vk_access[4]){vk_reads(x), vk_reads(&scale), vk_reads(map),
                                     vk_updates(code)});
}

static void record_decode(struct vk_recorder *r, const struct vk_node *n)
{
    const struct vk_tensor *code = &n->in[0], *scale = &n->in[1], *map = &n->in[2], *x = &n->out[0];
    struct args args = {x->address,
                        code->address,
                        scale->address,
                        map->address,
                        (uint32_t)code->shape.dim[0],
                        (uint32_t)n->params.codes.block};
    if (x->address == 0) return;
    step(r, DECODE, &args, args.count,
         (const struct vk_access[4]){vk_reads(code), vk_reads(scale), vk_reads(map), vk_writes(x)});
}

const struct vk_op vk_codes_ops[] = {
    {GRAFT_OP_ENCODE, record_encode},
    {GRAFT_OP_DECODE, record_decode},
    {0, NULL},
};

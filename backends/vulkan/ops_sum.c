/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over axes, in as many rounds as their length asks for. Chunks depend on shapes alone.
 */
#include "vulkan_backend.h"

enum {
    THREADS = 256,
    LONGEST = 16 * THREADS, /* numbers that a workgroup sums */
    SHORTEST = 32,          /* and a thread at least, where a sum is cut */
    ENOUGH = 1 << 16        /* threads that keep a device busy */
};

struct axes {
    uint32_t dim[GRAFT_MAX_RANK], step[GRAFT_MAX_RANK];
    uint32_t count, total; /* how many, the last ones; the product of their sizes */
};

/* As in sum.comp. */
struct args {
    uint64_t x, y;
    uint32_t count, chunk, chunks;
    uint32_t kept_rows, kept_kind, kept_inner;
    uint32_t folded_rows, folded_kind, folded_inner;
    uint32_t kept[GRAFT_MAX_RANK], kept_step[GRAFT_MAX_RANK];
    uint32_t folded[GRAFT_MAX_RANK], folded_step[GRAFT_MAX_RANK];
};

/* One more axis outside the others; joined with the outermost where both are one range. */
static void add(struct axes *a, uint32_t dim, uint32_t step)
{
    uint32_t at = GRAFT_MAX_RANK - a->count;
    a->total *= dim;
    if (dim == 1) return;
    if (a->count > 0 && step == a->dim[at] * a->step[at]) {
        a->dim[at] *= dim;
        return;
    }
    at--;
    a->count++;
    a->dim[at] = dim;
    a->step[at] = step;
}

static uint32_t chunk_of(bool group, uint32_t count, uint32_t folded)
{
    if (group) return LONGEST;
    uint64_t all = (uint64_t)count * folded / ENOUGH;
    return all < SHORTEST ? SHORTEST : all > LONGEST ? LONGEST : (uint32_t)all;
}

static void dispatch(struct vk_recorder *r, bool group, struct args *args, const struct axes *kept,
                     const struct axes *folded, const struct vk_access access[2])
{
    for (int i = 0; i < GRAFT_MAX_RANK; i++) {
        args->kept[i] = kept->dim[i];
        args->kept_step[i] = kept->step[i];
        args->folded[i] = folded->dim[i];
        args->folded_step[i] = folded->step[i];
    }
    struct vk_dispatch d = {.shader = VK_SHADER_SUM,
                            .constant_count = 4,
                            .constants = {THREADS, group, kept->count, folded->count},
                            .args = args,
                            .args_bytes = sizeof *args,
                            .access = {access[0], access[1]}};
    uint64_t sums = (uint64_t)args->count * args->chunks;
    vk_flat(&d, sums, group ? 1 : THREADS);
    vk_dispatch(r, &d);
}

static void record_sum(struct vk_recorder *r, const struct vk_node *n)
{
    const struct graft_shape *s = &n->in[0].shape;
    const struct vk_tensor *y = &n->out[0];
    struct vk_tensor x = n->in[0];
    struct axes kept = {.total = 1}, folded = {.total = 1};
    uint32_t step = 1, rows = (uint32_t)s->dim[0], kind = (uint32_t)x.rows;
    bool live_folded = n->params.sum.axes & 1, group = false;
    if (y->address == 0) return;
    for (int32_t i = s->rank - 1; i >= 0; i--) {
        bool fold = n->params.sum.axes >> i & 1;
        if (s->dim[i] > 1 && kept.count + folded.count == 0) group = fold;
        add(fold ? &folded : &kept, (uint32_t)s->dim[i], step);
        step *= (uint32_t)s->dim[i];
    }
    struct args args = {.count = kept.total,
                        .kept_rows = live_folded ? 1 : rows,
                        .kept_kind = live_folded ? 0 : kind,
                        .kept_inner = live_folded ? kept.total : kept.total / rows,
                        .folded_rows = live_folded ? rows : 1,
                        .folded_kind = live_folded ? kind : 0,
                        .folded_inner = live_folded ? folded.total / rows : folded.total};
    for (;;) {
        args.chunk = chunk_of(group, kept.total, folded.total);
        args.chunks = (folded.total + args.chunk - 1) / args.chunk;
        struct vk_tensor to = *y;
        if (args.chunks > 1) to = vk_scratch(r, (uint64_t)args.chunks * kept.total * sizeof(float));
        args.x = x.address;
        args.y = to.address;
        dispatch(r, group, &args, &kept, &folded,
                 (const struct vk_access[2]){vk_reads(&x), vk_writes(&to)});
        if (args.chunks == 1) return;
        /* Next: [chunks, outputs] over the first axis. */
        group = kept.total == 1;
        x = to;
        folded = (struct axes){.total = 1};
        add(&folded, args.chunks, kept.total);
        kept = (struct axes){.total = 1};
        add(&kept, args.count, 1);
        args.folded_rows = args.chunks;
        args.folded_kind = 0;
        args.folded_inner = 1;
    }
}

const struct vk_op vk_sum_ops[] = {
    {GRAFT_OP_SUM, record_sum},
    {0, NULL},
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention: which tiles, and which passes. T queries, S keys, P prefix keys, H heads in G groups,
 * D head size; the shaders say how (common/attention.glsl).
 *
 * A decoding step has few queries and many keys, each query its own: then a tile has the heads of
 * one query, and the keys are cut into splits that are joined after.
 */
#include "vulkan_backend.h"

enum {
    THREADS = 64,       /* of the passes that make one number per thread */
    FEW_QUERIES = 64,   /* so many tokens with a cache are rows of their own, not one document */
    FEW_GROUPS = 128,   /* workgroups that do not fill a device */
    SPLIT_KEYS = 256,   /* of a decoding step */
    SPLIT_PAIRS = 1024, /* that one workgroup of a prefix's gradient goes over */
    SMALL = 32,         /* heads that a thread keeps in its registers */
    WORDS = (int)sizeof(float)
};

/* As in common/attention.glsl. */
struct attention_args {
    uint64_t q, k, v, pk, pv, first, last, o, lse, d, delta, dq, dk, dv, seen;
    uint32_t queries, query_kind, keys, key_kind, prefix, heads, kv_heads;
    int32_t window;
    float scale, cap;
    uint32_t tile, split, outputs;
};

/* As in attention_join.comp. */
struct join_args {
    uint64_t part_o, part_lse, o, lse;
    uint32_t queries, query_kind, heads, size, splits, outputs;
};

/* As in attention_sum.comp. */
struct sum_args {
    uint64_t x, y;
    uint32_t count, splits;
};

struct attention {
    struct vk_recorder *r;
    const struct vk_node *node;
    const struct vk_tensor *q, *k, *v, *first, *last, *pk, *pv; /* may have address 0 */
    struct vk_tensor delta, seen;
    struct attention_args args;
    uint32_t group, size;
    double work; /* of two products of all pairs with the keys they may see */
};

/* Threads of a workgroup: tx * ty, each with rm rows; columns: 4 * tx. */
struct tile {
    uint32_t rm, tx, ty;
};

static uint32_t parts(uint64_t count, uint64_t size)
{
    return (uint32_t)((count + size - 1) / size);
}

static struct attention attention_of(struct vk_recorder *r, const struct vk_node *node)
{
    bool backward = node->op == GRAFT_OP_ATTENTION_BACKWARD;
    const union graft_params *p = &node->params;
    const struct vk_tensor *in = node->in;
    struct attention a = {.r = r, .node = node, .q = &in[0], .k = &in[1], .v = &in[2]};
    a.first = &in[3];
    a.last = &in[4];
    a.pk = &in[backward ? 8 : 5];
    a.pv = a.pk + 1;
    a.size = (uint32_t)p->attention.head_size;
    a.group = (uint32_t)(p->attention.heads / p->attention.kv_heads);
    a.args = (struct attention_args){.q = a.q->address,
                                     .k = a.k->address,
                                     .v = a.v->address,
                                     .pk = a.pk->address,
                                     .pv = a.pv->address,
                                     .first = a.first->address,
                                     .last = a.last->address,
                                     .queries = (uint32_t)a.q->shape.dim[0],
                                     .query_kind = (uint32_t)a.q->rows,
                                     .heads = (uint32_t)p->attention.heads,
                                     .kv_heads = (uint32_t)p->attention.kv_heads,
                                     .window = p->attention.window,
                                     .scale = (float)p->attention.scale,
                                     .cap = (float)p->attention.softcap};
    if (a.k->address != 0) {
        a.args.keys = (uint32_t)a.k->shape.dim[0];
        a.args.key_kind = (uint32_t)a.k->rows;
    }
    if (a.pk->address != 0) a.args.prefix = (uint32_t)a.pk->shape.dim[0];
    a.work = 4.0 * a.args.queries * a.args.heads * a.size * (0.5 * a.args.keys + a.args.prefix);
    return a;
}

/* A thread's registers hold `kinds` sums of its rows, D / tx each. */
static struct tile tile_of(const struct attention *a, uint32_t kinds)
{
    struct tile t = {.rm = 8, .tx = 8, .ty = 8};
    while (t.rm > 1 && kinds * t.rm * a->size > 512) t.rm /= 2;
    if (t.rm < 8) t.ty = 16;
    return t;
}

static struct vk_dispatch dispatch_of(const struct attention *a, enum vk_shader shader,
                                      struct tile t)
{
    const struct vk_caps *caps = vk_caps(a->r);
    uint32_t lanes = caps->fixed_subgroup && caps->subgroup <= t.tx ? caps->subgroup : 0;
    return (struct vk_dispatch){
        .shader = shader,
        .constant_count = 7,
        .constants = {t.tx * t.ty, a->size, t.rm, t.tx, t.ty, a->args.cap > 0.0f, lanes},
        .args = &a->args,
        .args_bytes = sizeof a->args,
        .access = {vk_reads(a->q), vk_reads(a->k), vk_reads(a->v), vk_reads(a->first),
                   vk_reads(a->last), vk_reads(a->pk), vk_reads(a->pv)},
        .groups = {1, a->args.kv_heads, 1},
        .subgroup = lanes,
        .work = a->work};
}

enum { INPUTS = 7 /* accesses that dispatch_of has filled in */ };

static void join(const struct attention *a, const struct vk_tensor part[2], uint32_t splits)
{
    const struct vk_tensor *o = &a->node->out[0], *lse = &a->node->out[1];
    struct join_args args = {.part_o = part[0].address,
                             .part_lse = part[1].address,
                             .o = o->address,
                             .lse = lse->address,
                             .queries = a->args.queries,
                             .query_kind = a->args.query_kind,
                             .heads = a->args.heads,
                             .size = a->size,
                             .splits = splits,
                             .outputs =
                                 (o->address != 0 ? 1u : 0u) | (lse->address != 0 ? 2u : 0u)};
    struct vk_dispatch d = {
        .shader = VK_SHADER_ATTENTION_JOIN,
        .constant_count = 1,
        .constants = {THREADS},
        .args = &args,
        .args_bytes = sizeof args,
        .access = {vk_reads(&part[0]), vk_reads(&part[1]), vk_writes(o), vk_writes(lse)}};
    vk_flat(&d, (uint64_t)args.queries * args.heads * args.size, THREADS);
    vk_dispatch(a->r, &d);
}

static bool cached(const struct attention *a)
{
    return a->args.keys > 0 && a->args.key_kind == GRAFT_ROWS_FIXED;
}

/* Whether a thread has a whole pair or key. */
static bool in_rows(const struct attention *a)
{
    return a->size <= SMALL && a->size % 4 == 0 && !cached(a);
}

/* `count` threads, one for each pair or key of a key/value head. */
static void over_rows(struct vk_dispatch *d, enum vk_shader shader, uint64_t count)
{
    d->shader = shader;
    d->constants[0] = THREADS;
    d->groups[0] = parts(count, THREADS);
}

/* One query's heads to a tile, where there are few queries and a cache. */
static struct tile forward_tile(struct attention *a)
{
    struct tile t = tile_of(a, 1);
    a->args.tile = t.rm * t.ty;
    a->args.split = INT32_MAX;
    if (!cached(a)) return t;
    if (a->args.queries <= FEW_QUERIES && a->group <= 16) {
        t = (struct tile){.rm = 1, .tx = t.tx, .ty = a->group <= 8 ? 8 : 16};
        a->args.tile = a->group;
    }
    uint64_t pairs = (uint64_t)a->args.queries * a->group;
    if (parts(pairs, a->args.tile) * a->args.kv_heads <= FEW_GROUPS) a->args.split = SPLIT_KEYS;
    return t;
}

static void attention(struct vk_recorder *r, const struct vk_node *node)
{
    struct attention a = attention_of(r, node);
    struct tile t = forward_tile(&a);
    uint64_t numbers = (uint64_t)a.args.queries * a.args.heads;
    uint32_t splits = a.args.keys > a.args.split ? parts(a.args.keys, a.args.split) : 1;
    struct vk_tensor to[2] = {node->out[0], node->out[1]}; /* o and lse, or those of the splits */
    if (splits > 1) {
        to[0] = vk_scratch(r, splits * numbers * a.size * WORDS);
        to[1] = vk_scratch(r, splits * numbers * WORDS);
    }
    a.args.o = to[0].address;
    a.args.lse = to[1].address;
    a.args.outputs = (to[0].address != 0 ? 1u : 0u) | (to[1].address != 0 ? 2u : 0u);
    struct vk_dispatch d = dispatch_of(&a, VK_SHADER_ATTENTION, t);
    d.access[INPUTS] = vk_writes(&to[0]);
    d.access[INPUTS + 1] = vk_writes(&to[1]);
    d.groups[0] = parts((uint64_t)a.args.queries * a.group, a.args.tile);
    d.groups[2] = splits;
    if (in_rows(&a)) over_rows(&d, VK_SHADER_ATTENTION_ROWS, (uint64_t)a.args.queries * a.group);
    vk_dispatch(r, &d);
    if (splits > 1) join(&a, to, splits);
}

/* delta [T, H], and the keys that each WIDTH pairs see. */
static void backward_begin(struct attention *a)
{
    struct tile t = tile_of(a, 1);
    uint64_t pairs = (uint64_t)a->args.queries * a->group;
    uint64_t numbers = (uint64_t)a->args.queries * a->args.heads;
    a->delta = vk_scratch(a->r, numbers * WORDS);
    a->seen = vk_scratch(a->r, (uint64_t)parts(pairs, 4 * t.tx) * 2 * WORDS);
    a->args.o = a->node->in[5].address;
    a->args.lse = a->node->in[6].address;
    a->args.d = a->node->in[7].address;
    a->args.delta = a->delta.address;
    a->args.seen = a->seen.address;
    struct vk_dispatch d = dispatch_of(a, VK_SHADER_ATTENTION_DELTA, t);
    d.constants[0] = THREADS;
    d.access[INPUTS] = vk_reads(&a->node->in[5]);
    d.access[INPUTS + 1] = vk_reads(&a->node->in[7]);
    d.access[INPUTS + 2] = vk_writes(&a->delta);
    d.access[INPUTS + 3] = vk_writes(&a->seen);
    d.work = 2.0 * (double)numbers * a->size;
    vk_flat(&d, numbers, THREADS);
    vk_dispatch(a->r, &d);
}

static void backward_accesses(const struct attention *a, struct vk_dispatch *d)
{
    d->access[INPUTS] = vk_reads(&a->node->in[6]);
    d->access[INPUTS + 1] = vk_reads(&a->node->in[7]);
    d->access[INPUTS + 2] = vk_reads(&a->delta);
    d->access[INPUTS + 3] = vk_reads(&a->seen);
}

static void backward_queries(struct attention *a)
{
    struct tile t = tile_of(a, 1);
    a->args.tile = t.rm * t.ty;
    a->args.dq = a->node->out[0].address;
    struct vk_dispatch d = dispatch_of(a, VK_SHADER_ATTENTION_BACKWARD, t);
    backward_accesses(a, &d);
    d.access[INPUTS + 4] = vk_writes(&a->node->out[0]);
    d.groups[0] = parts((uint64_t)a->args.queries * a->group, a->args.tile);
    d.work = 1.5 * a->work;
    if (in_rows(a))
        over_rows(&d, VK_SHADER_ATTENTION_ROWS_BACKWARD, (uint64_t)a->args.queries * a->group);
    vk_dispatch(a->r, &d);
}

/* y = the splits x added. */
static void sum_splits(const struct attention *a, const struct vk_tensor *x,
                       const struct vk_tensor *y, uint32_t splits)
{
    struct sum_args args = {.x = x->address,
                            .y = y->address,
                            .count = (uint32_t)graft_shape_count(y->shape),
                            .splits = splits};
    struct vk_dispatch d = {.shader = VK_SHADER_ATTENTION_SUM,
                            .constant_count = 1,
                            .constants = {THREADS},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(x), vk_writes(y)}};
    vk_flat(&d, args.count, THREADS);
    vk_dispatch(a->r, &d);
}

/* Of dk and dv, or of dpk and dpv: out[0] and out[1]. */
static void backward_keys(struct attention *a, bool prefix, const struct vk_tensor out[2])
{
    struct tile t = tile_of(a, 2);
    struct vk_tensor to[2] = {out[0], out[1]};
    uint32_t count = prefix ? a->args.prefix : a->args.keys, splits = 1;
    if (prefix) splits = parts((uint64_t)a->args.queries * a->group, SPLIT_PAIRS);
    for (int i = 0; i < 2; i++)
        if (splits > 1 && out[i].address != 0) to[i] = vk_scratch(a->r, splits * out[i].bytes);
    a->args.split = prefix ? SPLIT_PAIRS : 0;
    a->args.outputs = (out[0].address != 0 ? 1u : 0u) | (out[1].address != 0 ? 2u : 0u);
    a->args.dk = to[0].address;
    a->args.dv = to[1].address;
    struct vk_dispatch d = dispatch_of(a, VK_SHADER_ATTENTION_BACKWARD_KEYS, t);
    d.constants[d.constant_count++] = prefix;
    backward_accesses(a, &d);
    d.access[INPUTS + 4] = vk_writes(&to[0]);
    d.access[INPUTS + 5] = vk_writes(&to[1]);
    d.groups[0] = parts(count, t.rm * t.ty);
    d.groups[2] = splits;
    d.work = 2.0 * a->work;
    if (in_rows(a) && !prefix) over_rows(&d, VK_SHADER_ATTENTION_ROWS_KEYS, count);
    vk_dispatch(a->r, &d);
    for (int i = 0; i < 2; i++)
        if (splits > 1 && out[i].address != 0) sum_splits(a, &to[i], &out[i], splits);
}

static void attention_backward(struct vk_recorder *r, const struct vk_node *node)
{
    struct attention a = attention_of(r, node);
    const struct vk_tensor *out = node->out;
    backward_begin(&a);
    if (out[0].address != 0) backward_queries(&a);
    if (out[1].address != 0 || out[2].address != 0) backward_keys(&a, false, &out[1]);
    if (out[3].address != 0 || out[4].address != 0) backward_keys(&a, true, &out[3]);
}

const struct vk_op vk_attention_ops[] = {
    {GRAFT_OP_ATTENTION, attention}, {GRAFT_OP_ATTENTION_BACKWARD, attention_backward}, {0, NULL}};

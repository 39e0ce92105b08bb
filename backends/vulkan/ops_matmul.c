/* SPDX-License-Identifier: Apache-2.0
 *
 * Products. One scalar shader for all types and shapes, its tile chosen by the shape; where the
 * product is asked for in f16 or bf16 and the device has matrices of that type, the cooperative
 * one.
 *
 * The scalar shader dequantizes inside its tile whatever the number of rows: a tile of 64 or 128
 * rows does that many products with a number it unpacked, and reads a quarter of the bytes. A
 * cooperative product is ten times faster than that unpacking: there the weight is unpacked once,
 * into scratch. Few rows read a weight faster than they could unpack it: they stay scalar.
 */
#include "product.h"

enum {
    MANY_ROWS = 64,          /* from here on products are cooperative */
    MOST_UNPACKED = 1 << 28, /* bytes of scratch for it */
    GROUPS = 64,             /* fewer workgroups leave a device idle: k is cut */
    SPLIT = 256,             /* k of a part, at least; a multiple of every tile */
    SUM_THREADS = 256,
    WIDE = 128,
    WIDE_SHARED = 32768, /* bytes that its tiles fit into */
    TILE = 64,
    FEW_LANES = 8
};

/* As in matmul.glsl. */
struct matmul_args {
    uint64_t a, c, scale, b;
    uint32_t m, n, k, batch;
    uint32_t m_kind, k_kind, batch_kind;
    uint32_t m_first, b_first;
    uint32_t splits, split_k;
};

/* As in matmul_sum.comp. */
struct sum_args {
    uint64_t part, c, scale;
    uint32_t m, n, k, batch;
    uint32_t m_kind, k_kind, batch_kind;
    uint32_t m_first, splits, split_k;
};

/* How a workgroup's tile is made: the specialization constants of either shader. */
struct tile {
    enum vk_shader shader;
    uint32_t m, n, k;
    uint32_t threads, subgroup;
    uint32_t own[7]; /* from constant 10 on */
    uint32_t own_count;
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t parts(uint32_t count, uint32_t size)
{
    return (count + size - 1) / size;
}

/* Few sizes of tiles, since every one is a pipeline to compile: for vectors, for the ranks of
 * adapters, and for matrices. */
static uint32_t cover(uint32_t count, uint32_t most)
{
    return count <= 8 ? 8 : count <= 16 ? 16 : count <= TILE ? TILE : most;
}

/* Processors that run shaders have subgroups of few lanes, no fast shared memory and hundreds of
 * registers on the stack: many rows to a thread pay, and a subgroup that lies in one row of threads
 * loads its numbers of `a` once. */
static struct tile scalar_tile(const struct vk_caps *caps, const struct vk_product *p)
{
    bool few_lanes =
        caps->fixed_subgroup && caps->subgroup <= FEW_LANES && caps->shared_bytes >= WIDE_SHARED;
    struct tile t = {.shader = VK_SHADER_MATMUL, .own_count = 3};
    t.m = cover(p->m, few_lanes ? WIDE : TILE);
    t.n = cover(p->n, TILE);
    t.k = t.m < TILE || t.n < TILE ? 32 : 16;
    uint32_t columns = t.n >= TILE ? 8 : 4, across = t.n / columns;
    uint32_t rows = few_lanes ? smaller(t.m, 16) : t.m >= TILE ? 8 : 4;
    t.threads = across * (t.m / rows);
    t.subgroup = few_lanes && across % caps->subgroup == 0 ? caps->subgroup : 0;
    t.own[0] = rows;
    t.own[1] = columns;
    t.own[2] = t.subgroup;
    return t;
}

/* Tiles of 64 x 64, a subgroup 32 x 32 of it; 16 wide where the product is narrow; 128 x 128 in
 * subgroups of 32 x 64 where it is large. Matrices are 16 or 8 wide. Subgroups of few lanes are a
 * processor's: more matrices to each, and fewer barriers. */
static struct tile cooperative_tile(const struct vk_caps *caps, const struct vk_product *p,
                                    const struct vk_matrix *matrix, enum vk_shader shader)
{
    bool large = p->m >= 4 * WIDE && p->n >= 2 * WIDE && matrix->m == 16 && matrix->n == 16 &&
                 caps->shared_bytes >= WIDE_SHARED && caps->threads >= 8 * caps->subgroup;
    bool thin = p->n <= 16, few_lanes = caps->subgroup <= FEW_LANES;
    uint32_t rows = (few_lanes ? 64 : 32) / matrix->m, width = thin ? 16 : large ? 64 : 32;
    uint32_t columns = width / matrix->n;
    uint32_t down = (large ? WIDE : TILE) / matrix->m / rows;
    uint32_t across = thin ? 1 : (large ? WIDE : TILE) / matrix->n / columns;
    struct tile t = {.shader = shader, .subgroup = caps->subgroup, .own_count = 7};
    t.m = down * rows * matrix->m;
    t.n = across * columns * matrix->n;
    t.k = few_lanes && caps->shared_bytes >= WIDE_SHARED ? TILE : 32;
    t.threads = caps->subgroup * down * across;
    t.own[0] = matrix->m;
    t.own[1] = matrix->n;
    t.own[2] = matrix->k;
    t.own[3] = down * across;
    t.own[4] = across;
    t.own[5] = rows;
    t.own[6] = columns;
    return t;
}

static bool fits(const struct vk_matrix *matrix, const struct vk_caps *caps)
{
    return (matrix->m == 8 || matrix->m == 16) && (matrix->n == 8 || matrix->n == 16) &&
           32 % matrix->k == 0 &&
           caps->threads >= TILE / 2 / matrix->m * (TILE / 2 / matrix->n) * caps->subgroup;
}

static struct tile tile_of(struct vk_recorder *r, const struct vk_product *p)
{
    const struct vk_caps *caps = vk_caps(r);
    bool bf16 = p->compute == GRAFT_DTYPE_BF16, f16 = p->compute == GRAFT_DTYPE_F16;
    const struct vk_matrix *matrix = bf16 ? &caps->bf16 : &caps->f16;
    enum vk_shader shader = bf16 ? VK_SHADER_MATMUL_COOP_BF16 : VK_SHADER_MATMUL_COOP;
    if ((f16 || bf16) && p->m >= MANY_ROWS && fits(matrix, caps) && vk_has_shader(r, shader))
        return cooperative_tile(caps, p, matrix, shader);
    return scalar_tile(caps, p);
}

/* Parts of k, by the shape alone. A part of f32 sums is worth a dispatch only if it is long. */
static uint32_t splits_of(const struct vk_product *p)
{
    uint64_t groups = (uint64_t)p->batch * parts(p->m, TILE) * parts(p->n, TILE);
    if (groups >= GROUPS || p->k <= SPLIT) return 1;
    return smaller(parts(p->k, SPLIT), (uint32_t)(GROUPS / groups));
}

uint64_t vk_product_scratch(const struct vk_product *p)
{
    uint32_t splits = splits_of(p);
    return splits > 1 ? (uint64_t)p->batch * splits * p->m * p->n * sizeof(float) : 0;
}

static void sum(struct vk_recorder *r, const struct vk_product *p, const struct matmul_args *of,
                const struct vk_tensor *part)
{
    struct sum_args args = {.part = part->address,
                            .c = p->c.address,
                            .scale = p->scale.address,
                            .m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .batch = p->batch,
                            .m_kind = p->m_rows,
                            .k_kind = p->k_rows,
                            .batch_kind = p->batch_rows,
                            .m_first = p->m_first,
                            .splits = of->splits,
                            .split_k = of->split_k};
    bool add = p->scale.address != 0;
    struct vk_dispatch d = {.shader = VK_SHADER_MATMUL_SUM,
                            .constant_count = 2,
                            .constants = {SUM_THREADS, add},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(part), add ? vk_updates(&p->c) : vk_writes(&p->c),
                                       vk_reads(&p->scale)}};
    vk_flat(&d, (uint64_t)p->batch * p->m * p->n, SUM_THREADS);
    vk_dispatch(r, &d);
}

static void multiply(struct vk_recorder *r, const struct vk_product *p, const struct tile *t,
                     const struct matmul_args *args, const struct vk_tensor *to)
{
    bool add = args->splits == 1 && p->scale.address != 0;
    bool ragged_a = (p->transpose_a ? p->m : p->k) % 8 != 0;
    bool ragged_b = (p->transpose_b ? p->k : p->n) % 8 != 0;
    struct vk_dispatch d = {
        .shader = t->shader,
        .constant_count = 10 + t->own_count,
        .constants = {t->threads, (uint32_t)p->b.dtype, p->transpose_a, p->transpose_b, t->m, t->n,
                      t->k, ragged_a, ragged_b, add},
        .args = args,
        .args_bytes = sizeof *args,
        .access = {vk_reads(&p->a), vk_reads(&p->b), add ? vk_updates(to) : vk_writes(to)},
        .groups = {parts(p->n, t->n), parts(p->m, t->m), p->batch * args->splits},
        .subgroup = t->subgroup,
        .work = 2.0 * p->batch * p->m * p->n * p->k};
    if (add) d.access[3] = vk_reads(&p->scale);
    for (uint32_t i = 0; i < t->own_count; i++) d.constants[10 + i] = t->own[i];
    vk_dispatch(r, &d);
}

void vk_product(struct vk_recorder *r, const struct vk_product *p)
{
    struct tile tile = tile_of(r, p);
    uint64_t scratch = vk_product_scratch(p);
    uint32_t splits = splits_of(p), piece = p->k;
    struct vk_tensor to = p->c;
    if (splits > 1) {
        piece = parts(parts(p->k, splits), SPLIT) * SPLIT;
        splits = parts(p->k, piece);
        to = p->part.address != 0 ? p->part : vk_scratch(r, scratch);
    }
    struct matmul_args args = {.a = p->a.address,
                               .c = to.address,
                               .scale = p->scale.address,
                               .b = p->b.address,
                               .m = p->m,
                               .n = p->n,
                               .k = p->k,
                               .batch = p->batch,
                               .m_kind = p->m_rows,
                               .k_kind = p->k_rows,
                               .batch_kind = p->batch_rows,
                               .m_first = p->m_first,
                               .b_first = (uint32_t)p->b_first,
                               .splits = splits,
                               .split_k = piece};
    multiply(r, p, &tile, &args, &to);
    if (splits > 1) sum(r, p, &args, &to);
}

bool vk_product_unpacks(struct vk_recorder *r, const struct vk_product *p)
{
    bool plain = p->b.dtype == GRAFT_DTYPE_F32 || p->b.dtype == p->compute;
    return tile_of(r, p).shader != VK_SHADER_MATMUL && !plain &&
           (uint64_t)p->n * p->k * sizeof(uint16_t) <= MOST_UNPACKED;
}

bool vk_product_fits(const struct vk_product *p)
{
    const double most = 2147483647.0;
    return (double)p->batch * p->m * p->k <= most && (double)p->batch * p->n * p->k <= most &&
           (double)p->batch * p->m * p->n <= most;
}

static void unpacked(struct vk_recorder *r, struct vk_product *p)
{
    struct vk_unpacking u = {.from = p->b, .count = (uint64_t)p->n * p->k, .dtype = p->compute};
    u.to = vk_scratch(r, u.count * sizeof(uint16_t));
    vk_unpack(r, &u);
    p->b = u.to;
    p->b.dtype = u.dtype;
    vk_product(r, p);
}

static void matmul(struct vk_recorder *r, const struct vk_node *node)
{
    const struct vk_tensor *a = &node->in[0], *b = &node->in[1];
    int first = a->shape.rank == 3;
    bool ta = node->params.matmul.transpose_a != 0, tb = node->params.matmul.transpose_b != 0;
    struct vk_product p = {.a = *a, .b = *b, .c = node->out[0]};
    p.compute = node->params.matmul.compute;
    p.transpose_a = ta;
    p.transpose_b = tb;
    p.batch = first ? (uint32_t)a->shape.dim[0] : 1;
    p.m = (uint32_t)a->shape.dim[first + ta];
    p.k = (uint32_t)a->shape.dim[first + !ta];
    p.n = (uint32_t)b->shape.dim[first + !tb];
    if (first)
        p.batch_rows = (uint32_t)a->rows;
    else if (ta)
        p.k_rows = (uint32_t)a->rows;
    else
        p.m_rows = (uint32_t)a->rows;
    if (!vk_product_fits(&p))
        vk_unsupported(r, "a product of [%u, %u] and [%u, %u] has more numbers than 32 bits count",
                       p.m, p.k, p.k, p.n);
    else if (vk_product_unpacks(r, &p))
        unpacked(r, &p);
    else
        vk_product(r, &p);
}

const struct vk_op vk_matmul_ops[] = {{GRAFT_OP_MATMUL, matmul}, {0, NULL}};

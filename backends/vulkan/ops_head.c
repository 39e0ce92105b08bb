/* SPDX-License-Identifier: Apache-2.0
 *
 * The head and its loss in one: a block of rows meets the vocabulary chunk by chunk, each in three
 * steps: logits into scratch; what the chunk adds to every row's maximum and sum; its part of the
 * gradient, with what came before scaled.
 */
#include "product.h"

enum {
    THREADS = 256,
    EACH = 8, /* words of a thread, at least */
    UNIT = 8,
    MOST_ROWS = 4096,      /* of a block */
    MOST_LOGITS = 1 << 23, /* in scratch at once: 32 MiB */
    LEAST_WORDS = 256,     /* of a chunk */
    MOST_WORDS = 8192
};

/* As in head_loss.glsl. */
struct head_args {
    uint64_t w, z, largest, sum, wanted, scale, best, target, nll, argmax, g;
    uint32_t rows, kind, row;
    uint32_t word, words;
    uint32_t channels, vocabulary;
};

/* A node and the block of rows it is at. */
struct head {
    const struct vk_tensor *x, *w, *target, *nll, *argmax, *g;
    struct vk_tensor z, state;       /* scratch: logits; five numbers a row */
    struct vk_tensor part, unpacked; /* scratch of the products; a chunk of the weight */
    uint32_t outputs;                /* bit i: output i is wanted */
    uint32_t words;                  /* of a chunk */
    int32_t compute;                 /* dtype of the products' operands */
    struct head_args args;
};

static uint32_t smaller(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static struct vk_tensor rows_of(const struct vk_tensor *t, const struct head *h)
{
    uint64_t row = h->args.channels * sizeof(float);
    struct vk_tensor part = *t;
    if (t->address != 0) part.address += h->args.row * row;
    part.bytes = h->args.rows * row;
    return part;
}

/* The two products of a chunk but for a and c. */
static struct vk_product product_of(const struct head *h, bool gradient)
{
    struct vk_product p = {.batch = 1, .m = h->args.rows, .m_first = h->args.row, .b = *h->w};
    p.m_rows = h->args.kind;
    p.b_first = (uint64_t)h->args.word * h->args.channels;
    p.transpose_b = !gradient;
    p.n = gradient ? h->args.channels : h->args.words;
    p.k = gradient ? h->args.words : h->args.channels;
    p.part = h->part;
    p.compute = h->compute;
    if (h->unpacked.bytes > 0) {
        p.b = h->unpacked;
        p.b_first = 0;
    }
    return p;
}

static void unpack(struct vk_recorder *r, const struct head *h)
{
    struct vk_unpacking u = {.from = *h->w, .to = h->unpacked, .dtype = h->unpacked.dtype};
    u.first = (uint64_t)h->args.word * h->args.channels;
    u.count = (uint64_t)h->args.words * h->args.channels;
    vk_unpack(r, &u);
}

static void logits(struct vk_recorder *r, const struct head *h)
{
    struct vk_product p = product_of(h, false);
    p.a = rows_of(h->x, h);
    p.c = h->z;
    vk_product(r, &p);
}

/* The last chunk is often shorter, but no pipeline of its own is worth its while. */
static uint32_t threads_of(uint32_t words)
{
    uint32_t threads = 32;
    while (threads < THREADS && threads * EACH < words) threads *= 2;
    return threads;
}

static void join(struct vk_recorder *r, const struct head *h)
{
    struct vk_dispatch d = {
        .shader = VK_SHADER_HEAD_LOSS,
        .constant_count = 1,
        .constants = {threads_of(h->words)},
        .args = &h->args,
        .args_bytes = sizeof h->args,
        .access = {vk_updates(&h->z), vk_updates(&h->state), vk_reads(h->target)},
        .work = 32.0 * h->args.rows * h->args.words};
    vk_flat(&d, h->args.rows, 1);
    vk_dispatch(r, &d);
}

static void gradient(struct vk_recorder *r, const struct head *h)
{
    struct vk_product p = product_of(h, true);
    p.a = h->z;
    p.c = rows_of(h->g, h);
    if (h->args.word > 0) {
        p.scale = h->state;
        p.scale.address = h->args.scale;
        p.scale.bytes = h->args.rows * sizeof(float);
    }
    vk_product(r, &p);
}

static void end(struct vk_recorder *r, const struct head *h)
{
    struct head_args args = h->args;
    uint32_t units = (args.channels + UNIT - 1) / UNIT, ragged = args.channels % UNIT != 0;
    struct vk_dispatch d = {.shader = VK_SHADER_HEAD_LOSS_END,
                            .constant_count = 4,
                            .constants = {THREADS, (uint32_t)h->w->dtype, ragged, h->outputs},
                            .args = &args,
                            .args_bytes = sizeof args,
                            .access = {vk_reads(h->w), vk_reads(&h->state), vk_reads(h->target),
                                       vk_writes(h->nll), vk_writes(h->argmax), vk_updates(h->g)},
                            .work = 16.0 * args.rows * args.channels};
    vk_flat(&d, (uint64_t)args.rows * units, THREADS);
    vk_dispatch(r, &d);
}

static void block(struct vk_recorder *r, struct head *h)
{
    struct head_args *a = &h->args;
    for (a->word = 0; a->word < a->vocabulary; a->word += h->words) {
        a->words = smaller(h->words, a->vocabulary - a->word);
        if (h->unpacked.bytes > 0) unpack(r, h);
        logits(r, h);
        join(r, h);
        if (h->outputs & 4) gradient(r, h);
    }
    end(r, h);
}

static void take_scratch(struct vk_recorder *r, struct head *h, uint32_t rows)
{
    h->args.rows = rows;
    h->args.words = h->words;
    struct vk_product forward = product_of(h, false), back = product_of(h, true);
    uint64_t parts = vk_product_scratch(&forward), more = vk_product_scratch(&back);
    h->z = vk_scratch(r, (uint64_t)rows * h->words * sizeof(float));
    h->state = vk_scratch(r, (uint64_t)rows * 5 * sizeof(float));
    h->part = vk_scratch(r, parts > more ? parts : more);
    if (vk_product_unpacks(r, &forward)) {
        h->unpacked = vk_scratch(r, (uint64_t)h->words * h->args.channels * sizeof(uint16_t));
        h->unpacked.dtype = forward.compute;
    }
}

static void head_loss(struct vk_recorder *r, const struct vk_node *node)
{
    struct head h = {.x = &node->in[0], .w = &node->in[1], .target = &node->in[2]};
    h.nll = &node->out[0];
    h.argmax = &node->out[1];
    h.g = &node->out[2];
    h.compute = node->params.head.compute;
    for (uint32_t i = 0; i < 3; i++) h.outputs |= (uint32_t)(node->out[i].address != 0) << i;
    if (h.outputs == 0) return;
    uint32_t rows = (uint32_t)h.x->shape.dim[0], most = smaller(rows, MOST_ROWS);
    struct head_args *a = &h.args;
    a->channels = (uint32_t)h.w->shape.dim[1];
    a->vocabulary = (uint32_t)h.w->shape.dim[0];
    if ((double)a->channels * a->vocabulary > INT32_MAX || (double)rows * a->channels > INT32_MAX) {
        vk_unsupported(r, "a head of [%u, %u] over %u rows has more numbers than 32 bits count",
                       a->vocabulary, a->channels, rows);
        return;
    }
    h.words = MOST_LOGITS / most / LEAST_WORDS * LEAST_WORDS;
    h.words = smaller(smaller(h.words, MOST_WORDS), a->vocabulary);
    take_scratch(r, &h, most);
    uint64_t line = most * sizeof(float);
    a->w = h.w->address;
    a->z = h.z.address;
    a->largest = h.state.address;
    a->sum = a->largest + line;
    a->wanted = a->sum + line;
    a->scale = a->wanted + line;
    a->best = a->scale + line;
    a->target = h.target->address;
    a->nll = h.nll->address;
    a->argmax = h.argmax->address;
    a->g = h.g->address;
    a->kind = (uint32_t)h.x->rows;
    for (a->row = 0; a->row < rows; a->row += most) {
        a->rows = smaller(most, rows - a->row);
        block(r, &h);
    }
}

const struct vk_op vk_head_ops[] = {{GRAFT_OP_HEAD_LOSS, head_loss}, {0, NULL}};

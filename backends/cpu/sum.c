/* SPDX-License-Identifier: Apache-2.0
 *
 * A sum becomes one call of the product's kernel (cpu.h, cpu_matmul), which adds the rest block by
 * block.
 */
#include "step.h"

#include <stdio.h>
#include <string.h>

struct merge {
    struct step *main;
    const struct step *sum;     /* what there is so far */
    const struct step *product; /* not added yet; NULL: none */
    bool has_product, has_value;
};

static bool same_shape(const struct kernel_tensor *a, const struct kernel_tensor *b)
{
    return a->shape.rank == b->shape.rank &&
           memcmp(a->shape.dim, b->shape.dim, sizeof a->shape.dim) == 0;
}

/* Whether the step's input is the other's output. */
static bool reads(const struct step *s, int input, const struct step *made)
{
    if (made->out_inner[0] != 0 || s->in_inner[input] != 0)
        return made->out_inner[0] == s->in_inner[input];
    return made->call.out[0].data == s->call.in[input].data;
}

static void move_input(struct merge *m, int to, const struct step *from, int input)
{
    m->main->call.in[to] = from->call.in[input];
    m->main->in_rows[to] = from->in_rows[input];
}

static bool take_product(struct merge *m, const struct step *s)
{
    const struct kernel_call *a = &m->main->call, *b = &s->call;
    m->product = s;
    return !m->has_product && b->in[0].shape.rank == 2 && !b->params.matmul.transpose_a &&
           !a->params.matmul.transpose_a == !b->params.matmul.transpose_a &&
           !a->params.matmul.transpose_b == !b->params.matmul.transpose_b &&
           b->in[1].dtype == GRAFT_DTYPE_F32 && b->in[0].shape.dim[1] <= GRAFT_SUM_DEPTH &&
           s->in_inner[0] == 0 && s->in_inner[1] == 0;
}

static bool take_sum(struct merge *m, const struct step *s)
{
    int other = reads(s, 0, m->sum);
    if (!reads(s, 1 - other, m->sum)) return false;
    if (m->product != NULL) {
        if (!reads(s, other, m->product)) return false;
        move_input(m, CPU_MATMUL_A2, m->product, 0);
        move_input(m, CPU_MATMUL_B2, m->product, 1);
        m->has_product = true;
        m->product = NULL;
    } else {
        if (m->has_value || s->in_inner[other] != 0) return false;
        move_input(m, m->has_product ? CPU_MATMUL_AFTER : CPU_MATMUL_BEFORE, s, other);
        m->has_value = true;
    }
    m->sum = s;
    return same_shape(&s->call.in[other], &s->call.out[0]);
}

bool sum_plan(struct step *steps, uint32_t left, char text[256])
{
    struct merge m = {.main = steps, .sum = steps};
    bool fits = steps->sweep <= left && steps->call.in[0].shape.rank == 2 &&
                !steps->call.params.matmul.transpose_a && steps->in_inner[0] == 0 &&
                steps->in_inner[1] == 0;
    for (int k = 1; fits && k < steps->sweep; k++) {
        const struct step *s = &steps[k];
        fits = same_shape(&s->call.out[0], &steps->call.out[0]) &&
               s->out_rows[0] == steps->out_rows[0] &&
               ((s->call.op == GRAFT_OP_MATMUL && take_product(&m, s)) ||
                (s->call.op == GRAFT_OP_ADD && take_sum(&m, s)));
    }
    fits = fits && m.product == NULL && m.sum->out_inner[0] == 0;
    if (!fits) {
        snprintf(text, 256, "a sweep of %d nodes that begins with a product: it is not one of sums",
                 (int)steps->sweep);
        return false;
    }
    steps->call.out[0] = m.sum->call.out[0];
    steps->out_inner[0] = 0;
    return true;
}

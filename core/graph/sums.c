/* SPDX-License-Identifier: Apache-2.0
 *
 * A sum grows from a product along its readers: as long as nobody but the next sum reads what is
 * there so far, that one may take in a product of few columns, and a value.
 */
#include "graph/sums.h"

#include "base/memory.h"

#include <string.h>

struct finder {
    const struct graph *graph;
    const struct graph_node **order;
    uint32_t count;
    const uint32_t *home;
    uint32_t *readers; /* by value number: how many inputs it is */
    uint32_t *reader;  /* the last node that reads it, in the order */
    uint32_t *made_at; /* UINT32_MAX: by no node */
    bool *taken;       /* by node of the order */
};

/* A sum that grows. */
struct growth {
    uint32_t at[SUM_NODES], count;
    graft_value value; /* what it is so far */
    bool has_product, has_value;
};

static const struct graph_value *value_of(const struct finder *f, graft_value v)
{
    return graph_value(f->graph, v);
}

static bool same_rows(const struct graph_value *a, const struct graph_value *b)
{
    return a->rows == b->rows && a->shape.rank == b->shape.rank &&
           memcmp(a->shape.dim, b->shape.dim, sizeof a->shape.dim) == 0;
}

static const struct stored *stored_of(const struct finder *f, graft_value v)
{
    return value_of(f, (graft_value){f->home[v.id - 1] + 1})->stored;
}

/* It can be read later: nobody writes there but at the end of the program. */
static bool can_wait(const struct finder *f, graft_value v)
{
    const struct stored *s = stored_of(f, v);
    return s == NULL || (s->kind != STORE_CACHE && s->kind != STORE_GRADIENT);
}

static bool is_product(const struct finder *f, uint32_t at)
{
    const struct graph_node *n = at < f->count ? f->order[at] : NULL;
    return n != NULL && !f->taken[at] && n->op == GRAFT_OP_MATMUL &&
           !n->params.matmul.transpose_a && value_of(f, n->output[0])->shape.rank == 2 &&
           can_wait(f, n->input[0]) && can_wait(f, n->input[1]);
}

static int64_t depth(const struct finder *f, uint32_t at)
{
    return value_of(f, f->order[at]->input[0])->shape.dim[1];
}

/* May be the second product of one whose operands lie as those of `main` do. A frozen weight may
 * have to be multiplied in a type of its own (node_set_compute). */
static bool is_thin(const struct finder *f, uint32_t at, uint32_t main)
{
    if (!is_product(f, at) || depth(f, at) > GRAFT_SUM_DEPTH) return false;
    const struct stored *b = stored_of(f, f->order[at]->input[1]);
    return value_of(f, f->order[at]->input[1])->dtype == GRAFT_DTYPE_F32 &&
           (b == NULL || b->kind != STORE_BASE) &&
           f->order[at]->params.matmul.transpose_b == f->order[main]->params.matmul.transpose_b;
}

/* Where v is made if only one node reads it, once; else UINT32_MAX. */
static uint32_t made_for_one(const struct finder *f, graft_value v)
{
    uint32_t i = v.id - 1;
    return f->home[i] == i && f->readers[i] == 1 && !value_of(f, v)->kept &&
                   value_of(f, v)->stored == NULL
               ? f->made_at[i]
               : UINT32_MAX;
}

/* The node of the order that adds something of the same shape to v and is v's only reader. */
static uint32_t next_sum(const struct finder *f, graft_value v)
{
    if (made_for_one(f, v) == UINT32_MAX) return UINT32_MAX;
    uint32_t at = f->reader[v.id - 1];
    const struct graph_node *n = f->order[at];
    if (n->op != GRAFT_OP_ADD || f->taken[at]) return UINT32_MAX;
    for (uint32_t i = 0; i < 2; i++)
        if (!same_rows(value_of(f, n->input[i]), value_of(f, v))) return UINT32_MAX;
    return at;
}

static bool take(struct finder *f, struct growth *g, uint32_t main)
{
    uint32_t sum = next_sum(f, g->value);
    if (sum == UINT32_MAX) return false;
    const struct graph_node *n = f->order[sum];
    graft_value other = n->input[n->input[0].id == g->value.id];
    uint32_t maker = made_for_one(f, other);
    if (!g->has_product && is_thin(f, maker, main)) {
        g->has_product = true;
        g->at[g->count++] = maker;
    } else if (!g->has_value && can_wait(f, other) && !(is_product(f, maker) && maker > main)) {
        g->has_value = true; /* a later product takes in this sum, not the other way round */
    } else {
        return false;
    }
    g->at[g->count++] = sum;
    g->value = n->output[0];
    return true;
}

/* A product of all that its nodes take from elsewhere. */
static struct graph_node whole(const struct sum *s)
{
    struct graph_node all = *s->nodes[0];
    const struct graph_node *last = s->nodes[s->count - 1];
    for (uint32_t k = 1; k < s->count; k++)
        for (uint32_t i = 0; i < s->nodes[k]->input_count; i++) {
            graft_value v = s->nodes[k]->input[i];
            bool inside = false;
            for (uint32_t j = 0; j < k; j++) inside |= s->nodes[j]->output[0].id == v.id;
            if (!inside) all.input[all.input_count++] = v;
        }
    all.output[0] = last->output[0];
    all.backward = last->backward;
    return all;
}

static void grow(struct finder *f, uint32_t main, struct sums *sums)
{
    struct growth g = {.at = {main}, .count = 1, .value = f->order[main]->output[0]};
    while (take(f, &g, main)) continue;
    if (g.count == 1) return;
    struct sum *s = &sums->list[sums->count++];
    s->count = g.count;
    for (uint32_t k = 0; k < g.count; k++) {
        s->nodes[k] = f->order[g.at[k]];
        f->taken[g.at[k]] = true;
    }
    s->whole = whole(s);
    uint32_t last = g.at[g.count - 1];
    f->order[last] = &s->whole;
    f->made_at[g.value.id - 1] = last;
}

static void note_uses(struct finder *f)
{
    memset(f->made_at, 0xFF, graph_value_count(f->graph) * sizeof *f->made_at);
    for (uint32_t i = 0; i < f->count; i++) {
        const struct graph_node *n = f->order[i];
        for (uint32_t k = 0; k < n->input_count; k++) {
            if (n->input[k].id == 0) continue;
            uint32_t v = f->home[n->input[k].id - 1];
            f->readers[v]++;
            f->reader[v] = i;
        }
        for (uint32_t k = 0; k < n->output_count; k++)
            if (n->output[k].id != 0) f->made_at[n->output[k].id - 1] = i;
    }
}

/* The deepest product first where two of a pair could begin. */
static bool begins(const struct finder *f, uint32_t at)
{
    if (!is_product(f, at)) return false;
    uint32_t sum = next_sum(f, f->order[at]->output[0]);
    if (sum == UINT32_MAX) return false;
    const struct graph_node *n = f->order[sum];
    graft_value other = n->input[n->input[0].id == f->order[at]->output[0].id];
    uint32_t rival = made_for_one(f, other);
    return !(is_product(f, rival) && is_thin(f, at, rival) && depth(f, rival) > depth(f, at));
}

bool sums_form(const struct graph *graph, const uint32_t *home, const struct graph_node **order,
               uint32_t *count, struct sums *sums)
{
    size_t values = graph_value_count(graph);
    struct finder f = {.graph = graph,
                       .order = order,
                       .count = *count,
                       .home = home,
                       .readers = mem_zalloc(values, sizeof *f.readers),
                       .reader = mem_zalloc(values, sizeof *f.reader),
                       .made_at = mem_zalloc(values, sizeof *f.made_at),
                       .taken = mem_zalloc(*count, sizeof *f.taken)};
    sums->list = mem_zalloc(*count / 2 + 1, sizeof *sums->list);
    bool fits = f.readers != NULL && f.reader != NULL && f.made_at != NULL && f.taken != NULL &&
                sums->list != NULL;
    if (fits) {
        uint32_t left = 0;
        note_uses(&f);
        for (uint32_t i = 0; i < f.count; i++)
            if (begins(&f, i)) grow(&f, i, sums);
        for (uint32_t i = 0; i < f.count; i++)
            if (!f.taken[i] || sums_find(sums, order[i]) != NULL) order[left++] = order[i];
        *count = left;
    }
    mem_free(f.readers);
    mem_free(f.reader);
    mem_free(f.made_at);
    mem_free(f.taken);
    return fits;
}

const struct sum *sums_find(const struct sums *sums, const struct graph_node *node)
{
    /* `whole` is a sum's first member, so its address tells */
    uintptr_t at = (uintptr_t)node, begin = (uintptr_t)sums->list;
    if (sums->count == 0 || at < begin || at >= begin + sums->count * sizeof *sums->list)
        return NULL;
    return &sums->list[(at - begin) / sizeof *sums->list];
}

void sums_free(struct sums *sums)
{
    mem_free(sums->list);
    *sums = (struct sums){0};
}

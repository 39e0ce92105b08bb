/* SPDX-License-Identifier: Apache-2.0
 *
 * Order, sweeps, lifetimes, sharing, placement. All nodes of a sweep stand at one position: what
 * one of them touches lives through it.
 *
 * Values that must lie together (views, outputs that take an input's memory) form one piece. A
 * piece lives from its first writer to its last reader; pieces are placed largest first, each at
 * the lowest offset that no piece of an overlapping life occupies.
 */
#include "graph/op.h"
#include "graph/plan_internal.h"
#include "graph/sums.h"
#include "graph/sweep.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct piece {
    uint32_t parent;      /* another piece that it joined; itself: a root */
    uint32_t first, last; /* positions */
    uint32_t begin, end;  /* nodes */
    uint32_t reader;      /* the last node that reads it */
    uint32_t whole;       /* the last position where one reads more of it than its own rows */
    uint64_t bytes, offset;
    bool read;
    bool inner;       /* lives inside one sweep */
    bool placed_here; /* lives in the transient region */
    bool pinned;      /* kept: lives to the end, never taken in place */
    bool forward, read_backward;
};

struct planner {
    struct graph *graph;
    const struct graph_node **order;
    struct sweep_mark *marks; /* as `order`, and so is: */
    uint32_t *position;
    size_t node_count;
    struct piece *pieces; /* by value number */
    size_t value_count;
};

static uint32_t root(struct planner *p, graft_value v)
{
    uint32_t i = v.id - 1;
    while (p->pieces[i].parent != i) i = p->pieces[i].parent;
    return i;
}

static bool is_view(const struct planner *p, int32_t op)
{
    return op == GRAFT_OP_RESHAPE || (op == GRAFT_OP_DETACH && !graph_keeps_detached(p->graph));
}

/* Assignments go last: everybody reads the value before the step. */
static void order_nodes(struct planner *p)
{
    size_t n = 0;
    for (int last = 0; last <= 1; last++)
        for (size_t i = 0; i < p->node_count; i++) {
            const struct graph_node *node = graph_node(p->graph, i);
            if ((node->op == GRAFT_OP_ASSIGN) == (last == 1)) p->order[n++] = node;
        }
}

static uint64_t aligned_bytes(const struct graph_value *v)
{
    return (dtype_bytes(v->dtype, v->shape) + PLAN_ALIGNMENT - 1) / PLAN_ALIGNMENT * PLAN_ALIGNMENT;
}

static void init_pieces(struct planner *p)
{
    for (uint32_t i = 0; i < p->value_count; i++) {
        const struct graph_value *v = graph_value(p->graph, (graft_value){i + 1});
        struct piece *piece = &p->pieces[i];
        piece->parent = i;
        piece->first = piece->whole = UINT32_MAX;
        piece->bytes = aligned_bytes(v);
        piece->placed_here = v->stored == NULL && !v->is_constant && v->node != UINT32_MAX;
        piece->pinned = v->kept;
    }
}

static void join_views(struct planner *p)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct graph_node *n = p->order[i];
        if (!is_view(p, n->op)) continue;
        uint32_t from = root(p, n->input[0]), to = n->output[0].id - 1;
        p->pieces[to].parent = from;
        p->pieces[from].pinned |= p->pieces[to].pinned;
    }
}

/* Puts the nodes of sums back in place of what stands for them. */
static bool expand(struct planner *p, const struct sums *sums, uint32_t count)
{
    const struct graph_node **order = mem_alloc(p->node_count * sizeof *order);
    struct sweep_mark *marks = mem_zalloc(p->node_count, sizeof *marks);
    bool fits = order != NULL && marks != NULL;
    for (uint32_t i = 0, at = 0; fits && i < count; i++) {
        const struct sum *s = sums_find(sums, p->order[i]);
        order[at] = p->order[i];
        marks[at] = p->marks[i];
        if (s != NULL) {
            memcpy(order + at, s->nodes, s->count * sizeof *order);
            marks[at].length = (uint16_t)s->count;
            for (uint32_t k = 0; k < s->count; k++)
                marks[at + k].by_row = s->nodes[k]->op == GRAFT_OP_MATMUL ? 1 : 3;
        }
        at += s != NULL ? s->count : 1;
    }
    if (fits) memcpy(p->order, order, p->node_count * sizeof *order);
    if (fits) memcpy(p->marks, marks, p->node_count * sizeof *marks);
    mem_free(order);
    mem_free(marks);
    return fits;
}

/* Nodes of a sweep come to stand at one position. */
static bool form_sweeps(struct planner *p)
{
    uint32_t *home = mem_alloc(p->value_count * sizeof *home), count = (uint32_t)p->node_count;
    struct sums sums = {0};
    if (home == NULL) return false;
    for (uint32_t i = 0; i < p->value_count; i++) home[i] = root(p, (graft_value){i + 1});
    bool formed = sums_form(p->graph, home, p->order, &count, &sums) &&
                  sweeps_form(p->graph, home, p->order, count, p->marks) && expand(p, &sums, count);
    sums_free(&sums);
    mem_free(home);
    for (uint32_t i = 0, end = 0, begin = 0; i < p->node_count; i++) {
        if (p->marks[i].length != 0) {
            begin = i;
            end = i + p->marks[i].length;
        }
        p->position[i] = i < end ? begin : i;
    }
    return formed;
}

static bool in_sweep(const struct planner *p, size_t node)
{
    return p->marks[p->position[node]].length != 0;
}

/* Its product is written before what is added to it is read. */
static bool in_sum(const struct planner *p, size_t node)
{
    return in_sweep(p, node) && p->order[p->position[node]]->op == GRAFT_OP_MATMUL;
}

static void touch(struct planner *p, graft_value v, size_t node)
{
    struct piece *piece = &p->pieces[root(p, v)];
    bool backward = p->order[node]->backward;
    if (piece->first == UINT32_MAX) {
        piece->first = p->position[node];
        piece->begin = (uint32_t)node;
        piece->forward = !backward;
    }
    piece->last = p->position[node];
    piece->end = (uint32_t)node;
    piece->read_backward |= backward;
}

static void find_lifetimes(struct planner *p)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct graph_node *n = p->order[i];
        if (is_view(p, n->op)) continue;
        for (uint32_t k = 0; k < n->input_count; k++) {
            if (n->input[k].id == 0) continue;
            struct piece *piece = &p->pieces[root(p, n->input[k])];
            touch(p, n->input[k], i);
            piece->read = true;
            piece->reader = (uint32_t)i;
            if (!(p->marks[i].by_row >> k & 1)) piece->whole = p->position[i];
        }
        for (uint32_t k = 0; k < n->output_count; k++)
            if (n->output[k].id != 0) touch(p, n->output[k], i);
    }
    for (size_t i = 0; i < p->value_count; i++)
        if (p->pieces[i].pinned) p->pieces[i].last = p->pieces[i].end = (uint32_t)p->node_count;
}

/* Nobody reads the piece after node i; in a sweep, which goes through all its nodes for some rows
 * before the next rows, each needs its own rows only. */
static bool dies_at(const struct planner *p, const struct piece *piece, size_t i)
{
    if (piece->pinned || piece->last != p->position[i] || piece->reader != i) return false;
    return !in_sweep(p, i) || piece->whole != p->position[i];
}

/* Lets node i's output take the memory of its input k, if that dies there. */
static bool join(struct planner *p, size_t i, uint32_t k)
{
    const struct graph_node *n = p->order[i];
    if (!(op_info(n->op)->in_place >> k & 1) || n->input[k].id == 0) return false;
    uint32_t from = root(p, n->input[k]), to = root(p, n->output[0]);
    struct piece *a = &p->pieces[from], *b = &p->pieces[to];
    bool same =
        a->bytes == b->bytes && graft_shape_count(graph_value(p->graph, n->input[k])->shape) ==
                                    graft_shape_count(graph_value(p->graph, n->output[0])->shape);
    if (from == to || !same || !a->placed_here || !b->placed_here || !dies_at(p, a, i))
        return false;
    b->parent = from;
    a->last = b->last;
    a->end = b->end;
    a->reader = b->reader;
    a->whole = b->whole;
    a->pinned = b->pinned;
    a->read_backward |= b->read_backward;
    return true;
}

/* What came from outside a sweep first: it is in memory, what a sweep makes inside is not. */
static void join_in_place(struct planner *p)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct graph_node *n = p->order[i];
        bool joined = is_view(p, n->op);
        for (uint32_t k = 0; !joined && !in_sum(p, i) && k < n->input_count; k++)
            joined = n->input[k].id != 0 &&
                     p->pieces[root(p, n->input[k])].first != p->position[i] && join(p, i, k);
        for (uint32_t k = 0; !joined && k < n->input_count; k++)
            joined = n->input[k].id != 0 &&
                     p->pieces[root(p, n->input[k])].first == p->position[i] && join(p, i, k);
    }
}

/* What only nodes of one sweep touch. */
static void find_inner(struct planner *p)
{
    for (uint32_t i = 0; i < p->value_count; i++) {
        struct piece *piece = &p->pieces[i];
        piece->inner = piece->placed_here && !piece->pinned && piece->first == piece->last &&
                       p->marks[piece->first].length != 0;
    }
}

static int larger_first(const void *a, const void *b)
{
    const struct piece *x = *(struct piece *const *)a, *y = *(struct piece *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* `placed` is sorted by offset. */
static uint64_t lowest_offset(struct piece *const *placed, size_t count, const struct piece *piece)
{
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct piece *other = placed[i];
        if (other->first > piece->last || other->last < piece->first) continue;
        if (other->offset >= at + piece->bytes) break;
        if (other->offset + other->bytes > at) at = other->offset + other->bytes;
    }
    return at;
}

static void insert_by_offset(struct piece **placed, size_t count, struct piece *piece)
{
    size_t i = count;
    while (i > 0 && placed[i - 1]->offset > piece->offset) {
        placed[i] = placed[i - 1];
        i--;
    }
    placed[i] = piece;
}

/* Places all pieces but those inside sweeps; `lists`: room for two. Returns the end. */
static uint64_t place(struct planner *p, struct piece **lists)
{
    struct piece **todo = lists, **placed = lists + p->value_count;
    size_t count = 0;
    uint64_t most = 0;
    for (uint32_t i = 0; i < p->value_count; i++) {
        struct piece *piece = &p->pieces[i];
        if (piece->parent == i && piece->placed_here && piece->first != UINT32_MAX && !piece->inner)
            todo[count++] = piece;
    }
    qsort(todo, count, sizeof *todo, larger_first);
    for (size_t i = 0; i < count; i++) {
        struct piece *piece = todo[i];
        piece->offset = lowest_offset(placed, i, piece);
        insert_by_offset(placed, i, piece);
        uint64_t end = piece->offset + piece->bytes;
        if (end > most) most = end;
    }
    return most;
}

/* Where all nodes run alone nothing is inside a sweep, and pieces live by nodes. */
static void live_alone(struct planner *p)
{
    for (uint32_t i = 0; i < p->value_count; i++) {
        struct piece *piece = &p->pieces[i];
        piece->inner = false;
        if (piece->first == UINT32_MAX) continue;
        piece->first = piece->begin;
        piece->last = piece->end;
    }
}

static void count_memory(const struct planner *p, struct plan_memory *memory)
{
    for (uint32_t i = 0; i < p->value_count; i++) {
        const struct piece *piece = &p->pieces[i];
        if (piece->parent != i || !piece->placed_here || piece->first == UINT32_MAX) continue;
        if (piece->forward && piece->read_backward && !piece->inner)
            memory->activations += piece->bytes;
        memory->unshared += piece->bytes;
    }
}

static uint32_t tensor_of(struct planner *p, struct plan *plan, const struct graph_node *n,
                          graft_value v, bool output)
{
    if (v.id == 0) return GRAFT_ABSENT;
    const struct piece *piece = &p->pieces[root(p, v)];
    bool writes = op_info(n->op)->writes;
    if (output && !writes && piece->placed_here && !piece->read && !piece->pinned &&
        n->output_count > 1)
        return GRAFT_ABSENT; /* nobody reads this one of several outputs */
    plan->values[v.id - 1].used = true;
    return v.id - 1;
}

/* Nodes of one site follow each other: its name is copied once. */
static struct node_origin origin_of(struct plan *plan, const struct graph_node *n)
{
    const char *last = plan->node_count > 1 ? plan->origins[plan->node_count - 2].place : NULL;
    struct node_origin o = {.block = n->block, .backward = n->backward};
    if (n->place != NULL && last != NULL && strcmp(n->place, last) == 0)
        o.place = last;
    else if (n->place != NULL)
        o.place = arena_strdup(&plan->arena, n->place); /* NULL for want of memory: no name */
    return o;
}

static void emit_nodes(struct planner *p, struct plan *plan)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct graph_node *n = p->order[i];
        if (is_view(p, n->op)) continue;
        struct graft_node *out = &plan->nodes[plan->node_count++];
        out->op = n->op;
        out->params = n->params;
        out->sweep = p->marks[i].length;
        out->by_row = p->marks[i].by_row;
        out->input_count = n->input_count;
        out->output_count = n->output_count;
        plan->origins[plan->node_count - 1] = origin_of(plan, n);
        for (uint32_t k = 0; k < n->input_count; k++)
            out->input[k] = tensor_of(p, plan, n, n->input[k], false);
        for (uint32_t k = 0; k < n->output_count; k++)
            out->output[k] = tensor_of(p, plan, n, n->output[k], true);
    }
    plan->memory.nodes = plan->node_count;
}

static void emit_values(struct planner *p, struct plan *plan)
{
    for (uint32_t i = 0; i < p->value_count; i++) {
        const struct graph_value *v = graph_value(p->graph, (graft_value){i + 1});
        uint32_t r = root(p, (graft_value){i + 1});
        const struct graph_value *home = graph_value(p->graph, (graft_value){r + 1});
        struct placed_value *out = &plan->values[i];
        out->dtype = v->dtype;
        out->rows = v->rows;
        out->shape = v->shape;
        out->stored = home->stored;
        out->place = home->stored != NULL ? PLACE_STORED
                     : home->is_constant  ? PLACE_CONSTANT
                                          : PLACE_TRANSIENT;
        out->offset = p->pieces[r].offset;
        if (p->pieces[r].inner) out->inner = r + 1;
        if (v->is_constant) {
            float *numbers = plan->constants + plan->constant_bytes / sizeof(float);
            out->offset = plan->constant_bytes;
            if (v->table != NULL)
                memcpy(numbers, v->table, (size_t)v->shape.dim[0] * sizeof *numbers);
            else
                *numbers = (float)v->constant;
            plan->constant_bytes += p->pieces[i].bytes;
        }
    }
    for (uint32_t i = 0; i < p->value_count; i++) { /* views of constants */
        uint32_t r = root(p, (graft_value){i + 1});
        if (plan->values[i].place == PLACE_CONSTANT)
            plan->values[i].offset = plan->values[r].offset;
    }
}

static void emit_alone(struct planner *p, struct plan *plan)
{
    for (uint32_t i = 0; i < p->value_count; i++) {
        struct placed_value *v = &plan->values[i];
        v->alone = v->place == PLACE_TRANSIENT ? p->pieces[root(p, (graft_value){i + 1})].offset
                                               : v->offset;
    }
}

static uint64_t constant_bytes(const struct graph *graph)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < graph_value_count(graph); i++) {
        const struct graph_value *v = graph_value(graph, (graft_value){i + 1});
        if (v->is_constant) bytes += aligned_bytes(v);
    }
    return bytes;
}

static bool plan_allocated(const struct plan *plan)
{
    return plan != NULL && plan->values != NULL && plan->nodes != NULL && plan->origins != NULL &&
           plan->constants != NULL;
}

/* `lists`: room for two lists of pieces. False for want of memory. */
static bool lay_out(struct planner *p, struct piece **lists, struct plan *plan)
{
    if (p->order == NULL || p->marks == NULL || p->position == NULL || p->pieces == NULL)
        return false;
    order_nodes(p);
    init_pieces(p);
    join_views(p);
    if (!form_sweeps(p)) return false;
    find_lifetimes(p);
    join_in_place(p);
    find_inner(p);
    count_memory(p, &plan->memory);
    plan->memory.transient = place(p, lists);
    emit_nodes(p, plan);
    emit_values(p, plan);
    live_alone(p);
    plan->memory.alone = place(p, lists);
    emit_alone(p, plan);
    return true;
}

enum graft_status plan_create(struct graph *graph, struct plan **out, struct error *e)
{
    graph_prune(graph);
    enum graft_status status = graph_status(graph, e);
    if (status != GRAFT_OK) return status;
    size_t values = graph_value_count(graph), nodes = graph_node_count(graph);
    struct planner p = {.graph = graph,
                        .value_count = values,
                        .node_count = nodes,
                        .order = mem_zalloc(nodes, sizeof *p.order),
                        .marks = mem_zalloc(nodes, sizeof *p.marks),
                        .position = mem_zalloc(nodes, sizeof *p.position),
                        .pieces = mem_zalloc(values, sizeof *p.pieces)};
    struct plan *plan = mem_zalloc(1, sizeof *plan);
    struct piece **lists = mem_zalloc(2 * values, sizeof *lists);
    if (plan != NULL) {
        plan->value_count = values;
        plan->values = mem_zalloc(values, sizeof *plan->values);
        plan->nodes = mem_zalloc(nodes, sizeof *plan->nodes);
        plan->origins = mem_zalloc(nodes, sizeof *plan->origins);
        plan->constants = mem_zalloc(1, constant_bytes(graph));
    }
    if (lists != NULL && plan_allocated(plan) && lay_out(&p, lists, plan)) {
        *out = plan;
    } else {
        plan_destroy(plan);
        status = error_memory(e, "a plan", values * sizeof *plan->values);
    }
    mem_free(lists);
    mem_free(p.order);
    mem_free(p.marks);
    mem_free(p.position);
    mem_free(p.pieces);
    return status;
}

void plan_destroy(struct plan *plan)
{
    if (plan == NULL) return;
    mem_free(plan->values);
    mem_free(plan->nodes);
    mem_free(plan->origins);
    arena_free(&plan->arena);
    mem_free(plan->constants);
    mem_free(plan);
}

struct plan_memory plan_memory(const struct plan *plan)
{
    return plan->memory;
}

uint64_t plan_transient(const struct plan *plan, const struct backend *backend)
{
    return backend->sweeps ? plan->memory.transient : plan->memory.alone;
}

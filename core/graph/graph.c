/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes and values, and the builder table that plugins call. Shapes are inferred and checked as
 * nodes are added; the first error stays.
 */
#include "graph/internal.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TABLE_LIMIT = 65536 };

static struct graph *graph_of(struct graft_builder *b)
{
    return (struct graph *)(void *)b;
}

static struct graph_value *value_of(struct graph *g, graft_value v)
{
    return &g->values[v.id - 1];
}

void graph_fail(struct graph *g, enum graft_status status, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list args;
    if (graph_failed(g)) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error_set(&g->error, status, "%s", text);
    if (g->place != NULL) error_place(&g->error, "%s", g->place);
}

static graft_value add_value(struct graph *g, struct graph_value value)
{
    if (!array_reserve(&g->values, &g->value_capacity, g->value_count + 1, sizeof *g->values)) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory for the graph");
        return (graft_value){0};
    }
    g->values[g->value_count++] = value;
    return (graft_value){(uint32_t)g->value_count};
}

graft_value graph_stored(struct graph *g, const struct stored *stored)
{
    if (graph_failed(g)) return (graft_value){0};
    if (stored == NULL) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory for a stored value");
        return (graft_value){0};
    }
    for (size_t i = 0; i < g->value_count; i++)
        if (g->values[i].node == UINT32_MAX && g->values[i].stored == stored)
            return (graft_value){(uint32_t)i + 1};
    return add_value(g, (struct graph_value){.dtype = stored->dtype,
                                             .rows = stored->rows,
                                             .shape = stored->shape,
                                             .stored = stored,
                                             .node = UINT32_MAX,
                                             .differentiable = stored->gradient != NULL});
}

static graft_value add_constant(struct graph *g, double constant)
{
    if (graph_failed(g)) return (graft_value){0};
    for (size_t i = 0; i < g->value_count; i++)
        if (g->values[i].is_constant && g->values[i].table == NULL &&
            g->values[i].constant == constant)
            return (graft_value){(uint32_t)i + 1};
    return add_value(g, (struct graph_value){.dtype = GRAFT_DTYPE_F32,
                                             .shape = graft_shape1(1),
                                             .constant = constant,
                                             .is_constant = true,
                                             .node = UINT32_MAX});
}

static graft_value add_table(struct graph *g, const float *numbers, int64_t count)
{
    if (graph_failed(g)) return (graft_value){0};
    if (numbers == NULL || count < 1 || count > TABLE_LIMIT) {
        graph_fail(g, GRAFT_E_INVALID, "a table has 1 to %d numbers, not %lld", TABLE_LIMIT,
                   (long long)count);
        return (graft_value){0};
    }
    size_t bytes = (size_t)count * sizeof *numbers;
    for (size_t i = 0; i < g->value_count; i++)
        if (g->values[i].table != NULL && g->values[i].shape.dim[0] == count &&
            memcmp(g->values[i].table, numbers, bytes) == 0)
            return (graft_value){(uint32_t)i + 1};
    float *copy = arena_alloc(&g->tables, (size_t)count, sizeof *copy);
    if (copy == NULL) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory for the graph");
        return (graft_value){0};
    }
    memcpy(copy, numbers, bytes);
    return add_value(g, (struct graph_value){.dtype = GRAFT_DTYPE_F32,
                                             .shape = graft_shape1(count),
                                             .table = copy,
                                             .is_constant = true,
                                             .node = UINT32_MAX});
}

static bool check_inputs(struct graph *g, const struct op_info *info, const graft_value *inputs,
                         uint32_t count)
{
    if (count < info->inputs_min || count > info->inputs_max) {
        graph_fail(g, GRAFT_E_INVALID, "%s: takes %u to %u inputs, got %u", info->name,
                   info->inputs_min, info->inputs_max, count);
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        if (inputs[i].id > g->value_count || (inputs[i].id == 0 && !(info->optional >> i & 1))) {
            graph_fail(g, GRAFT_E_INVALID, "%s: input %u is not a value of this graph", info->name,
                       i);
            return false;
        }
    return true;
}

static bool add_outputs(struct graph *g, struct graph_node *node, const struct op_info *info)
{
    struct op_shape in[GRAFT_MAX_INPUTS] = {{{{0}, 0}, 0, 0}};
    struct op_shape out[GRAFT_MAX_OUTPUTS] = {{{{0}, 0}, 0, 0}};
    struct error e = {0};
    bool differentiable = false;
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->input[i].id == 0) continue;
        const struct graph_value *v = value_of(g, node->input[i]);
        in[i] = (struct op_shape){v->shape, v->dtype, v->rows};
        differentiable |= v->differentiable;
    }
    if (!info->infer(in, &node->params, out, &e)) {
        graph_fail(g, GRAFT_E_INVALID, "%s: %s", info->name, e.text);
        return false;
    }
    differentiable &= node->op != GRAFT_OP_DETACH && !info->writes;
    for (uint32_t i = 0; i < info->outputs; i++) {
        if (out[i].shape.rank == 0) continue;
        struct graph_value v = {.dtype = out[i].dtype,
                                .rows = out[i].rows,
                                .shape = out[i].shape,
                                .node = (uint32_t)g->node_count,
                                .output = i,
                                .differentiable =
                                    differentiable && out[i].dtype == GRAFT_DTYPE_F32};
        if (info->writes) v.stored = value_of(g, node->input[0])->stored;
        node->output[i] = add_value(g, v);
        if (node->output[i].id == 0) return false;
    }
    node->output_count = info->outputs;
    return true;
}

graft_value graph_add_node(struct graph *g, int32_t op, const graft_value *inputs, uint32_t count,
                           const union graft_params *params)
{
    const struct op_info *info = op_info(op);
    struct graph_node node = {
        .op = op, .block = g->block, .place = g->place, .backward = g->backward};
    if (graph_failed(g)) return (graft_value){0};
    if (info == NULL) {
        graph_fail(g, GRAFT_E_INVALID, "there is no op %d", op);
        return (graft_value){0};
    }
    if (!check_inputs(g, info, inputs, count)) return (graft_value){0};
    if (info->writes && value_of(g, inputs[0])->stored == NULL) {
        graph_fail(g, GRAFT_E_INVALID, "%s: only stored values can be written", info->name);
        return (graft_value){0};
    }
    node.input_count = count;
    memcpy(node.input, inputs, count * sizeof *inputs);
    if (params != NULL) node.params = *params;
    if (!array_reserve(&g->nodes, &g->node_capacity, g->node_count + 1, sizeof *g->nodes)) {
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory for the graph");
        return (graft_value){0};
    }
    if (!add_outputs(g, &node, info)) return (graft_value){0};
    g->nodes[g->node_count++] = node;
    return node.output[0];
}

graft_value graph_output(struct graph *g, graft_value v, uint32_t index)
{
    if (graph_failed(g)) return (graft_value){0};
    const struct graph_value *value = v.id != 0 ? value_of(g, v) : NULL;
    if (value == NULL || value->node == UINT32_MAX || index >= g->nodes[value->node].output_count) {
        graph_fail(g, GRAFT_E_INVALID, "no output %u there", index);
        return (graft_value){0};
    }
    return g->nodes[value->node].output[index];
}

graft_value graph_broadcast(struct graph *g, graft_value x, struct graft_shape shape, int32_t rows)
{
    union graft_params p = {.shape = shape};
    graft_value v = graph_add_node(g, GRAFT_OP_BROADCAST, &x, 1, &p);
    if (v.id != 0) value_of(g, v)->rows = rows;
    return v;
}

int32_t graph_rows(const struct graph *g, graft_value v)
{
    return v.id != 0 ? g->values[v.id - 1].rows : GRAFT_ROWS_FIXED;
}

void graph_keep(struct graph *g, graft_value v)
{
    if (v.id != 0) value_of(g, v)->kept = true;
}

/* The builder table */

static graft_value api_op(struct graft_builder *b, int32_t op, const graft_value *inputs,
                          uint32_t count, const union graft_params *params)
{
    return graph_add_node(graph_of(b), op, inputs, count, params);
}

static graft_value api_output(struct graft_builder *b, graft_value v, uint32_t index)
{
    return graph_output(graph_of(b), v, index);
}

static graft_value api_constant(struct graft_builder *b, double value)
{
    return add_constant(graph_of(b), value);
}

static graft_value api_table(struct graft_builder *b, const float *values, int64_t count)
{
    return add_table(graph_of(b), values, count);
}

static struct graft_shape api_shape(struct graft_builder *b, graft_value v)
{
    return v.id != 0 ? value_of(graph_of(b), v)->shape : graft_shape1(1);
}

static void api_refuse(struct graft_builder *b, const char *text)
{
    graph_fail(graph_of(b), GRAFT_E_INVALID, "%s", text);
}

static graft_value not_here(struct graph *g, const char *what)
{
    graph_fail(g, GRAFT_E_INVALID, "%s cannot be called here", what);
    return (graft_value){0};
}

static graft_value api_param(struct graft_builder *b, const struct graft_param_desc *desc)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.param == NULL) return not_here(g, "graft_param");
    return g->hooks.param(g->hooks.context, b, desc);
}

static graft_value api_base(struct graft_builder *b, const struct graft_site *site,
                            const graft_value *inputs, uint32_t count)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.base == NULL) return not_here(g, "graft_base");
    return g->hooks.base(g->hooks.context, b, site, inputs, count);
}

static graft_value api_weight(struct graft_builder *b, const struct graft_site *site, int32_t bias)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.weight == NULL) return not_here(g, "graft_base_weight");
    return g->hooks.weight(g->hooks.context, b, site, bias);
}

static void api_save(struct graft_builder *b, const char *key, graft_value v)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return;
    if (g->hooks.save != NULL)
        g->hooks.save(g->hooks.context, b, key, v);
    else
        not_here(g, "graft_save");
}

static graft_value api_dropout(struct graft_builder *b, graft_value x, double rate)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g) || rate == 0.0) return x;
    if (g->hooks.dropout == NULL) return not_here(g, "graft_dropout");
    return g->hooks.dropout(g->hooks.context, b, x, rate);
}

static void api_share(struct graft_builder *b, const char *name, graft_value v)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return;
    if (g->hooks.share != NULL)
        g->hooks.share(g->hooks.context, b, name, v);
    else
        not_here(g, "graft_share");
}

static graft_value api_shared(struct graft_builder *b, const char *name)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.shared == NULL) return not_here(g, "graft_shared");
    return g->hooks.shared(g->hooks.context, b, name);
}

static int32_t api_from_file(struct graft_builder *b)
{
    const struct graph *g = graph_of(b);
    return g->hooks.from_file != NULL ? g->hooks.from_file(g->hooks.context) : 0;
}

static graft_value api_tokens(struct graft_builder *b, const char *text, int64_t count)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.tokens == NULL) return not_here(g, "tokens");
    return g->hooks.tokens(g->hooks.context, b, text, count);
}

static graft_value api_text_state(struct graft_builder *b, const char *text, int64_t count)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.text_state == NULL) return not_here(g, "text_state");
    return g->hooks.text_state(g->hooks.context, b, text, count);
}

static graft_value api_factor(struct graft_builder *b, const struct graft_site *site, int32_t kind,
                              int64_t rank, int32_t right)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.factor == NULL) return not_here(g, "factor");
    return g->hooks.factor(g->hooks.context, b, site, kind, rank, right);
}

static void api_save_scaled(struct graft_builder *b, const char *option, double times)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return;
    if (g->hooks.save_scaled != NULL)
        g->hooks.save_scaled(g->hooks.context, b, option, times);
    else
        not_here(g, "save_scaled");
}

static void api_penalty(struct graft_builder *b, graft_value v)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return;
    if (g->hooks.penalty != NULL)
        g->hooks.penalty(g->hooks.context, b, v);
    else
        not_here(g, "graft_penalty");
}

static graft_value api_updated(struct graft_builder *b, const struct graft_site *site,
                               const char *name, graft_value *gradient)
{
    struct graph *g = graph_of(b);
    *gradient = (graft_value){0};
    if (graph_failed(g)) return *gradient;
    if (g->hooks.updated == NULL) return not_here(g, "graft_updated");
    return g->hooks.updated(g->hooks.context, b, site, name, gradient);
}

static graft_value api_state(struct graft_builder *b, const void *update, const char *name,
                             struct graft_shape shape, int32_t dtype, int32_t init)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.state == NULL) return not_here(g, "graft_state");
    return g->hooks.state(g->hooks.context, b, update, name, shape, dtype, init);
}

static graft_value api_assign(struct graft_builder *b, graft_value stored, graft_value value)
{
    struct graph *g = graph_of(b);
    if (graph_failed(g)) return (graft_value){0};
    if (g->hooks.assign == NULL) return not_here(g, "graft_assign");
    return g->hooks.assign(g->hooks.context, b, stored, value);
}

static const struct graft_builder_api builder_api = {
    .struct_size = sizeof builder_api,
    .op = api_op,
    .output = api_output,
    .constant = api_constant,
    .shape = api_shape,
    .refuse = api_refuse,
    .param = api_param,
    .base = api_base,
    .weight = api_weight,
    .dropout = api_dropout,
    .save = api_save,
    .share = api_share,
    .shared = api_shared,
    .from_file = api_from_file,
    .state = api_state,
    .assign = api_assign,
    .table = api_table,
    .tokens = api_tokens,
    .text_state = api_text_state,
    .factor = api_factor,
    .save_scaled = api_save_scaled,
    .penalty = api_penalty,
    .updated = api_updated,
};

enum graft_status graph_create(struct graph **out, struct error *e)
{
    struct graph *g = mem_zalloc(1, sizeof *g);
    if (g == NULL) return error_memory(e, "a graph", sizeof *g);
    g->builder.api = &builder_api;
    g->block = -1;
    *out = g;
    return GRAFT_OK;
}

void graph_destroy(struct graph *g)
{
    if (g == NULL) return;
    mem_free(g->nodes);
    mem_free(g->values);
    arena_free(&g->tables);
    mem_free(g);
}

struct graft_builder *graph_builder(struct graph *g)
{
    return &g->builder;
}

void graph_set_hooks(struct graph *g, const struct graph_hooks *hooks)
{
    g->hooks = hooks != NULL ? *hooks : (struct graph_hooks){0};
}

void graph_set_place(struct graph *g, const char *place)
{
    const char *copy = place[0] != '\0' ? arena_strdup(&g->tables, place) : NULL;
    if (place[0] != '\0' && copy == NULL)
        graph_fail(g, GRAFT_E_MEMORY, "not enough memory for the name of a site");
    g->place = copy;
}

void graph_keep_detached(struct graph *g)
{
    g->keep_detached = true;
}

bool graph_keeps_detached(const struct graph *g)
{
    return g->keep_detached;
}

void graph_set_block(struct graph *g, int32_t block)
{
    g->block = block;
}

enum graft_status graph_status(const struct graph *g, struct error *e)
{
    if (graph_failed(g) && e != NULL) *e = g->error;
    return g->error.status;
}

size_t graph_node_count(const struct graph *g)
{
    return g->node_count;
}

const struct graph_node *graph_node(const struct graph *g, size_t number)
{
    return &g->nodes[number];
}

size_t graph_value_count(const struct graph *g)
{
    return g->value_count;
}

const struct graph_value *graph_value(const struct graph *g, graft_value v)
{
    return &g->values[v.id - 1];
}

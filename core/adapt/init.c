/* SPDX-License-Identifier: Apache-2.0
 *
 * Initial values: draws that depend on the seed, the adapter's place and the parameter's name only.
 */
#include "adapt/internal.h"

#include "base/log.h"
#include "base/random.h"
#include "graph/once.h"

#include <math.h>

/* Four uniforms in (0, 1) for numbers 4n..4n+3. */
static void draw4(struct random_key key, uint64_t n, double out[4])
{
    uint32_t words[4];
    random_words(key, (uint32_t[4]){(uint32_t)n, (uint32_t)(n >> 32), 0, 0}, words);
    for (int i = 0; i < 4; i++) out[i] = ((double)words[i] + 0.5) * 0x1p-32;
}

static void fill_uniform(struct random_key key, double bound, float *out, int64_t count)
{
    double u[4] = {0};
    for (int64_t i = 0; i < count; i++) {
        if (i % 4 == 0) draw4(key, (uint64_t)i / 4, u);
        out[i] = (float)((2.0 * u[i % 4] - 1.0) * bound);
    }
}

/* Box and Muller 1958: two uniforms give two normals. */
static void fill_normal(struct random_key key, double deviation, float *out, int64_t count)
{
    const double turn = 6.283185307179586;
    double u[4] = {0};
    for (int64_t i = 0; i < count; i++) {
        if (i % 4 == 0) draw4(key, (uint64_t)i / 4, u);
        double radius = sqrt(-2.0 * log(u[i % 4 / 2 * 2])), angle = turn * u[i % 4 / 2 * 2 + 1];
        out[i] = (float)(deviation * radius * (i % 2 == 0 ? cos(angle) : sin(angle)));
    }
}

static void fill_constant(double value, float *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++) out[i] = (float)value;
}

static void fill(const struct adapt *a, const struct parameter *p, float *out, int64_t count)
{
    struct random_key key = random_key(a->seed, RANDOM_INIT, (uint32_t)p->adapter, p->key, 0);
    const struct graft_shape *shape = &p->stored->shape;
    switch (p->init) {
    case GRAFT_INIT_ONES: fill_constant(1.0, out, count); break;
    case GRAFT_INIT_CONSTANT: fill_constant(p->scale, out, count); break;
    case GRAFT_INIT_NORMAL: fill_normal(key, p->scale, out, count); break;
    case GRAFT_INIT_UNIFORM: fill_uniform(key, p->scale, out, count); break;
    case GRAFT_INIT_KAIMING_UNIFORM:
        fill_uniform(key, 1.0 / sqrt((double)shape->dim[shape->rank - 1]), out, count);
        break;
    default: fill_constant(0.0, out, count); break;
    }
}

static enum graft_status draw(struct adapt *a, const struct backend *backend, struct error *e)
{
    for (size_t i = 0; i < a->parameter_count; i++) {
        const struct parameter *p = &a->parameters[i];
        if (p->computed) continue;
        float *values = mem_alloc(p->stored->bytes);
        if (values == NULL) return error_memory(e, p->key, p->stored->bytes);
        fill(a, p, values, graft_shape_count(p->stored->shape));
        enum graft_status status = stored_write(p->stored, backend, values, p->stored->bytes, e);
        mem_free(values);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status write_frozen(const struct adapt *a, const struct backend *backend,
                                      struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < a->frozen_count && status == GRAFT_OK; i++)
        status = stored_write(a->frozen[i].stored, backend, a->frozen[i].ids,
                              a->frozen[i].stored->bytes, e);
    return status;
}

/* Parameters that begin as a value: one program that assigns them all. */
static enum graft_status compute(struct adapt *a, const struct backend *backend, struct error *e)
{
    struct graph *graph = NULL;
    struct store *scratch = NULL;
    struct once once = {0};
    bool any = false;
    for (size_t i = 0; i < a->parameter_count; i++) any |= a->parameters[i].computed;
    if (!any) return GRAFT_OK;
    enum graft_status status = write_frozen(a, backend, e);
    if (status == GRAFT_OK) status = store_create(&scratch, e);
    if (status == GRAFT_OK) status = graph_create(&graph, e);
    if (status == GRAFT_OK) {
        status = adapt_build(a, graph, scratch, PURPOSE_INIT, e);
        adapt_end(a);
    }
    if (status == GRAFT_OK) status = once_run(&once, graph, backend, e);
    once_end(&once);
    graph_destroy(graph);
    store_destroy(scratch);
    return status;
}

/* "lora_alpha is 32 there and 16 here" for each option that differs. */
static void list_differences(const struct option_values *there, const struct option_values *here,
                             struct str *out)
{
    json_t *then = option_values_json(there, true), *now = option_values_json(here, true), *value;
    const char *key;
    json_object_foreach(then, key, value)
    {
        const json_t *mine = json_object_get(now, key);
        if (mine == NULL || json_equal(value, mine)) continue;
        str_printf(out, "%s%s is ", out->length != 0 ? ", " : "", key);
        json_write(out, value, 0, false);
        str_puts(out, " there and ");
        json_write(out, mine, 0, false);
        str_puts(out, " here");
    }
    json_decref(then);
    json_decref(now);
}

/* The numbers of another adapter mean what they meant only with its settings: a warning, since it
 * may be wanted. */
static void compare_settings(const struct settings_adapter *here, const char *folder)
{
    struct settings_adapter there = {0};
    struct arena arena = {0};
    struct error e = {0};
    struct str differences = {0};
    if (adapt_read_config(folder, &arena, &there, &e) != GRAFT_OK)
        log_warning("adapter.init_from: with which settings it was trained is not known: %s",
                    e.text);
    else if (there.plugin == here->plugin) /* else its tensors will be missing */
        list_differences(there.options, here->options, &differences);
    if (differences.length != 0) log_warning("adapter.init_from: %s: %s", folder, differences.data);
    option_values_destroy(there.options);
    str_free(&differences);
    arena_free(&arena);
}

enum graft_status adapt_init(struct adapt *a, const struct backend *backend, struct error *e)
{
    enum graft_status status = draw(a, backend, e);
    if (status == GRAFT_OK) status = adapt_write_factors(a, backend, e);
    if (status == GRAFT_OK) status = compute(a, backend, e);
    for (size_t i = 0; i < a->layer_count && status == GRAFT_OK; i++) {
        const char *folder = a->layers[i].settings->init_from;
        if (folder == NULL || a->from_files) continue; /* or its own files hold what became of it */
        status = adapt_load(a, i, folder, backend, e);
        if (status != GRAFT_OK)
            error_place(e, "adapter.init_from");
        else if (adapt_layout(a, i) != GRAFT_LAYOUT_FULL)
            compare_settings(a->layers[i].settings, folder);
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What adapters do after the gradients: nodes in the optimizer's program, and rankings on the host
 * that take entries away. The states "score" and "pruned" of a site are the plugin's.
 */
#include "adapt/internal.h"

#include <graft/after.h>

#include <string.h>

struct ranking { /* of one adapter */
    struct graft_ranking table;
    const struct stored **value, **score, **pruned; /* per site */
    float *numbers;                                 /* of the table's vectors */
};

const struct graft_adapter *adapt_later(const struct layer *layer)
{
    const struct graft_adapter *f = layer->functions;
    return f->struct_size >= offsetof(struct graft_adapter, check_steps) + sizeof f->check_steps
               ? f
               : NULL;
}

/* "SITE" SEPARATOR NAME, in a stack with the adapter's number before it, as the store has it. */
static const char *stored_name(const struct adapt *a, size_t layer, const char *site,
                               char separator, const char *name, struct arena *arena)
{
    return a->layer_count > 1 ? arena_format(arena, "%zu/%s%c%s", layer, site, separator, name)
                              : arena_format(arena, "%s%c%s", site, separator, name);
}

/* ---- in the optimizer's program ---- */

static void call_after(struct adapt *a, size_t index, const struct graft_site *site,
                       struct graph *graph, const struct graft_update *u)
{
    struct layer *layer = &a->layers[index];
    struct error e = {0};
    graph_set_place(graph, site->name);
    if (option_values_for_site(layer->settings->options, site->name, layer->filled, &e) != GRAFT_OK)
        graph_fail(graph, e.status, "%s", e.text);
    else
        layer->functions->after(graph_builder(graph), layer->filled, site, u);
    graph_set_place(graph, "");
}

void adapt_after(struct adapt *a, struct graph *graph, const struct graft_update *u,
                 void (*at)(void *context, const char *key), void *context)
{
    for (size_t l = 0; l < a->layer_count; l++) {
        const struct graft_adapter *f = adapt_later(&a->layers[l]);
        if (f == NULL || f->after == NULL) continue;
        for (size_t i = 0; i < a->layers[l].site_count; i++) {
            const struct graft_site *site = a->layers[l].sites[i];
            const char *key = stored_name(a, l, site->name, '/', "", &a->arena);
            if (key == NULL) {
                graph_fail(graph, GRAFT_E_MEMORY, "%s: not enough memory", site->name);
                return;
            }
            at(context, key);
            call_after(a, l, site, graph, u);
        }
    }
}

enum graft_status adapt_check_steps(const struct adapt *a, int64_t steps, struct error *e)
{
    for (size_t l = 0; l < a->layer_count; l++) {
        const struct layer *layer = &a->layers[l];
        const struct graft_adapter *f = adapt_later(layer);
        char text[256] = "";
        if (f == NULL || f->check_steps == NULL ||
            f->check_steps(option_values_get(layer->settings->options), steps, text, sizeof text))
            continue;
        (void)error_set(e, GRAFT_E_INVALID, "%s", text);
        if (a->layer_count > 1)
            error_place(e, "adapter.%zu", l);
        else
            error_place(e, "adapter");
        return GRAFT_E_INVALID;
    }
    return GRAFT_OK;
}

/* ---- rankings ---- */

const struct stored *adapt_find(const struct adapt *a, size_t layer, const char *site, bool state,
                                const char *name, struct arena *arena)
{
    const char *key = stored_name(a, layer, site, state ? '/' : '.', name, arena);
    return key != NULL ? store_find(a->store, state ? STORE_STATE : STORE_ADAPTER, key) : NULL;
}

static enum graft_status find_site(struct adapt *a, size_t index, size_t site, struct ranking *r,
                                   struct error *e)
{
    const struct layer *layer = &a->layers[index];
    const char *name = layer->sites[site]->name;
    r->value[site] = adapt_find(a, index, name, false, layer->functions->ranked[0].name, &a->arena);
    r->score[site] = adapt_find(a, index, name, true, "score", &a->arena);
    r->pruned[site] = adapt_find(a, index, name, true, "pruned", &a->arena);
    if (r->value[site] == NULL || r->score[site] == NULL || r->pruned[site] == NULL ||
        r->score[site]->bytes != r->value[site]->bytes ||
        r->pruned[site]->bytes != r->value[site]->bytes)
        return error_set(e, GRAFT_E_FAILED,
                         "%s: %s ranks %s without states \"score\" and \"pruned\" of its shape",
                         name, layer->settings->method, layer->functions->ranked[0].name);
    return GRAFT_OK;
}

/* Once: afterwards nothing is allocated between steps. */
static enum graft_status prepare(struct adapt *a, size_t index, struct error *e)
{
    struct layer *layer = &a->layers[index];
    size_t sites = layer->site_count;
    struct ranking *r = arena_alloc(&a->arena, 1, sizeof *r);
    int64_t *begin = arena_alloc(&a->arena, sites + 1, sizeof *begin);
    const struct stored **stored = arena_alloc(&a->arena, 3 * sites, sizeof *stored);
    if (r == NULL || begin == NULL || stored == NULL) return error_memory(e, "a ranking", sites);
    r->value = stored;
    r->score = stored + sites;
    r->pruned = stored + 2 * sites;
    for (size_t i = 0; i < sites; i++) {
        enum graft_status status = find_site(a, index, i, r, e);
        if (status != GRAFT_OK) return status;
        begin[i + 1] = begin[i] + (int64_t)(r->value[i]->bytes / sizeof(float));
    }
    size_t count = (size_t)begin[sites];
    r->numbers = arena_alloc(&a->arena, 4 * count, sizeof *r->numbers);
    if (r->numbers == NULL) return error_memory(e, "a ranking", 4 * count * sizeof *r->numbers);
    r->table = (struct graft_ranking){.struct_size = sizeof r->table,
                                      .site_count = (uint32_t)sites,
                                      .begin = begin,
                                      .score = r->numbers,
                                      .pruned = r->numbers + count,
                                      .value = r->numbers + 2 * count,
                                      .scratch = r->numbers + 3 * count};
    layer->ranking = r;
    return GRAFT_OK;
}

static enum graft_status rank_layer(const struct layer *layer, int64_t step,
                                    const struct backend *backend, struct error *e)
{
    struct ranking *r = layer->ranking;
    size_t sites = layer->site_count, count = (size_t)r->table.begin[sites];
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < sites && status == GRAFT_OK; i++) {
        size_t at = (size_t)r->table.begin[i], bytes = r->value[i]->bytes;
        status = stored_read(r->score[i], backend, r->numbers + at, bytes, e);
        if (status == GRAFT_OK)
            status = stored_read(r->pruned[i], backend, r->table.pruned + at, bytes, e);
        if (status == GRAFT_OK)
            status = stored_read(r->value[i], backend, r->table.value + at, bytes, e);
    }
    if (status != GRAFT_OK || count == 0) return status;
    r->table.step = step;
    layer->functions->rank(option_values_get(layer->settings->options), &r->table);
    for (size_t i = 0; i < sites && status == GRAFT_OK; i++) {
        size_t at = (size_t)r->table.begin[i], bytes = r->value[i]->bytes;
        status = stored_write(r->pruned[i], backend, r->table.pruned + at, bytes, e);
        if (status == GRAFT_OK)
            status = stored_write(r->value[i], backend, r->table.value + at, bytes, e);
    }
    return status;
}

enum graft_status adapt_rank(struct adapt *a, int64_t step, const struct backend *backend,
                             struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t l = 0; l < a->layer_count && status == GRAFT_OK; l++) {
        struct layer *layer = &a->layers[l];
        const struct graft_adapter *f = adapt_later(layer);
        if (f == NULL || f->rank == NULL || f->ranked == NULL) continue;
        if (f->due != NULL && !f->due(option_values_get(layer->settings->options), step)) continue;
        if (layer->ranking == NULL) status = prepare(a, l, e);
        if (status == GRAFT_OK) status = rank_layer(layer, step, backend, e);
    }
    return status;
}

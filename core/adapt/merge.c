/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights out of graphs: a site's stack runs on blocks of identity rows.
 * b = f(0), W[o][i] = f(e_i)[o] - f(0)[o]; random x must agree: f(x) = x W^T + b.
 */
#include "adapt/merge.h"

#include "adapt/internal.h"
#include "base/random.h"
#include "graph/once.h"
#include "model/save.h"

#include <math.h>
#include <string.h>

enum { ROWS = 256, CHECKS = 4 }; /* of identity in one run; random x */

/* f32 sums in another order; a method that is not affine is off by much more. */
#define TOLERANCE 1e-5

/* ---- can it be? ---- */

/* The first kind among the matched sites that is not linear, or NULL. */
static const char *odd_kind(const struct layer *layer)
{
    for (size_t i = 0; i < layer->site_count; i++)
        switch ((enum graft_site_kind)layer->sites[i]->kind) {
        case GRAFT_SITE_LINEAR: break;
        case GRAFT_SITE_ATTENTION: return "attention";
        case GRAFT_SITE_BLOCK: return "whole blocks";
        case GRAFT_SITE_EMBEDDING: return "the embedding";
        case GRAFT_SITE_NORM: return "norms";
        }
    return NULL;
}

static enum graft_status check_layer(const struct layer *layer, struct error *e)
{
    const char *kind = odd_kind(layer);
    if (layer->functions->mergeable && kind == NULL) return GRAFT_OK;
    if (kind != NULL)
        return error_set(
            e, GRAFT_E_INVALID,
            "%s cannot be merged: it acts on %s, and only the weights of linear layers "
            "take an adapter in; use the adapter as it is",
            layer->settings->method, kind);
    return error_set(e, GRAFT_E_INVALID,
                     "%s cannot be merged: its plugin does not say that layers stay linear with "
                     "it; use the adapter as it is",
                     layer->settings->method);
}

enum graft_status adapt_check_merge(const struct adapt *a, struct error *e)
{
    for (size_t i = 0; i < a->layer_count; i++) {
        enum graft_status status = check_layer(&a->layers[i], e);
        if (status == GRAFT_OK) continue;
        if (a->layer_count > 1)
            error_place(e, "adapter.%zu", i);
        else
            error_place(e, "adapter");
        return status;
    }
    return GRAFT_OK;
}

/* ---- one site ---- */

struct probe { /* of one site */
    const struct model_site *site;
    const struct backend *backend;
    struct store *scratch;
    struct graph *graph;
    struct once once;
    struct stored *x;
    graft_value y;
    float *in /* [ROWS, in] */, *out /* [ROWS, out] */, *seen /* [CHECKS, in + out]: x and f(x) */;
};

static enum graft_status build(struct adapt *a, struct probe *p, struct error *e)
{
    const struct model_site *site = p->site;
    struct adapt_mode mode = {.training = false};
    enum graft_status status = store_create(&p->scratch, e);
    if (status == GRAFT_OK) status = graph_create(&p->graph, e);
    if (status != GRAFT_OK) return status;
    p->x = store_add(p->scratch, STORE_INPUT, "x", GRAFT_DTYPE_F32,
                     graft_shape2(ROWS, site->in_features), GRAFT_ROWS_FIXED);
    if (p->x == NULL) return error_memory(e, site->name, sizeof *p->x);
    adapt_begin(a, p->graph, &mode);
    graft_value x = graph_stored(p->graph, p->x);
    p->y = adapt_call(a, a->layer_count, site, NULL, &x);
    adapt_end(a);
    graph_keep(p->graph, p->y);
    status = graph_status(p->graph, e);
    if (status != GRAFT_OK) return status;
    graph_prune(p->graph);
    return store_allocate(p->scratch, STORE_INPUT, p->backend, e);
}

static enum graft_status run(struct probe *p, struct error *e)
{
    const int64_t live[GRAFT_ROWS_KINDS] = {0};
    enum graft_status status = stored_write(p->x, p->backend, p->in, p->x->bytes, e);
    if (status != GRAFT_OK) return status;
    status = p->once.program == NULL ? once_run(&p->once, p->graph, p->backend, e)
                                     : program_run(p->once.program, live, e);
    if (status != GRAFT_OK) return status;
    uint64_t bytes = (uint64_t)ROWS * (uint64_t)p->site->out_features * sizeof *p->out;
    return once_read(&p->once, p->y, p->out, bytes, e);
}

/* Zeros, then random x of growing size: what bends does so somewhere. */
static void fill_random(const struct adapt *a, struct probe *p)
{
    struct random_key key = random_key(a->seed, RANDOM_INIT, 0, p->site->name, 1);
    size_t in = (size_t)p->site->in_features;
    uint32_t words[4] = {0};
    memset(p->in, 0, ROWS * in * sizeof *p->in);
    for (size_t i = 0; i < CHECKS * in; i++) {
        if (i % 4 == 0) random_words(key, (uint32_t[4]){(uint32_t)(i / 4), 0, 0, 0}, words);
        double unit = ((double)words[i % 4] + 0.5) * 0x1p-31 - 1.0;
        p->in[in + i] = (float)ldexp(unit, (int)(i / in) * 3 - 2);
    }
}

static enum graft_status find_bias(const struct adapt *a, struct probe *p, float *bias,
                                   struct error *e)
{
    size_t in = (size_t)p->site->in_features, out = (size_t)p->site->out_features;
    fill_random(a, p);
    enum graft_status status = run(p, e);
    if (status != GRAFT_OK) return status;
    memcpy(bias, p->out, out * sizeof *bias);
    for (size_t c = 0; c < CHECKS; c++) {
        memcpy(p->seen + c * (in + out), p->in + (c + 1) * in, in * sizeof *p->in);
        memcpy(p->seen + c * (in + out) + in, p->out + (c + 1) * out, out * sizeof *p->out);
    }
    return GRAFT_OK;
}

static enum graft_status find_weight(struct probe *p, float *weight, const float *bias,
                                     struct error *e)
{
    size_t in = (size_t)p->site->in_features, out = (size_t)p->site->out_features;
    for (size_t first = 0; first < in; first += ROWS) {
        size_t rows = in - first < ROWS ? in - first : ROWS;
        memset(p->in, 0, ROWS * in * sizeof *p->in);
        for (size_t r = 0; r < rows; r++) p->in[r * in + first + r] = 1.0F;
        enum graft_status status = run(p, e);
        if (status != GRAFT_OK) return status;
        for (size_t o = 0; o < out; o++)
            for (size_t r = 0; r < rows; r++)
                weight[o * in + first + r] = p->out[r * out + o] - bias[o];
    }
    return GRAFT_OK;
}

/* Differences are held against the largest sum of magnitudes of the row. */
static enum graft_status check(const struct probe *p, const float *weight, const float *bias,
                               struct error *e)
{
    size_t in = (size_t)p->site->in_features, out = (size_t)p->site->out_features;
    for (size_t c = 0; c < CHECKS; c++) {
        const float *x = p->seen + c * (in + out), *y = x + in;
        double worst = 0.0, scale = 0.0;
        for (size_t o = 0; o < out; o++) {
            double sum = (double)bias[o], size = fabs(sum);
            for (size_t i = 0; i < in; i++) {
                double term = (double)x[i] * (double)weight[o * in + i];
                sum += term;
                size += fabs(term);
            }
            double d = fabs(sum - (double)y[o]);
            if (!(d <= worst)) worst = d;
            if (size > scale) scale = size;
        }
        if (!(worst <= TOLERANCE * scale))
            return error_set(e, GRAFT_E_INVALID,
                             "the adapter is not affine at %s: on a random input the merged layer "
                             "is off by %g (of %g); it cannot be merged",
                             p->site->name, worst, scale);
    }
    return GRAFT_OK;
}

static enum graft_status make_rows(struct probe *p, struct error *e)
{
    size_t in = (size_t)p->site->in_features, out = (size_t)p->site->out_features;
    p->in = mem_zalloc(ROWS * in, sizeof *p->in);
    p->out = mem_zalloc(ROWS * out, sizeof *p->out);
    p->seen = mem_zalloc(CHECKS * (in + out), sizeof *p->seen);
    if (p->in != NULL && p->out != NULL && p->seen != NULL) return GRAFT_OK;
    return error_memory(e, p->site->name, ROWS * (in + out) * sizeof *p->in);
}

enum graft_status adapt_merge_site(struct adapt *a, const struct model_site *site,
                                   const struct backend *backend, float *weight, float *bias,
                                   struct error *e)
{
    struct probe p = {.site = site, .backend = backend};
    enum graft_status status = build(a, &p, e);
    if (status == GRAFT_OK) status = make_rows(&p, e);
    if (status == GRAFT_OK) status = find_bias(a, &p, bias, e);
    if (status == GRAFT_OK && weight != NULL) status = find_weight(&p, weight, bias, e);
    if (status == GRAFT_OK && weight != NULL) status = check(&p, weight, bias, e);
    mem_free(p.in);
    mem_free(p.out);
    mem_free(p.seen);
    once_end(&p.once);
    graph_destroy(p.graph);
    store_destroy(p.scratch);
    return status;
}

/* ---- all of them ---- */

struct merge {
    const struct merge_request *request;
    struct adapt *adapt;
    float **bias; /* per site; NULL: as it is */
    float *found; /* [out] of the site at hand */
    size_t done, total;
    struct arena arena;
};

static bool is_changed(const struct adapt *a, size_t site)
{
    for (size_t l = 0; l < a->layer_count; l++)
        if (a->layers[l].matched[site] || a->layers[l].own[site] != 0) return true;
    return false;
}

/* Keeps the new bias where it differs from the old. */
static enum graft_status keep_bias(struct merge *m, size_t index, const float *found,
                                   struct error *e)
{
    const struct model_site *site = &m->adapt->sites[index];
    size_t count = (size_t)site->out_features;
    float *old = arena_alloc(&m->arena, count, sizeof *old);
    enum graft_status status = GRAFT_OK;
    bool same = true;
    if (old == NULL) return error_memory(e, site->name, count * sizeof *old);
    if (site->bias != NULL)
        status = stored_read(site->bias, m->request->backend, old, count * sizeof *old, e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < count; i++) same = same && found[i] == old[i];
    if (same) return GRAFT_OK;
    if (site->bias == NULL)
        return error_set(
            e, GRAFT_E_INVALID,
            "the adapter adds a bias at %s, and a %s model has no place for one there; "
            "it cannot be merged",
            site->name, model_config(m->adapt->model)->family);
    memcpy(old, found, count * sizeof *old);
    m->bias[index] = old;
    return GRAFT_OK;
}

static enum graft_status find_biases(struct merge *m, struct error *e)
{
    const struct adapt *a = m->adapt;
    int64_t widest = 0;
    for (size_t i = 0; i < a->site_count; i++)
        if (is_changed(a, i)) {
            m->total++;
            if (a->sites[i].out_features > widest) widest = a->sites[i].out_features;
        }
    m->bias = arena_alloc(&m->arena, a->site_count, sizeof *m->bias);
    m->found = arena_alloc(&m->arena, (size_t)widest, sizeof *m->found);
    if (m->bias == NULL || m->found == NULL)
        return error_memory(e, "the biases", (size_t)widest * sizeof *m->found);
    for (size_t i = 0; i < a->site_count; i++) {
        if (!is_changed(a, i) || a->sites[i].kind != GRAFT_SITE_LINEAR) continue;
        enum graft_status status =
            adapt_merge_site(m->adapt, &a->sites[i], m->request->backend, NULL, m->found, e);
        if (status == GRAFT_OK) status = keep_bias(m, i, m->found, e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static bool changes(void *context, const struct model_site *site)
{
    const struct merge *m = context;
    return is_changed(m->adapt, (size_t)(site - m->adapt->sites));
}

static const float *bias_of(void *context, const struct model_site *site)
{
    const struct merge *m = context;
    return m->bias[site - m->adapt->sites];
}

/* A norm or the embedding, which are trained whole. */
static enum graft_status read_own(const struct merge *m, const struct model_site *site,
                                  float *weight, struct error *e)
{
    const struct stored *stored = adapt_own_weight(m->adapt, site);
    return stored_read(stored, m->request->backend, weight, stored->bytes, e);
}

static enum graft_status weight_of(void *context, const struct model_site *site, float *weight,
                                   struct error *e)
{
    struct merge *m = context;
    const struct merge_request *r = m->request;
    if (r->progress != NULL && r->progress(r->context, m->done, m->total))
        return error_set(e, GRAFT_E_INTERRUPTED, "stopped");
    m->done++;
    if (site->kind != GRAFT_SITE_LINEAR) return read_own(m, site, weight, e);
    return adapt_merge_site(m->adapt, site, r->backend, weight, m->found, e);
}

enum graft_status adapt_merge(const struct merge_request *request, const char *folder,
                              struct error *e)
{
    struct merge m = {.request = request, .adapt = request->adapt};
    struct model_save save = {.model = request->adapt->model,
                              .dtype = request->dtype,
                              .context = &m,
                              .changes = changes,
                              .bias = bias_of,
                              .weight = weight_of};
    enum graft_status status = find_biases(&m, e);
    if (status == GRAFT_OK) status = model_save(&save, folder, e);
    arena_free(&m.arena);
    return status;
}

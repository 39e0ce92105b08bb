/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tensors a model must have, under Hugging Face's names and GGUF's, and what stands in the
 * store for each.
 */
#include "base/log.h"
#include "base/text.h"
#include "model/parts.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 96 };

enum dim { DIM_HIDDEN, DIM_INNER, DIM_QUERY, DIM_KEY, DIM_HEAD };

struct linear_info {
    const char *hf, *gguf;
    enum dim out, in;
};

static const struct linear_info linears[SITE_LINEARS] = {
    [SITE_Q] = {"self_attn.q_proj", "attn_q", DIM_QUERY, DIM_HIDDEN},
    [SITE_K] = {"self_attn.k_proj", "attn_k", DIM_KEY, DIM_HIDDEN},
    [SITE_V] = {"self_attn.v_proj", "attn_v", DIM_KEY, DIM_HIDDEN},
    [SITE_O] = {"self_attn.o_proj", "attn_output", DIM_HIDDEN, DIM_QUERY},
    [SITE_GATE] = {"mlp.gate_proj", "ffn_gate", DIM_INNER, DIM_HIDDEN},
    [SITE_UP] = {"mlp.up_proj", "ffn_up", DIM_INNER, DIM_HIDDEN},
    [SITE_DOWN] = {"mlp.down_proj", "ffn_down", DIM_HIDDEN, DIM_INNER},
};

struct norm_info {
    const char *hf, *gguf;
    enum dim size;
};

static const struct norm_info norms[NORM_COUNT] = {
    [NORM_ATTENTION] = {"input_layernorm", "attn_norm", DIM_HIDDEN},
    [NORM_MLP] = {"post_attention_layernorm", "ffn_norm", DIM_HIDDEN},
    [NORM_Q] = {"self_attn.q_norm", "attn_q_norm", DIM_HEAD},
    [NORM_K] = {"self_attn.k_norm", "attn_k_norm", DIM_HEAD},
};

static int64_t dim_size(const struct model_config *c, enum dim dim)
{
    switch (dim) {
    case DIM_HIDDEN: return c->hidden;
    case DIM_INNER: return c->intermediate;
    case DIM_QUERY: return (int64_t)c->heads * c->head_size;
    case DIM_KEY: return (int64_t)c->kv_heads * c->head_size;
    case DIM_HEAD: break;
    }
    return c->head_size;
}

static bool has_bias(const struct model_config *c, enum site_slot slot)
{
    if (slot <= SITE_V) return c->qkv_bias;
    return slot == SITE_O ? c->output_bias : c->mlp_bias;
}

/* ---- one tensor ---- */

struct loader {
    struct model *model;
    struct store *store;
    bool gguf, nf4;
    struct error *e;
};

/* A tensor that must be there. */
struct wanted {
    char name[NAME_SIZE], file_name[NAME_SIZE];
    struct graft_shape shape;
    int32_t turned_heads;
    bool quantize;
};

static const char *shape_words(struct graft_shape s, char out[96])
{
    size_t at = 0;
    for (int32_t i = 0; i < s.rank; i++)
        at += (size_t)snprintf(out + at, 96 - at, i == 0 ? "[%lld" : ", %lld", (long long)s.dim[i]);
    snprintf(out + at, 96 - at, at == 0 ? "[]" : "]");
    return out;
}

static enum graft_status check_view(const struct tensor_view *view, const struct wanted *want,
                                    struct error *e)
{
    char found[96], asked[96];
    if (view == NULL) return error_set(e, GRAFT_E_INVALID, "tensor %s is missing", want->file_name);
    if (view->shape.rank != want->shape.rank ||
        memcmp(view->shape.dim, want->shape.dim, sizeof view->shape.dim) != 0)
        return error_set(e, GRAFT_E_INVALID,
                         "tensor %s is %s; by the model's configuration it must be %s", view->name,
                         shape_words(view->shape, found), shape_words(want->shape, asked));
    if (want->shape.rank > 1) return tensor_check_weight(view, e);
    if (view->dtype != GRAFT_DTYPE_F32 && view->dtype != GRAFT_DTYPE_F16 &&
        view->dtype != GRAFT_DTYPE_BF16)
        return error_set(e, GRAFT_E_INVALID,
                         "tensor %s is %s; norms and biases must be F32, F16 or BF16", view->name,
                         view->type_name);
    return GRAFT_OK;
}

static struct stored *add_weight(struct loader *l, struct weight weight, const char *name,
                                 int32_t dtype, struct graft_shape shape)
{
    struct model *m = l->model;
    if (!array_reserve(&m->weight, &m->weight_capacity, m->weight_count + 1, sizeof *m->weight))
        return NULL;
    weight.stored = store_add(l->store, STORE_BASE, name, dtype, shape, GRAFT_ROWS_FIXED);
    if (weight.stored != NULL) m->weight[m->weight_count++] = weight;
    return weight.stored;
}

/* Finds and registers it; NULL after an error. */
static const struct stored *load(struct loader *l, const struct wanted *want)
{
    const char *file_name = l->gguf ? want->file_name : want->name;
    struct wanted named = *want;
    const struct tensor_view *view = weights_find(l->model->weights, file_name);
    snprintf(named.file_name, sizeof named.file_name, "%s", file_name);
    if (check_view(view, &named, l->e) != GRAFT_OK) return NULL;
    struct weight weight = {.view = view,
                            .turned_heads = want->turned_heads,
                            .quantize = want->quantize && l->nf4 && view->dtype != GRAFT_DTYPE_NF4};
    int32_t dtype = want->shape.rank == 1 ? GRAFT_DTYPE_F32
                    : weight.quantize     ? GRAFT_DTYPE_NF4
                                          : view->dtype;
    struct stored *s = add_weight(l, weight, want->name, dtype, want->shape);
    if (s == NULL) error_memory(l->e, want->name, sizeof *s);
    if (s != NULL && dtype == GRAFT_DTYPE_NF4)
        s->bytes = weight.quantize ? upload_nf4_bytes(graft_shape_count(want->shape))
                                   : (uint64_t)view->bytes;
    return s;
}

/* ---- the layers ---- */

static void layer_names(struct wanted *want, int64_t layer, const char *hf, const char *gguf,
                        const char *suffix)
{
    snprintf(want->name, NAME_SIZE, "model.layers.%lld.%s%s", (long long)layer, hf, suffix);
    snprintf(want->file_name, NAME_SIZE, "blk.%lld.%s%s", (long long)layer, gguf, suffix);
}

static bool load_norm(struct loader *l, int64_t layer, enum norm_slot slot)
{
    const struct model_config *c = &l->model->config;
    struct wanted want = {.shape = graft_shape1(dim_size(c, norms[slot].size))};
    if ((slot == NORM_Q || slot == NORM_K) && !c->qk_norm) return true;
    layer_names(&want, layer, norms[slot].hf, norms[slot].gguf, ".weight");
    l->model->layer[layer].norm[slot] = load(l, &want);
    return l->model->layer[layer].norm[slot] != NULL;
}

/* Names a site; false when memory ran out. */
static bool begin_site(struct loader *l, struct model_site *site, enum graft_site_kind kind,
                       int64_t layer, const char *name)
{
    site->kind = kind;
    site->layer = (int32_t)layer;
    site->in_features = site->out_features = l->model->config.hidden;
    site->name =
        layer < 0 ? arena_strdup(&l->model->arena, name)
                  : arena_format(&l->model->arena, "model.layers.%lld.%s", (long long)layer, name);
    if (site->name == NULL) error_memory(l->e, name, NAME_SIZE);
    return site->name != NULL;
}

/* Attention, blocks and norms: places without a weight of their own, but for the norms. */
static bool add_inner_sites(struct loader *l, int64_t layer, struct model_site *site)
{
    const struct layer *loaded = &l->model->layer[layer];
    struct model_site *norm = &site[SITE_ATTENTION_NORM], *mlp_norm = &site[SITE_MLP_NORM];
    if (!begin_site(l, &site[SITE_ATTENTION], GRAFT_SITE_ATTENTION, layer, "self_attn") ||
        !begin_site(l, &site[SITE_ATTENTION_BLOCK], GRAFT_SITE_BLOCK, layer, "self_attn") ||
        !begin_site(l, &site[SITE_MLP_BLOCK], GRAFT_SITE_BLOCK, layer, "mlp") ||
        !begin_site(l, norm, GRAFT_SITE_NORM, layer, norms[NORM_ATTENTION].hf) ||
        !begin_site(l, mlp_norm, GRAFT_SITE_NORM, layer, norms[NORM_MLP].hf))
        return false;
    site[SITE_ATTENTION].sibling = &site[SITE_Q];
    site[SITE_ATTENTION_BLOCK].part = GRAFT_BLOCK_ATTENTION;
    site[SITE_MLP_BLOCK].part = GRAFT_BLOCK_MLP;
    norm->weight = loaded->norm[NORM_ATTENTION];
    mlp_norm->weight = loaded->norm[NORM_MLP];
    norm->eps = mlp_norm->eps = l->model->config.norm_eps;
    return true;
}

static bool load_linear(struct loader *l, int64_t layer, enum site_slot slot,
                        struct model_site *site)
{
    const struct model_config *c = &l->model->config;
    const struct linear_info *info = &linears[slot];
    struct wanted want = {.quantize = true};
    if (!begin_site(l, site, GRAFT_SITE_LINEAR, layer, info->hf)) return false;
    site->in_features = dim_size(c, info->in);
    site->out_features = dim_size(c, info->out);
    if (l->gguf && l->model->family->gguf_turned && (slot == SITE_Q || slot == SITE_K))
        want.turned_heads = slot == SITE_Q ? c->heads : c->kv_heads;
    want.shape = graft_shape2(site->out_features, site->in_features);
    layer_names(&want, layer, info->hf, info->gguf, ".weight");
    site->weight = load(l, &want);
    if (site->weight == NULL || !has_bias(c, slot)) return site->weight != NULL;
    want.shape = graft_shape1(site->out_features);
    want.quantize = false;
    layer_names(&want, layer, info->hf, info->gguf, ".bias");
    site->bias = load(l, &want);
    return site->bias != NULL;
}

static bool load_layers(struct loader *l)
{
    struct model *m = l->model;
    for (int64_t i = 0; i < m->config.layers; i++) {
        struct model_site *site = &m->site[i * SITE_COUNT];
        m->layer[i].site = site;
        for (int slot = 0; slot < NORM_COUNT; slot++)
            if (!load_norm(l, i, (enum norm_slot)slot)) return false;
        for (int slot = 0; slot < SITE_LINEARS; slot++)
            if (!load_linear(l, i, (enum site_slot)slot, &site[slot])) return false;
        if (!add_inner_sites(l, i, site)) return false;
    }
    return true;
}

/* ---- what stands around the layers ---- */

static bool load_head(struct loader *l)
{
    struct model *m = l->model;
    struct model_site *head = model_outer(m, SITE_HEAD);
    struct wanted want = {.name = "lm_head.weight",
                          .file_name = "output.weight",
                          .shape = graft_shape2(m->config.vocab, m->config.hidden)};
    if (!begin_site(l, head, GRAFT_SITE_LINEAR, -1, "lm_head")) return false;
    head->out_features = m->config.vocab;
    /* Files without a head are tied, whatever the flag says: llama.cpp and graft agree there. */
    if (!m->config.tied && weights_find(m->weights, want.name) == NULL && !l->gguf) {
        log_info("%s has no lm_head.weight: the embedding table is the head",
                 weights_path(m->weights));
        m->config.tied = true;
    }
    head->weight = m->config.tied ? m->embedding : load(l, &want);
    return head->weight != NULL;
}

static bool load_around(struct loader *l)
{
    struct model *m = l->model;
    struct wanted table = {.name = "model.embed_tokens.weight",
                           .file_name = "token_embd.weight",
                           .shape = graft_shape2(m->config.vocab, m->config.hidden)};
    struct wanted norm = {.name = "model.norm.weight",
                          .file_name = "output_norm.weight",
                          .shape = graft_shape1(m->config.hidden)};
    struct model_site *embedding = model_outer(m, SITE_EMBEDDING);
    struct model_site *last = model_outer(m, SITE_LAST_NORM);
    if (!begin_site(l, embedding, GRAFT_SITE_EMBEDDING, -1, "model.embed_tokens") ||
        !begin_site(l, last, GRAFT_SITE_NORM, -1, "model.norm"))
        return false;
    embedding->in_features = m->config.vocab;
    embedding->weight = m->embedding = load(l, &table);
    if (m->embedding == NULL) return false;
    last->eps = m->config.norm_eps;
    last->weight = load(l, &norm);
    return last->weight != NULL;
}

static bool add_frequencies(struct loader *l)
{
    struct model *m = l->model;
    int64_t count = m->config.rope.rotary / 2;
    float *made = arena_alloc(&m->arena, (size_t)count, sizeof *made);
    if (made != NULL) {
        rope_frequencies(&m->config, made);
        m->frequencies = add_weight(l, (struct weight){.made = made}, "rope.inverse_frequencies",
                                    GRAFT_DTYPE_F32, graft_shape1(count));
    }
    if (m->frequencies == NULL) error_memory(l->e, "RoPE", (size_t)count * sizeof *made);
    return m->frequencies != NULL;
}

/* ---- tensors that nobody asked for ---- */

static bool is_used(const struct model *m, const struct tensor_view *view)
{
    for (size_t i = 0; i < m->weight_count; i++)
        if (m->weight[i].view == view) return true;
    return false;
}

static void report_extra(const struct model *m)
{
    size_t count = 0;
    const char *example = "";
    for (size_t i = 0; i < weights_count(m->weights); i++) {
        const struct tensor_view *view = weights_tensor(m->weights, i);
        if (is_used(m, view) || text_ends(view->name, "rotary_emb.inv_freq") ||
            strcmp(view->name, "rope_freqs.weight") == 0 ||
            (m->config.tied && strcmp(view->name, "lm_head.weight") == 0))
            continue;
        if (count++ == 0) example = view->name;
    }
    if (count > 0)
        log_warning("%s: %zu tensors are not part of a %s model and are not used (%s%s)",
                    weights_path(m->weights), count, m->config.family, example,
                    count > 1 ? ", ..." : "");
}

/* ---- all of it ---- */

enum graft_status model_load(struct model *m, struct store *store, bool nf4, struct error *e)
{
    size_t layers = (size_t)m->config.layers;
    struct error first = {0};
    struct loader l = {m, store, weights_kind(m->weights) == WEIGHTS_GGUF, nf4, &first};
    m->site_count = layers * SITE_COUNT + SITE_OUTER;
    m->site = arena_alloc(&m->arena, m->site_count, sizeof *m->site);
    m->layer = arena_alloc(&m->arena, layers, sizeof *m->layer);
    if (m->site == NULL || m->layer == NULL)
        return error_memory(e, "the layers", m->site_count * sizeof *m->site);
    if (load_around(&l) && load_layers(&l) && load_head(&l) && add_frequencies(&l)) {
        report_extra(m);
        return GRAFT_OK;
    }
    error_set(e, first.status, "%s", first.text);
    return error_place(e, "%s", weights_path(m->weights));
}

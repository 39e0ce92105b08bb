/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a model: the file, its configuration, its tensors, its title; and what is asked of it.
 */
#include "base/json.h"
#include "file/gguf.h"
#include "model/parts.h"

#include <stdio.h>
#include <string.h>

enum { CONFIG_LIMIT = 4 << 20 };

/* ---- the title ---- */

static const char *base_name(const struct model *m, int *length)
{
    const struct gguf *file = weights_gguf(m->weights);
    const char *name = NULL, *path = weights_path(m->weights);
    size_t size;
    if (file != NULL && (gguf_get_string(file, "general.basename", &name, &size) ||
                         gguf_get_string(file, "general.name", &name, &size))) {
        *length = size < 64 ? (int)size : 64;
        return name;
    }
    size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    name = path + size;
    while (name > path && name[-1] != '/') name--;
    *length = (int)(path + size - name);
    return name;
}

/* The type that most bytes of the layers have, as the file calls it. */
static const char *main_type(const struct model *m)
{
    const char *best = "F32";
    uint64_t most = 0;
    for (size_t i = 0; i < m->weight_count; i++) {
        const struct weight *w = &m->weight[i];
        uint64_t sum = 0;
        if (w->view == NULL || w->view->shape.rank != 2 || w->stored == m->embedding) continue;
        for (size_t k = i; k < m->weight_count; k++)
            if (m->weight[k].view != NULL && m->weight[k].view->dtype == w->view->dtype &&
                m->weight[k].stored != m->embedding)
                sum += m->weight[k].view->bytes;
        if (sum > most) best = w->view->type_name;
        if (sum > most) most = sum;
    }
    return best;
}

static enum graft_status add_title(struct model *m, bool nf4, struct error *e)
{
    double count = (double)model_parameters(m);
    char size[32];
    int length = 0;
    const char *name = base_name(m, &length);
    snprintf(size, sizeof size,
             count >= 1e9   ? "%.1fB"
             : count >= 1e6 ? "%.0fM"
                            : "%.0fk",
             count >= 1e9   ? count / 1e9
             : count >= 1e6 ? count / 1e6
                            : count / 1e3);
    m->title = arena_format(&m->arena, "%.*s %s, %s, %lld layers, %s%s", length, name, size,
                            m->config.family, (long long)m->config.layers, main_type(m),
                            nf4 ? " as NF4" : "");
    return m->title != NULL ? GRAFT_OK : error_memory(e, "the title", sizeof size);
}

/* ---- opening ---- */

enum graft_status config_check(const struct model_config *c, struct error *e)
{
    if (c->heads % c->kv_heads != 0)
        return error_set(e, GRAFT_E_INVALID,
                         "%d heads cannot share %d key/value heads: the first must be a multiple "
                         "of the second",
                         (int)c->heads, (int)c->kv_heads);
    if (c->rope.rotary < 2 || c->rope.rotary % 2 != 0 || c->rope.rotary > c->head_size)
        return error_set(e, GRAFT_E_INVALID,
                         "RoPE turns %d dimensions of a head of %d; it must be an even number of "
                         "them",
                         (int)c->rope.rotary, (int)c->head_size);
    if ((int64_t)c->heads * c->head_size > INT32_MAX)
        return error_set(e, GRAFT_E_INVALID, "%d heads of %d numbers are too many", (int)c->heads,
                         (int)c->head_size);
    return GRAFT_OK;
}

static enum graft_status read_config(struct model *m, struct error *e)
{
    enum graft_status status;
    json_t *root = NULL;
    const char *path = weights_path(m->weights);
    if (weights_kind(m->weights) == WEIGHTS_GGUF) {
        status = config_from_gguf(m->weights, &m->arena, &m->config, e);
        if (status != GRAFT_OK) error_place(e, "%s", path);
        return status;
    }
    char *file = mem_format("%s/config.json", path);
    if (file == NULL) return error_memory(e, path, strlen(path));
    status = json_read_file(file, CONFIG_LIMIT, &root, e);
    if (status == GRAFT_E_IO) {
        status = GRAFT_E_INVALID;
        if (e != NULL) e->status = status;
    }
    if (status == GRAFT_OK) {
        status = config_from_hf(root, &m->arena, &m->config, e);
        if (status != GRAFT_OK) error_place(e, "%s", file);
    }
    json_decref(root);
    mem_free(file);
    return status;
}

static enum graft_status read_quantize(const struct model_options *options, bool *nf4,
                                       struct error *e)
{
    const char *name = options != NULL && options->quantize != NULL ? options->quantize : "keep";
    *nf4 = strcmp(name, "nf4") == 0;
    if (*nf4 || strcmp(name, "keep") == 0) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "quantize is %s; it must be keep or nf4", name);
}

enum graft_status model_open(const char *path, const struct model_options *options,
                             struct store *store, struct model **model, struct error *e)
{
    bool nf4;
    enum graft_status status = read_quantize(options, &nf4, e);
    if (status != GRAFT_OK) return status;
    struct model *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) return error_memory(e, path, sizeof *m);
    status = weights_open(path, &m->weights, e);
    if (status == GRAFT_OK) status = read_config(m, e);
    if (status == GRAFT_OK) {
        m->family = family_find(m->config.family, NULL);
        status = model_load(m, store, nf4, e);
    }
    if (status == GRAFT_OK) status = add_title(m, nf4, e);
    if (status != GRAFT_OK) {
        model_close(m);
        return status;
    }
    *model = m;
    return GRAFT_OK;
}

/* ---- questions ---- */

const struct model_config *model_config(const struct model *model)
{
    return &model->config;
}

struct weights *model_weights(const struct model *model)
{
    return model->weights;
}

const struct model_site *model_sites(const struct model *model, size_t *count)
{
    *count = model->site_count;
    return model->site;
}

const char *model_class(const struct model *model)
{
    return model->family->architecture;
}

const char *model_title(const struct model *model)
{
    return model->title;
}

int64_t model_parameters(const struct model *model)
{
    int64_t count = 0;
    for (size_t i = 0; i < model->weight_count; i++)
        if (model->weight[i].view != NULL)
            count += graft_shape_count(model->weight[i].stored->shape);
    return count;
}

uint64_t model_bytes(const struct model *model)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < model->weight_count; i++) bytes += model->weight[i].stored->bytes;
    return bytes;
}

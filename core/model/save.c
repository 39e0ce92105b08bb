/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tensors the new file has, and the content of each when the writer asks for it.
 */
#include "model/save.h"

#include "base/log.h"
#include "file/gguf_write.h"
#include "file/paths.h"
#include "file/safetensors.h"
#include "model/parts.h"
#include "model/save_folder.h"
#include "ref/quant.h"

#include <math.h>
#include <string.h>

enum content { CONTENT_COPY, CONTENT_SITE, CONTENT_NUMBERS /* of NF4 */, CONTENT_BIAS };

struct output {
    enum content content;
    const struct weight *weight;    /* NULL: not part of the model */
    const struct model_site *site;  /* SITE, BIAS */
    const struct tensor_view *view; /* in the file; SITE of an untied head: NULL */
};

struct saver {
    const struct model_save *save;
    const struct model *model;
    bool gguf, untied, dequantized;
    int32_t made_dtype; /* of the last tensor that was made */
    struct tensor_view *views;
    struct output *outputs; /* of the views */
    size_t count;
    void *made; /* content of the tensor at hand */
    struct arena arena;
};

/* ---- the list ---- */

static const struct weight *weight_of(const struct model *m, const struct tensor_view *view)
{
    for (size_t i = 0; i < m->weight_count; i++)
        if (m->weight[i].view == view) return &m->weight[i];
    return NULL;
}

/* The changed site that this tensor is the weight or the bias of. The table of a tied model is not
 * the head's to change. */
static const struct model_site *site_of(const struct saver *s, const struct weight *w, bool *bias)
{
    const struct model *m = s->model;
    for (size_t i = 0; w != NULL && i < m->site_count; i++) {
        const struct model_site *site = &m->site[i];
        bool is_table = site->kind == GRAFT_SITE_EMBEDDING || w->stored != m->embedding;
        bool is_weight = site->weight == w->stored && is_table;
        if (!is_weight && site->bias != w->stored) continue;
        *bias = !is_weight;
        return s->save->changes(s->save->context, site) ? site : NULL;
    }
    return NULL;
}

static bool is_float(int32_t dtype)
{
    return dtype == GRAFT_DTYPE_F32 || dtype == GRAFT_DTYPE_F16 || dtype == GRAFT_DTYPE_BF16;
}

static int32_t new_dtype(const struct saver *s, const struct tensor_view *view, bool quantize)
{
    if (view->shape.rank == 1) return view->dtype; /* a norm */
    if (s->save->dtype != SAVE_DTYPE_AUTO) return s->save->dtype;
    if (s->gguf) return GRAFT_DTYPE_F16;
    return is_float(view->dtype) && !quantize ? view->dtype : GRAFT_DTYPE_BF16;
}

static void add(struct saver *s, const char *name, struct output output, int32_t dtype,
                struct graft_shape shape)
{
    s->outputs[s->count] = output;
    s->views[s->count++] = (struct tensor_view){.name = name,
                                                .dtype = dtype,
                                                .shape = shape,
                                                .bytes = dtype_bytes(dtype, shape),
                                                .type_name = quant_name(dtype)};
}

static void add_made(struct saver *s, struct output output, int32_t dtype)
{
    s->made_dtype = dtype;
    add(s, output.view->name, output, dtype, output.view->shape);
}

static void copy(struct saver *s, const struct tensor_view *view)
{
    bool readable = is_float(view->dtype) || view->dtype == GRAFT_DTYPE_F64 ||
                    view->dtype == GRAFT_DTYPE_I32 || view->dtype == GRAFT_DTYPE_U8;
    if (!s->gguf && !readable) {
        log_warning("tensor %s is %s and not part of the model: it is left out", view->name,
                    view->type_name);
        return;
    }
    s->outputs[s->count] = (struct output){.content = CONTENT_COPY, .view = view};
    s->views[s->count++] = *view;
}

static void list_tensor(struct saver *s, const struct tensor_view *view)
{
    struct output output = {.weight = weight_of(s->model, view), .view = view};
    bool bias = false, quantize = output.weight != NULL && output.weight->quantize;
    output.site = site_of(s, output.weight, &bias);
    if (output.site != NULL && bias) {
        output.content = CONTENT_BIAS;
        if (s->save->bias(s->save->context, output.site) == NULL) output.site = NULL;
    } else if (output.site != NULL) {
        output.content = CONTENT_SITE;
    } else if (quantize || view->dtype == GRAFT_DTYPE_NF4) {
        output.content = CONTENT_NUMBERS;
    }
    if (quantize || view->dtype == GRAFT_DTYPE_NF4) s->dequantized = true;
    if (output.content == CONTENT_BIAS && output.site != NULL)
        add(s, view->name, output, view->dtype, view->shape);
    else if (output.content == CONTENT_SITE || output.content == CONTENT_NUMBERS)
        add_made(s, output, new_dtype(s, view, quantize));
    else if (!s->untied || strcmp(view->name, "lm_head.weight") != 0)
        copy(s, view);
}

/* The head of a model that was tied: its own new weight, or the table as it was. */
static void list_head(struct saver *s, const struct model_site *head)
{
    const struct model *m = s->model;
    const struct tensor_view *table = NULL;
    const char *name = s->gguf ? "output.weight" : "lm_head.weight";
    for (size_t i = 0; i < m->weight_count; i++)
        if (m->weight[i].stored == m->embedding) table = m->weight[i].view;
    if (s->save->changes(s->save->context, head)) {
        s->made_dtype = new_dtype(s, table, false);
        add(s, name, (struct output){.content = CONTENT_SITE, .site = head}, s->made_dtype,
            graft_shape2(head->out_features, head->in_features));
    } else {
        copy(s, table);
        s->views[s->count - 1].name = name;
    }
}

static enum graft_status list_tensors(struct saver *s, struct error *e)
{
    const struct model *m = s->model;
    const struct model_site *head = model_outer(m, SITE_HEAD);
    size_t most = weights_count(m->weights) + 1;
    s->views = arena_alloc(&s->arena, most, sizeof *s->views);
    s->outputs = arena_alloc(&s->arena, most, sizeof *s->outputs);
    if (s->views == NULL || s->outputs == NULL)
        return error_memory(e, "the list of tensors", most * sizeof *s->views);
    s->untied = head->weight == m->embedding &&
                (s->save->changes(s->save->context, head) ||
                 s->save->changes(s->save->context, model_outer(m, SITE_EMBEDDING)));
    for (size_t i = 0; i + 1 < most; i++) list_tensor(s, weights_tensor(m->weights, i));
    if (s->untied) list_head(s, head);
    return GRAFT_OK;
}

/* ---- the content ---- */

static enum graft_status check_range(const struct tensor_view *view, const float *x, int64_t count,
                                     struct error *e)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(x[i]))
            return error_set(e, GRAFT_E_FAILED, "tensor %s: a number is not finite", view->name);
        if (view->dtype == GRAFT_DTYPE_F16 && fabsf(x[i]) >= 65520.0F)
            return error_set(e, GRAFT_E_INVALID,
                             "tensor %s: %g does not fit into f16; write it with --dtype bf16",
                             view->name, (double)x[i]);
    }
    return GRAFT_OK;
}

/* f32 numbers in Hugging Face's row order to what the file has. */
static enum graft_status convert(struct saver *s, const struct tensor_view *view,
                                 const struct output *o, const float *x, struct error *e)
{
    int64_t count = graft_shape_count(view->shape);
    size_t rows = (size_t)view->shape.dim[0];
    enum graft_status status = check_range(view, x, count, e);
    if (status != GRAFT_OK) return status;
    s->made = mem_alloc(view->bytes);
    if (s->made == NULL) return error_memory(e, view->name, view->bytes);
    quantize_row(view->dtype, x, s->made, count);
    if (o->weight == NULL || o->weight->turned_heads == 0) return GRAFT_OK;
    void *turned = mem_alloc(view->bytes);
    if (turned == NULL) return error_memory(e, view->name, view->bytes);
    upload_move_rows(s->made, turned, rows, view->bytes / rows, (size_t)o->weight->turned_heads,
                     false);
    mem_free(s->made);
    s->made = turned;
    return GRAFT_OK;
}

/* The numbers that an NF4 weight stands for. */
static enum graft_status numbers(const struct output *o, float *x, int64_t count, struct error *e)
{
    struct upload_content content = {.data = o->view->data};
    enum graft_status status = GRAFT_OK;
    if (o->weight != NULL) status = upload_make(o->weight, &content, e);
    if (status == GRAFT_OK) dequantize_nf4(content.data, 0, count, x);
    mem_free(content.owned);
    return status;
}

static enum graft_status give(void *context, const struct tensor_view *view, const void **data,
                              struct error *e)
{
    struct saver *s = context;
    const struct model_save *save = s->save;
    const struct output *o = &s->outputs[view - s->views];
    int64_t count = graft_shape_count(view->shape);
    enum graft_status status = GRAFT_OK;
    mem_free(s->made);
    s->made = NULL;
    if (o->content == CONTENT_BIAS) {
        status = convert(s, view, o, save->bias(save->context, o->site), e);
    } else {
        float *x = mem_zalloc((size_t)count, sizeof *x);
        if (x == NULL) return error_memory(e, view->name, (size_t)count * sizeof *x);
        status = o->content == CONTENT_SITE ? save->weight(save->context, o->site, x, e)
                                            : numbers(o, x, count, e);
        if (status == GRAFT_OK) status = convert(s, view, o, x, e);
        mem_free(x);
    }
    if (status == GRAFT_OK) *data = s->made;
    return status;
}

/* ---- all of it ---- */

static enum graft_status write_gguf(struct saver *s, const char *folder,
                                    const struct tensor_source *source, struct error *e)
{
    struct gguf_metadata metadata = gguf_metadata(weights_gguf(s->model->weights));
    char *path = path_join(folder, "model.gguf");
    if (path == NULL) return error_memory(e, "a path", strlen(folder));
    enum graft_status status = gguf_write(path, &metadata, s->views, s->count, source, e);
    mem_free(path);
    return status;
}

static enum graft_status write_folder(struct saver *s, const char *folder,
                                      const struct tensor_source *source, struct error *e)
{
    const char *from = weights_path(s->model->weights);
    bool typed = s->dequantized || s->save->dtype != SAVE_DTYPE_AUTO;
    struct save_config config = {.untied = s->untied,
                                 .plain = s->dequantized,
                                 .dtype = typed ? s->made_dtype : SAVE_DTYPE_AUTO};
    char *path = path_join(folder, "model.safetensors");
    if (path == NULL) return error_memory(e, "a path", strlen(folder));
    enum graft_status status = save_config_write(from, folder, &config, e);
    if (status == GRAFT_OK) status = save_copy_files(from, folder, e);
    if (status == GRAFT_OK) status = safetensors_write_from(path, s->views, s->count, source, e);
    mem_free(path);
    return status;
}

enum graft_status model_save(const struct model_save *save, const char *folder, struct error *e)
{
    struct saver s = {.save = save, .model = save->model};
    struct tensor_source source = {&s, give};
    s.gguf = weights_kind(s.model->weights) == WEIGHTS_GGUF;
    enum graft_status status = list_tensors(&s, e);
    if (status == GRAFT_OK)
        status = s.gguf ? write_gguf(&s, folder, &source, e) : write_folder(&s, folder, &source, e);
    mem_free(s.made);
    arena_free(&s.arena);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights to the device. What is in the file as the kernels want it is imported without a copy;
 * the rest is made piece by piece: moved rows, f32 vectors, NF4. Rows move whole, so blocks of
 * quantized types are never touched.
 */
#include "model/parts.h"

#include "file/map.h"

#include <math.h>
#include <string.h>

/* By the layout of graft/quant.h: a header and five parts, each at a multiple of 64. */
uint64_t upload_nf4_bytes(int64_t count)
{
    uint64_t n = (uint64_t)count, blocks = (n + NF4_BLOCK - 1) / NF4_BLOCK;
    uint64_t parts[] = {
        sizeof(struct graft_nf4), (n + 1) / 2,       blocks, (blocks + 255) / 256 * sizeof(float),
        256 * sizeof(float),      16 * sizeof(float)};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) bytes += (parts[i] + 63) / 64 * 64;
    return bytes;
}

static float f16_to_f32(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    float value = exponent == 0    ? ldexpf((float)mantissa, -24)
                  : exponent == 31 ? (mantissa != 0 ? NAN : INFINITY)
                                   : ldexpf((float)(mantissa + 1024), exponent - 25);
    return half & 0x8000 ? -value : value;
}

static float bf16_to_f32(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static void to_f32(const struct tensor_view *view, float *out)
{
    size_t count = (size_t)view->shape.dim[0];
    const uint16_t *bits = view->data;
    if (view->dtype == GRAFT_DTYPE_F32) {
        memcpy(out, view->data, count * sizeof *out);
        return;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = view->dtype == GRAFT_DTYPE_F16 ? f16_to_f32(bits[i]) : bf16_to_f32(bits[i]);
}

/* Row 2j + t of each head of D rows and row t * D/2 + j are the same one: adjacent pairs, halves.
 */
void upload_move_rows(const void *source, void *target, size_t rows, size_t row_bytes, size_t heads,
                      bool to_halves)
{
    const unsigned char *from = source;
    unsigned char *to = target;
    size_t head = rows / heads, half = head / 2;
    for (size_t h = 0; h < heads; h++)
        for (size_t j = 0; j < half; j++)
            for (size_t t = 0; t < 2; t++) {
                size_t pair = h * head + 2 * j + t, halves = h * head + t * half + j;
                memcpy(to + (to_halves ? halves : pair) * row_bytes,
                       from + (to_halves ? pair : halves) * row_bytes, row_bytes);
            }
}

static enum graft_status moved(const struct weight *w, struct upload_content *c, struct error *e)
{
    size_t rows = (size_t)w->view->shape.dim[0];
    void *to = mem_alloc((size_t)c->bytes);
    if (to == NULL) return error_memory(e, w->stored->name, (size_t)c->bytes);
    upload_move_rows(c->data, to, rows, (size_t)c->bytes / rows, (size_t)w->turned_heads, true);
    mem_free(c->owned);
    c->data = c->owned = to;
    return GRAFT_OK;
}

static enum graft_status quantized(const struct weight *w, struct upload_content *c,
                                   struct error *e)
{
    struct tensor_view view = *w->view;
    struct graft_nf4 *buffer = NULL;
    view.data = c->data;
    enum graft_status status = weights_quantize_nf4(&view, NF4_BLOCK, true, &buffer, e);
    if (status != GRAFT_OK) return status;
    mem_free(c->owned);
    c->data = c->owned = buffer;
    c->bytes = buffer->bytes;
    return GRAFT_OK;
}

static enum graft_status widened(const struct weight *w, struct upload_content *c, struct error *e)
{
    float *out = mem_zalloc((size_t)w->view->shape.dim[0], sizeof *out);
    if (out == NULL) return error_memory(e, w->stored->name, (size_t)w->stored->bytes);
    to_f32(w->view, out);
    c->data = c->owned = out;
    c->bytes = w->stored->bytes;
    return GRAFT_OK;
}

enum graft_status upload_make(const struct weight *w, struct upload_content *c, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    if (w->view == NULL) {
        *c = (struct upload_content){.data = w->made, .bytes = w->stored->bytes};
        return GRAFT_OK;
    }
    *c = (struct upload_content){.data = w->view->data, .bytes = w->view->bytes};
    if (w->stored->dtype == GRAFT_DTYPE_F32 && w->view->dtype != GRAFT_DTYPE_F32)
        status = widened(w, c, e);
    if (status == GRAFT_OK && w->turned_heads != 0) status = moved(w, c, e);
    if (status == GRAFT_OK && w->quantize) status = quantized(w, c, e);
    return status;
}

static enum graft_status failed(const struct backend *backend, int32_t status, const char *name,
                                struct error *e)
{
    if (e != NULL && backend->error != NULL && e != backend->error) *e = *backend->error;
    if (e != NULL) e->status = (enum graft_status)status;
    error_place(e, "%s", name);
    return (enum graft_status)status;
}

/* A device that has importing but not of this memory says so; then the bytes are copied. */
static enum graft_status place(const struct weight *w, const struct upload_content *c,
                               const struct backend *backend, struct error *e)
{
    struct stored *s = w->stored;
    int32_t status = GRAFT_E_UNSUPPORTED;
    s->bytes = c->bytes;
    if (c->owned == NULL && backend->api->buffer_import != NULL)
        status = backend->api->buffer_import(backend->device, c->data, c->bytes, &s->buffer);
    if (status != GRAFT_E_UNSUPPORTED)
        return status == GRAFT_OK ? GRAFT_OK : failed(backend, status, s->name, e);
    status = backend->api->buffer_create(backend->device, c->bytes, &s->buffer);
    if (status != GRAFT_OK) return failed(backend, status, s->name, e);
    return stored_write(s, backend, c->data, c->bytes, e);
}

enum graft_status model_upload(struct model *model, const struct backend *backend, struct error *e)
{
    model->backend = *backend;
    model->uploaded = true;
    for (size_t i = 0; i < model->weight_count; i++) {
        const struct weight *w = &model->weight[i];
        struct upload_content content = {0};
        enum graft_status status = upload_make(w, &content, e);
        if (status == GRAFT_OK) status = place(w, &content, backend, e);
        if (content.owned != NULL && w->view != NULL) file_map_rest(w->view->data, w->view->bytes);
        mem_free(content.owned);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

void model_close(struct model *model)
{
    if (model == NULL) return;
    for (size_t i = 0; i < model->weight_count && model->uploaded; i++) {
        struct stored *s = model->weight[i].stored;
        if (s->buffer != NULL) model->backend.api->buffer_destroy(s->buffer);
        s->buffer = NULL;
    }
    weights_close(model->weights);
    mem_free(model->weight);
    arena_free(&model->arena);
    mem_free(model);
}

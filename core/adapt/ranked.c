/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of adapters that rank entries, as PEFT keeps AdaLoRA's: entries that are pruned are left
 * out of the tensors, and "rank_pattern" of the config says which of each site stay. In memory
 * every site keeps all its entries, the pruned ones zero.
 */
#include "adapt/internal.h"

#include <graft/after.h>

#include <stdio.h>
#include <string.h>

/* The row of this parameter in its adapter's table, or NULL. */
static const struct graft_ranked *row_of(const struct adapt *a, const struct parameter *p)
{
    const struct graft_adapter *f = adapt_later(&a->layers[p->adapter]);
    size_t length = strlen(p->key);
    for (const struct graft_ranked *r = f != NULL ? f->ranked : NULL; r != NULL && r->name != NULL;
         r++) {
        size_t n = strlen(r->name);
        if (length > n && p->key[length - n - 1] == '.' &&
            strcmp(p->key + length - n, r->name) == 0)
            return r;
    }
    return NULL;
}

/* ---- the pattern ---- */

/* Pruned and still zero: a number that has moved since is not lost. */
static enum graft_status list_kept(const struct stored *value, const struct stored *pruned,
                                   const struct backend *backend, json_t *list, bool *all,
                                   struct error *e)
{
    size_t count = value->bytes / sizeof(float);
    float *numbers = mem_alloc(2 * value->bytes);
    if (numbers == NULL) return error_memory(e, value->name, 2 * value->bytes);
    enum graft_status status = stored_read(value, backend, numbers, value->bytes, e);
    if (status == GRAFT_OK) status = stored_read(pruned, backend, numbers + count, value->bytes, e);
    for (size_t i = 0; i < count && status == GRAFT_OK; i++) {
        bool gone = numbers[count + i] != 0.0F && numbers[i] == 0.0F;
        json_array_append_new(list, json_boolean(!gone));
        *all = *all && !gone;
    }
    mem_free(numbers);
    return status;
}

enum graft_status ranked_pattern(const struct adapt *a, size_t index, const struct backend *backend,
                                 json_t **pattern, struct error *e)
{
    const struct layer *layer = &a->layers[index];
    const struct graft_adapter *f = adapt_later(layer);
    struct arena arena = {0};
    enum graft_status status = GRAFT_OK;
    bool all = true;
    *pattern = NULL;
    if (f == NULL || f->ranked == NULL) return GRAFT_OK;
    json_t *map = json_object();
    for (size_t i = 0; i < layer->site_count && status == GRAFT_OK; i++) {
        const char *site = layer->sites[i]->name, *name = f->ranked[0].name;
        const struct stored *value = adapt_find(a, index, site, false, name, &arena),
                            *pruned = adapt_find(a, index, site, true, "pruned", &arena);
        const char *key = arena_format(&arena, "%s.%s", site, name);
        json_t *list = json_array();
        if (key == NULL) status = error_memory(e, site, 0);
        if (status == GRAFT_OK && value != NULL && pruned != NULL)
            status = list_kept(value, pruned, backend, list, &all, e);
        if (status == GRAFT_OK && json_array_size(list) != 0) json_object_set(map, key, list);
        json_decref(list);
    }
    arena_free(&arena);
    if (status == GRAFT_OK && !all)
        *pattern = map;
    else
        json_decref(map);
    return status;
}

/* ---- tensors ---- */

/* A tensor as [outer, entries, inner] around the axis of its entries. */
struct cut {
    size_t outer, entries, inner, kept;
    const json_t *list;
};

/* False: the pattern says nothing of this parameter. */
static bool cut_of(const struct adapt *a, const struct parameter *p, const json_t *pattern,
                   struct cut *c)
{
    const struct graft_ranked *r = pattern != NULL ? row_of(a, p) : NULL;
    char key[512];
    if (r == NULL) return false;
    snprintf(key, sizeof key, "%.*s.%s", (int)(strlen(p->key) - strlen(r->name) - 1), p->key,
             a->layers[p->adapter].functions->ranked[0].name);
    *c = (struct cut){.outer = 1, .inner = 1, .list = json_object_get(pattern, key)};
    for (int32_t i = 0; i < p->stored->shape.rank; i++) {
        size_t n = (size_t)p->stored->shape.dim[i];
        if (i < r->axis) c->outer *= n;
        if (i == r->axis) c->entries = n;
        if (i > r->axis) c->inner *= n;
    }
    for (size_t i = 0; i < json_array_size(c->list); i++)
        c->kept += json_is_true(json_array_get(c->list, i));
    return json_array_size(c->list) == c->entries;
}

static void reshape(const struct adapt *a, const struct parameter *p, size_t entries,
                    struct tensor_view *view)
{
    view->shape = p->stored->shape;
    view->shape.dim[row_of(a, p)->axis] = (int64_t)entries;
    view->bytes = dtype_bytes(view->dtype, view->shape);
}

void ranked_thin(const struct adapt *a, const struct parameter *p, const json_t *pattern,
                 struct tensor_view *view)
{
    struct cut c;
    if (!cut_of(a, p, pattern, &c)) return;
    float *numbers = (float *)(uintptr_t)view->data;
    size_t to = 0, size = c.inner * sizeof *numbers;
    for (size_t o = 0; o < c.outer; o++)
        for (size_t i = 0; i < c.entries; i++)
            if (json_is_true(json_array_get(c.list, i)))
                memmove(numbers + to++ * c.inner, numbers + (o * c.entries + i) * c.inner, size);
    reshape(a, p, c.kept, view);
}

enum graft_status ranked_widen(const struct adapt *a, const struct parameter *p,
                               const json_t *pattern, struct tensor_view *view, struct arena *arena,
                               struct error *e)
{
    struct cut c;
    struct tensor_view thin = *view;
    if (!cut_of(a, p, pattern, &c)) return GRAFT_OK;
    reshape(a, p, c.kept, &thin);
    if (memcmp(thin.shape.dim, view->shape.dim, sizeof thin.shape.dim) != 0) return GRAFT_OK;
    size_t width = c.inner * (view->dtype == GRAFT_DTYPE_F32 ? 4 : 2);
    unsigned char *numbers = arena_alloc(arena, c.outer * c.entries, width);
    const unsigned char *from = view->data;
    if (numbers == NULL) return error_memory(e, view->name, c.outer * c.entries * width);
    for (size_t o = 0; o < c.outer; o++)
        for (size_t i = 0; i < c.entries; i++) {
            if (!json_is_true(json_array_get(c.list, i))) continue;
            memcpy(numbers + (o * c.entries + i) * width, from, width);
            from += width;
        }
    view->data = numbers;
    reshape(a, p, c.entries, view);
    return GRAFT_OK;
}

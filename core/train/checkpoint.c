/* SPDX-License-Identifier: Apache-2.0
 *
 * Names inside tensors.safetensors: "adapter/KEY", "state/NAME", and "best" for the copy.
 */
#include "train/checkpoint.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/paths.h"
#include "file/safetensors.h"
#include "train/folder.h"

#include <string.h>

static const char tensors_name[] = "tensors.safetensors", state_name[] = "state.json",
                  manifest_name[] = "manifest.json";

/* Copies of the parameters */

enum graft_status parameter_copy_take(const struct session *s, struct parameter_copy *copy,
                                      struct error *e)
{
    uint64_t size = store_bytes(s->store, STORE_ADAPTER);
    if (copy->bytes == NULL) {
        copy->bytes = mem_alloc(size);
        copy->size = size;
    }
    if (copy->bytes == NULL) return error_memory(e, "the best parameters", size);
    return stored_read(store_flat(s->store, STORE_ADAPTER), s->backend, copy->bytes, size, e);
}

enum graft_status parameter_copy_restore(const struct session *s, const struct parameter_copy *copy,
                                         struct error *e)
{
    return stored_write(store_flat(s->store, STORE_ADAPTER), s->backend, copy->bytes, copy->size,
                        e);
}

void parameter_copy_free(struct parameter_copy *copy)
{
    mem_free(copy->bytes);
    *copy = (struct parameter_copy){0};
}

/* Saving */

struct tensors {
    struct arena arena;
    struct tensor_view *views;
    size_t count, capacity;
};

static enum graft_status add_class(const struct session *s, struct tensors *t,
                                   enum store_class kind, struct error *e)
{
    for (const struct stored *p = store_first(s->store, kind); p != NULL; p = p->next) {
        void *data = arena_alloc(&t->arena, p->bytes, 1);
        const char *name = arena_format(&t->arena, "%s/%s", store_class_name(kind), p->name);
        if (data == NULL || name == NULL ||
            !array_reserve(&t->views, &t->capacity, t->count + 1, sizeof *t->views))
            return error_memory(e, p->name, p->bytes);
        enum graft_status status = stored_read(p, s->backend, data, p->bytes, e);
        if (status != GRAFT_OK) return status;
        t->views[t->count++] = (struct tensor_view){
            .name = name, .dtype = p->dtype, .shape = p->shape, .data = data, .bytes = p->bytes};
    }
    return GRAFT_OK;
}

static enum graft_status write_tensors(const struct session *s, const char *path,
                                       const struct parameter_copy *best, struct error *e)
{
    struct tensors t = {{0}, NULL, 0, 0};
    enum graft_status status = add_class(s, &t, STORE_ADAPTER, e);
    if (status == GRAFT_OK) status = add_class(s, &t, STORE_STATE, e);
    if (status == GRAFT_OK && best->bytes != NULL) {
        if (!array_reserve(&t.views, &t.capacity, t.count + 1, sizeof *t.views))
            status = error_memory(e, "the best parameters", best->size);
        else
            t.views[t.count++] = (struct tensor_view){.name = "best",
                                                      .dtype = GRAFT_DTYPE_U8,
                                                      .shape = graft_shape1((int64_t)best->size),
                                                      .data = best->bytes,
                                                      .bytes = best->size};
    }
    if (status == GRAFT_OK) status = safetensors_write(path, t.views, t.count, NULL, 0, e);
    mem_free(t.views);
    arena_free(&t.arena);
    return status;
}

static enum graft_status write_json(const char *folder, const char *name, const json_t *value,
                                    struct error *e)
{
    struct str text = {0};
    char *path = path_join(folder, name);
    json_write(&text, value, 1, false);
    str_putc(&text, '\n');
    enum graft_status status = path == NULL || text.failed
                                   ? error_memory(e, name, text.length)
                                   : atomic_write_file(path, text.data, text.length, e);
    mem_free(path);
    str_free(&text);
    return status;
}

static enum graft_status hash_of(const char *folder, const char *name, char hex[HASH_HEX_SIZE],
                                 struct error *e)
{
    char *path = path_join(folder, name);
    enum graft_status status =
        path != NULL ? hash_file_hex(path, hex, e) : error_memory(e, name, strlen(folder));
    mem_free(path);
    return status;
}

static enum graft_status write_manifest(const char *folder, struct error *e)
{
    char tensors[HASH_HEX_SIZE], state[HASH_HEX_SIZE];
    enum graft_status status = hash_of(folder, tensors_name, tensors, e);
    if (status == GRAFT_OK) status = hash_of(folder, state_name, state, e);
    if (status != GRAFT_OK) return status;
    json_t *manifest = json_pack("{s:s, s:s}", tensors_name, tensors, state_name, state);
    if (manifest == NULL) return error_memory(e, manifest_name, 0);
    status = write_json(folder, manifest_name, manifest, e);
    json_decref(manifest);
    return status;
}

enum graft_status checkpoint_save(const struct session *s, const char *run, int64_t step,
                                  const json_t *state, const struct parameter_copy *best,
                                  struct error *e)
{
    struct folder *folder = NULL;
    char *tensors = NULL, *final = run_folder_checkpoint(run, step);
    enum graft_status status =
        final != NULL ? run_folder_drop(run, step, e) : error_memory(e, "a path", strlen(run));
    if (status == GRAFT_OK) status = folder_begin(final, &folder, e);
    if (status == GRAFT_OK && (tensors = path_join(folder_path(folder), tensors_name)) == NULL)
        status = error_memory(e, "a path", strlen(run));
    if (status == GRAFT_OK) status = write_tensors(s, tensors, best, e);
    if (status == GRAFT_OK) status = write_json(folder_path(folder), state_name, state, e);
    if (status == GRAFT_OK) status = write_manifest(folder_path(folder), e);
    if (status == GRAFT_OK)
        status = folder_commit(folder, e);
    else
        folder_abort(folder);
    mem_free(tensors);
    mem_free(final);
    return status;
}

/* Loading */

static bool agrees(const char *folder, const json_t *manifest, const char *name)
{
    char hex[HASH_HEX_SIZE];
    const char *expected = json_string_value(json_object_get(manifest, name));
    return expected != NULL && hash_of(folder, name, hex, NULL) == GRAFT_OK &&
           strcmp(hex, expected) == 0;
}

/* The state of a whole checkpoint, or NULL. */
static json_t *read_whole(const char *folder)
{
    json_t *manifest = NULL, *state = NULL;
    char *manifest_path = path_join(folder, manifest_name),
         *state_path = path_join(folder, state_name);
    if (manifest_path != NULL && state_path != NULL &&
        json_read_file(manifest_path, 1 << 20, &manifest, NULL) == GRAFT_OK &&
        agrees(folder, manifest, tensors_name) && agrees(folder, manifest, state_name) &&
        json_read_file(state_path, 1 << 28, &state, NULL) != GRAFT_OK)
        state = NULL;
    json_decref(manifest);
    mem_free(manifest_path);
    mem_free(state_path);
    return state;
}

enum graft_status checkpoint_newest(const char *run, int64_t *step, json_t **state, struct error *e)
{
    int64_t *steps = NULL;
    size_t count = 0;
    enum graft_status status = run_folder_checkpoints(run, &steps, &count, e);
    if (status != GRAFT_OK) return status;
    *step = 0;
    *state = NULL;
    for (size_t i = count; i-- > 0 && *state == NULL;) {
        char *folder = run_folder_checkpoint(run, steps[i]);
        if (folder != NULL) *state = read_whole(folder);
        if (*state != NULL)
            *step = steps[i];
        else
            log_warning("%s is not whole; passed over", folder != NULL ? folder : run);
        mem_free(folder);
    }
    mem_free(steps);
    return GRAFT_OK;
}

static enum graft_status load_class(const struct session *s, const struct safetensors *file,
                                    enum store_class kind, struct error *e)
{
    for (const struct stored *p = store_first(s->store, kind); p != NULL; p = p->next) {
        char *name = mem_format("%s/%s", store_class_name(kind), p->name);
        if (name == NULL) return error_memory(e, p->name, 0);
        const struct tensor_view *view = safetensors_find(file, name);
        enum graft_status status =
            view == NULL || view->bytes != p->bytes || view->dtype != p->dtype
                ? error_set(e, GRAFT_E_INVALID, "%s is missing or has another shape", name)
                : stored_write(p, s->backend, view->data, view->bytes, e);
        mem_free(name);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status load_best(const struct safetensors *file, uint64_t size,
                                   struct parameter_copy *best, struct error *e)
{
    const struct tensor_view *view = safetensors_find(file, "best");
    if (view == NULL) return GRAFT_OK;
    if (view->bytes != size)
        return error_set(e, GRAFT_E_INVALID, "best: %zu bytes, expected %llu", view->bytes,
                         (unsigned long long)size);
    parameter_copy_free(best);
    best->bytes = mem_alloc(size);
    if (best->bytes == NULL) return error_memory(e, "the best parameters", size);
    best->size = size;
    memcpy(best->bytes, view->data, size);
    return GRAFT_OK;
}

enum graft_status checkpoint_load(const struct session *s, const char *run, int64_t step,
                                  struct parameter_copy *best, struct error *e)
{
    struct safetensors *file = NULL;
    char *folder = run_folder_checkpoint(run, step);
    char *path = folder != NULL ? path_join(folder, tensors_name) : NULL;
    enum graft_status status =
        path != NULL ? safetensors_open(path, &file, e) : error_memory(e, "a path", strlen(run));
    if (status == GRAFT_OK) status = load_class(s, file, STORE_ADAPTER, e);
    if (status == GRAFT_OK) status = load_class(s, file, STORE_STATE, e);
    if (status == GRAFT_OK) status = load_best(file, store_bytes(s->store, STORE_ADAPTER), best, e);
    if (status != GRAFT_OK && folder != NULL) error_place(e, "%s", folder);
    safetensors_close(file);
    mem_free(path);
    mem_free(folder);
    return status;
}

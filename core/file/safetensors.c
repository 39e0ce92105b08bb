/* SPDX-License-Identifier: Apache-2.0
 *
 * Reader: what a path holds, the shards of an index, and one list of tensors over them.
 */
#include "file/safetensors.h"

#include "base/json.h"
#include "base/memory.h"
#include "file/map.h"
#include "file/names.h"
#include "file/paths.h"
#include "file/safetensors_shard.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_INDEX = 100000000 };

struct safetensors {
    struct arena memory;
    struct shard *shards;
    size_t shard_count;
    struct tensor_view *tensors; /* sorted by name */
    size_t count;
    void **copies; /* of data that lies askew */
    size_t copy_count, copy_capacity;
};

/* ---- what is asked for ---- */

static enum graft_status open_single(struct safetensors *file, const char *path, struct error *e)
{
    file->shards = arena_alloc(&file->memory, 1, sizeof *file->shards);
    if (file->shards == NULL) return error_memory(e, path, sizeof *file->shards);
    file->shard_count = 1;
    enum graft_status status = shard_open(file->shards, path, &file->memory, e);
    if (status != GRAFT_OK) return status;
    file->count = file->shards->count;
    file->tensors = arena_alloc(&file->memory, file->count, sizeof *file->tensors);
    if (file->tensors == NULL) return error_memory(e, path, file->count * sizeof *file->tensors);
    for (size_t i = 0; i < file->count; i++)
        file->tensors[i] = file->shards->tensors[file->shards->names[i].index];
    return GRAFT_OK;
}

/* The shard of that name, opened when it is met first. */
static enum graft_status find_shard(struct safetensors *file, const char *folder, const char *name,
                                    const struct shard **shard, struct error *e)
{
    for (size_t i = 0; i < file->shard_count; i++) {
        if (strcmp(file->shards[i].name, name) == 0) {
            *shard = &file->shards[i];
            return GRAFT_OK;
        }
    }
    if (!path_is_plain(name))
        return error_set(
            e, GRAFT_E_INVALID,
            "\"weight_map\" names the file \"%s\"; only plain names beside the index are "
            "allowed",
            name);
    struct shard *made = &file->shards[file->shard_count];
    char *path = path_join(folder, name);
    made->name = arena_strdup(&file->memory, name);
    if (path == NULL || made->name == NULL) {
        mem_free(path);
        return error_memory(e, "file names", strlen(name));
    }
    file->shard_count++;
    enum graft_status status = shard_open(made, path, &file->memory, e);
    mem_free(path);
    *shard = made;
    return status;
}

static enum graft_status take_mapped(struct safetensors *file, const char *folder,
                                     const json_t *map, struct error *e)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, value)
    {
        const struct shard *shard = NULL;
        if (!json_is_string(value))
            return error_set(e, GRAFT_E_INVALID, "\"weight_map\": \"%s\" is not a file name",
                             tensor);
        enum graft_status status = find_shard(file, folder, json_string_value(value), &shard, e);
        if (status != GRAFT_OK) return status;
        const struct name *found = names_find(shard->names, shard->count, tensor);
        if (found == NULL)
            return error_set(e, GRAFT_E_INVALID, "tensor %s is not in %s, where the index has it",
                             tensor, shard->name);
        file->tensors[file->count++] = shard->tensors[found->index];
    }
    return GRAFT_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor_view *)a)->name, ((const struct tensor_view *)b)->name);
}

static enum graft_status open_mapped(struct safetensors *file, const char *path,
                                     const json_t *index, struct error *e)
{
    const json_t *map = json_object_get(index, "weight_map");
    size_t count = json_object_size(map);
    if (!json_is_object(map))
        return error_set(e, GRAFT_E_INVALID, "%s: no \"weight_map\"; is it a safetensors index?",
                         path);
    char *folder = path_parent(path);
    file->shards = arena_alloc(&file->memory, count, sizeof *file->shards);
    file->tensors = arena_alloc(&file->memory, count, sizeof *file->tensors);
    enum graft_status status = GRAFT_OK;
    if (folder == NULL || file->shards == NULL || file->tensors == NULL)
        status = error_memory(e, path, count * (sizeof *file->shards + sizeof *file->tensors));
    if (status == GRAFT_OK && (status = take_mapped(file, folder, map, e)) != GRAFT_OK)
        error_place(e, "%s", path);
    mem_free(folder);
    if (status == GRAFT_OK) qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
    return status;
}

static enum graft_status open_index(struct safetensors *file, const char *path, struct error *e)
{
    struct file_map map = {0};
    json_t *index = NULL;
    enum graft_status status = file_map_open(path, &map, e);
    if (status != GRAFT_OK) return status;
    if (map.size > MAX_INDEX)
        status = error_set(e, GRAFT_E_INVALID, "%zu bytes are too many for an index", map.size);
    else
        status = json_read_bytes((const char *)map.data, map.size, &index, e);
    file_map_close(&map);
    if (status == GRAFT_OK)
        status = open_mapped(file, path, index, e);
    else
        error_place(e, "%s", path);
    json_decref(index);
    return status;
}

static enum graft_status open_folder(struct safetensors *file, const char *path, struct error *e)
{
    char *single = path_join(path, "model.safetensors");
    char *index = path_join(path, "model.safetensors.index.json");
    enum graft_status status;
    if (single == NULL || index == NULL)
        status = error_memory(e, path, 0);
    else if (path_kind(single) == PATH_FILE)
        status = open_single(file, single, e);
    else if (path_kind(index) == PATH_FILE)
        status = open_index(file, index, e);
    else
        status =
            error_set(e, GRAFT_E_INVALID,
                      "%s: holds neither model.safetensors nor model.safetensors.index.json", path);
    mem_free(single);
    mem_free(index);
    return status;
}

/* ---- alignment ---- */

static size_t number_bytes(int32_t dtype)
{
    switch (dtype) {
    case GRAFT_DTYPE_F64: return 8;
    case GRAFT_DTYPE_F32:
    case GRAFT_DTYPE_I32: return 4;
    case GRAFT_DTYPE_F16:
    case GRAFT_DTYPE_BF16: return 2;
    default: return 1;
    }
}

static enum graft_status straighten(struct safetensors *file, struct error *e)
{
    for (size_t i = 0; i < file->count; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        if ((uintptr_t)tensor->data % number_bytes(tensor->dtype) == 0) continue;
        void *copy = NULL;
        if (array_reserve(&file->copies, &file->copy_capacity, file->copy_count + 1,
                          sizeof *file->copies))
            copy = mem_alloc(tensor->bytes);
        if (copy == NULL) return error_memory(e, tensor->name, tensor->bytes);
        file->copies[file->copy_count++] = copy;
        if (tensor->bytes != 0) memcpy(copy, tensor->data, tensor->bytes);
        tensor->data = copy;
    }
    return GRAFT_OK;
}

enum graft_status safetensors_open(const char *path, struct safetensors **file, struct error *e)
{
    struct safetensors *made = mem_zalloc(1, sizeof *made);
    enum graft_status status;
    if (made == NULL) return error_memory(e, path, sizeof *made);
    if (path_kind(path) == PATH_FOLDER)
        status = open_folder(made, path, e);
    else if (text_ends(path, ".json"))
        status = open_index(made, path, e);
    else
        status = open_single(made, path, e);
    if (status == GRAFT_OK) status = straighten(made, e);
    if (status != GRAFT_OK) {
        safetensors_close(made);
        return status;
    }
    *file = made;
    return GRAFT_OK;
}

void safetensors_close(struct safetensors *file)
{
    if (file == NULL) return;
    for (size_t i = 0; i < file->shard_count; i++) shard_close(&file->shards[i]);
    for (size_t i = 0; i < file->copy_count; i++) mem_free(file->copies[i]);
    mem_free(file->copies);
    arena_free(&file->memory);
    mem_free(file);
}

size_t safetensors_count(const struct safetensors *file)
{
    return file->count;
}

const struct tensor_view *safetensors_tensor(const struct safetensors *file, size_t index)
{
    return index < file->count ? &file->tensors[index] : NULL;
}

const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name)
{
    struct tensor_view wanted = {.name = name};
    if (file->count == 0) return NULL;
    return bsearch(&wanted, file->tensors, file->count, sizeof *file->tensors, by_name);
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    if (file->shard_count == 0) return NULL;
    return json_string_value(json_object_get(file->shards[0].metadata, key));
}

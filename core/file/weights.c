/* SPDX-License-Identifier: Apache-2.0
 *
 * Decides what a path holds and puts one face on it.
 */
#include "file/weights.h"

#include "base/memory.h"
#include "file/bitsandbytes.h"
#include "file/gguf.h"
#include "file/map.h"
#include "file/paths.h"
#include "file/safetensors.h"
#include "ref/quant.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { QUANTIZE_PIECE = 1 << 16 }; /* numbers at a time; a multiple of every block */

struct weights {
    enum weights_kind kind;
    char *path;
    struct gguf *gguf;
    struct safetensors *folder;
    struct arena memory;
    struct tensor_view *tensors; /* of a folder, sorted by name */
    struct graft_nf4 **buffers;
    size_t count, buffer_count;
};

/* ---- a GGUF file ---- */

static enum graft_status open_gguf(struct weights *w, struct error *e)
{
    int64_t parts = 1;
    enum graft_status status = gguf_open(w->path, &w->gguf, e);
    if (status != GRAFT_OK) return status;
    w->kind = WEIGHTS_GGUF;
    w->count = gguf_tensor_count(w->gguf);
    if (gguf_get_int(w->gguf, "split.count", &parts) && parts > 1)
        return error_set(
            e, GRAFT_E_INVALID,
            "%s: is one of %lld parts of a split model; join them first with llama.cpp's "
            "llama-gguf-split --merge",
            w->path, (long long)parts);
    return GRAFT_OK;
}

/* ---- a folder ---- */

/* A path longer than the system takes is not there. */
static bool holds(const char *folder, const char *name)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path && path_kind(path) == PATH_FILE;
}

/* Some .gguf in the folder, for the message; false: none. */
static bool find_gguf(const char *folder, char name[256])
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool found = false;
    if (dir == NULL) return false;
    while (!found && (entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);
        found = length > 5 && length < 256 && strcmp(entry->d_name + length - 5, ".gguf") == 0;
        if (found) memcpy(name, entry->d_name, length + 1);
    }
    closedir(dir);
    return found;
}

static enum graft_status refuse_folder(const char *path, struct error *e)
{
    char name[256];
    if (holds(path, "pytorch_model.bin") || holds(path, "pytorch_model.bin.index.json"))
        return error_set(
            e, GRAFT_E_INVALID,
            "%s: holds only pytorch_model.bin, a Python pickle, which may run code when "
            "it is read; save the model as safetensors "
            "(save_pretrained(..., safe_serialization=True))",
            path);
    if (holds(path, "adapter_config.json"))
        return error_set(e, GRAFT_E_INVALID,
                         "%s: holds an adapter, not a model; give the folder of its base model",
                         path);
    if (find_gguf(path, name))
        return error_set(e, GRAFT_E_INVALID,
                         "%s: is a folder with GGUF files; give the file: %s/%s", path, path, name);
    return error_set(e, GRAFT_E_INVALID,
                     "%s: holds neither model.safetensors nor model.safetensors.index.json; give a "
                     ".gguf file or a Hugging Face model folder",
                     path);
}

static enum graft_status collect(struct weights *w, struct error *e)
{
    size_t count = safetensors_count(w->folder);
    w->tensors = arena_alloc(&w->memory, count, sizeof *w->tensors);
    w->buffers = arena_alloc(&w->memory, count, sizeof *w->buffers);
    if (w->tensors == NULL || w->buffers == NULL)
        return error_memory(e, w->path, count * (sizeof *w->tensors + sizeof *w->buffers));
    for (size_t i = 0; i < count; i++) {
        const struct tensor_view *tensor = safetensors_tensor(w->folder, i);
        struct graft_nf4 *buffer = NULL;
        struct tensor_view view = *tensor;
        enum graft_status status = bnb_assemble(w->folder, tensor, &buffer, &view, e);
        if (status != GRAFT_OK) return status;
        if (buffer != NULL) w->buffers[w->buffer_count++] = buffer;
        if (!bnb_is_part(w->folder, tensor->name)) w->tensors[w->count++] = view;
    }
    return GRAFT_OK;
}

static enum graft_status open_folder(struct weights *w, struct error *e)
{
    w->kind = WEIGHTS_FOLDER;
    if (!holds(w->path, "model.safetensors") && !holds(w->path, "model.safetensors.index.json"))
        return refuse_folder(w->path, e);
    enum graft_status status = safetensors_open(w->path, &w->folder, e);
    if (status != GRAFT_OK) return status;
    status = collect(w, e);
    if (status != GRAFT_OK) error_place(e, "%s", w->path);
    return status;
}

/* ---- either ---- */

static enum graft_status open_file(struct weights *w, struct error *e)
{
    struct file_map map = {0};
    enum graft_status status = file_map_open(w->path, &map, e);
    if (status != GRAFT_OK) return status;
    const char *kind = file_map_kind(&map);
    bool is_gguf = map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0;
    bool is_safetensors = strcmp(kind, "a safetensors file") == 0;
    file_map_close(&map);
    if (is_gguf) return open_gguf(w, e);
    return error_set(e, GRAFT_E_INVALID,
                     is_safetensors
                         ? "%s: is %s; give the folder that holds it, with its config.json"
                         : "%s: is %s; give a .gguf file or a Hugging Face model folder with "
                           "safetensors",
                     w->path, kind);
}

enum graft_status weights_open(const char *path, struct weights **weights, struct error *e)
{
    struct weights *made = mem_zalloc(1, sizeof *made);
    enum graft_status status;
    if (made == NULL) return error_memory(e, path, sizeof *made);
    made->path = mem_strdup(path);
    if (made->path == NULL)
        status = error_memory(e, path, strlen(path));
    else if (path_kind(path) == PATH_FOLDER)
        status = open_folder(made, e);
    else
        status = open_file(made, e);
    if (status != GRAFT_OK) {
        weights_close(made);
        return status;
    }
    *weights = made;
    return GRAFT_OK;
}

void weights_close(struct weights *weights)
{
    if (weights == NULL) return;
    for (size_t i = 0; i < weights->buffer_count; i++) mem_free(weights->buffers[i]);
    gguf_close(weights->gguf);
    safetensors_close(weights->folder);
    arena_free(&weights->memory);
    mem_free(weights->path);
    mem_free(weights);
}

enum weights_kind weights_kind(const struct weights *weights)
{
    return weights->kind;
}

const char *weights_path(const struct weights *weights)
{
    return weights->path;
}

const struct gguf *weights_gguf(const struct weights *weights)
{
    return weights->gguf;
}

size_t weights_count(const struct weights *weights)
{
    return weights->count;
}

const struct tensor_view *weights_tensor(const struct weights *weights, size_t index)
{
    if (weights->kind == WEIGHTS_GGUF) return gguf_tensor(weights->gguf, index);
    return index < weights->count ? &weights->tensors[index] : NULL;
}

const struct tensor_view *weights_find(const struct weights *weights, const char *name)
{
    size_t low = 0, high = weights->count;
    if (weights->kind == WEIGHTS_GGUF) return gguf_find_tensor(weights->gguf, name);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(weights->tensors[middle].name, name);
        if (order == 0) return &weights->tensors[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- quantizing on load ---- */

/* A piece of a weight as f32. `first` and `count` are multiples of every block, or at the end. */
static void read_piece(const struct tensor_view *tensor, int64_t first, int64_t count, float *out)
{
    if (tensor->dtype == GRAFT_DTYPE_NF4) {
        dequantize_nf4(tensor->data, first, count, out);
        return;
    }
    const unsigned char *bytes = tensor->data;
    dequantize_row(tensor->dtype, bytes + quant_row_bytes(tensor->dtype, first), out, count);
}

static void quantize_pieces(const struct tensor_view *tensor, int64_t count, float *piece,
                            float *absmax, struct graft_nf4 *w)
{
    for (int64_t first = 0; first < count; first += QUANTIZE_PIECE) {
        int64_t n = count - first < QUANTIZE_PIECE ? count - first : QUANTIZE_PIECE;
        read_piece(tensor, first, n, piece);
        quantize_nf4(piece, first, n, w, absmax);
    }
    quantize_nf4_scales(absmax, w);
}

enum graft_status weights_quantize_nf4(const struct tensor_view *tensor, uint32_t block,
                                       bool nested, struct graft_nf4 **buffer, struct error *e)
{
    enum graft_status status = tensor_check_weight(tensor, e);
    if (status != GRAFT_OK) return status;
    int64_t count = graft_shape_count(tensor->shape);
    size_t bytes = nf4_bytes(count, block, nested);
    if (bytes == 0)
        return error_set(
            e, GRAFT_E_INVALID,
            "tensor %s: no NF4 of %lld numbers in blocks of %u; the block is a power of "
            "two from 32 to 4096",
            tensor->name, (long long)count, (unsigned)block);
    size_t blocks = ((size_t)count + block - 1) / block;
    struct graft_nf4 *w = mem_zalloc(1, bytes);
    float *piece = mem_zalloc(QUANTIZE_PIECE, sizeof *piece);
    float *absmax = mem_zalloc(blocks, sizeof *absmax);
    if (w == NULL || piece == NULL || absmax == NULL) {
        status = error_memory(e, tensor->name, bytes + blocks * sizeof *absmax);
        mem_free(w);
    } else {
        nf4_init(w, count, block, nested);
        quantize_pieces(tensor, count, piece, absmax, w);
        *buffer = w;
    }
    mem_free(piece);
    mem_free(absmax);
    return status;
}

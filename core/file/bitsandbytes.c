/* SPDX-License-Identifier: Apache-2.0
 *
 * From the parts in the file to one struct graft_nf4. Every size is checked against the state's
 * shape before a byte is copied.
 */
#include "file/bitsandbytes.h"

#include "base/json.h"
#include "base/memory.h"
#include "ref/quant.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { MAP_SIZE = 16, NESTED_MAP_SIZE = 256, NESTED_BLOCK = 256 };

static const char *const parts[] = {
    ".absmax",
    ".quant_map",
    ".nested_absmax",
    ".nested_quant_map",
    ".quant_state.bitsandbytes__nf4",
    ".quant_state.bitsandbytes__fp4",
};
enum { PARTS = sizeof parts / sizeof parts[0], STATE_NF4 = 4, STATE_FP4 = 5 };

static const struct tensor_view *find_part(const struct safetensors *file, const char *weight,
                                           const char *part, struct error *e, bool *failed)
{
    char *name = mem_format("%s%s", weight, part);
    if (name == NULL) {
        error_memory(e, "tensor names", strlen(weight));
        *failed = true;
        return NULL;
    }
    const struct tensor_view *found = safetensors_find(file, name);
    mem_free(name);
    return found;
}

bool bnb_is_part(const struct safetensors *file, const char *name)
{
    char weight[512];
    size_t length = strlen(name);
    for (size_t i = 0; i < PARTS; i++) {
        size_t tail = strlen(parts[i]);
        if (length <= tail || length - tail >= sizeof weight ||
            strcmp(name + length - tail, parts[i]) != 0)
            continue;
        memcpy(weight, name, length - tail);
        weight[length - tail] = '\0';
        if (safetensors_find(file, weight) != NULL) return true;
    }
    return false;
}

/* ---- the state ---- */

struct state {
    uint32_t block;
    bool nested; /* the scales are quantized too */
    float offset;
    struct graft_shape shape;
    int64_t count;
};

static bool whole(const json_t *object, const char *key, int64_t low, int64_t high, int64_t *value)
{
    const json_t *number = json_object_get(object, key);
    if (!json_is_integer(number)) return false;
    *value = json_integer_value(number);
    return *value >= low && *value <= high;
}

static bool read_shape(const json_t *shape, struct state *s)
{
    if (json_array_size(shape) != 2) return false;
    s->count = 1;
    s->shape = graft_shape2(0, 0);
    for (size_t i = 0; i < 2; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 1 ||
            json_integer_value(dim) > INT64_MAX / 8 / s->count)
            return false;
        s->shape.dim[i] = json_integer_value(dim);
        s->count *= s->shape.dim[i];
    }
    return true;
}

static enum graft_status check_state(const json_t *json, bool nested, struct state *s,
                                     struct error *e)
{
    int64_t block, nested_block;
    const char *type = json_string_value(json_object_get(json, "quant_type"));
    if (type == NULL || strcmp(type, "nf4") != 0)
        return error_set(e, GRAFT_E_INVALID, "quant_type is \"%s\"; graft reads \"nf4\"",
                         type != NULL ? type : "missing");
    if (!whole(json, "blocksize", 32, 4096, &block) || (block & (block - 1)) != 0)
        return error_set(e, GRAFT_E_INVALID,
                         "blocksize is not one of 32, 64, 128, 256, 512, 1024, 2048, 4096");
    if (!read_shape(json_object_get(json, "shape"), s))
        return error_set(e, GRAFT_E_INVALID, "shape is not [out, in]");
    if (nested) {
        const json_t *offset = json_object_get(json, "nested_offset");
        if (!whole(json, "nested_blocksize", NESTED_BLOCK, NESTED_BLOCK, &nested_block) ||
            !json_is_number(offset))
            return error_set(e, GRAFT_E_INVALID,
                             "nested_blocksize is not 256 or nested_offset is no number");
        s->offset = (float)json_number_value(offset);
    }
    s->block = (uint32_t)block;
    s->nested = nested;
    return GRAFT_OK;
}

static enum graft_status read_state(const struct tensor_view *tensor, bool nested, struct state *s,
                                    struct error *e)
{
    json_t *json = NULL;
    enum graft_status status = json_read_bytes(tensor->data, tensor->bytes, &json, e);
    if (status == GRAFT_OK) status = check_state(json, nested, s, e);
    json_decref(json);
    if (status != GRAFT_OK) error_place(e, "%s", tensor->name);
    return status;
}

/* ---- the buffer ---- */

struct source {
    const struct tensor_view *codes, *absmax, *map, *nested_absmax, *nested_map;
};

/* `dtype` < 0: any, because codes are stored under several types' names. */
static enum graft_status check_part(const struct tensor_view *part, const char *what, int32_t dtype,
                                    uint64_t bytes, struct error *e)
{
    if (part == NULL) return error_set(e, GRAFT_E_INVALID, "its %s is missing", what);
    if (part->bytes == bytes && (dtype < 0 || part->dtype == dtype)) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "its %s has %zu bytes of type %s, expected are %llu%s%s",
                     what, part->bytes, part->type_name, (unsigned long long)bytes,
                     dtype < 0 ? "" : " of type ", dtype < 0 ? "" : quant_name(dtype));
}

static enum graft_status check_parts(const struct source *p, const struct state *s, struct error *e)
{
    uint64_t blocks = ((uint64_t)s->count + s->block - 1) / s->block;
    enum graft_status status =
        check_part(p->codes, "packed weight", -1, ((uint64_t)s->count + 1) / 2, e);
    if (status == GRAFT_OK)
        status = check_part(p->absmax, "absmax", s->nested ? GRAFT_DTYPE_U8 : GRAFT_DTYPE_F32,
                            blocks * (s->nested ? 1 : sizeof(float)), e);
    if (status == GRAFT_OK)
        status = check_part(p->map, "quant_map", GRAFT_DTYPE_F32, MAP_SIZE * sizeof(float), e);
    if (status != GRAFT_OK || !s->nested) return status;
    uint64_t groups = (blocks + NESTED_BLOCK - 1) / NESTED_BLOCK;
    status =
        check_part(p->nested_absmax, "nested_absmax", GRAFT_DTYPE_F32, groups * sizeof(float), e);
    if (status == GRAFT_OK)
        status = check_part(p->nested_map, "nested_quant_map", GRAFT_DTYPE_F32,
                            NESTED_MAP_SIZE * sizeof(float), e);
    return status;
}

static void put(struct graft_nf4 *w, uint64_t offset, const struct tensor_view *part)
{
    memcpy((unsigned char *)w + offset, part->data, part->bytes);
}

static enum graft_status fill(const struct source *p, const struct state *s,
                              struct graft_nf4 **buffer, struct error *e)
{
    size_t bytes = nf4_bytes(s->count, s->block, s->nested);
    struct graft_nf4 *w = mem_zalloc(1, bytes);
    if (w == NULL) return error_memory(e, "a 4-bit weight", bytes);
    nf4_init(w, s->count, s->block, s->nested);
    w->offset = s->offset;
    put(w, w->codes, p->codes);
    put(w, w->absmax, p->absmax);
    put(w, w->map, p->map);
    if (s->nested) {
        put(w, w->nested_absmax, p->nested_absmax);
        put(w, w->nested_map, p->nested_map);
    }
    *buffer = w;
    return GRAFT_OK;
}

static enum graft_status assemble(const struct source *p, const struct tensor_view *state,
                                  struct graft_nf4 **buffer, struct tensor_view *view,
                                  struct error *e)
{
    struct state s = {0};
    struct graft_nf4 *made = NULL;
    enum graft_status status = read_state(state, p->nested_absmax != NULL, &s, e);
    if (status == GRAFT_OK && (status = check_parts(p, &s, e)) != GRAFT_OK)
        error_place(e, "tensor %s", p->codes->name);
    if (status == GRAFT_OK) status = fill(p, &s, &made, e);
    if (status != GRAFT_OK) return status;
    *buffer = made;
    *view = (struct tensor_view){.name = p->codes->name,
                                 .dtype = GRAFT_DTYPE_NF4,
                                 .shape = s.shape,
                                 .data = made,
                                 .bytes = (size_t)made->bytes,
                                 .type_name = "NF4"};
    return GRAFT_OK;
}

/* Names by which other schemes are known. */
static enum graft_status check_scheme(const struct tensor_view *tensor, struct error *e)
{
    const char *scheme = NULL;
    if (text_ends(tensor->name, ".quant_state.bitsandbytes__fp4"))
        scheme = "FP4 of bitsandbytes";
    else if (text_ends(tensor->name, ".SCB"))
        scheme = "8 bits of bitsandbytes (LLM.int8)";
    else if (text_ends(tensor->name, ".qweight"))
        scheme = "GPTQ or AWQ";
    if (scheme == NULL) return GRAFT_OK;
    return error_set(
        e, GRAFT_E_INVALID,
        "tensor %s shows a model quantized with %s, which graft does not read; use the "
        "unquantized model (graft quantizes while loading), NF4 or GGUF",
        tensor->name, scheme);
}

enum graft_status bnb_assemble(const struct safetensors *file, const struct tensor_view *weight,
                               struct graft_nf4 **buffer, struct tensor_view *view, struct error *e)
{
    const struct tensor_view *found[PARTS];
    bool failed = false;
    enum graft_status status = check_scheme(weight, e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < PARTS; i++) {
        found[i] = find_part(file, weight->name, parts[i], e, &failed);
        if (failed) return GRAFT_E_MEMORY;
    }
    if (found[STATE_FP4] != NULL) return check_scheme(found[STATE_FP4], e);
    if (found[STATE_NF4] == NULL) return GRAFT_OK;
    struct source p = {weight, found[0], found[1], found[2], found[3]};
    return assemble(&p, found[STATE_NF4], buffer, view, e);
}

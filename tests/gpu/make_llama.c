/* SPDX-License-Identifier: Apache-2.0
 *
 * make_llama BASE TYPE OUT: a random Llama that is wide enough for tiles and blocks of 256, in F32
 * or a type that quantize_row knows. The tokenizer is BASE's, a GGUF file of a llama. The same
 * arguments give the same bytes.
 */
#include "base/memory.h"
#include "base/random.h"
#include "file/gguf_write.h"
#include "ref/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 256, LAYERS = 2, HEADS = 4, KV_HEADS = 2, HEAD_SIZE = 64, HIDDEN = 512 };
enum { LAYER_TENSORS = 9, TENSORS = 2 + LAYERS * LAYER_TENSORS };

static const struct {
    const char *key;
    uint32_t value;
} settings[] = {
    {"llama.embedding_length", CHANNELS},        {"llama.block_count", LAYERS},
    {"llama.feed_forward_length", HIDDEN},       {"llama.attention.head_count", HEADS},
    {"llama.attention.head_count_kv", KV_HEADS}, {"llama.rope.dimension_count", HEAD_SIZE}};

static const struct {
    const char *name;
    int64_t rows, cols; /* rows 0: a norm */
} parts[LAYER_TENSORS] = {{"attn_norm", 0, CHANNELS},
                          {"attn_q", HEADS *HEAD_SIZE, CHANNELS},
                          {"attn_k", KV_HEADS *HEAD_SIZE, CHANNELS},
                          {"attn_v", KV_HEADS *HEAD_SIZE, CHANNELS},
                          {"attn_output", CHANNELS, HEADS *HEAD_SIZE},
                          {"ffn_norm", 0, CHANNELS},
                          {"ffn_gate", HIDDEN, CHANNELS},
                          {"ffn_up", HIDDEN, CHANNELS},
                          {"ffn_down", CHANNELS, HIDDEN}};

struct model {
    const char *type;
    int32_t dtype;
    struct tensor_view views[TENSORS];
    char names[TENSORS][64];
    size_t count;
    float *numbers; /* of the tensor that is being written */
    void *stored;
};

/* A key is its length in 8 bytes, its text, its type in 4 (u32: 4) and its value. */
static bool put_setting(unsigned char *bytes, size_t length, const char *key, uint32_t value)
{
    size_t n = strlen(key);
    for (size_t at = 0; at + n + 16 <= length; at++) {
        const unsigned char type[4] = {4, 0, 0, 0};
        if (bytes[at] != n || memcmp(bytes + at + 8, key, n) != 0) continue;
        if (memcmp(bytes + at + 8 + n, type, sizeof type) != 0) return false;
        for (int i = 0; i < 4; i++) bytes[at + 12 + n + (size_t)i] = (value >> 8 * i) & 255u;
        return true;
    }
    return false;
}

/* Uniform, of the deviation that keeps the stream's size; around 1 in a norm. */
static void draw(struct model *m, const struct tensor_view *view)
{
    struct random_key key = random_key(1, RANDOM_INIT, 0, view->name, 0);
    bool norm = view->shape.rank == 1;
    double width = sqrt(3.0 / CHANNELS), middle = norm ? 1.0 : 0.0;
    int64_t count = graft_shape_count(view->shape);
    for (int64_t i = 0; i < count; i++) {
        uint32_t counter[4] = {(uint32_t)(i / 4)}, word[4];
        random_words(key, counter, word);
        m->numbers[i] = (float)(middle + width * (word[i % 4] * 0x1p-31 - 1.0));
    }
}

static enum graft_status give(void *context, const struct tensor_view *view, const void **data,
                              struct error *e)
{
    struct model *m = context;
    int64_t rows = view->shape.rank == 1 ? 1 : view->shape.dim[0];
    int64_t cols = graft_shape_count(view->shape) / rows;
    size_t row_bytes = quant_row_bytes(view->dtype, cols);
    draw(m, view);
    for (int64_t r = 0; r < rows; r++)
        if (!quantize_row(view->dtype, m->numbers + r * cols,
                          (char *)m->stored + (size_t)r * row_bytes, cols))
            return error_set(e, GRAFT_E_INVALID, "%s is not quantized here", m->type);
    *data = m->stored;
    return GRAFT_OK;
}

static void add(struct model *m, const char *name, int64_t rows, int64_t cols)
{
    struct tensor_view *view = &m->views[m->count];
    int32_t dtype = rows == 0 ? GRAFT_DTYPE_F32 : m->dtype;
    snprintf(m->names[m->count], sizeof m->names[0], "%s.weight", name);
    *view = (struct tensor_view){.name = m->names[m->count++],
                                 .dtype = dtype,
                                 .shape = rows == 0 ? graft_shape1(cols) : graft_shape2(rows, cols),
                                 .type_name = quant_name(dtype)};
    view->bytes = (size_t)(rows == 0 ? 1 : rows) * quant_row_bytes(dtype, cols);
}

static void add_all(struct model *m, int64_t vocabulary)
{
    add(m, "token_embd", vocabulary, CHANNELS);
    add(m, "output_norm", 0, CHANNELS);
    for (int layer = 0; layer < LAYERS; layer++)
        for (int i = 0; i < LAYER_TENSORS; i++) {
            char name[48];
            snprintf(name, sizeof name, "blk.%d.%s", layer, parts[i].name);
            add(m, name, parts[i].rows, parts[i].cols);
        }
}

static enum graft_status make(struct model *m, const struct gguf *base, const char *out,
                              struct error *e)
{
    struct gguf_metadata metadata = gguf_metadata(base);
    const struct tensor_view *embedding = gguf_find_tensor(base, "token_embd.weight");
    if (embedding == NULL) return error_set(e, GRAFT_E_INVALID, "BASE has no token_embd.weight");
    int64_t vocabulary = embedding->shape.dim[0];
    int64_t largest = vocabulary > HIDDEN ? vocabulary : HIDDEN;
    unsigned char *bytes = mem_alloc(metadata.length);
    m->numbers = mem_alloc((size_t)(largest * CHANNELS) * sizeof(float));
    m->stored = mem_alloc((size_t)(largest * CHANNELS) * sizeof(float));
    enum graft_status status = GRAFT_OK;
    if (bytes == NULL || m->numbers == NULL || m->stored == NULL)
        status = error_memory(e, "a model", metadata.length);
    else
        memcpy(bytes, metadata.bytes, metadata.length);
    for (size_t i = 0; status == GRAFT_OK && i < sizeof settings / sizeof settings[0]; i++)
        if (!put_setting(bytes, metadata.length, settings[i].key, settings[i].value))
            status = error_set(e, GRAFT_E_INVALID, "BASE has no whole number %s", settings[i].key);
    if (status == GRAFT_OK) {
        const struct tensor_source source = {m, give};
        metadata.bytes = bytes;
        add_all(m, vocabulary);
        status = gguf_write(out, &metadata, m->views, m->count, &source, e);
    }
    mem_free(bytes);
    mem_free(m->numbers);
    mem_free(m->stored);
    return status;
}

int main(int argc, char **argv)
{
    struct model *m = mem_zalloc(1, sizeof *m);
    struct gguf *base = NULL;
    struct error e = {0};
    if (argc != 4 || m == NULL) {
        fprintf(stderr, "usage: make_llama BASE TYPE OUT\n");
        return 2;
    }
    m->type = argv[2];
    m->dtype = -1;
    for (int32_t i = 0; i <= GRAFT_DTYPE_NF4; i++)
        if (quant_name(i) != NULL && strcmp(quant_name(i), m->type) == 0) m->dtype = i;
    enum graft_status status = GRAFT_OK;
    if (m->dtype < 0 || gguf_type_id(m->type) < 0)
        status = error_set(&e, GRAFT_E_INVALID, "%s is no type of a GGUF file", m->type);
    if (status == GRAFT_OK) status = gguf_open(argv[1], &base, &e);
    if (status == GRAFT_OK) status = make(m, base, argv[3], &e);
    if (status != GRAFT_OK) fprintf(stderr, "make_llama: %s\n", e.text);
    gguf_close(base);
    mem_free(m);
    return status != GRAFT_OK;
}

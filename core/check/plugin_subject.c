/* SPDX-License-Identifier: Apache-2.0
 *
 * The made-up model and an adapter on it. The model's weights are random and its file is gone as
 * soon as it is open; two documents of seven and five tokens are trained.
 */
#include "check/plugin_parts.h"

#include "base/random.h"
#include "check/reference.h"
#include "file/atomic.h"
#include "file/paths.h"
#include "file/safetensors.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HIDDEN = 64, MLP = 96, HEADS = 4, KV = 2, LAYERS = 2, VOCAB = 32, MOST_TENSORS = 32 };

static const char config_text[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 64,"
    " \"intermediate_size\": 96, \"num_hidden_layers\": 2, \"num_attention_heads\": 4,"
    " \"num_key_value_heads\": 2, \"vocab_size\": 32, \"tie_word_embeddings\": false,"
    " \"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", \"max_position_embeddings\": 4096,"
    " \"bos_token_id\": 1, \"eos_token_id\": 2, \"rope_theta\": 10000.0}";

/* ---- the model's folder ---- */

char *folder_make_temporary(struct error *e)
{
    char *path = mem_strdup("/tmp/graft-plugin-test-XXXXXX");
    if (path == NULL) {
        (void)error_memory(e, "a folder", 32);
        return NULL;
    }
    if (mkdtemp(path) != NULL) return path;
    (void)error_errno(e, "cannot make", path);
    mem_free(path);
    return NULL;
}

void folder_clear(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.') unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL) closedir(folder);
    rmdir(path);
}

struct maker {
    struct arena arena;
    struct tensor_view tensors[MOST_TENSORS];
    size_t count;
    bool failed;
};

static void add_tensor(struct maker *m, const char *name, int64_t rows, int64_t columns)
{
    struct graft_shape shape = columns == 0 ? graft_shape1(rows) : graft_shape2(rows, columns);
    size_t n = (size_t)graft_shape_count(shape);
    float *data = arena_alloc(&m->arena, n, sizeof *data);
    struct random_key key = random_key(7, RANDOM_INIT, 0, name, 0);
    if (data == NULL || name == NULL) {
        m->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t counter[4] = {(uint32_t)(i / 4), 0, 0, 0}, words[4];
        random_words(key, counter, words);
        float u = 2.0f * graft_unit(words[i % 4]) - 1.0f;
        data[i] = columns == 0 ? 1.0f + 0.2f * u : 0.6f * u;
    }
    m->tensors[m->count++] = (struct tensor_view){.name = name,
                                                  .dtype = GRAFT_DTYPE_F32,
                                                  .shape = shape,
                                                  .data = data,
                                                  .bytes = n * sizeof *data};
}

static enum graft_status write_model(const char *folder, struct error *e)
{
    static const struct {
        const char *name;
        int64_t rows, columns;
    } parts[] = {{"input_layernorm", HIDDEN, 0},
                 {"post_attention_layernorm", HIDDEN, 0},
                 {"self_attn.q_proj", HIDDEN, HIDDEN},
                 {"self_attn.k_proj", HIDDEN / HEADS * KV, HIDDEN},
                 {"self_attn.v_proj", HIDDEN / HEADS * KV, HIDDEN},
                 {"self_attn.o_proj", HIDDEN, HIDDEN},
                 {"mlp.gate_proj", MLP, HIDDEN},
                 {"mlp.up_proj", MLP, HIDDEN},
                 {"mlp.down_proj", HIDDEN, MLP}};
    struct maker m = {.count = 0};
    for (int layer = 0; layer < LAYERS; layer++)
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            add_tensor(&m,
                       arena_format(&m.arena, "model.layers.%d.%s.weight", layer, parts[i].name),
                       parts[i].rows, parts[i].columns);
    add_tensor(&m, "model.embed_tokens.weight", VOCAB, HIDDEN);
    add_tensor(&m, "model.norm.weight", HIDDEN, 0);
    add_tensor(&m, "lm_head.weight", VOCAB, HIDDEN);
    char *config = arena_format(&m.arena, "%s/config.json", folder);
    char *weights = arena_format(&m.arena, "%s/model.safetensors", folder);
    enum graft_status status = GRAFT_OK;
    if (m.failed || config == NULL || weights == NULL) status = error_memory(e, "a model", 1);
    if (status == GRAFT_OK)
        status = atomic_write_file(config, config_text, sizeof config_text - 1, e);
    if (status == GRAFT_OK) status = safetensors_write(weights, m.tensors, m.count, NULL, 0, e);
    arena_free(&m.arena);
    return status;
}

static enum graft_status open_model(struct session *s, struct error *e)
{
    struct model_options options = {.quantize = "keep"};
    char *folder = folder_make_temporary(e);
    if (folder == NULL) return GRAFT_E_IO;
    enum graft_status status = write_model(folder, e);
    if (status == GRAFT_OK) status = model_open(folder, &options, s->store, &s->model, e);
    folder_clear(folder);
    mem_free(folder);
    return status;
}

/* ---- the adapter and the batch ---- */

static int64_t tokenize(void *context, const char *text, int32_t *ids, int64_t capacity)
{
    int64_t n = 0;
    (void)context;
    for (; text[n] != '\0' && n < capacity; n++)
        ids[n] = 3 + (int32_t)((unsigned char)text[n] % (VOCAB - 3));
    return n;
}

/* What the caller wants tried, and for each other option without a default its smallest value. */
static size_t complete_inputs(const struct subject_request *r, struct option_input *inputs)
{
    size_t count = 0;
    char text[64];
    for (; count < r->count; count++) inputs[count] = r->inputs[count];
    for (size_t i = 0; i < r->plugin->option_count; i++) {
        const struct graft_option *o = &r->plugin->options[i];
        bool given = o->fallback != NULL;
        for (size_t k = 0; k < r->count; k++) given |= strcmp(r->inputs[k].key, o->key) == 0;
        if (given) continue;
        if (!option_trial(o, 0, &inputs[count], text)) {
            inputs[count].type = o->type == GRAFT_OPTION_INT     ? OPTION_INPUT_INT
                                 : o->type == GRAFT_OPTION_FLOAT ? OPTION_INPUT_FLOAT
                                                                 : OPTION_INPUT_STRING;
            inputs[count].i = 1;
            inputs[count].f = 1.0;
            inputs[count].s = "text";
        }
        count++;
    }
    return count;
}

static enum graft_status open_adapter(struct subject *s, const struct subject_request *r,
                                      struct error *e)
{
    struct option_request request = {
        .plugin = r->plugin, .path = "adapter", .place = r->plugin->name};
    struct option_input *inputs =
        mem_zalloc(r->count + r->plugin->option_count + 1, sizeof *inputs);
    if (inputs == NULL) return error_memory(e, "options", r->count);
    request.inputs = inputs;
    request.count = complete_inputs(r, inputs);
    s->adapter.method = r->plugin->name;
    s->adapter.plugin = r->plugin;
    s->adapter.places.of = mem_zalloc(64, sizeof *s->adapter.places.of);
    enum graft_status status = s->adapter.places.of == NULL
                                   ? error_memory(e, "an adapter", 64)
                                   : option_values_create(&request, &s->adapter.options, e);
    mem_free(inputs);
    if (status == GRAFT_OK)
        status = adapt_create(&(struct adapt_request){.adapters = &s->adapter,
                                                      .count = 1,
                                                      .model = s->session.model,
                                                      .store = s->session.store,
                                                      .seed = r->seed,
                                                      .from_files = r->from_files,
                                                      .tokenize = tokenize},
                              &s->session.adapt, e);
    if (status == GRAFT_OK) s->session.rows = adapt_rows(s->session.adapt);
    return status;
}

static enum graft_status make_batch(struct subject *s, struct error *e)
{
    enum { DOCUMENTS = 2, LONGEST = 7 };
    size_t extra = (size_t)s->session.rows.virtual_tokens, at = 0;
    size_t capacity = 16 + DOCUMENTS * extra, begin[DOCUMENTS + 1];
    struct data_sequence rows[DOCUMENTS];
    struct data_tokens tokens = {.rows = rows, .count = DOCUMENTS};
    struct packed_step step;
    const uint32_t order[DOCUMENTS] = {0, 1};
    int32_t *ids = mem_zalloc(2 * capacity, sizeof *ids), *labels = ids + capacity;
    if (ids == NULL) return error_memory(e, "a batch", capacity);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        size_t length = extra + LONGEST - 2 * d;
        rows[d] = (struct data_sequence){ids + at, labels + at, length, length - extra - 1, d};
        for (size_t i = 0; i < length; i++) {
            bool own = i >= extra;
            ids[at + i] = (int32_t)(own ? 3 + (i * 7 + d * 5) % (VOCAB - 3) : VOCAB + i);
            labels[at + i] = i > extra ? ids[at + i] : -100;
        }
        at += length;
    }
    enum graft_status status = micro_batch_create(capacity, &s->batch, e);
    s->batch.position_offset = (int32_t)s->session.rows.position_offset;
    if (status == GRAFT_OK)
        status = pack_step(&tokens, order, DOCUMENTS, capacity, begin, &step, e);
    if (status == GRAFT_OK) pack_micro_batch(&step, 0, &s->batch);
    mem_free(ids);
    return status == GRAFT_OK ? batch_slot_create(&s->session, capacity, &s->slot, e) : status;
}

/* ---- the machine ---- */

static void *host_alloc(void *context, size_t size)
{
    (void)context;
    return mem_alloc(size);
}

static void host_release(void *context, void *memory)
{
    (void)context;
    mem_free(memory);
}

static void host_log(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static void host_error(void *context, const char *text)
{
    (void)error_set(context, GRAFT_E_FAILED, "%s", text);
}

static void host_parallel(void *context, uint32_t tasks, graft_task *task, void *argument)
{
    (void)context;
    for (uint32_t i = 0; i < tasks; i++) task(argument, i, 0);
}

void host_quiet(struct graft_host *host, struct error *said)
{
    *host = (struct graft_host){.struct_size = sizeof *host,
                                .context = said,
                                .alloc = host_alloc,
                                .release = host_release,
                                .log = host_log,
                                .error = host_error,
                                .thread_count = 1,
                                .parallel = host_parallel};
}

static enum graft_status open_machine(struct subject *s, const struct subject_request *r,
                                      struct error *e)
{
    if (r->machine == MACHINE_NAMED) {
        struct device_request request = {.name = r->backend, .base_dir = ".", .threads = 2};
        enum graft_status status = device_open(&request, &s->session.device, e);
        if (status == GRAFT_OK) s->session.backend = device_backend(s->session.device);
        return status;
    }
    s->wide = r->machine == MACHINE_DOUBLE;
    host_quiet(&s->host, &s->said);
    s->backend = (struct backend){.api = reference_backend(s->wide), .error = &s->said};
    if (s->backend.api->open(&s->host, 0, &s->backend.device) != GRAFT_OK)
        return error_set(e, GRAFT_E_FAILED, "%s", s->said.text);
    s->session.backend = &s->backend;
    return GRAFT_OK;
}

static enum graft_status plan_update(struct subject *s, struct error *e)
{
    struct settings settings = {.optimizer = {.plugin = &plain_descent}};
    struct option_request none = {
        .plugin = &plain_descent, .path = "optimizer", .place = "a check"};
    enum graft_status status = option_values_create(&none, &settings.optimizer.options, e);
    if (status == GRAFT_OK) status = update_plan(&s->session, &settings, &s->update, e);
    option_values_destroy(settings.optimizer.options);
    return status;
}

static enum graft_status start(struct subject *s, struct error *e)
{
    struct session *session = &s->session;
    enum graft_status status = model_upload(session->model, session->backend, e);
    for (int kind = STORE_ADAPTER; kind < STORE_CLASSES && status == GRAFT_OK; kind++)
        status = store_allocate(session->store, (enum store_class)kind, session->backend, e);
    if (status == GRAFT_OK)
        status = (enum graft_status)session->backend->api->buffer_create(
            session->backend->device, session_transient(session) + 64, &session->transient);
    if (status == GRAFT_OK && session->adapt != NULL)
        status = adapt_init(session->adapt, session->backend, e);
    if (status == GRAFT_OK) status = loss_program_compile(session, &s->training, e);
    if (status == GRAFT_OK) status = loss_program_compile(session, &s->evaluation, e);
    if (status == GRAFT_OK && s->update.plan != NULL)
        status = update_compile(session, &s->update, e);
    return status;
}

enum graft_status subject_open(struct subject *s, const struct subject_request *r, struct error *e)
{
    struct session *session = &s->session;
    s->plugin = r->plugin;
    session->keep_detached = r->machine == MACHINE_DOUBLE;
    enum graft_status status = store_create(&session->store, e);
    if (status == GRAFT_OK) status = open_model(session, e);
    if (status == GRAFT_OK && r->plugin != NULL) status = open_adapter(s, r, e);
    if (status == GRAFT_OK) status = make_batch(s, e);
    if (status == GRAFT_OK)
        status = loss_program_plan(session, &s->slot, r->plugin != NULL, false, &s->training, e);
    if (status == GRAFT_OK)
        status = loss_program_plan(session, &s->slot, false, false, &s->evaluation, e);
    if (status == GRAFT_OK && r->updates) status = plan_update(s, e);
    if (status == GRAFT_OK) status = open_machine(s, r, e);
    return status == GRAFT_OK ? start(s, e) : status;
}

void subject_close(struct subject *s)
{
    struct session *session = &s->session;
    update_destroy(&s->update);
    loss_program_destroy(&s->training);
    loss_program_destroy(&s->evaluation);
    batch_slot_destroy(&s->slot);
    micro_batch_destroy(&s->batch);
    if (session->transient != NULL) session->backend->api->buffer_destroy(session->transient);
    adapt_destroy(session->adapt);
    model_close(session->model);
    store_destroy(session->store);
    device_close(session->device);
    if (s->backend.device != NULL) s->backend.api->close(s->backend.device);
    option_values_destroy(s->adapter.options);
    mem_free(s->adapter.places.of);
    memset(s, 0, sizeof *s);
}

/* ---- numbers ---- */

enum graft_status subject_loss(struct subject *s, bool training, double *loss, struct error *e)
{
    struct loss_program *p = training ? &s->training : &s->evaluation;
    float small = 0;
    double scale = 1.0 / (double)s->batch.trained_count;
    p->once = training ? 1.0 : 0.0;
    enum graft_status status = loss_program_run(&s->session, p, &s->batch, scale, 1, &small, e);
    if (status != GRAFT_OK) return status;
    *loss = (double)small;
    if (s->wide) {
        uint64_t offset;
        struct graft_buffer *buffer = program_buffer(p->program, p->loss, &offset);
        reference_read(buffer, offset, loss, 1);
    }
    return GRAFT_OK;
}

enum graft_status subject_read(const struct subject *s, const struct stored *p, double *to,
                               struct error *e)
{
    size_t n = (size_t)graft_shape_count(p->shape);
    if (s->wide) {
        reference_read(p->buffer, p->offset, to, (int64_t)n);
        return GRAFT_OK;
    }
    float *small = mem_zalloc(n, sizeof *small);
    if (small == NULL) return error_memory(e, "numbers", n * sizeof *small);
    enum graft_status status = stored_read(p, s->session.backend, small, n * sizeof *small, e);
    for (size_t i = 0; i < n && status == GRAFT_OK; i++) to[i] = (double)small[i];
    mem_free(small);
    return status;
}

enum graft_status subject_write(const struct subject *s, const struct stored *p, const double *from,
                                struct error *e)
{
    size_t n = (size_t)graft_shape_count(p->shape);
    if (s->wide) {
        reference_write(p->buffer, p->offset, from, (int64_t)n);
        return GRAFT_OK;
    }
    float *small = mem_zalloc(n, sizeof *small);
    if (small == NULL) return error_memory(e, "numbers", n * sizeof *small);
    for (size_t i = 0; i < n; i++) small[i] = (float)from[i];
    enum graft_status status = stored_write(p, s->session.backend, small, n * sizeof *small, e);
    mem_free(small);
    return status;
}

size_t subject_parameters(const struct subject *s)
{
    size_t n = 0;
    for (const struct stored *p = store_first(s->session.store, STORE_ADAPTER); p != NULL;
         p = p->next)
        n++;
    return n;
}

static enum graft_status step_one(struct subject *s, const struct stored *p, double length,
                                  bool *moved, struct error *e)
{
    size_t n = (size_t)graft_shape_count(p->shape);
    double *x = mem_zalloc(2 * n, sizeof *x), *g = x + n, norm = 0;
    if (x == NULL) return error_memory(e, "numbers", n * sizeof *x);
    enum graft_status status = subject_read(s, p, x, e);
    if (status == GRAFT_OK) status = subject_read(s, p->gradient, g, e);
    for (size_t i = 0; i < n; i++) norm += g[i] * g[i];
    if (status == GRAFT_OK && !isfinite(norm))
        status = error_set(e, GRAFT_E_FAILED, "the gradient of %s is not finite", p->name);
    norm = sqrt(norm);
    if (status == GRAFT_OK && norm > 0) {
        if (moved != NULL) *moved = true;
        for (size_t i = 0; i < n; i++) x[i] -= length * g[i] / norm;
        status = subject_write(s, p, x, e);
    }
    memset(g, 0, n * sizeof *g);
    if (status == GRAFT_OK) status = subject_write(s, p->gradient, g, e);
    mem_free(x);
    return status;
}

enum graft_status subject_step(struct subject *s, double length, bool *moved, struct error *e)
{
    double loss;
    size_t i = 0;
    enum graft_status status = subject_loss(s, true, &loss, e);
    if (status == GRAFT_OK && !isfinite(loss))
        status = error_set(e, GRAFT_E_FAILED, "the loss is not finite");
    for (const struct stored *p = store_first(s->session.store, STORE_ADAPTER);
         p != NULL && status == GRAFT_OK; p = p->next, i++)
        status = step_one(s, p, length, moved != NULL ? &moved[i] : NULL, e);
    return status;
}

enum graft_status subject_open_moved(struct subject *s, const struct subject_request *r,
                                     struct error *e)
{
    enum graft_status status = subject_open(s, r, e);
    for (int i = 0; i < 3 && status == GRAFT_OK; i++) status = subject_step(s, 0.3, NULL, e);
    return status;
}

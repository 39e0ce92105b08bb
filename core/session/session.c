/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening in order, closing in reverse.
 */
#include "session/session.h"

#include "base/log.h"
#include "base/memory.h"

#include <string.h>

static enum graft_status open_tokenizer(struct session *s, const char *path, struct error *e)
{
    const struct weights *weights = model_weights(s->model);
    if (weights_kind(weights) != WEIGHTS_GGUF) /* its errors name the file in the folder */
        return tokenizer_from_folder(path, &s->tokenizer, e);
    enum graft_status status = tokenizer_from_gguf(weights_gguf(weights), &s->tokenizer, e);
    if (status != GRAFT_OK) error_place(e, "%s", path);
    return status;
}

static enum graft_status open_chat(struct session *s, const char *name, struct error *e)
{
    bool automatic = name == NULL || strcmp(name, "auto") == 0;
    if (automatic && tokenizer_chat_template(s->tokenizer) == NULL) return GRAFT_OK;
    enum graft_status status =
        conversation_format(s->tokenizer, automatic ? NULL : name, &s->chat, e);
    if (status == GRAFT_OK)
        s->has_chat = true;
    else
        error_place(e, "data.template");
    return status;
}

static int64_t tokenize(void *context, const char *text, int32_t *ids, int64_t capacity)
{
    const struct session *s = context;
    struct token_list list = {0};
    int64_t count = -1;
    if (tokenizer_encode(s->tokenizer, text, strlen(text), true, &list, NULL) == GRAFT_OK) {
        count = (int64_t)list.count < capacity ? (int64_t)list.count : capacity;
        memcpy(ids, list.ids, (size_t)count * sizeof *ids);
    }
    token_list_free(&list);
    return count;
}

/* Virtual tokens and prefixes must leave a place in the context. */
static enum graft_status check_rows(const struct session *s, struct error *e)
{
    int64_t taken = s->rows.virtual_tokens + s->rows.position_offset;
    int64_t context = model_config(s->model)->context;
    if (taken == 0 || context == 0 || taken < context) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID,
                     "adapter: num_virtual_tokens: %lld leave no token of the model's context of "
                     "%lld",
                     (long long)taken, (long long)context);
}

static enum graft_status open_parts(struct session *s, const struct session_request *r,
                                    struct error *e)
{
    struct model_options options = {.quantize = r->quantize};
    enum graft_status status = store_create(&s->store, e);
    if (status == GRAFT_OK) status = model_open(r->model, &options, s->store, &s->model, e);
    if (status == GRAFT_OK && !r->no_text) status = open_tokenizer(s, r->model, e);
    if (status == GRAFT_OK && !r->no_text) status = open_chat(s, r->template_name, e);
    if (status == GRAFT_OK && r->adapter_count != 0)
        status = adapt_create(&(struct adapt_request){.adapters = r->adapters,
                                                      .count = r->adapter_count,
                                                      .model = s->model,
                                                      .store = s->store,
                                                      .seed = r->seed,
                                                      .from_files = r->from_files,
                                                      .tokenize = r->no_text ? NULL : tokenize,
                                                      .tokenize_context = s},
                              &s->adapt, e);
    if (status == GRAFT_OK && s->adapt != NULL) s->rows = adapt_rows(s->adapt);
    return status == GRAFT_OK ? check_rows(s, e) : status;
}

enum graft_status session_open(const struct session_request *request, struct session **out,
                               struct error *e)
{
    struct session *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return error_memory(e, "a session", sizeof *s);
    enum graft_status status = open_parts(s, request, e);
    if (status != GRAFT_OK) {
        session_close(s);
        return status;
    }
    *out = s;
    return GRAFT_OK;
}

void session_close(struct session *s)
{
    if (s == NULL) return;
    if (s->transient != NULL) s->backend->api->buffer_destroy(s->transient);
    adapt_destroy(s->adapt);
    if (s->has_chat) chat_format_free(&s->chat);
    tokenizer_destroy(s->tokenizer);
    model_close(s->model);
    store_destroy(s->store);
    device_close(s->device);
    mem_free(s);
}

enum graft_status session_begin_prompt(const struct session *s, struct token_list *prompt,
                                       struct error *e)
{
    size_t need = prompt->count + (size_t)s->rows.virtual_tokens;
    size_t ids = prompt->capacity, begins = prompt->capacity;
    if (s->rows.virtual_tokens == 0) return GRAFT_OK;
    if (!array_reserve(&prompt->ids, &ids, need, sizeof *prompt->ids) ||
        !array_reserve(&prompt->begin, &begins, need, sizeof *prompt->begin))
        return error_memory(e, "a prompt", need);
    prompt->capacity = ids;
    for (int64_t i = 0; i < s->rows.virtual_tokens; i++) {
        prompt->ids[prompt->count] = (int32_t)(model_config(s->model)->vocab + i);
        prompt->begin[prompt->count++] = 0;
    }
    return GRAFT_OK;
}

enum graft_status session_plan(struct session *s, struct graph *graph, struct plan **plan,
                               struct error *e)
{
    enum graft_status status = plan_create(graph, plan, e);
    if (status != GRAFT_OK) return status;
    struct plan_memory need = plan_memory(*plan);
    if (need.transient > s->transient_bytes) s->transient_bytes = need.transient;
    if (need.alone > s->alone_bytes) s->alone_bytes = need.alone;
    return GRAFT_OK;
}

uint64_t session_transient(const struct session *s)
{
    bool sweeps = s->backend == NULL || s->backend->sweeps;
    return sweeps ? s->transient_bytes : s->alone_bytes;
}

static enum graft_status make_buffers(struct session *s, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (int kind = STORE_ADAPTER; kind < STORE_CLASSES && status == GRAFT_OK; kind++)
        status = store_allocate(s->store, (enum store_class)kind, s->backend, e);
    uint64_t bytes = session_transient(s);
    if (status != GRAFT_OK || bytes == 0) return status;
    int32_t made = s->backend->api->buffer_create(s->backend->device, bytes, &s->transient);
    if (made == GRAFT_OK) return GRAFT_OK;
    char size[32];
    return error_set(e, (enum graft_status)made,
                     "%s: no room for %s of activations; choose a smaller batch_size, "
                     "micro_batch_tokens or max_length, or gradient_checkpointing: true",
                     s->backend->error->text, format_bytes(bytes, size));
}

/* Where memory is promised before it is there (Linux's), nothing else would refuse. */
static enum graft_status check_memory(const struct session *s, struct error *e)
{
    uint64_t need = model_bytes(s->model) + session_transient(s), memory = device_memory(s->device);
    char wanted[32], found[32];
    for (int kind = STORE_ADAPTER; kind < STORE_CLASSES; kind++)
        need += store_bytes(s->store, (enum store_class)kind);
    if (memory == 0 || need <= memory) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID,
                     "the plan needs %s, %s has %s: choose a smaller batch_size, "
                     "micro_batch_tokens or max_length, gradient_checkpointing: true, or model: "
                     "{quantize: nf4}",
                     format_bytes(need, wanted), device_plugin(s->device)->name,
                     format_bytes(memory, found));
}

enum graft_status session_start(struct session *s, const struct device_request *request,
                                struct error *e)
{
    enum graft_status status = device_open(request, &s->device, e);
    if (status != GRAFT_OK) return status;
    s->backend = device_backend(s->device);
    log_info("%s on %s", model_title(s->model), device_name(s->device));
    status = check_memory(s, e);
    if (status == GRAFT_OK) status = model_upload(s->model, s->backend, e);
    if (status == GRAFT_OK) status = make_buffers(s, e);
    if (status == GRAFT_OK && s->adapt != NULL) status = adapt_init(s->adapt, s->backend, e);
    return status;
}

enum graft_status session_compile(struct session *s, const struct plan *plan,
                                  struct program **program, struct error *e)
{
    return program_create(plan, s->backend, s->transient, program, e);
}

enum graft_status session_load_adapters(struct session *s, const char *const *folders,
                                        struct error *e)
{
    size_t count = s->adapt != NULL ? adapt_count(s->adapt) : 0;
    for (size_t i = 0; i < count; i++) {
        enum graft_status status = adapt_load(s->adapt, i, folders[i], s->backend, e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

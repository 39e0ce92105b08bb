/* SPDX-License-Identifier: Apache-2.0
 *
 * The program, and the loop that feeds it.
 */
#include "generate/generator.h"

#include "base/memory.h"

#include <string.h>

enum entry { IDS, POSITIONS, FIRST, LAST, ROWS, INDEX, ENTRIES };

struct slot {
    bool busy;
    size_t prompt;   /* number in the request */
    size_t fed;      /* tokens in the cache */
    int32_t pending; /* the token to feed once the prompt is in */
};

struct generator {
    struct session *session;
    struct generator_size size;
    struct stored *entries[ENTRIES];
    struct model_cache *caches; /* one per layer */
    struct plan *plan;
    struct program *program;
    graft_value logits; /* [slots, vocab] */
    int32_t *host[ENTRIES];
    struct slot *slots;
    float *rows; /* logits of one run */
};

static enum graft_status add_entries(struct generator *g, struct error *e)
{
    static const char *const names[ENTRIES] = {"generate.ids",   "generate.positions",
                                               "generate.first", "generate.last",
                                               "generate.rows",  "generate.index"};
    for (int i = 0; i < ENTRIES; i++) {
        size_t count = i == INDEX ? g->size.slots : g->size.tokens;
        g->entries[i] = store_add(g->session->store, STORE_INPUT, names[i], GRAFT_DTYPE_I32,
                                  graft_shape1((int64_t)count),
                                  i == INDEX ? GRAFT_ROWS_TRAINED : GRAFT_ROWS_TOKENS);
        g->host[i] = mem_zalloc(count, sizeof *g->host[i]);
        if (g->entries[i] == NULL || g->host[i] == NULL)
            return error_memory(e, "generation", count * sizeof(int32_t));
    }
    return GRAFT_OK;
}

static enum graft_status add_caches(struct generator *g, struct error *e)
{
    const struct model_config *c = model_config(g->session->model);
    struct graft_shape shape = graft_shape2((int64_t)(g->size.slots * g->size.length),
                                            (int64_t)c->kv_heads * c->head_size);
    g->caches = mem_zalloc((size_t)c->layers, sizeof *g->caches);
    if (g->caches == NULL) return error_memory(e, "the cache", (size_t)c->layers);
    for (int64_t i = 0; i < c->layers; i++) {
        char name[64];
        snprintf(name, sizeof name, "cache.%lld", (long long)i);
        struct store *store = g->session->store;
        g->caches[i].keys =
            store_add(store, STORE_CACHE, name, GRAFT_DTYPE_F32, shape, GRAFT_ROWS_FIXED);
        g->caches[i].values =
            store_add(store, STORE_CACHE, name, GRAFT_DTYPE_F32, shape, GRAFT_ROWS_FIXED);
        if (g->caches[i].keys == NULL || g->caches[i].values == NULL)
            return error_memory(e, "the cache", (size_t)c->layers);
    }
    return GRAFT_OK;
}

static void build(struct generator *g, struct graph *graph)
{
    struct session *s = g->session;
    struct graft_builder *b = graph_builder(graph);
    struct model_inputs inputs = {.tokens = graph_stored(graph, g->entries[IDS]),
                                  .positions = graph_stored(graph, g->entries[POSITIONS]),
                                  .first = graph_stored(graph, g->entries[FIRST]),
                                  .last = graph_stored(graph, g->entries[LAST]),
                                  .cache_rows = graph_stored(graph, g->entries[ROWS])};
    struct adapt_mode mode = {.training = false};
    struct model_wrap wrap = {.context = NULL};
    if (s->adapt != NULL) wrap = adapt_begin(s->adapt, graph, &mode);
    graft_value hidden = model_hidden(s->model, graph, &inputs, &wrap, g->caches);
    graft_value gather[2] = {hidden, graph_stored(graph, g->entries[INDEX])};
    graft_value x = b->api->op(b, GRAFT_OP_GATHER_ROWS, gather, 2, NULL);
    g->logits = model_logits(s->model, graph, x, &wrap);
    if (s->adapt != NULL) adapt_end(s->adapt);
    graph_keep(graph, g->logits);
}

static enum graft_status plan(struct generator *g, struct error *e)
{
    struct graph *graph = NULL;
    size_t vocab = (size_t)model_config(g->session->model)->vocab;
    enum graft_status status = add_entries(g, e);
    if (status == GRAFT_OK) status = add_caches(g, e);
    g->slots = mem_zalloc(g->size.slots, sizeof *g->slots);
    g->rows = mem_zalloc(g->size.slots * vocab, sizeof *g->rows);
    if (status == GRAFT_OK && (g->slots == NULL || g->rows == NULL))
        status = error_memory(e, "generation", g->size.slots * vocab * sizeof *g->rows);
    if (status == GRAFT_OK) status = graph_create(&graph, e);
    if (status == GRAFT_OK) {
        build(g, graph);
        status = session_plan(g->session, graph, &g->plan, e);
    }
    graph_destroy(graph);
    return status;
}

enum graft_status generator_plan(struct session *session, const struct generator_size *size,
                                 struct generator **out, struct error *e)
{
    struct generator *g = mem_zalloc(1, sizeof *g);
    if (g == NULL) return error_memory(e, "generation", sizeof *g);
    g->session = session;
    g->size = *size;
    enum graft_status status = plan(g, e);
    if (status != GRAFT_OK) {
        generator_destroy(g);
        return status;
    }
    *out = g;
    return GRAFT_OK;
}

enum graft_status generator_compile(struct generator *g, struct error *e)
{
    return session_compile(g->session, g->plan, &g->program, e);
}

void generator_destroy(struct generator *g)
{
    if (g == NULL) return;
    program_destroy(g->program);
    plan_destroy(g->plan);
    for (int i = 0; i < ENTRIES; i++) mem_free(g->host[i]);
    mem_free(g->caches);
    mem_free(g->slots);
    mem_free(g->rows);
    mem_free(g);
}

const struct plan *generator_plan_of(const struct generator *g)
{
    return g->plan;
}

/* One run of generator_run */
struct feed {
    struct generator *g;
    const struct generate_request *request;
    struct sampler sampler;
    size_t next;           /* prompt to start */
    size_t tokens, wanted; /* live counts of the coming run */
    size_t *answer_slot;   /* per wanted row: its slot */
};

static void put_token(struct feed *f, size_t slot_number, int32_t id)
{
    struct generator *g = f->g;
    struct slot *slot = &g->slots[slot_number];
    size_t base = slot_number * g->size.length, t = f->tokens++;
    g->host[IDS][t] = id;
    g->host[POSITIONS][t] = (int32_t)((int64_t)slot->fed + g->session->rows.position_offset);
    g->host[FIRST][t] = (int32_t)base;
    g->host[LAST][t] = (int32_t)(base + slot->fed);
    g->host[ROWS][t] = (int32_t)(base + slot->fed);
    slot->fed++;
}

static void want_logits(struct feed *f, size_t slot_number)
{
    f->g->host[INDEX][f->wanted] = (int32_t)f->tokens - 1;
    f->answer_slot[f->wanted++] = slot_number;
}

/* Fills the coming run: first a token for each answer, then prompts. */
static void gather(struct feed *f)
{
    struct generator *g = f->g;
    f->tokens = f->wanted = 0;
    for (size_t i = 0; i < g->size.slots; i++) {
        struct slot *slot = &g->slots[i];
        if (!slot->busy && f->next < f->request->count)
            *slot = (struct slot){.busy = true, .prompt = f->next++};
        if (slot->busy && slot->fed >= f->request->prompts[slot->prompt].count) {
            put_token(f, i, slot->pending);
            want_logits(f, i);
        }
    }
    for (size_t i = 0; i < g->size.slots; i++) {
        struct slot *slot = &g->slots[i];
        if (!slot->busy) continue;
        const struct generate_prompt *p = &f->request->prompts[slot->prompt];
        if (slot->fed >= p->count) continue;
        while (slot->fed < p->count && f->tokens < g->size.tokens)
            put_token(f, i, p->ids[slot->fed]);
        if (slot->fed == p->count) want_logits(f, i);
    }
}

/* The host's arrays to the device, with the live counts of the coming run. */
static enum graft_status upload(struct generator *g, size_t tokens, size_t wanted,
                                int64_t live[GRAFT_ROWS_KINDS], struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (int i = 0; i < ENTRIES && status == GRAFT_OK; i++)
        status = stored_write(g->entries[i], g->session->backend, g->host[i],
                              (i == INDEX ? wanted : tokens) * sizeof(int32_t), e);
    live[GRAFT_ROWS_FIXED] = 0;
    live[GRAFT_ROWS_TOKENS] = (int64_t)tokens;
    live[GRAFT_ROWS_TRAINED] = (int64_t)wanted;
    return status;
}

static enum graft_status run(struct feed *f, struct error *e)
{
    struct generator *g = f->g;
    int64_t live[GRAFT_ROWS_KINDS];
    size_t vocab = (size_t)model_config(g->session->model)->vocab;
    enum graft_status status = upload(g, f->tokens, f->wanted, live, e);
    if (status == GRAFT_OK) status = program_run(g->program, live, e);
    if (status != GRAFT_OK) return status;
    return program_read(g->program, g->logits, g->rows, f->wanted * vocab * sizeof(float), e);
}

static void tell(const struct generate_request *r, size_t prompt, int32_t id)
{
    if (r->on_token != NULL) r->on_token(r->context, prompt, id);
}

static void take_answers(struct feed *f)
{
    struct generator *g = f->g;
    const struct generate_request *r = f->request;
    size_t vocab = (size_t)model_config(g->session->model)->vocab;
    for (size_t w = 0; w < f->wanted; w++) {
        struct slot *slot = &g->slots[f->answer_slot[w]];
        struct generate_answer *answer = &r->answers[slot->prompt];
        int32_t id = sampler_next(&f->sampler, g->rows + w * vocab, (uint32_t)slot->prompt,
                                  (uint32_t)answer->count);
        answer->ended = tokenizer_ends_generation(g->session->tokenizer, id);
        if (!answer->ended) {
            answer->ids[answer->count++] = id;
            tell(r, slot->prompt, id);
        }
        slot->pending = id;
        if (answer->ended || answer->count == r->max_new_tokens || slot->fed == g->size.length) {
            tell(r, slot->prompt, -1);
            slot->busy = false;
        }
    }
}

static enum graft_status check(const struct generator *g, const struct generate_request *r,
                               struct error *e)
{
    for (size_t i = 0; i < r->count; i++) {
        r->answers[i].count = 0;
        r->answers[i].ended = false;
        if (r->prompts[i].count == 0)
            return error_set(e, GRAFT_E_INVALID, "prompt %zu is empty", i + 1);
        if (r->prompts[i].count >= g->size.length)
            return error_set(e, GRAFT_E_INVALID, "prompt %zu has %zu tokens; there is room for %zu",
                             i + 1, r->prompts[i].count, g->size.length - 1);
    }
    return GRAFT_OK;
}

enum graft_status generator_run(struct generator *g, const struct generate_request *request,
                                struct error *e)
{
    struct feed f = {.g = g, .request = request};
    size_t vocab = (size_t)model_config(g->session->model)->vocab;
    size_t known = tokenizer_size(g->session->tokenizer);
    enum graft_status status = check(g, request, e);
    if (status != GRAFT_OK) return status;
    f.answer_slot = mem_zalloc(g->size.slots, sizeof *f.answer_slot);
    /* Rows past the tokenizer's vocabulary are padding and never sampled. */
    if (f.answer_slot == NULL ||
        !sampler_init(&f.sampler, &request->sample, known < vocab ? known : vocab)) {
        mem_free(f.answer_slot);
        return error_memory(e, "generation", vocab * sizeof(float));
    }
    memset(g->slots, 0, g->size.slots * sizeof *g->slots);
    for (gather(&f); f.tokens > 0 && status == GRAFT_OK; gather(&f)) {
        if (request->stop != NULL && request->stop(request->context))
            status = error_set(e, GRAFT_E_INTERRUPTED, "stopped");
        else
            status = run(&f, e);
        if (status == GRAFT_OK) take_answers(&f);
    }
    sampler_fini(&f.sampler);
    mem_free(f.answer_slot);
    return status;
}

enum graft_status generator_stage(struct generator *g, size_t rows, size_t fed,
                                  struct generator_step *step, struct error *e)
{
    struct feed f = {.g = g};
    size_t *slots = mem_zalloc(rows, sizeof *slots);
    if (slots == NULL) return error_memory(e, "a decoding step", rows * sizeof *slots);
    f.answer_slot = slots;
    for (size_t i = 0; i < rows; i++) {
        g->slots[i].fed = fed;
        put_token(&f, i, 0);
        want_logits(&f, i);
    }
    mem_free(slots);
    *step = (struct generator_step){.program = g->program, .plan = g->plan, .logits = g->logits};
    return upload(g, f.tokens, f.wanted, step->live, e);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading a split, its loss, its answers.
 */
#include "eval/eval.h"

#include <math.h>
#include <string.h>

static enum graft_status encode_prompt(const struct session *s, const struct data_row *row,
                                       struct token_list *prompt, struct error *e)
{
    enum graft_status status = session_begin_prompt(s, prompt, e);
    if (status != GRAFT_OK) return status;
    return conversation_prompt(s->tokenizer, &s->chat, row->messages, row->message_count - 1,
                               prompt, e);
}

/* Prompts and expected answers, for rows that are conversations ending in an answer. */
static enum graft_status load_prompts(const struct session *s, struct eval_set *set,
                                      struct error *e)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->rows.rows[set->tokens.rows[i].source].messages == NULL || !s->has_chat)
            return GRAFT_OK;
    set->prompts = arena_alloc(&set->arena, set->count, sizeof *set->prompts);
    set->expected = arena_alloc(&set->arena, set->count, sizeof *set->expected);
    if (set->prompts == NULL || set->expected == NULL)
        return error_memory(e, "prompts", set->count * sizeof *set->prompts);
    for (size_t i = 0; i < set->count; i++) {
        const struct data_row *row = &set->rows.rows[set->tokens.rows[i].source];
        enum graft_status status = encode_prompt(s, row, &set->prompts[i], e);
        if (status != GRAFT_OK) return status;
        set->expected[i] = data_row_answer(row);
        if (set->prompts[i].count > set->longest_prompt)
            set->longest_prompt = set->prompts[i].count;
    }
    return GRAFT_OK;
}

enum graft_status eval_set_load(const struct session *session, const char *path,
                                const struct data_tokenize_options *options, size_t limit,
                                struct eval_set *set, struct error *e)
{
    enum graft_status status = data_read(path, &set->rows, e);
    if (status == GRAFT_OK) status = data_tokenize(&set->rows, options, &set->tokens, e);
    if (status != GRAFT_OK) return status;
    set->count = limit != 0 && limit < set->tokens.count ? limit : set->tokens.count;
    return load_prompts(session, set, e);
}

void eval_set_free(struct eval_set *set)
{
    for (size_t i = 0; set->prompts != NULL && i < set->count; i++)
        token_list_free(&set->prompts[i]);
    arena_free(&set->arena);
    data_tokens_free(&set->tokens);
    data_rows_free(&set->rows);
    *set = (struct eval_set){0};
}

/* The rows from `first` that fit one micro-batch, as a step of their own. */
static size_t rows_that_fit(const struct eval_set *set, size_t first, size_t capacity)
{
    size_t tokens = 0, row = first;
    while (row < set->count && tokens + set->tokens.rows[row].length <= capacity)
        tokens += set->tokens.rows[row++].length;
    return row - first;
}

enum graft_status eval_loss(struct session *session, struct loss_program *program,
                            struct micro_batch *batch, const struct eval_set *set,
                            eval_progress *progress, void *context, double *loss, struct error *e)
{
    double sum = 0;
    size_t tokens = 0;
    uint32_t *rows = mem_zalloc(set->count, sizeof *rows);
    size_t *begin = mem_zalloc(set->count + 1, sizeof *begin);
    enum graft_status status = rows != NULL && begin != NULL
                                   ? GRAFT_OK
                                   : error_memory(e, "an evaluation", set->count * 12);
    for (size_t i = 0; rows != NULL && i < set->count; i++) rows[i] = (uint32_t)i;
    for (size_t at = 0, n; at < set->count && status == GRAFT_OK; at += n) {
        struct packed_step step;
        float part = 0;
        n = rows_that_fit(set, at, batch->capacity);
        if (n == 0) n = 1; /* pack_step says what is wrong with it */
        if (progress != NULL && progress(context, at, set->count)) {
            status = error_set(e, GRAFT_E_INTERRUPTED, "stopped");
            break;
        }
        status = pack_step(&set->tokens, rows + at, n, batch->capacity, begin, &step, e);
        if (status != GRAFT_OK) break;
        pack_micro_batch(&step, 0, batch);
        status = loss_program_run(session, program, batch, 1.0, 0, &part, e);
        sum += (double)part;
        tokens += batch->trained_count;
    }
    mem_free(rows);
    mem_free(begin);
    if (status == GRAFT_OK) *loss = sum / (double)tokens;
    return status;
}

struct watch {
    eval_progress *progress;
    void *context;
    size_t done, total;
};

static void count_done(void *context, size_t prompt, int32_t id)
{
    struct watch *w = context;
    (void)prompt;
    w->done += id < 0;
}

static bool ask(void *context)
{
    struct watch *w = context;
    return w->progress != NULL && w->progress(w->context, w->done, w->total);
}

static bool decode(const struct session *s, struct eval_answers *out,
                   const struct generate_answer *answers, size_t count)
{
    out->texts = mem_zalloc(count, sizeof *out->texts);
    if (out->texts == NULL) return false;
    for (; out->count < count; out->count++) {
        struct str text = {0};
        tokenizer_decode(s->tokenizer, answers[out->count].ids, answers[out->count].count, true,
                         &text);
        if ((out->texts[out->count] = str_take(&text)) == NULL) return false;
    }
    return true;
}

enum graft_status eval_answer(struct session *session, struct generator *generator,
                              const struct eval_set *set, size_t max_new_tokens,
                              eval_progress *progress, void *context, struct eval_answers *answers,
                              struct error *e)
{
    struct watch watch = {.progress = progress, .context = context, .total = set->count};
    struct arena arena = {0};
    struct generate_prompt *prompts = arena_alloc(&arena, set->count, sizeof *prompts);
    struct generate_answer *made = arena_alloc(&arena, set->count, sizeof *made);
    int32_t *ids = arena_alloc(&arena, set->count * max_new_tokens, sizeof *ids);
    enum graft_status status = GRAFT_OK;
    if (prompts == NULL || made == NULL || ids == NULL) {
        status = error_memory(e, "answers", set->count * max_new_tokens * sizeof *ids);
    } else {
        for (size_t i = 0; i < set->count; i++) {
            prompts[i] = (struct generate_prompt){set->prompts[i].ids, set->prompts[i].count};
            made[i].ids = ids + i * max_new_tokens;
        }
        struct generate_request request = {.prompts = prompts,
                                           .answers = made,
                                           .count = set->count,
                                           .max_new_tokens = max_new_tokens,
                                           .sample = {.top_p = 1.0},
                                           .on_token = count_done,
                                           .stop = ask,
                                           .context = &watch};
        status = generator_run(generator, &request, e);
    }
    if (status == GRAFT_OK && !decode(session, answers, made, set->count))
        status = error_memory(e, "answers", set->count);
    arena_free(&arena);
    return status;
}

void eval_answers_free(struct eval_answers *answers)
{
    for (size_t i = 0; i < answers->count; i++) mem_free(answers->texts[i]);
    mem_free(answers->texts);
    *answers = (struct eval_answers){0};
}

double eval_exact_match(const struct eval_set *set, const struct eval_answers *answers)
{
    size_t hits = 0;
    for (size_t i = 0; i < answers->count; i++)
        hits += strcmp(set->expected[i], answers->texts[i]) == 0;
    return answers->count != 0 ? (double)hits / (double)answers->count : (double)NAN;
}

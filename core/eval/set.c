/* SPDX-License-Identifier: Apache-2.0
 *
 * A split to be measured: its rows, their prompts, what is wanted of them.
 */
#include "eval/eval.h"

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

enum graft_status eval_set_choose(struct eval_set *set, int32_t metrics,
                                  const struct data_rows *train, struct error *e)
{
    enum graft_status status =
        metric_context_create(metrics, set->expected, set->count, train, &set->context, e);
    if (status == GRAFT_OK) set->metrics = metrics;
    return status;
}

bool eval_set_has_answers(const struct eval_set *set)
{
    return set->prompts != NULL && metrics_need_answers(set->metrics);
}

void eval_set_free(struct eval_set *set)
{
    metric_context_destroy(set->context);
    for (size_t i = 0; set->prompts != NULL && i < set->count; i++)
        token_list_free(&set->prompts[i]);
    arena_free(&set->arena);
    data_tokens_free(&set->tokens);
    data_rows_free(&set->rows);
    *set = (struct eval_set){0};
}

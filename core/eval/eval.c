/* SPDX-License-Identifier: Apache-2.0
 *
 * A split measured: its loss, its answers, its metrics.
 */
#include "eval/eval.h"

#include <math.h>
#include <string.h>

/* The rows from `first` that fit one micro-batch, as a step of their own. */
static size_t rows_that_fit(const struct eval_set *set, size_t first, size_t capacity)
{
    size_t tokens = 0, row = first;
    while (row < set->count && tokens + set->tokens.rows[row].length <= capacity)
        tokens += set->tokens.rows[row++].length;
    return row - first;
}

static enum graft_status begin_rows(const struct eval_set *set, struct eval_measure *m,
                                    struct error *e)
{
    eval_measure_free(m);
    m->rows = mem_zalloc(set->count, sizeof *m->rows);
    if (m->rows == NULL) return error_memory(e, "an evaluation", set->count * sizeof *m->rows);
    m->count = set->count;
    for (size_t i = 0; i < m->count; i++)
        m->rows[i].expected = set->expected != NULL ? set->expected[i] : NULL;
    return GRAFT_OK;
}

/* The nll of a batch's tokens, in the order of its rows. */
static void spread(const struct eval_set *set, const float *nll, struct metric_row *rows,
                   size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        rows[i].predicted = set->tokens.rows[i].trained;
        for (size_t t = 0; t < rows[i].predicted; t++) rows[i].nll += (double)*nll++;
    }
}

struct pass {
    struct session *session;
    struct loss_program *program;
    struct micro_batch *batch;
    const struct eval_set *set;
    uint32_t *numbers;
    size_t *begin;
    float *nll;
};

static enum graft_status run_batch(const struct pass *p, size_t first, size_t *count,
                                   struct metric_row *rows, struct error *e)
{
    struct packed_step step;
    float unused = 0;
    size_t n = rows_that_fit(p->set, first, p->batch->capacity);
    if (n == 0) n = 1; /* pack_step says what is wrong with it */
    enum graft_status status =
        pack_step(&p->set->tokens, p->numbers + first, n, p->batch->capacity, p->begin, &step, e);
    if (status != GRAFT_OK) return status;
    pack_micro_batch(&step, 0, p->batch);
    status = loss_program_run(p->session, p->program, p->batch, 1.0, 0, &unused, e);
    if (status == GRAFT_OK) status = loss_program_read_nll(p->program, p->batch, p->nll, e);
    if (status != GRAFT_OK) return status;
    spread(p->set, p->nll, rows, first, n);
    *count = n;
    return GRAFT_OK;
}

static double mean_loss(const struct eval_measure *m)
{
    double sum = 0;
    uint64_t tokens = 0;
    for (size_t i = 0; i < m->count; i++) {
        sum += m->rows[i].nll;
        tokens += m->rows[i].predicted;
    }
    return sum / (double)tokens;
}

enum graft_status eval_loss(struct session *session, struct loss_program *program,
                            struct micro_batch *batch, const struct eval_set *set,
                            eval_progress *progress, void *context, struct eval_measure *m,
                            struct error *e)
{
    struct pass p = {.session = session, .program = program, .batch = batch, .set = set};
    p.numbers = mem_zalloc(set->count, sizeof *p.numbers);
    p.begin = mem_zalloc(set->count + 1, sizeof *p.begin);
    p.nll = mem_zalloc(batch->capacity, sizeof *p.nll);
    enum graft_status status = begin_rows(set, m, e);
    if (status == GRAFT_OK && (p.numbers == NULL || p.begin == NULL || p.nll == NULL))
        status = error_memory(e, "an evaluation", set->count * 12);
    for (size_t i = 0; p.numbers != NULL && i < set->count; i++) p.numbers[i] = (uint32_t)i;
    for (size_t at = 0, n = 0; at < set->count && status == GRAFT_OK; at += n) {
        if (progress != NULL && progress(context, at, set->count))
            status = error_set(e, GRAFT_E_INTERRUPTED, "stopped");
        else
            status = run_batch(&p, at, &n, m->rows, e);
    }
    mem_free(p.numbers);
    mem_free(p.begin);
    mem_free(p.nll);
    if (status == GRAFT_OK) m->loss = mean_loss(m);
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

static bool decode(const struct session *s, struct eval_measure *m,
                   const struct generate_answer *answers)
{
    for (size_t i = 0; i < m->count; i++) {
        struct str text = {0};
        tokenizer_decode(s->tokenizer, answers[i].ids, answers[i].count, true, &text);
        if ((m->rows[i].answer = str_take(&text)) == NULL) return false;
        m->rows[i].ended = answers[i].ended;
    }
    return true;
}

enum graft_status eval_answer(struct session *session, struct generator *generator,
                              const struct eval_set *set, size_t max_new_tokens,
                              eval_progress *progress, void *context, struct eval_measure *measure,
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
    if (status == GRAFT_OK && !decode(session, measure, made))
        status = error_memory(e, "answers", set->count);
    arena_free(&arena);
    return status;
}

enum graft_status eval_score(const struct eval_set *set, struct eval_measure *m, struct error *e)
{
    metric_scores_free(&m->scores);
    return metric_scores_fill(set->context, set->metrics, m->rows, m->count, &m->scores, e);
}

void eval_measure_free(struct eval_measure *m)
{
    metric_scores_free(&m->scores);
    for (size_t i = 0; i < m->count; i++) mem_free(m->rows[i].answer);
    mem_free(m->rows);
    *m = (struct eval_measure){0};
}

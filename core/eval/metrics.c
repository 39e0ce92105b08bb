/* SPDX-License-Identifier: Apache-2.0
 *
 * The table, and the metrics that are a score and a mean.
 */
#include "eval/parts.h"

#include <math.h>
#include <string.h>

/* A ratio of sums: the mean of a score is (score, 1). */
static size_t two(const struct metric_context *context)
{
    (void)context;
    return 2;
}

static double ratio(const struct metric_context *context, const double *sum, size_t width)
{
    (void)context, (void)width;
    return sum[1] > 0 ? sum[0] / sum[1] : (double)NAN;
}

static double exp_ratio(const struct metric_context *context, const double *sum, size_t width)
{
    return exp(ratio(context, sum, width));
}

static bool loss(const struct metric_context *context, const struct metric_row *row, double *out)
{
    (void)context;
    out[0] = row->nll;
    out[1] = (double)row->predicted;
    return true;
}

bool row_score(double *out, double score)
{
    out[0] = score;
    out[1] = 1;
    return true;
}

static METRIC_ROW(exact_match)
{
    (void)context;
    return row_score(out, strcmp(row->answer, row->expected) == 0);
}

/* clang-format off */
/* name, label, help; unit, better; needs_answers, needs_train, counts_rows; width, row, value */
const struct eval_metric eval_metrics[METRIC_KINDS] = {
    [METRIC_LOSS] = {"loss", "loss",
        "mean of -log p over the predicted answer tokens",
        METRIC_UNIT_FIGURE, METRIC_LOWER, false, false, false, two, loss, ratio},
    [METRIC_PERPLEXITY] = {"perplexity", "perplexity",
        "exp(loss)",
        METRIC_UNIT_FIGURE, METRIC_LOWER, false, false, false, two, loss, exp_ratio},
    [METRIC_EXACT_MATCH] = {"exact_match", "exact match",
        "answers that equal the expected one byte for byte",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, true, two, exact_match, ratio},
    [METRIC_EXACT_MATCH_NORMALIZED] = {"exact_match_normalized", "exact, normalized",
        "the same without case, ASCII punctuation, articles and extra spaces (SQuAD)",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, true, two, row_exact_normalized, ratio},
    [METRIC_TOKEN_F1] = {"token_f1", "F1 of words",
        "words in common with the expected answer, in any order (SQuAD)",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, false, two, row_token_f1, ratio},
    [METRIC_ROUGE_L] = {"rouge_l", "ROUGE-L",
        "longest common sequence of words, F-measure (rouge-score)",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, false, two, row_rouge_l, ratio},
    [METRIC_BLEU] = {"bleu", "BLEU",
        "common runs of 1 to 4 words, over all rows (sacrebleu, 13a; zh for Chinese)",
        METRIC_UNIT_POINTS, METRIC_HIGHER, true, false, false, width_bleu, row_bleu, value_bleu},
    [METRIC_CHRF] = {"chrf", "chrF2",
        "common runs of 1 to 6 characters, over all rows (sacrebleu)",
        METRIC_UNIT_POINTS, METRIC_HIGHER, true, false, false, width_chrf, row_chrf, value_chrf},
    [METRIC_NUMBER_MATCH] = {"number_match", "number",
        "the number after ####, else the last one, is the expected one; rows that expect one",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, false, two, row_number, ratio},
    [METRIC_ACCURACY] = {"accuracy", "accuracy",
        "answers that are the expected label, but for spaces at the ends",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, true, two, row_accuracy, ratio},
    [METRIC_MACRO_F1] = {"macro_f1", "macro F1",
        "mean over the labels of each one's F1 (scikit-learn)",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, false, width_macro_f1, row_macro_f1, value_macro_f1},
    [METRIC_JSON_VALID] = {"json_valid", "valid JSON",
        "answers that are one JSON value",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, true, two, row_json, ratio},
    [METRIC_ANSWER_LENGTH] = {"answer_length", "answer length",
        "characters of an answer, on average",
        METRIC_UNIT_LENGTH, METRIC_NEITHER, true, false, false, two, row_length, ratio},
    [METRIC_LENGTH_RATIO] = {"length_ratio", "length ratio",
        "characters answered to characters expected",
        METRIC_UNIT_RATIO, METRIC_NEITHER, true, false, false, two, row_length_ratio, ratio},
    [METRIC_SAME_SCRIPT] = {"same_script", "same script",
        "answers mostly in the script of the expected one: a proxy for the language",
        METRIC_UNIT_SHARE, METRIC_HIGHER, true, false, false, two, row_script, ratio},
    [METRIC_CUT_OFF] = {"cut_off", "cut off",
        "answers that reached max_new_tokens before the model ended them",
        METRIC_UNIT_SHARE, METRIC_LOWER, true, false, true, two, row_cut_off, ratio},
    [METRIC_STYLE] = {"style", "style (proxy)",
        "characters and lengths are spread as in the training answers; not meaning",
        METRIC_UNIT_FIGURE, METRIC_HIGHER, true, true, false, width_style, row_style, value_style},
};
/* clang-format on */

/* Half of the letters, or more. */
static bool mostly_han(const char *const *texts, size_t count)
{
    size_t letters = 0, han = 0;
    for (size_t i = 0; i < count; i++) {
        const char *at = texts[i];
        for (uint32_t code; (code = next_code(&at)) != 0;) {
            letters += code_is_letter(code);
            han += script_of(code) == SCRIPT_HAN;
        }
    }
    return han != 0 && 2 * han >= letters;
}

enum graft_status metric_context_create(int32_t metrics, const char *const *expected, size_t count,
                                        const struct data_rows *train,
                                        struct metric_context **context, struct error *e)
{
    struct metric_context *c = mem_zalloc(1, sizeof *c);
    enum graft_status status = c != NULL ? GRAFT_OK : error_memory(e, "metrics", sizeof *c);
    if (status == GRAFT_OK && expected != NULL) c->chinese = mostly_han(expected, count);
    if (status == GRAFT_OK && expected != NULL && (metrics >> METRIC_MACRO_F1 & 1) != 0)
        status = labels_collect(c, expected, count, e);
    if (status == GRAFT_OK && metrics_need_train(metrics)) status = style_learn(c, train, e);
    if (status != GRAFT_OK) {
        metric_context_destroy(c);
        return status;
    }
    *context = c;
    return GRAFT_OK;
}

void metric_context_destroy(struct metric_context *context)
{
    if (context == NULL) return;
    arena_free(&context->arena);
    mem_free(context);
}

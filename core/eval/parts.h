/* SPDX-License-Identifier: Apache-2.0
 *
 * What the metrics' files share: text as characters and words, n-grams that two texts have in
 * common, and the rows' functions that the table names. Functions that return bool give false for
 * want of memory alone.
 */
#ifndef CORE_EVAL_PARTS_H
#define CORE_EVAL_PARTS_H

#include "base/memory.h"
#include "base/text.h"
#include "eval/metric.h"
#include "text/script.h"

/* ---- characters (characters.c) ---- */

/* The script of most letters of a text. Han beside Kana is Japanese and counts as Kana. */
enum script script_most(const char *text);

bool is_mark(uint32_t code);
bool is_digit(uint32_t code); /* any number character */
bool is_space(uint32_t code); /* what Python's str.split splits at */
uint32_t lower(uint32_t code);

/* The next character of a text, which moves on; a byte that is no UTF-8 is U+FFFD. 0: the end. */
uint32_t next_code(const char **text);
size_t text_characters(const char *text);
/* Without the spaces at both ends; borrowed. */
const char *text_trim(const char *text, size_t *length);
bool text_codes(const char *text, bool spaces, uint32_t **codes, size_t *count);

/* ---- words (words.c): texts whose words stand apart by one space ---- */

/* SQuAD's: lower case, no ASCII punctuation, no a, an, the. `apart`: every letter of a script
 * without spaces is a word of its own. */
void words_squad(struct str *out, const char *text, bool apart);
/* rouge-score's on ASCII text: lower case, runs of letters, marks and digits; letters of a script
 * without spaces are words of their own. */
void words_rouge(struct str *out, const char *text);
/* sacrebleu's 13a, or its zh. */
void words_bleu(struct str *out, const char *text, bool chinese);

/* The words of both texts as numbers from 1; equal words have equal numbers. */
struct word_pair {
    uint32_t *a, *b;
    size_t a_count, b_count;
};

bool word_pair_make(const struct str *a, const struct str *b, struct word_pair *out);
void word_pair_free(struct word_pair *pair);

/* ---- n-grams (grams.c) ---- */

enum { GRAM_MOST = 6 };

/* Units from a place on; 0 past the end of the text, so that one sorted list serves every order. */
struct gram {
    uint32_t unit[GRAM_MOST];
};

int gram_compare(const void *a, const void *b);
/* Units are not 0. The caller frees. */
bool grams_make(const uint32_t *units, size_t count, struct gram **grams);
/* Where the run of grams that share the first `order` units ends. */
size_t grams_run(const struct gram *grams, size_t count, size_t at, size_t order);
size_t grams_count(size_t units, size_t order); /* how many a text has */
/* Sum over n-grams of the smaller of the two counts. */
size_t grams_common(const struct gram *a, size_t a_count, const struct gram *b, size_t b_count,
                    size_t order);

/* ---- context ---- */

/* What `style` compares with: shares of the commonest n-grams and of lengths. */
struct style_profile {
    struct gram *grams; /* [count], sorted */
    size_t count;
    double *shares; /* [style_width] */
};

enum { MOST_LABELS = 512 };

struct metric_context {
    const char **labels; /* the distinct expected answers, sorted */
    size_t label_count;
    bool chinese; /* half of the letters expected, or more, are Han */
    struct style_profile style;
    struct arena arena;
};

GRAFT_MUST_USE enum graft_status labels_collect(struct metric_context *context,
                                                const char *const *expected, size_t count,
                                                struct error *e);
GRAFT_MUST_USE enum graft_status style_learn(struct metric_context *context,
                                             const struct data_rows *train, struct error *e);

/* ---- what the table names ---- */

#define METRIC_ROW(name)                                                                           \
    bool name(const struct metric_context *context, const struct metric_row *row, double *out)
#define METRIC_WIDTH(name) size_t name(const struct metric_context *context)
#define METRIC_VALUE(name)                                                                         \
    double name(const struct metric_context *context, const double *sum, size_t width)

METRIC_ROW(row_exact_normalized); /* overlap.c */
METRIC_ROW(row_token_f1);
METRIC_ROW(row_rouge_l);
METRIC_ROW(row_bleu); /* corpus.c */
METRIC_WIDTH(width_bleu);
METRIC_VALUE(value_bleu);
METRIC_ROW(row_chrf);
METRIC_WIDTH(width_chrf);
METRIC_VALUE(value_chrf);
METRIC_ROW(row_accuracy); /* labels.c */
METRIC_ROW(row_macro_f1);
METRIC_WIDTH(width_macro_f1);
METRIC_VALUE(value_macro_f1);
METRIC_ROW(row_number); /* shape.c */
METRIC_ROW(row_json);
METRIC_ROW(row_length);
METRIC_ROW(row_length_ratio);
METRIC_ROW(row_script);
METRIC_ROW(row_cut_off);
METRIC_ROW(row_style); /* style.c */
METRIC_WIDTH(width_style);
METRIC_VALUE(value_style);

/* A score that is averaged over rows: always true. */
bool row_score(double *out, double score);

#endif

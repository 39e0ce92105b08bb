/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows as the trainer sees them: their language, how they end, and how long they are.
 */
#include "audit/parts.h"

#include "audit/repair.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

enum { POLL = 64, PERCENT_TOO_LONG = 5, PERCENT_ENDING = 90 };

static const struct audit_place nowhere;

/* ---- languages and ends ---- */

static void find_scripts(struct audit_split *split)
{
    for (size_t i = 0; i < split->rows.count; i++) {
        const struct data_row *row = &split->rows.rows[i];
        const char *answer = row->messages != NULL ? data_row_answer(row) : row->text;
        enum script script = text_script(answer, strlen(answer));
        split->scripts[script]++;
        if (row->message_count < 2) continue;
        const struct chat_message *question = &row->messages[row->message_count - 2];
        enum script asked = text_script(question->content, question->length);
        char detail[64];
        snprintf(detail, sizeof detail, "question %s, answer %s", script_name(asked),
                 script_name(script));
        if (script != asked && script != SCRIPT_NONE && asked != SCRIPT_NONE)
            audit_add(split, AUDIT_LANGUAGE, audit_row_place(&split->rows, i), nowhere, detail);
    }
}

static const char *last_text(const struct data_row *row)
{
    return row->messages != NULL ? data_row_answer(row) : row->text;
}

/* An open end means something only among answers that end as sentences do. */
static void find_cut(struct audit_split *split)
{
    size_t closed = 0, open = 0;
    for (size_t i = 0; i < split->rows.count; i++) {
        const char *text = last_text(&split->rows.rows[i]);
        enum text_end end = text_end(text, strlen(text));
        closed += end == END_SENTENCE || end == END_OTHER;
        open += end == END_OPEN;
    }
    if (open == 0 || closed * 100 < (closed + open) * PERCENT_ENDING) return;
    for (size_t i = 0; i < split->rows.count; i++) {
        const char *text = last_text(&split->rows.rows[i]);
        if (text_end(text, strlen(text)) == END_OPEN)
            audit_add(split, AUDIT_CUT_ANSWER, audit_row_place(&split->rows, i), nowhere, NULL);
    }
}

/* ---- lengths ---- */

static size_t characters_of(const struct data_row *row)
{
    size_t count = row->text != NULL ? text_count(row->text, row->text_length) : 0;
    for (size_t i = 0; i < row->message_count; i++)
        count += text_count(row->messages[i].content, row->messages[i].length);
    return count;
}

static bool holds_special(const struct tokenizer *t, const char *text, size_t length,
                          struct token_list *list)
{
    list->count = 0;
    if (strpbrk(text, "<[") == NULL ||
        tokenizer_encode(t, text, length, false, list, NULL) != GRAFT_OK)
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (tokenizer_is_special(t, list->ids[i])) return true;
    return false;
}

static void find_special(const struct audit *a, struct audit_split *split, size_t i,
                         struct token_list *list)
{
    const struct data_row *row = &split->rows.rows[i];
    const struct tokenizer *t = a->options->tokenizer;
    bool found = row->text != NULL && holds_special(t, row->text, row->text_length, list);
    for (size_t m = 0; m < row->message_count && !found; m++)
        found = holds_special(t, row->messages[m].content, row->messages[m].length, list);
    if (found)
        audit_add(split, AUDIT_SPECIAL_TOKEN, audit_row_place(&split->rows, i), nowhere, NULL);
}

/* The row's length in tokens; 0: it cannot be rendered. What is kept is counted as trained on. */
static enum graft_status measure(const struct audit *a, struct audit_split *split, size_t i,
                                 struct token_row *row, size_t *length, struct error *e)
{
    const struct data_tokenize_options *o = a->options;
    struct audit_place place = audit_row_place(&split->rows, i);
    struct error why = {0};
    enum graft_status status = data_encode_row(&split->rows.rows[i], o, row, &why);
    *length = 0;
    if (status == GRAFT_E_INVALID || status == GRAFT_E_UNSUPPORTED) {
        audit_add(split, AUDIT_TEMPLATE, place, nowhere, why.text);
        return GRAFT_OK;
    }
    if (status != GRAFT_OK) {
        if (e != NULL) *e = why;
        return status;
    }
    *length = row->count;
    bool chat = o->chat != NULL && split->rows.rows[i].messages != NULL;
    if (row->count > o->max_length) {
        audit_add(split, AUDIT_TOO_LONG, place, nowhere, NULL);
    } else if (row->trained == 0) {
        audit_add(split, AUDIT_UNTRAINED, place, nowhere, NULL);
    } else if (chat && !data_ends_turn(o, row->labels, row->count)) {
        audit_add(split, AUDIT_TEMPLATE, place, nowhere,
                  "the end of the turn is not trained: the model would never stop");
    } else {
        split->lengths.rows++;
        split->lengths.total += row->count;
        split->lengths.trained += row->trained;
    }
    if (o->chat_named && split->rows.rows[i].messages == NULL)
        audit_add(split, AUDIT_TEMPLATE_UNUSED, place, nowhere, NULL);
    return GRAFT_OK;
}

/* Bins of one width; with a max_length eight of them reach up to it. */
static void make_bins(struct audit_lengths *l, const uint32_t *lengths, size_t count, size_t most)
{
    size_t reach = most != 0 && l->longest > most ? most / 8 : (l->longest + 11) / 12;
    l->width = reach != 0 ? reach : 1;
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] == 0) continue;
        size_t bin = (lengths[i] - 1) / l->width;
        if (bin >= AUDIT_BINS)
            l->beyond++;
        else
            l->bins[bin]++;
        if (bin < AUDIT_BINS && bin >= l->bin_count) l->bin_count = bin + 1;
        if (bin >= AUDIT_BINS) l->bin_count = AUDIT_BINS;
    }
}

static enum graft_status measure_all(const struct audit *a, struct audit_split *split,
                                     uint32_t *lengths, struct error *e)
{
    struct token_row row = {0};
    struct token_list list = {0};
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < split->rows.count; i++) {
        size_t length = 0;
        if (a->options == NULL) {
            length = characters_of(&split->rows.rows[i]);
            split->lengths.rows++;
            split->lengths.total += length;
        } else {
            find_special(a, split, i, &list);
            status = measure(a, split, i, &row, &length, e);
        }
        lengths[i] = (uint32_t)length;
        if (length > split->lengths.longest) split->lengths.longest = length;
        if (i % POLL == 0 && a->stop != NULL && a->stop(NULL))
            status = error_set(e, GRAFT_E_INTERRUPTED, "stopped");
    }
    token_list_free(&list);
    token_row_free(&row);
    return status;
}

enum graft_status audit_rows(struct audit *a, struct audit_split *split, struct error *e)
{
    size_t count = split->rows.count;
    struct audit_finding *longer = &split->findings[AUDIT_TOO_LONG];
    find_scripts(split);
    find_cut(split);
    uint32_t *lengths = mem_zalloc(count, sizeof *lengths);
    if (lengths == NULL) return error_memory(e, "the rows' lengths", count * sizeof *lengths);
    enum graft_status status = measure_all(a, split, lengths, e);
    if (status == GRAFT_OK)
        make_bins(&split->lengths, lengths, count, a->options != NULL ? a->options->max_length : 0);
    mem_free(lengths);
    /* the trainer's own rule */
    if (longer->count != 0 && !a->options->drop_long &&
        longer->count * 100 > count * PERCENT_TOO_LONG)
        longer->severity = AUDIT_ERROR;
    if (longer->count != 0)
        snprintf(longer->detail, sizeof longer->detail,
                 "max_length %zu, the longest row %zu tokens", a->options->max_length,
                 split->lengths.longest);
    return status;
}

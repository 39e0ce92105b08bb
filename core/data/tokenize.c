/* SPDX-License-Identifier: Apache-2.0
 *
 * A data set to token rows, with its ledger.
 */
#include "data/tokenize.h"

#include "base/log.h"

#include <string.h>

enum { LISTED = 5, PERCENT_TOO_LONG = 5 };

/* The rows on their way: one growing pair of arrays; places until they stop moving. */
struct builder {
    const struct data_rows *rows;
    const struct data_tokenize_options *options;
    struct data_tokens out;
    size_t row_capacity, id_capacity, label_capacity;
    size_t longest_row, longest_length; /* of all rows */
    struct left_out {
        size_t row, tokens;
        const char *why;
    } listed[2 * LISTED];
    size_t listed_count;
};

static enum graft_status no_memory(size_t tokens, struct error *e)
{
    return error_memory(e, "the data's tokens", tokens * 2 * sizeof(int32_t));
}

/* Plain tokens from `list`, and the end of text where the tokenizer has one and it is not there
 * yet; tokens that begin before `from` are not trained. */
static enum graft_status take_list(const struct tokenizer *t, const struct token_list *list,
                                   size_t from, struct token_row *out, struct error *e)
{
    int32_t eos = tokenizer_eos(t);
    bool add = eos >= 0 && (list->count == 0 || list->ids[list->count - 1] != eos);
    size_t count = list->count + add;
    int32_t *ids = mem_alloc(count * sizeof *ids), *labels = mem_alloc(count * sizeof *labels);
    if (ids == NULL || labels == NULL) {
        mem_free(ids);
        mem_free(labels);
        return no_memory(count, e);
    }
    for (size_t i = 0; i < list->count; i++) {
        ids[i] = list->ids[i];
        labels[i] = list->begin[i] < from ? LABEL_IGNORED : ids[i];
    }
    if (add) ids[count - 1] = labels[count - 1] = eos;
    token_row_free(out);
    *out = (struct token_row){.ids = ids, .labels = labels, .count = count};
    return GRAFT_OK;
}

static enum graft_status encode_text(const struct tokenizer *t, const char *text, size_t length,
                                     size_t from, struct token_row *out, struct error *e)
{
    struct token_list list = {0};
    enum graft_status status = tokenizer_encode(t, text, length, true, &list, e);
    if (status == GRAFT_OK) status = take_list(t, &list, from, out, e);
    token_list_free(&list);
    return status;
}

/* Prompt and completion as one text, the completion trained. */
static enum graft_status encode_pair(const struct tokenizer *t, const struct data_row *row,
                                     bool train_all, struct token_row *out, struct error *e)
{
    const struct chat_message *m = row->messages;
    char *text = mem_format("%s%s", m[0].content, m[1].content);
    if (text == NULL) return no_memory(m[0].length + m[1].length, e);
    enum graft_status status =
        encode_text(t, text, m[0].length + m[1].length, train_all ? 0 : m[0].length, out, e);
    mem_free(text);
    return status;
}

static enum graft_status encode_messages(const struct data_row *row,
                                         const struct data_tokenize_options *o,
                                         struct token_row *out, struct error *e)
{
    enum graft_status status =
        conversation_encode(o->tokenizer, o->chat, row->messages, row->message_count, out, e);
    if (status == GRAFT_OK && o->train_all)
        memcpy(out->labels, out->ids, out->count * sizeof *out->labels);
    return status;
}

/* The first token is predicted by nothing: it never counts. */
static void count_trained(struct token_row *row)
{
    row->trained = 0;
    if (row->count != 0) row->labels[0] = LABEL_IGNORED;
    for (size_t i = 1; i < row->count; i++) row->trained += row->labels[i] != LABEL_IGNORED;
}

static enum graft_status check_bos(const struct tokenizer *t, const struct token_row *row,
                                   struct error *e)
{
    int32_t bos = tokenizer_bos(t);
    if (bos < 0 || row->count < 2 || row->ids[0] != bos || row->ids[1] != bos) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID,
                     "the row begins with two beginning-of-text tokens (id %d): the text must not "
                     "hold one, the tokenizer adds it",
                     bos);
}

enum graft_status data_encode_row(const struct data_row *row, const struct data_tokenize_options *o,
                                  struct token_row *out, struct error *e)
{
    enum graft_status status;
    if (row->messages == NULL)
        status = encode_text(o->tokenizer, row->text, row->text_length, 0, out, e);
    else if (o->chat != NULL)
        status = encode_messages(row, o, out, e);
    else if (row->pair)
        status = encode_pair(o->tokenizer, row, o->train_all, out, e);
    else
        return error_set(e, GRAFT_E_INVALID,
                         "a conversation, but the model has no chat template; name the one that it "
                         "was trained with (data.template: %s)",
                         chat_names());
    if (status == GRAFT_OK) status = check_bos(o->tokenizer, out, e);
    if (status == GRAFT_OK) count_trained(out);
    return status;
}

bool data_ends_turn(const struct data_tokenize_options *o, const int32_t *labels, size_t length)
{
    int32_t turn_end =
        o->chat == NULL ? -1 : tokenizer_find(o->tokenizer, chat_end_of_turn(o->chat));
    for (size_t i = length; i-- > 0;) {
        if (labels[i] == LABEL_IGNORED) continue;
        if (labels[i] == turn_end || tokenizer_ends_generation(o->tokenizer, labels[i]))
            return true;
        if (!o->train_all) return false; /* else blanks of the template may follow */
    }
    return false;
}

/* The first few of each kind; said once it is known that the rest can be trained on. */
static void list_row(struct builder *b, size_t row, size_t before, size_t tokens, const char *why)
{
    if (before < LISTED) b->listed[b->listed_count++] = (struct left_out){row, tokens, why};
}

static void print_left_out(const struct builder *b)
{
    for (const struct left_out *l = b->listed; l < b->listed + b->listed_count; l++)
        log_warning("left out: %s:%u (%zu tokens): %s", data_row_file(b->rows, l->row),
                    b->rows->rows[l->row].line, l->tokens, l->why);
}

static enum graft_status append(struct builder *b, size_t source, const struct token_row *row,
                                struct error *e)
{
    struct data_tokens *out = &b->out;
    struct data_ledger *ledger = &out->ledger;
    size_t extra = b->options->virtual_tokens, length = extra + row->count;
    size_t need = ledger->tokens + length;
    if (!array_reserve(&out->ids, &b->id_capacity, need, sizeof *out->ids) ||
        !array_reserve(&out->labels, &b->label_capacity, need, sizeof *out->labels) ||
        !array_reserve(&out->rows, &b->row_capacity, out->count + 1, sizeof *out->rows))
        return no_memory(need, e);
    int32_t *ids = out->ids + ledger->tokens, *labels = out->labels + ledger->tokens;
    for (size_t i = 0; i < extra; i++) {
        ids[i] = b->options->first_virtual + (int32_t)i;
        labels[i] = LABEL_IGNORED;
    }
    memcpy(ids + extra, row->ids, row->count * sizeof *ids);
    memcpy(labels + extra, row->labels, row->count * sizeof *labels);
    out->rows[out->count++] =
        (struct data_sequence){.length = length, .trained = row->trained, .source = source};
    ledger->rows++;
    ledger->tokens = need;
    ledger->trained += row->trained;
    if (length > ledger->longest) ledger->longest = length;
    ledger->turns_ended += data_ends_turn(b->options, row->labels, row->count);
    ledger->raw_pairs += b->options->chat == NULL && b->rows->rows[source].pair;
    ledger->plain += b->options->chat != NULL && b->rows->rows[source].messages == NULL;
    return GRAFT_OK;
}

/* A conversation whose end of turn is not trained makes a model that never stops. */
static enum graft_status check_turn_end(const struct builder *b, size_t source,
                                        const struct token_row *row, struct error *e)
{
    bool chat = b->options->chat != NULL && b->rows->rows[source].messages != NULL;
    if (!chat || data_ends_turn(b->options, row->labels, row->count)) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID,
                     "the end of the turn (%s) is not trained: the model would never stop; chat "
                     "template %s does not fit the model, name another with data.template (%s)",
                     chat_end_of_turn(b->options->chat), b->options->chat->name, chat_names());
}

static enum graft_status add_row(struct builder *b, size_t source, struct token_row *row,
                                 struct error *e)
{
    struct data_ledger *ledger = &b->out.ledger;
    enum graft_status status = data_encode_row(&b->rows->rows[source], b->options, row, e);
    if (status != GRAFT_OK) return status;
    if (row->count > b->longest_length) {
        b->longest_length = row->count;
        b->longest_row = source;
    }
    if (row->count > b->options->max_length) {
        list_row(b, source, ledger->too_long++, row->count, "longer than data.max_length");
        return GRAFT_OK;
    }
    if (row->trained == 0) {
        list_row(b, source, ledger->untrained++, row->count, "no token to train");
        return GRAFT_OK;
    }
    status = check_turn_end(b, source, row, e);
    return status == GRAFT_OK ? append(b, source, row, e) : status;
}

static enum graft_status add_rows(struct builder *b, struct error *e)
{
    struct token_row row = {0};
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < b->rows->count; i++) {
        status = add_row(b, i, &row, e);
        if (status != GRAFT_OK)
            error_place(e, "%s:%u", data_row_file(b->rows, i), b->rows->rows[i].line);
    }
    token_row_free(&row);
    return status;
}

enum graft_status data_check_options(const struct data_tokenize_options *o, struct error *e)
{
    if (o->max_length == 0) return error_set(e, GRAFT_E_INVALID, "data.max_length: 0; at least 1");
    if (o->context != 0 && o->max_length > o->context)
        return error_set(e, GRAFT_E_INVALID,
                         "data.max_length: %zu is more than the model's context; allowed: 1 to %zu",
                         o->max_length, o->context);
    return GRAFT_OK;
}

static enum graft_status check_long(const struct builder *b, struct error *e)
{
    size_t left_out = b->out.ledger.too_long, all = b->rows->count;
    const char *file = data_row_file(b->rows, b->longest_row);
    uint32_t line = b->rows->rows[b->longest_row].line;
    if (left_out == all)
        return error_set(e, GRAFT_E_INVALID,
                         "data.max_length: every row is longer than %zu tokens (the longest: %zu, "
                         "%s:%u); raise it",
                         b->options->max_length, b->longest_length, file, line);
    if (!b->options->drop_long && left_out * 100 > all * PERCENT_TOO_LONG)
        return error_set(
            e, GRAFT_E_INVALID,
            "data.max_length: %zu of %zu rows are longer than %zu tokens (the longest: "
            "%zu, %s:%u), more than %d %%; raise it, or leave them out with "
            "data.too_long: drop",
            left_out, all, b->options->max_length, b->longest_length, file, line, PERCENT_TOO_LONG);
    return GRAFT_OK;
}

static enum graft_status check_ledger(const struct builder *b, struct error *e)
{
    const struct data_ledger *ledger = &b->out.ledger;
    enum graft_status status = check_long(b, e);
    if (status != GRAFT_OK) return status;
    if (ledger->trained == 0)
        return error_set(e, GRAFT_E_INVALID,
                         "%s: no row has a token to train: every one is masked or a single token",
                         b->rows->files[0]);
    print_left_out(b);
    if (ledger->too_long != 0)
        log_warning("%zu of %zu rows left out: longer than data.max_length %zu", ledger->too_long,
                    b->rows->count, b->options->max_length);
    if (ledger->untrained != 0)
        log_warning("%zu of %zu rows left out: no token to train", ledger->untrained,
                    b->rows->count);
    return GRAFT_OK;
}

enum graft_status data_tokenize(const struct data_rows *rows,
                                const struct data_tokenize_options *options,
                                struct data_tokens *out, struct error *e)
{
    struct builder b = {.rows = rows, .options = options};
    if (rows->count == 0) return error_set(e, GRAFT_E_INVALID, "no rows of data");
    enum graft_status status = data_check_options(options, e);
    if (status == GRAFT_OK) status = add_rows(&b, e);
    if (status == GRAFT_OK) status = check_ledger(&b, e);
    if (status != GRAFT_OK) {
        data_tokens_free(&b.out);
        return status;
    }
    size_t at = 0;
    for (size_t i = 0; i < b.out.count; i++) {
        b.out.rows[i].ids = b.out.ids + at;
        b.out.rows[i].labels = b.out.labels + at;
        at += b.out.rows[i].length;
    }
    *out = b.out;
    return GRAFT_OK;
}

void data_log_template(const struct data_tokenize_options *o, const struct data_ledger *ledger)
{
    if (ledger->raw_pairs != 0)
        log_info("no chat template: prompt and completion are joined as they are");
    if (ledger->plain != 0 && o->chat_named)
        log_warning("data.template: %s has no effect on %zu of %zu rows: plain text is taken as it "
                    "is; give rows with a question and an answer, or leave the key out",
                    o->chat->name, ledger->plain, ledger->rows);
}

void data_tokens_free(struct data_tokens *tokens)
{
    mem_free(tokens->rows);
    mem_free(tokens->ids);
    mem_free(tokens->labels);
    *tokens = (struct data_tokens){0};
}

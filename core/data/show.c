/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens in colour: masked ones dim, trained ones green, special ones magenta (bold when trained).
 */
#include "data/show.h"

#include <string.h>

enum { MASKED = 0, TRAINED = 1, SPECIAL = 2, IDS_PER_LINE = 12 };

static const char *const colours[] = {"\033[2m", "\033[32m", "\033[2;35m", "\033[1;35m"};
static const char *const opening[] = {"", "[", "{", "[{"};
static const char *const closing[] = {"", "]", "}", "}]"};

struct view {
    const struct tokenizer *tokenizer;
    const struct token_row *row;
    struct str *out;
    bool colour;
};

static int class_of(const struct view *v, size_t i)
{
    return (v->row->labels[i] != LABEL_IGNORED ? TRAINED : MASKED) |
           (tokenizer_is_special(v->tokenizer, v->row->ids[i]) ? SPECIAL : 0);
}

static void begin_class(const struct view *v, int class)
{
    str_puts(v->out, v->colour ? colours[class] : opening[class]);
}

static void end_class(const struct view *v, int class)
{
    str_puts(v->out, v->colour ? "\033[0m" : closing[class]);
}

static void put_visible(struct str *out, const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t n = utf8_length(bytes + at, length - at);
        unsigned char c = (unsigned char)bytes[at];
        bool control = c < 0x20 || c == 0x7F || (c == 0xC2 && n == 2 && bytes[at + 1] < '\xA0');
        if (c == '\n')
            str_puts(out, "\\n");
        else if (c == '\t')
            str_puts(out, "\\t");
        else if (n == 0 || control)
            for (size_t k = 0; k < (n == 0 ? 1 : n); k++)
                str_printf(out, "\\x%02X", (unsigned char)bytes[at + k]);
        else
            str_add(out, bytes + at, n);
        at += n == 0 ? 1 : n;
    }
}

/* Tokens that share a character are shown as one, if they are of one class. Returns the index
 * behind them. */
static size_t put_tokens(const struct view *v, size_t i, struct str *bytes)
{
    int class = class_of(v, i);
    str_clear(bytes);
    do {
        size_t length = 0;
        const char *piece = tokenizer_piece(v->tokenizer, v->row->ids[i], &length);
        if (piece != NULL) str_add(bytes, piece, length);
        i++;
    } while (i < v->row->count && class_of(v, i) == class && bytes->length < 16 &&
             utf8_check(bytes->data, bytes->length) != bytes->length);
    begin_class(v, class);
    put_visible(v->out, bytes->data, bytes->length);
    end_class(v, class);
    if (bytes->length != 0 && bytes->data[bytes->length - 1] == '\n') str_putc(v->out, '\n');
    return i;
}

static void put_text(const struct view *v)
{
    struct str bytes = {0};
    str_puts(&bytes, "");
    for (size_t i = 0; i < v->row->count && !bytes.failed;) i = put_tokens(v, i, &bytes);
    if (bytes.failed) v->out->failed = true;
    str_free(&bytes);
    str_putc(v->out, '\n');
}

static void put_ids(const struct view *v)
{
    for (size_t i = 0; i < v->row->count; i++) {
        int class = class_of(v, i);
        str_puts(v->out, i % IDS_PER_LINE != 0 ? " " : i == 0 ? "  ids " : "\n      ");
        begin_class(v, class);
        str_printf(v->out, "%d", v->row->ids[i]);
        end_class(v, class);
    }
    str_putc(v->out, '\n');
}

static void put_share(struct str *out, size_t part, size_t whole)
{
    size_t tenths = whole == 0 ? 0 : (part * 1000 + whole / 2) / whole;
    str_printf(out, "%zu.%zu %%", tenths / 10, tenths % 10);
}

static void put_legend(const struct data_show_request *q, struct str *out)
{
    static const char *const names[] = {"masked", "trained", "special", "special and trained"};
    const struct view v = {.out = out, .colour = q->colour};
    for (int class = 0; class < 4; class ++) {
        if (class != 0) str_puts(out, q->colour ? "  " : "   ");
        begin_class(&v, class);
        str_puts(out, names[class]);
        end_class(&v, class);
    }
    str_puts(out, "\n\n");
}

static void put_heading(const struct data_show_request *q, size_t index,
                        const struct token_row *row, struct str *out)
{
    str_printf(out, "%s:%u: %zu tokens, %zu trained, ", data_row_file(q->rows, index),
               q->rows->rows[index].line, row->count, row->trained);
    put_share(out, row->count - row->trained, row->count);
    str_puts(out, " masked");
    if (row->count > q->options->max_length)
        str_printf(out, "; left out: longer than data.max_length %zu", q->options->max_length);
    if (row->trained == 0) str_puts(out, "; left out: no token to train");
    str_putc(out, '\n');
}

static void put_ledger(const struct data_ledger *l, const struct data_tokenize_options *o,
                       struct str *out)
{
    str_printf(out, "rows      %8zu", l->rows);
    if (l->too_long != 0)
        str_printf(out, "   left out: %zu longer than %zu", l->too_long, o->max_length);
    if (l->untrained != 0)
        str_printf(out, "   left out: %zu without a token to train", l->untrained);
    str_printf(out, "\ntokens    %8zu   longest row %zu\ntrained   %8zu   ", l->tokens, l->longest,
               l->trained);
    put_share(out, l->trained, l->tokens);
    str_puts(out, ", masked ");
    put_share(out, l->tokens - l->trained, l->tokens);
    str_printf(out, "\nturn ends %8zu   rows end with a trained end of turn", l->turns_ended);
    if (o->chat != NULL) str_printf(out, " (%s)", chat_end_of_turn(o->chat));
    str_putc(out, '\n');
}

enum graft_status data_show(const struct data_show_request *q, struct str *out, struct error *e)
{
    struct token_row row = {0};
    enum graft_status status = GRAFT_OK;
    put_legend(q, out);
    for (size_t i = q->first; i < q->rows->count && i - q->first < q->count; i++) {
        status = data_encode_row(&q->rows->rows[i], q->options, &row, e);
        if (status != GRAFT_OK) {
            error_place(e, "%s:%u", data_row_file(q->rows, i), q->rows->rows[i].line);
            break;
        }
        const struct view v = {q->options->tokenizer, &row, out, q->colour};
        put_heading(q, i, &row, out);
        put_text(&v);
        put_ids(&v);
        str_putc(out, '\n');
    }
    token_row_free(&row);
    if (status == GRAFT_OK && q->ledger != NULL) put_ledger(q->ledger, q->options, out);
    if (status == GRAFT_OK && out->failed) status = error_memory(e, "the text", out->length);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Rendering, encoding and labelling of a conversation, and the checks that a wrong template would
 * fail: the end of each turn is one trained token, the beginning of the text is marked once.
 */
#include "text/conversation.h"

#include "text/parts.h"

#include <string.h>

void token_row_free(struct token_row *row)
{
    mem_free(row->ids);
    mem_free(row->labels);
    *row = (struct token_row){0};
}

/* Puts the beginning-of-text token in front, and takes it away if the template printed it too. */
static enum graft_status encode_text(const struct tokenizer *t, const struct str *text,
                                     struct token_list *list, struct error *e)
{
    size_t at = list->count;
    bool adds = tokenizer_adds_bos(t);
    int32_t bos = tokenizer_bos(t);
    if (adds && !token_list_add(list, bos, 0)) return error_memory(e, "tokens", text->length);
    enum graft_status status = tokenizer_encode(t, text->data, text->length, false, list, e);
    if (status != GRAFT_OK) {
        list->count = at;
        return status;
    }
    if (adds && list->count > at + 1 && list->ids[at + 1] == bos) {
        size_t rest = list->count - at - 1;
        memmove(list->ids + at, list->ids + at + 1, rest * sizeof *list->ids);
        memmove(list->begin + at, list->begin + at + 1, rest * sizeof *list->begin);
        list->count--;
    }
    if (bos < 0 || list->count < at + 2 || list->ids[at] != bos || list->ids[at + 1] != bos)
        return GRAFT_OK;
    list->count = at;
    return error_set(e, GRAFT_E_INVALID,
                     "the conversation begins with the beginning-of-text token twice: the text "
                     "must not contain it");
}

static bool row_reserve(struct token_row *row, size_t count)
{
    int32_t *ids = mem_realloc(row->ids, count, sizeof *ids);
    if (ids != NULL) row->ids = ids;
    int32_t *labels = mem_realloc(row->labels, count, sizeof *labels);
    if (labels != NULL) row->labels = labels;
    return ids != NULL && labels != NULL;
}

/* Labels of the tokens that begin inside a span; both lists are in the order of the text. */
static void label(const struct token_list *list, const struct chat_text *text,
                  struct token_row *row)
{
    size_t s = 0;
    row->count = list->count;
    row->trained = row->seams = 0;
    for (size_t i = 0; i < list->count; i++) {
        size_t begin = list->begin[i];
        size_t next = i + 1 < list->count ? list->begin[i + 1] : text->text.length;
        while (s < text->count && begin >= text->spans[s].end) s++;
        bool inside = s < text->count && begin >= text->spans[s].begin;
        row->ids[i] = list->ids[i];
        row->labels[i] = inside ? list->ids[i] : LABEL_IGNORED;
        row->trained += inside;
        row->seams += s < text->count && !inside && next > text->spans[s].begin;
    }
}

/* The last token that begins in the span is the end of the turn, whole. */
static enum graft_status check_end(const struct tokenizer *t, const struct chat_format *format,
                                   const struct token_list *list, const struct chat_span *span,
                                   size_t *at, struct error *e)
{
    const char *end = chat_end_of_turn(format);
    int32_t wanted = tokenizer_find(t, end);
    size_t i = *at;
    while (i + 1 < list->count && list->begin[i + 1] < span->end) i++;
    *at = i;
    if (wanted >= 0 && i < list->count && list->ids[i] == wanted &&
        list->begin[i] + strlen(end) == span->end)
        return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID,
                     "chat template %s ends a turn with \"%s\", which is not one token of this "
                     "tokenizer: name the template that the model was trained with (data.template: "
                     "%s)",
                     format->name, end, chat_names());
}

static enum graft_status make_row(const struct tokenizer *t, const struct chat_format *format,
                                  const struct chat_text *text, const struct token_list *list,
                                  struct token_row *out, struct error *e)
{
    size_t at = 0;
    for (size_t i = 0; i < text->count; i++) {
        enum graft_status status = check_end(t, format, list, &text->spans[i], &at, e);
        if (status != GRAFT_OK) return status;
    }
    if (!row_reserve(out, list->count)) return error_memory(e, "a row's tokens", list->count * 8);
    label(list, text, out);
    return GRAFT_OK;
}

enum graft_status conversation_encode(const struct tokenizer *t, const struct chat_format *format,
                                      const struct chat_message *messages, size_t count,
                                      struct token_row *out, struct error *e)
{
    struct chat_text text = {0};
    struct token_list list = {0};
    enum graft_status status = chat_render(format, messages, count, false, &text, e);
    if (status == GRAFT_OK) status = encode_text(t, &text.text, &list, e);
    if (status == GRAFT_OK) status = make_row(t, format, &text, &list, out, e);
    token_list_free(&list);
    chat_text_free(&text);
    return status;
}

enum graft_status conversation_prompt(const struct tokenizer *t, const struct chat_format *format,
                                      const struct chat_message *messages, size_t count,
                                      struct token_list *out, struct error *e)
{
    struct chat_text text = {0};
    enum graft_status status = chat_render(format, messages, count, true, &text, e);
    if (status == GRAFT_OK) status = encode_text(t, &text.text, out, e);
    chat_text_free(&text);
    return status;
}

/* An added token's text, as a template prints it. NULL: none. */
static char *token_text(const struct tokenizer *t, int32_t id, bool *refused)
{
    size_t length;
    const char *bytes = tokenizer_piece(t, id, &length);
    if (bytes == NULL) return NULL;
    char *text = mem_strndup(bytes, length);
    if (text == NULL) *refused = true;
    return text;
}

enum graft_status conversation_format(const struct tokenizer *t, const char *name,
                                      struct chat_format *format, struct error *e)
{
    bool refused = false;
    const char *template = tokenizer_chat_template(t);
    char *bos = token_text(t, tokenizer_bos(t), &refused);
    char *eos = token_text(t, tokenizer_eos(t), &refused);
    enum graft_status status;
    if (refused)
        status = error_memory(e, "a chat template", 0);
    else if (name != NULL)
        status = chat_from_name(name, bos, eos, format, e);
    else if (template != NULL)
        status = chat_from_template(template, bos, eos, format, e);
    else
        status = error_set(e, GRAFT_E_INVALID,
                           "the model has no chat template: name the one that it was trained with "
                           "(data.template: %s)",
                           chat_names());
    mem_free(bos);
    mem_free(eos);
    return status;
}

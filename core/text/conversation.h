/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversation to token ids and labels: rendered as a whole, encoded once, and trained where the
 * model writes (chat_span). This is what the rows of a data set go through.
 */
#ifndef CORE_TEXT_CONVERSATION_H
#define CORE_TEXT_CONVERSATION_H

#include "text/chat.h"
#include "text/tokenizer.h"

enum { LABEL_IGNORED = -100 };

/* Zero-initialized. labels[i] is ids[i] where it is trained, else LABEL_IGNORED; not shifted. */
struct token_row {
    int32_t *ids, *labels;
    size_t count;
    size_t trained; /* how many labels are trained */
    size_t seams;   /* tokens that begin before a span and reach into it: not trained */
};

void token_row_free(struct token_row *row);

/* Replaces what `out` holds. The tokenizer's beginning-of-text token is put in front where it adds
 * one and the template has not printed it. It is an error if the end of a turn is not one trained
 * token, or if the beginning-of-text token is doubled. */
GRAFT_MUST_USE enum graft_status conversation_encode(const struct tokenizer *t,
                                                     const struct chat_format *format,
                                                     const struct chat_message *messages,
                                                     size_t count, struct token_row *out,
                                                     struct error *e);
/* The ids of a prompt: the conversation with the generation prompt behind it. Appends to `out`. */
GRAFT_MUST_USE enum graft_status conversation_prompt(const struct tokenizer *t,
                                                     const struct chat_format *format,
                                                     const struct chat_message *messages,
                                                     size_t count, struct token_list *out,
                                                     struct error *e);
/* The format of the tokenizer's own template, or of the one named (NULL: its own). */
GRAFT_MUST_USE enum graft_status conversation_format(const struct tokenizer *t, const char *name,
                                                     struct chat_format *format, struct error *e);

#endif

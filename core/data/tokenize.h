/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows to token rows: rendered by the model's chat template, answers marked as trained, too long
 * ones left out, and a ledger of what was found. What would train in silence on the wrong thing is
 * an error here, before any compute.
 */
#ifndef CORE_DATA_TOKENIZE_H
#define CORE_DATA_TOKENIZE_H

#include "data/rows.h"
#include "text/conversation.h"

struct data_tokenize_options {
    const struct tokenizer *tokenizer;
    const struct chat_format *chat; /* NULL: the model has no chat template */
    bool chat_named;                /* by the user, who thinks that it is used */
    bool train_all;                 /* data.train_on: all */
    bool drop_long;                 /* data.too_long: drop */
    size_t max_length;
    size_t context;        /* the model's; 0: unknown */
    size_t virtual_tokens; /* put in front of every row, past max_length, never trained: */
    int32_t first_virtual; /* ids first_virtual, first_virtual + 1, ... */
};

/* labels[i] is ids[i] where token i is trained, else LABEL_IGNORED (-100); labels[0] is ignored:
 * nothing predicts it. */
struct data_sequence {
    const int32_t *ids, *labels;
    size_t length;
    size_t trained; /* labels that are not ignored */
    size_t source;  /* index into the data_rows */
};

struct data_ledger {
    size_t rows;        /* kept */
    size_t too_long;    /* left out: longer than max_length */
    size_t untrained;   /* left out: no token to train */
    size_t tokens;      /* of the rows kept */
    size_t trained;     /* of those */
    size_t longest;     /* of the rows kept */
    size_t turns_ended; /* rows whose last token trained ends the turn or the text */
    size_t raw_pairs;   /* prompt/completion rows joined as they are, for want of a template */
    size_t plain;       /* plain text that passes by the template that there is */
};

/* Zero-initialized. */
struct data_tokens {
    struct data_sequence *rows;
    size_t count;
    struct data_ledger ledger;
    int32_t *ids, *labels; /* of all rows, which point into them */
};

/* Does max_length fit the model? The error names the recipe's key. */
GRAFT_MUST_USE enum graft_status data_check_options(const struct data_tokenize_options *options,
                                                    struct error *e);

/* The first places left out are logged, and their number. Errors carry a place or the recipe's
 * key. On failure `out` is as it was. */
GRAFT_MUST_USE enum graft_status data_tokenize(const struct data_rows *rows,
                                               const struct data_tokenize_options *options,
                                               struct data_tokens *out, struct error *e);
void data_tokens_free(struct data_tokens *tokens);
/* Says where rows and the chat template do not meet: pairs joined for want of one, plain text that
 * passes by the one that the user named. Once a run, not once a split. */
void data_log_template(const struct data_tokenize_options *options,
                       const struct data_ledger *ledger);

/* One row by itself, however long, into a row of the caller (token_row_free); errors carry no
 * place. `out->trained` counts as data_sequence does. */
GRAFT_MUST_USE enum graft_status data_encode_row(const struct data_row *row,
                                                 const struct data_tokenize_options *options,
                                                 struct token_row *out, struct error *e);
/* Is the last token trained the one that ends a turn or the text? */
bool data_ends_turn(const struct data_tokenize_options *options, const int32_t *labels,
                    size_t length);

#endif

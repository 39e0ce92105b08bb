/* SPDX-License-Identifier: Apache-2.0
 *
 * Text to token ids and back. A tokenizer comes from a GGUF file's metadata or from a Hugging Face
 * folder and then never changes: any number of threads may use it at once. What is encoded equals
 * what the `tokenizers` library gives for the same file; a part that is not known is refused by
 * name when the tokenizer is loaded.
 */
#ifndef CORE_TEXT_TOKENIZER_H
#define CORE_TEXT_TOKENIZER_H

#include "base/error.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct tokenizer;

/* The longest text that is encoded in one call; the offsets have 32 bits. */
#define TOKENIZER_LONGEST_TEXT ((size_t)INT32_MAX)

/* Growing, zero-initialized. begin[i] is the byte offset in the text at which token i starts; where
 * a normalizer changed the text, the start of the stretch that it came from. */
struct token_list {
    int32_t *ids;
    uint32_t *begin;
    size_t count, capacity;
};

void token_list_free(struct token_list *list);

/* `file` may be closed afterwards. */
GRAFT_MUST_USE enum graft_status tokenizer_from_gguf(const struct gguf *file, struct tokenizer **t,
                                                     struct error *e);
/* Reads tokenizer.json, and tokenizer_config.json, special_tokens_map.json, chat_template.jinja,
 * generation_config.json and config.json where they are there. */
GRAFT_MUST_USE enum graft_status tokenizer_from_folder(const char *folder, struct tokenizer **t,
                                                       struct error *e);
void tokenizer_destroy(struct tokenizer *t);

/* Appends. Special tokens that stand in the text become their ids. `add_special` adds what the
 * tokenizer puts around a text (usually the beginning-of-text token). Text that is not UTF-8 is an
 * error that names the offset. On failure the list is as it was. */
GRAFT_MUST_USE enum graft_status tokenizer_encode(const struct tokenizer *t, const char *text,
                                                  size_t length, bool add_special,
                                                  struct token_list *out, struct error *e);

size_t tokenizer_size(const struct tokenizer *t); /* the largest id + 1 */
int32_t tokenizer_bos(const struct tokenizer *t); /* -1: none; so the next */
int32_t tokenizer_eos(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t);
/* Left out of text by `skip_special`. */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
/* Generation stops after this token: end of text, of turn or of message. */
bool tokenizer_ends_generation(const struct tokenizer *t, int32_t id);
/* The token's own bytes (maybe half a character), for display; not NUL-terminated. NULL: no such
 * token. */
const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *length);
/* The id of an added token, or else of a vocabulary entry, with exactly this text; -1: none. */
int32_t tokenizer_find(const struct tokenizer *t, const char *text);
/* Jinja source; NULL: none. */
const char *tokenizer_chat_template(const struct tokenizer *t);

/* Appends the text of the whole sequence; bytes that are not UTF-8 become U+FFFD. Ids without text
 * give nothing. A refused allocation sets out->failed. */
void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t count,
                      bool skip_special, struct str *out);

/* The same, token by token: only complete characters come out, the rest waits for the next token.
 * Together the parts equal tokenizer_decode's text, but where byte tokens of an SPM vocabulary are
 * not UTF-8: there the stream has already given what was valid. */
struct detokenizer {
    const struct tokenizer *tokenizer;
    bool skip_special, started;
    unsigned char held_count;
    char held[8];
    uint32_t front_left; /* blanks at the front that are still dropped */
    uint32_t tail_held;  /* blanks at the end that are dropped if nothing follows */
};

void detokenizer_begin(struct detokenizer *d, const struct tokenizer *t, bool skip_special);
void detokenizer_push(struct detokenizer *d, int32_t id, struct str *out);
void detokenizer_finish(struct detokenizer *d, struct str *out);

#endif

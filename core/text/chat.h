/* SPDX-License-Identifier: Apache-2.0
 *
 * Chat templates without Jinja. A template's text is recognized as one of the known families, with
 * the default system text, dates and blanks that stand in it; one that is not recognized is
 * refused, because a guess trains on the wrong text. Rendering gives the text that the Jinja
 * template gives, and the spans in it that the model writes.
 */
#ifndef CORE_TEXT_CHAT_H
#define CORE_TEXT_CHAT_H

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>

enum chat_system {
    CHAT_SYSTEM_TURN,       /* a turn of its own */
    CHAT_SYSTEM_FIRST_USER, /* in front of the first user text */
    CHAT_SYSTEM_LAST_USER,  /* in front of the last message, where that is a user's */
    CHAT_SYSTEM_NONE        /* refused */
};

enum chat_trim {
    CHAT_TRIM_SYSTEM = 1,
    CHAT_TRIM_USER = 2,
    CHAT_TRIM_ASSISTANT = 4,
    CHAT_TRIM_JOINED = 8 /* the user text together with the system text before it */
};

/* A family's texts; the ones taken from a template live in the arena. */
struct chat_format {
    const char *name;
    const char *opening; /* after BOS */
    const char *system_before, *system_after;
    const char *user_before, *user_after;
    const char *assistant_before; /* the generation prompt: what the model does not write */
    const char *assistant_lead;   /* what it writes before the answer */
    const char *assistant_tail;   /* and after it, before the end of the turn */
    const char *end;              /* the end-of-turn token */
    const char *assistant_after;
    const char *closing;        /* at the end, where no generation prompt is */
    const char *default_system; /* NULL: no system turn without a system message */
    const char *system_fixed;   /* NULL, or what stands before any system text, even an empty one */
    enum chat_system system;
    unsigned trim;
    bool prints_bos, bos_each_turn, alternates;
    bool thinks;      /* Qwen3's think blocks */
    bool open_turns;  /* no token ends a turn: the next turn's user mark does */
    bool no_thinking; /* the caller's choice for Qwen3: the empty think block is in the prompt */
    const char *bos, *eos; /* "" where the tokenizer has none */
    struct arena arena;
};

struct chat_message {
    const char *role; /* system, user, assistant */
    const char *content;
    size_t length;
};

/* Bytes of the text that the model writes in one assistant turn: from the end of the generation
 * prompt to the end of the end-of-turn token. */
struct chat_span {
    size_t begin, end;
};

struct chat_text { /* zero-initialized */
    struct str text;
    struct chat_span *spans;
    size_t count, capacity;
};

/* `bos` and `eos` are the texts of the tokenizer's tokens, NULL: none. */
GRAFT_MUST_USE enum graft_status chat_from_template(const char *text, const char *bos,
                                                    const char *eos, struct chat_format *format,
                                                    struct error *e);
GRAFT_MUST_USE enum graft_status chat_from_name(const char *name, const char *bos, const char *eos,
                                                struct chat_format *format, struct error *e);
void chat_format_free(struct chat_format *format);
/* "chatml, llama3, ..." */
const char *chat_names(void);
/* The text of the token that ends an assistant turn. */
const char *chat_end_of_turn(const struct chat_format *format);

/* Replaces what `out` holds. An error names the message that the template cannot express. */
GRAFT_MUST_USE enum graft_status chat_render(const struct chat_format *format,
                                             const struct chat_message *messages, size_t count,
                                             bool add_generation_prompt, struct chat_text *out,
                                             struct error *e);
void chat_text_free(struct chat_text *text);

#endif

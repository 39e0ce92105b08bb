/* SPDX-License-Identifier: Apache-2.0
 *
 * Many answers at once: one program over a key/value cache of `slots` rows. A run of it takes the
 * next token of every answer that is under way and as many prompt tokens as still fit.
 */
#ifndef CORE_GENERATE_GENERATOR_H
#define CORE_GENERATE_GENERATOR_H

#include "generate/sample.h"
#include "session/session.h"

struct generator;

struct generator_size {
    size_t slots;  /* answers under way at once */
    size_t length; /* longest prompt plus answer, in tokens */
    size_t tokens; /* per run of the program; at least `slots` */
};

/* Before session_start. */
GRAFT_MUST_USE enum graft_status generator_plan(struct session *session,
                                                const struct generator_size *size,
                                                struct generator **generator, struct error *e);
/* After it. */
GRAFT_MUST_USE enum graft_status generator_compile(struct generator *generator, struct error *e);
void generator_destroy(struct generator *generator);
const struct plan *generator_plan_of(const struct generator *generator); /* for memory tables */

struct generate_prompt {
    const int32_t *ids;
    size_t count; /* 1 .. length - 1 */
};

struct generate_answer {
    int32_t *ids; /* caller's, max_new_tokens places */
    size_t count; /* without the token that ended it */
    bool ended;   /* by an end token, not by the limit */
};

struct generate_request {
    const struct generate_prompt *prompts;
    struct generate_answer *answers; /* one for each prompt */
    size_t count;
    size_t max_new_tokens;
    struct sample_options sample;
    /* Called after each token of each answer, and once more with id -1 at its end. NULL: not. */
    void (*on_token)(void *context, size_t prompt, int32_t id);
    /* Asked between runs; true stops with GRAFT_E_INTERRUPTED. NULL: not. */
    bool (*stop)(void *context);
    void *context;
};

GRAFT_MUST_USE enum graft_status
generator_run(struct generator *generator, const struct generate_request *request, struct error *e);

/* A decoding step, for timing. */
struct generator_step {
    struct program *program;
    const struct plan *plan;
    graft_value logits; /* what a run leaves */
    int64_t live[GRAFT_ROWS_KINDS];
};

/* Uploads a step of `rows` answers (at most size.slots) that have `fed` tokens (less than
 * size.length) in the cache each. */
GRAFT_MUST_USE enum graft_status generator_stage(struct generator *generator, size_t rows,
                                                 size_t fed, struct generator_step *step,
                                                 struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a user points at: a run's folder, a PEFT folder with its model, or a model alone.
 */
#ifndef CORE_SESSION_SOURCE_H
#define CORE_SESSION_SOURCE_H

#include "data/tokenize.h"
#include "session/session.h"

struct source {
    struct session_request request;
    const char *const *folders;   /* of the adapters, for session_load_adapters */
    struct settings *settings;    /* of a run; else NULL */
    struct settings_adapter peft; /* of a PEFT folder */
    struct arena arena;
};

/* `model`: for a PEFT folder, and for a run whose model moved; else NULL. Zero-initialized `out`;
 * source_free also after a failure. */
GRAFT_MUST_USE enum graft_status source_open(const char *path, const char *model,
                                             struct source *out, struct error *e);
void source_free(struct source *source);

/* The model and the adapters of a recipe, to be trained; borrowed from it. */
struct session_request source_request(const struct settings *settings);

/* How rows are turned into tokens for this model and its adapters: as a run's recipe says, or
 * (NULL) as long as the context allows, answers trained. Borrowed from the session. */
struct data_tokenize_options source_tokenize(const struct session *session,
                                             const struct settings *settings);

/* The device that a recipe asks for, or any where it is NULL; `backend`: another by name, or NULL.
 */
struct device_request source_device(const struct settings *settings, const char *backend);

#endif

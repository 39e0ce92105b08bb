/* SPDX-License-Identifier: Apache-2.0
 *
 * One model with its adapters and its tokenizer on one device: what training, evaluation and
 * generation share. Opened in two steps, so that everything a user can get wrong is found, and all
 * memory is planned, before a weight is moved: open; plan programs; start; compile programs.
 */
#ifndef CORE_SESSION_SESSION_H
#define CORE_SESSION_SESSION_H

#include "adapt/adapt.h"
#include "graph/device.h"
#include "graph/plan.h"
#include "text/conversation.h"

struct session_request {
    const char *model;                       /* a GGUF file or a Hugging Face folder */
    const char *quantize;                    /* "keep" or "nf4" */
    const char *template_name;               /* NULL or "auto": the model's own */
    const struct settings_adapter *adapters; /* outlive the session */
    size_t adapter_count;                    /* 0: the bare model */
    bool from_files; /* the adapters' numbers will be loaded from their files, not trained */
    bool no_text;    /* no tokenizer and no chat template: for work that reads no text */
    uint64_t seed;
};

struct session {
    struct store *store;
    struct model *model;
    struct tokenizer *tokenizer;
    struct chat_format chat;
    bool has_chat;          /* false: the model has no chat template and none was named */
    struct adapt *adapt;    /* NULL: the bare model */
    struct adapt_rows rows; /* what the adapters change about packed rows and prompts */
    struct device *device;
    const struct backend *backend; /* NULL before session_start */
    struct graft_buffer *transient;
    uint64_t transient_bytes; /* of the largest program, */
    uint64_t alone_bytes;     /* and on a backend that runs no sweeps */
    bool keep_detached;       /* loss programs for the reference alone (graph_keep_detached) */
};

GRAFT_MUST_USE enum graft_status session_open(const struct session_request *request,
                                              struct session **session, struct error *e);
void session_close(struct session *session); /* after its programs; NULL is fine */

/* Puts the adapters' virtual tokens at the front of a prompt (usually none). */
GRAFT_MUST_USE enum graft_status session_begin_prompt(const struct session *session,
                                                      struct token_list *prompt, struct error *e);

/* Bytes of the shared region on this device; before session_start: on one that runs sweeps. */
uint64_t session_transient(const struct session *session);

/* Finishes a graph into a plan and counts its need of the shared region. */
GRAFT_MUST_USE enum graft_status session_plan(struct session *session, struct graph *graph,
                                              struct plan **plan, struct error *e);

/* Opens the device, uploads the weights, makes every buffer that was planned and gives the adapters
 * their initial values. Nothing can be planned afterwards. */
GRAFT_MUST_USE enum graft_status
session_start(struct session *session, const struct device_request *device, struct error *e);
GRAFT_MUST_USE enum graft_status session_compile(struct session *session, const struct plan *plan,
                                                 struct program **program, struct error *e);

/* Adapters as they are in these folders, one each, in order; after session_start. */
GRAFT_MUST_USE enum graft_status session_load_adapters(struct session *session,
                                                       const char *const *folders, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading tokenizer.json, shared by its three files: the components of the pipeline, the model
 * with its added tokens, and the folder around it.
 */
#ifndef CORE_TEXT_LOAD_JSON_H
#define CORE_TEXT_LOAD_JSON_H

#include "base/json.h"
#include "text/parts.h"

/* Absent or null leaves *value as it is; another type is an error that names the key. */
GRAFT_MUST_USE enum graft_status json_take_bool(const json_t *object, const char *key, bool *value,
                                                struct error *e);
GRAFT_MUST_USE enum graft_status json_take_int(const json_t *object, const char *key,
                                               int64_t *value, struct error *e);
/* *text stays the object's; NULL where the key is absent or null. */
GRAFT_MUST_USE enum graft_status json_take_text(const json_t *object, const char *key,
                                                const char **text, size_t *length, struct error *e);

/* Each reads one component; null gives nothing. */
GRAFT_MUST_USE enum graft_status load_normalizer(struct tokenizer *t, const json_t *value,
                                                 struct error *e);
GRAFT_MUST_USE enum graft_status load_pre_tokenizer(struct tokenizer *t, const json_t *value,
                                                    struct error *e);
GRAFT_MUST_USE enum graft_status load_decoder(struct tokenizer *t, const json_t *value,
                                              struct error *e);
GRAFT_MUST_USE enum graft_status load_post_processor(struct tokenizer *t, const json_t *value,
                                                     struct error *e);
/* The model's vocabulary and merges. Needs the pre-tokenizer, which says if it is byte-level. */
GRAFT_MUST_USE enum graft_status load_model(struct tokenizer *t, const json_t *value,
                                            struct error *e);
/* One added token (an object as in added_tokens). Needs the normalizer. */
GRAFT_MUST_USE enum graft_status load_added_token(struct tokenizer *t, const json_t *value,
                                                  int64_t id, struct error *e);
GRAFT_MUST_USE enum graft_status load_added_tokens(struct tokenizer *t, const json_t *value,
                                                   struct error *e);

#endif

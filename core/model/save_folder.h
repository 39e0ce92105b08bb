/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies beside the weights in a Hugging Face folder.
 */
#ifndef CORE_MODEL_SAVE_FOLDER_H
#define CORE_MODEL_SAVE_FOLDER_H

#include "base/error.h"

#include <stdbool.h>

/* How config.json changes. */
struct save_config {
    bool untied;   /* lm_head has a weight of its own now */
    bool plain;    /* nothing is quantized any more */
    int32_t dtype; /* of the new weights; SAVE_DTYPE_AUTO: what the key says stays true */
};

GRAFT_MUST_USE enum graft_status save_config_write(const char *from, const char *folder,
                                                   const struct save_config *config,
                                                   struct error *e);
/* Tokenizer, templates, generation settings, code and licence; no weights, no model card. */
GRAFT_MUST_USE enum graft_status save_copy_files(const char *from, const char *folder,
                                                 struct error *e);

#endif

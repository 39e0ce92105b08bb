/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a model in the form it came in, with new weights at some of its linear sites, norms and
 * its embedding. Knows nothing of where they come from.
 */
#ifndef CORE_MODEL_SAVE_H
#define CORE_MODEL_SAVE_H

#include "model/model.h"

enum { SAVE_DTYPE_AUTO = -1 };

/* The new weights, of linear sites, norms and the embedding. Of a tied model lm_head becomes a
 * tensor of its own when it or the embedding changes. */
struct model_save {
    const struct model *model; /* open; need not be uploaded */
    int32_t dtype; /* F32, F16 or BF16 of the tensors that are made anew; SAVE_DTYPE_AUTO: in a
                    * folder the tensor's own type, BF16 for quantized ones; in GGUF F16 */
    void *context;
    bool (*changes)(void *context, const struct model_site *site);
    /* [out]; NULL: as it is. Only of linear sites that have one. */
    const float *(*bias)(void *context, const struct model_site *site);
    /* [out, in], Hugging Face's row order; norms [C], the embedding [V, C]. Once for each site that
     * changes. */
    enum graft_status (*weight)(void *context, const struct model_site *site, float *weight,
                                struct error *e);
};

/* Fills an existing folder: model.safetensors, config.json and what else the model's folder has for
 * its use (tokenizer, templates, licence); or model.gguf with the metadata as it was. Tensors that
 * do not change are copied byte by byte, but 4-bit weights of bitsandbytes, and those quantized on
 * load, become the numbers that they stand for. */
GRAFT_MUST_USE enum graft_status model_save(const struct model_save *save, const char *folder,
                                            struct error *e);

#endif

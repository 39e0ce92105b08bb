/* SPDX-License-Identifier: Apache-2.0
 *
 * A named tensor inside an open file, whatever the format. Borrowed: it lives as long as the file.
 */
#ifndef CORE_FILE_TENSOR_H
#define CORE_FILE_TENSOR_H

#include "base/error.h"

#include <graft/types.h>

/* Readers list every tensor of a file, also those of types that graft does not carry: these have
 * this dtype, their type's name, and no meaning but their bytes. */
enum { TENSOR_DTYPE_OTHER = -1 };

/* shape is row-major, outermost first (GGUF's dimensions are turned round by the reader); a
 * safetensors shape of more than 4 dimensions has the outer ones multiplied and dtype OTHER. */
struct tensor_view {
    const char *name;
    int32_t dtype; /* enum graft_dtype, or TENSOR_DTYPE_OTHER */
    struct graft_shape shape;
    const void *data; /* aligned to its numbers at least (GGUF blocks: to 8; NF4: to 16) */
    size_t bytes;
    const char *type_name; /* as the file calls it: "Q4_K", "IQ2_XXS", "BF16" */
};

/* GRAFT_E_INVALID where the tensor is not of a type that a weight may have; the text names the
 * tensor, its type and the types that are read. */
GRAFT_MUST_USE enum graft_status tensor_check_weight(const struct tensor_view *tensor,
                                                     struct error *e);

/* Where a writer gets the content of a tensor whose `data` is NULL: `view->bytes` bytes, which stay
 * until the next call. */
struct tensor_source {
    void *context;
    enum graft_status (*give)(void *context, const struct tensor_view *view, const void **data,
                              struct error *e);
};

#endif

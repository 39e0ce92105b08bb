/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors of a model, whatever they came in: a .gguf file, or a Hugging Face folder with
 * safetensors. Names are the container's own. A 4-bit weight of bitsandbytes (the weight, its
 * scales, tables and state) is one tensor of dtype NF4 here.
 */
#ifndef CORE_FILE_WEIGHTS_H
#define CORE_FILE_WEIGHTS_H

#include "base/error.h"
#include "file/tensor.h"

#include <graft/quant.h>

#include <stdbool.h>

struct weights;
struct gguf;

enum weights_kind { WEIGHTS_GGUF, WEIGHTS_FOLDER };

/* Anything but the two is GRAFT_E_INVALID with what it is and what to give instead. So are 8-bit
 * weights of bitsandbytes, its FP4, GPTQ, AWQ, pickles, and parts of a split GGUF. */
GRAFT_MUST_USE enum graft_status weights_open(const char *path, struct weights **weights,
                                              struct error *e);
void weights_close(struct weights *weights); /* NULL does nothing */

enum weights_kind weights_kind(const struct weights *weights);
const char *weights_path(const struct weights *weights);        /* as opened: the file or folder */
const struct gguf *weights_gguf(const struct weights *weights); /* NULL for a folder */

size_t weights_count(const struct weights *weights);
const struct tensor_view *weights_tensor(const struct weights *weights, size_t index);
const struct tensor_view *weights_find(const struct weights *weights, const char *name);

/* An NF4 buffer of any weight that can be read (tensor_check_weight), made on load. `block`: a
 * power of two, 32..4096 (64 is usual); `nested`: double quantization. The caller frees the buffer
 * with mem_free. */
GRAFT_MUST_USE enum graft_status weights_quantize_nf4(const struct tensor_view *tensor,
                                                      uint32_t block, bool nested,
                                                      struct graft_nf4 **buffer, struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * 4-bit weights as bitsandbytes stores them in safetensors: P.weight (packed codes),
 * P.weight.absmax, .quant_map, .nested_absmax, .nested_quant_map and .quant_state.bitsandbytes__nf4
 * (a JSON text).
 */
#ifndef CORE_FILE_BITSANDBYTES_H
#define CORE_FILE_BITSANDBYTES_H

#include "file/safetensors.h"

#include <graft/quant.h>

#include <stdbool.h>

/* Does the name belong to the state of some weight ("P.weight.absmax")? */
bool bnb_is_part(const struct safetensors *file, const char *name);

/* Takes an NF4 weight together: `buffer` (mem_free) and a view on it under the weight's name.
 * *buffer stays NULL where `weight` is not 4-bit. Other schemes that graft does not read (FP4,
 * int8, GPTQ, AWQ) are GRAFT_E_INVALID by name. */
GRAFT_MUST_USE enum graft_status bnb_assemble(const struct safetensors *file,
                                              const struct tensor_view *weight,
                                              struct graft_nf4 **buffer, struct tensor_view *view,
                                              struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF v3 writer: metadata as bytes, then tensors one after the other, so that a model need not be
 * in memory at once. Whole or not at all (atomic.h).
 */
#ifndef CORE_FILE_GGUF_WRITE_H
#define CORE_FILE_GGUF_WRITE_H

#include "file/gguf.h"

/* Tensors lie in the given order, each at a multiple of the alignment; their types go by type_name,
 * their shapes outermost first. Those without data are given by `source`. GRAFT_E_INVALID: a name
 * is empty, of 64 bytes or more or there twice, a type has no id, the bytes do not agree with the
 * shape. */
GRAFT_MUST_USE enum graft_status gguf_write(const char *path, const struct gguf_metadata *metadata,
                                            const struct tensor_view *tensors, size_t count,
                                            const struct tensor_source *source, struct error *e);

#endif

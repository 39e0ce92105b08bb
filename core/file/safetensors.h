/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors files: read one, or the shards of an index, as one set of tensors; write one. The
 * files are mapped and checked by the rules of the reference reader (huggingface/safetensors,
 * safetensors/src/tensor.rs): no holes, no overlaps, nothing behind the last tensor.
 */
#ifndef CORE_FILE_SAFETENSORS_H
#define CORE_FILE_SAFETENSORS_H

#include "base/error.h"
#include "file/tensor.h"

#include <stdbool.h>

struct safetensors;

/* `path`: a file, an index (*.json), or a folder that holds model.safetensors or
 * model.safetensors.index.json. Errors name the file, what was found and what is allowed.
 * Data is aligned to its numbers: a tensor that lies askew in its file (old writers did not pad
 * the header) is copied, the others stay in the mapping. */
GRAFT_MUST_USE enum graft_status safetensors_open(const char *path, struct safetensors **file,
                                                  struct error *e);
void safetensors_close(struct safetensors *file);

/* Sorted by name. Tensors of bitsandbytes checkpoints are what they are in the file (U8, F32). */
size_t safetensors_count(const struct safetensors *file);
const struct tensor_view *safetensors_tensor(const struct safetensors *file, size_t index);
const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name);

/* Of "__metadata__" (of an index: of its first shard). NULL: no such key. */
const char *safetensors_metadata(const struct safetensors *file, const char *key);

struct safetensors_pair {
    const char *key, *value;
};

/* Writes `path` whole or not at all (atomic.h). The tensors may come in any order: the file is
 * the same bytes for the same content, as the reference writer orders it (largest numbers first,
 * then by name); metadata is sorted by key. Types: F64, F32, I32, BF16, F16, U8. */
GRAFT_MUST_USE enum graft_status safetensors_write(const char *path,
                                                   const struct tensor_view *tensors, size_t count,
                                                   const struct safetensors_pair *metadata,
                                                   size_t metadata_count, struct error *e);

/* As safetensors_write, but tensors without data are given by `source` one after the other as they
 * are written, so that a model need not be in memory at once. Metadata: format "pt". */
GRAFT_MUST_USE enum graft_status
safetensors_write_from(const char *path, const struct tensor_view *tensors, size_t count,
                       const struct tensor_source *source, struct error *e);

#endif

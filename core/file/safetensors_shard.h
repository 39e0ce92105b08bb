/* SPDX-License-Identifier: Apache-2.0
 *
 * Between safetensors.c (a set of shards) and safetensors_shard.c (checking one file).
 */
#ifndef CORE_FILE_SAFETENSORS_SHARD_H
#define CORE_FILE_SAFETENSORS_SHARD_H

#include "base/json.h"
#include "base/memory.h"
#include "file/map.h"
#include "file/names.h"
#include "file/tensor.h"

struct shard {
    struct file_map map;
    const char *name; /* as the index has it; NULL for a file alone */
    struct tensor_view *tensors;
    struct name *names; /* sorted */
    size_t count;
    json_t *metadata; /* or NULL */
};

/* Maps and checks a file and lists its tensors; names live in `memory`. After a failure too the
 * shard is to be closed. */
GRAFT_MUST_USE enum graft_status shard_open(struct shard *shard, const char *path,
                                            struct arena *memory, struct error *e);
void shard_close(struct shard *shard);

#endif

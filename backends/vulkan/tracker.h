/* SPDX-License-Identifier: Apache-2.0
 *
 * Which dispatches wait for which: memory ranges with the level that last wrote and last read them.
 * A dispatch gets the lowest level that is above every one it conflicts with; dispatches of one
 * level run without a barrier between them.
 */
#ifndef BACKENDS_VULKAN_TRACKER_H
#define BACKENDS_VULKAN_TRACKER_H

#include "vulkan_backend.h"

struct vk_interval {
    uint64_t begin, end;
    uint32_t written, read; /* levels, from 1; 0: never */
};

struct vk_tracker {
    const struct graft_host *host;
    struct vk_interval *interval; /* sorted, without overlaps */
    uint32_t count, room;
};

void vk_tracker_init(struct vk_tracker *t, const struct graft_host *host);
void vk_tracker_fini(struct vk_tracker *t);
/* The level, from 1, of a dispatch with these accesses, which count for those after it; 0: no
 * memory. */
uint32_t vk_tracker_add(struct vk_tracker *t, const struct vk_access *access, uint32_t count);

#endif

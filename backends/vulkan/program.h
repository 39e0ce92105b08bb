/* SPDX-License-Identifier: Apache-2.0
 *
 * A program's dispatches, between the files that make it (program.c, recorder.c) and the one that
 * runs it (run.c).
 */
#ifndef BACKENDS_VULKAN_PROGRAM_H
#define BACKENDS_VULKAN_PROGRAM_H

#include "device.h"
#include "tracker.h"

struct vk_step {
    VkPipeline pipeline;
    enum vk_shader shader;
    uint32_t node;                 /* that it belongs to */
    uint32_t args;                 /* bytes, where its arguments begin */
    uint32_t level;                /* of the tracker */
    uint32_t access, access_count; /* in the program's list */
    uint32_t groups[3];
    double work;
};

struct graft_program {
    struct graft_device *device;
    struct vk_step *steps; /* by level */
    uint32_t step_count;
    struct vk_access *access;
    struct graft_buffer *args;
    struct graft_buffer *scratch;       /* the device's; NULL: none */
    int64_t capacity[GRAFT_ROWS_KINDS]; /* the least of its kind's tensors; -1: none */

    VkCommandPool pool;
    VkCommandBuffer *pieces; /* one submission each */
    double *work;            /* operations of each */
    uint64_t *times;         /* as the device wrote them: begin and end of each */
    VkQueryPool queries;     /* VK_NULL_HANDLE: the device has no clock */
    uint32_t piece_count;
    uint32_t timed; /* runs whose pieces were timed */
    uint64_t value; /* of the timeline after the last run; 0: none */
};

/* What vk_dispatch and its like work on. */
struct vk_recorder {
    struct graft_device *device;
    struct graft_program *program;
    bool measuring; /* scratch only */
    int32_t status; /* the first failure */
    uint32_t node;
    struct vk_tracker tracker;
    uint8_t *args;
    size_t args_bytes, args_room;
    uint32_t step_room, access_count, access_room;
    uint64_t scratch_at, scratch_end; /* addresses */
};

/* NULL: no such op. */
vk_record *vk_op_find(int32_t op);

void vk_recorder_fini(struct vk_recorder *r);
/* Steps in the order of their levels. */
int32_t vk_recorder_sort(struct vk_recorder *r);

/* Records the steps into command buffers that last at most 0.1 s each by the device's rate. */
int32_t vk_program_cut(struct graft_program *p);
void vk_program_uncut(struct graft_program *p);

#endif

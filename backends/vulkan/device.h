/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the host side: what a device can (probe.c), the open device (device.c), its
 * buffers (buffer.c), queue (queue.c), pipelines (pipeline.c) and programs (program.c).
 */
#ifndef BACKENDS_VULKAN_DEVICE_H
#define BACKENDS_VULKAN_DEVICE_H

#include "api.h"
#include "vulkan_backend.h"

enum { VK_SLOTS = 8, VK_STAGING = 4 << 20, VK_ALIGNMENT = 64 };

/* A physical device as far as it matters here. */
struct vk_probe {
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    char driver[128];
    bool software; /* Mesa's lavapipe */
    VkPhysicalDeviceMemoryProperties memory;
    struct vk_caps caps;
    uint32_t queue_family;
    uint32_t timestamp_bits;    /* 0: no timestamps */
    uint64_t local_memory;      /* bytes of the largest heap for buffers */
    uint64_t largest;           /* bytes of one allocation */
    uint64_t import_alignment;  /* of host memory; 0: cannot be imported */
    bool unified;               /* the host writes device memory where it lies */
    bool cooperative, bfloat16; /* extensions to enable */
    bool subgroup_control;
    bool inf_nan_preserve, denorm_preserve; /* may be asked of f32 arithmetic */
    char why[256];                          /* not empty: not usable */
};

/* One set of commands for a transfer, with its part of the staging buffer. */
struct vk_slot {
    VkCommandPool pool;
    VkCommandBuffer commands;
    uint64_t value; /* of the timeline when it is free again */
};

struct vk_pipeline {
    enum vk_shader shader;
    uint32_t constant_count, subgroup;
    uint32_t constants[VK_CONSTANTS];
    VkPipeline handle;
};

struct graft_buffer {
    struct graft_device *device;
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t bytes, address;
    uint8_t *mapped; /* NULL: reached through the staging buffer */
    bool imported;
    uint64_t before; /* bytes of the handle before the first one: imported pages */
    uint32_t users;  /* programs whose scratch it is */
};

struct graft_device {
    const struct graft_host *host;
    struct vk_instance instance;
    struct vk_probe probe;
    struct vk_functions vk;
    VkDevice handle;
    VkQueue queue;
    bool lost;

    VkSemaphore timeline;
    uint64_t submitted; /* the value that the last submission signals */
    struct vk_slot slot[VK_SLOTS];
    uint32_t next_slot;
    struct graft_buffer *staging; /* VK_STAGING bytes a slot */
    struct graft_buffer *live;    /* live counts of the running program */

    VkPipelineLayout layout;
    VkPipelineCache cache;
    struct vk_pipeline *pipelines;
    uint32_t pipeline_count, pipeline_room;
    uint32_t unsaved; /* pipelines that the cache on disk lacks */

    struct graft_buffer *scratch; /* shared by programs, which run one at a time */
    bool matrices_tested;
    double rate; /* operations a second in the slowest piece of a program that was timed */
};

/* The host's error text; returns status. */
GRAFT_PRINTF(3, 4)
int32_t vk_fail(const struct graft_host *host, int32_t status, const char *format, ...);
/* The same for what a Vulkan call returned; marks a lost device. */
int32_t vk_failed(struct graft_device *d, const char *what, VkResult result);

/* probe.c */
struct vk_list {
    struct vk_instance instance;
    VkPhysicalDevice *devices;
    uint32_t count;
};
/* False: `why`. Ended with vk_list_fini. */
bool vk_list_init(const struct graft_host *host, struct vk_list *list, char why[256]);
void vk_list_fini(const struct graft_host *host, struct vk_list *list);
void vk_probe_device(const struct vk_instance *i, VkPhysicalDevice device, struct vk_probe *out);

/* device.c: the functions of struct graft_backend */
uint32_t vk_device_count(const struct graft_host *host);
int32_t vk_device_info(const struct graft_host *host, uint32_t index,
                       struct graft_device_info *info);
int32_t vk_open(const struct graft_host *host, uint32_t index, struct graft_device **device);
void vk_close(struct graft_device *device);

/* buffer.c */
int32_t vk_buffer_create(struct graft_device *device, uint64_t bytes, struct graft_buffer **out);
int32_t vk_buffer_import(struct graft_device *device, const void *memory, uint64_t bytes,
                         struct graft_buffer **out);
void vk_buffer_destroy(struct graft_buffer *buffer);
int32_t vk_buffer_write(struct graft_buffer *buffer, uint64_t offset, const void *from,
                        uint64_t bytes);
int32_t vk_buffer_read(struct graft_buffer *buffer, uint64_t offset, void *to, uint64_t bytes);
/* Mapped memory of the host that the device reads and writes; not zeroed. */
int32_t vk_buffer_staging(struct graft_device *device, uint64_t bytes, struct graft_buffer **out);

/* queue.c */
int32_t vk_queue_init(struct graft_device *d);
void vk_queue_fini(struct graft_device *d);
/* Waits until the timeline has `value`. */
int32_t vk_wait(struct graft_device *d, uint64_t value);
/* A free slot with its command buffer begun, behind everything submitted before. */
int32_t vk_slot_begin(struct graft_device *d, struct vk_slot **out);
/* Ends its commands with a barrier for all that follows, and submits them; then the programs' own
 * command buffers, each as a submission of its own. */
int32_t vk_slot_submit(struct graft_device *d, struct vk_slot *slot, const VkCommandBuffer *pieces,
                       uint32_t piece_count);
uint64_t vk_slot_staging(const struct graft_device *d, const struct vk_slot *slot);
/* Makes all writes before visible to all reads and writes after. */
void vk_barrier(const struct graft_device *d, VkCommandBuffer commands);

/* pipeline.c */
int32_t vk_pipelines_init(struct graft_device *d);
void vk_pipelines_fini(struct graft_device *d);
int32_t vk_pipeline_find(struct graft_device *d, const struct vk_dispatch *dispatch,
                         VkPipeline *out);

/* spirv.c: the words of a shader for this device, from the host's memory; NULL: none left. */
uint32_t *vk_spirv_make(const struct graft_device *d, const struct vk_code *code, size_t *words);

/* cache.c */
VkResult vk_cache_open(struct graft_device *d);
void vk_cache_save(struct graft_device *d);

/* matrices.c: before the first program whose products are asked for in a narrow type; what fails is
 * taken out of the device's caps, with a line in the log. */
int32_t vk_matrices_test(struct graft_device *d, const struct graft_program_desc *desc);

/* program.c, run.c */
int32_t vk_program_create(struct graft_device *device, const struct graft_program_desc *desc,
                          struct graft_program **out, uint64_t *scratch);
int32_t vk_program_run(struct graft_program *program, const struct graft_run *run);
void vk_program_destroy(struct graft_program *program);

#endif

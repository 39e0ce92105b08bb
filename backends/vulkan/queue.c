/* SPDX-License-Identifier: Apache-2.0
 *
 * The one queue: every submission raises the timeline by one, and a ring of slots carries
 * transfers and the live counts of runs. Nothing is allocated here after the device was opened.
 */
#include "device.h"

int32_t vk_wait(struct graft_device *d, uint64_t value)
{
    if (d->lost) return vk_failed(d, "waiting for the device", VK_ERROR_DEVICE_LOST);
    VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                .semaphoreCount = 1,
                                .pSemaphores = &d->timeline,
                                .pValues = &value};
    VkResult result = d->vk.WaitSemaphores(d->handle, &info, UINT64_MAX);
    return result == VK_SUCCESS ? GRAFT_OK : vk_failed(d, "waiting for the device", result);
}

void vk_barrier(const struct graft_device *d, VkCommandBuffer commands)
{
    const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT |
                                        VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_HOST_BIT;
    const VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = writes,
        .dstAccessMask = writes | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                         VK_ACCESS_HOST_READ_BIT | VK_ACCESS_HOST_WRITE_BIT};
    d->vk.CmdPipelineBarrier(commands, stages & ~(VkPipelineStageFlags)VK_PIPELINE_STAGE_HOST_BIT,
                             stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

int32_t vk_slot_begin(struct graft_device *d, struct vk_slot **out)
{
    struct vk_slot *slot = &d->slot[d->next_slot];
    int32_t status = vk_wait(d, slot->value);
    if (status != GRAFT_OK) return status;
    VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                     .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkResult result = d->vk.ResetCommandPool(d->handle, slot->pool, 0);
    if (result == VK_SUCCESS) result = d->vk.BeginCommandBuffer(slot->commands, &info);
    if (result != VK_SUCCESS) return vk_failed(d, "recording a transfer", result);
    d->next_slot = (d->next_slot + 1) % VK_SLOTS;
    vk_barrier(d, slot->commands);
    *out = slot;
    return GRAFT_OK;
}

/* Submissions of their own, so that a display driver sees each as a short piece of work. */
static VkResult submit(struct graft_device *d, VkCommandBuffer commands, bool last)
{
    uint64_t value = d->submitted + 1;
    VkTimelineSemaphoreSubmitInfo signal = {.sType =
                                                VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                            .signalSemaphoreValueCount = 1,
                                            .pSignalSemaphoreValues = &value};
    VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                         .pNext = last ? &signal : NULL,
                         .commandBufferCount = 1,
                         .pCommandBuffers = &commands,
                         .signalSemaphoreCount = last ? 1 : 0,
                         .pSignalSemaphores = last ? &d->timeline : NULL};
    return d->vk.QueueSubmit(d->queue, 1, &info, VK_NULL_HANDLE);
}

int32_t vk_slot_submit(struct graft_device *d, struct vk_slot *slot, const VkCommandBuffer *pieces,
                       uint32_t piece_count)
{
    vk_barrier(d, slot->commands);
    VkResult result = d->vk.EndCommandBuffer(slot->commands);
    if (result == VK_SUCCESS) result = submit(d, slot->commands, piece_count == 0);
    for (uint32_t i = 0; i < piece_count && result == VK_SUCCESS; i++)
        result = submit(d, pieces[i], i + 1 == piece_count);
    if (result != VK_SUCCESS) return vk_failed(d, "submitting work", result);
    slot->value = ++d->submitted;
    return GRAFT_OK;
}

uint64_t vk_slot_staging(const struct graft_device *d, const struct vk_slot *slot)
{
    return (uint64_t)(slot - d->slot) * VK_STAGING;
}

static VkResult make_slot(struct graft_device *d, struct vk_slot *slot)
{
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                    .queueFamilyIndex = d->probe.queue_family};
    VkResult result = d->vk.CreateCommandPool(d->handle, &pool, NULL, &slot->pool);
    if (result != VK_SUCCESS) return result;
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = slot->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    return d->vk.AllocateCommandBuffers(d->handle, &info, &slot->commands);
}

int32_t vk_queue_init(struct graft_device *d)
{
    VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                      .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    VkResult result = d->vk.CreateSemaphore(d->handle, &info, NULL, &d->timeline);
    for (uint32_t i = 0; i < VK_SLOTS && result == VK_SUCCESS; i++)
        result = make_slot(d, &d->slot[i]);
    if (result != VK_SUCCESS) return vk_failed(d, "making the queue's commands", result);
    int32_t status = vk_buffer_staging(d, (uint64_t)VK_SLOTS * VK_STAGING, &d->staging);
    if (status == GRAFT_OK) status = vk_buffer_create(d, VK_ALIGNMENT, &d->live);
    return status;
}

void vk_queue_fini(struct graft_device *d)
{
    vk_buffer_destroy(d->live);
    vk_buffer_destroy(d->staging);
    for (uint32_t i = 0; i < VK_SLOTS; i++)
        d->vk.DestroyCommandPool(d->handle, d->slot[i].pool, NULL);
    d->vk.DestroySemaphore(d->handle, d->timeline, NULL);
}

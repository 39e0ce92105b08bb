/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs are run here: their steps are recorded once into command buffers, and a run submits
 * these behind the upload of its live counts.
 */
#include "program.h"

static void dispatch(const struct graft_program *p, VkCommandBuffer commands,
                     const struct vk_step *s)
{
    const struct graft_device *d = p->device;
    const uint64_t push[2] = {p->args->address + s->args, d->live->address};
    d->vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, s->pipeline);
    d->vk.CmdPushConstants(commands, d->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, push);
    d->vk.CmdDispatchBase(commands, 0, 0, 0, s->groups[0], s->groups[1], s->groups[2]);
}

static VkResult record(struct graft_program *p, VkCommandBuffer commands)
{
    const struct graft_device *d = p->device;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    VkResult result = d->vk.BeginCommandBuffer(commands, &begin);
    if (result != VK_SUCCESS) return result;
    for (uint32_t i = 0; i < p->step_count; i++) {
        if (i > 0 && p->steps[i].level != p->steps[i - 1].level) vk_barrier(d, commands);
        dispatch(p, commands, &p->steps[i]);
    }
    vk_barrier(d, commands);
    return d->vk.EndCommandBuffer(commands);
}

int32_t vk_program_cut(struct graft_program *p)
{
    struct graft_device *d = p->device;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = d->probe.queue_family};
    VkResult result = d->vk.CreateCommandPool(d->handle, &pool, NULL, &p->pool);
    if (result != VK_SUCCESS) return vk_failed(d, "recording a program", result);
    p->piece_count = 1;
    p->pieces = d->host->alloc(d->host->context, p->piece_count * sizeof *p->pieces);
    if (p->pieces == NULL) return vk_fail(d->host, GRAFT_E_MEMORY, "no memory for a program");
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = p->pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = p->piece_count};
    result = d->vk.AllocateCommandBuffers(d->handle, &info, p->pieces);
    if (result == VK_SUCCESS) result = record(p, p->pieces[0]);
    return result == VK_SUCCESS ? GRAFT_OK : vk_failed(d, "recording a program", result);
}

static int32_t check_live(const struct graft_program *p, const struct graft_run *run)
{
    const struct graft_host *host = p->device->host;
    if (run->struct_size < sizeof *run)
        return vk_fail(host, GRAFT_E_INVALID, "a run of %u bytes: the struct has %zu",
                       (unsigned)run->struct_size, sizeof *run);
    for (int i = 1; i < GRAFT_ROWS_KINDS; i++)
        if (p->capacity[i] >= 0 && (run->live[i] < 0 || run->live[i] > p->capacity[i]))
            return vk_fail(host, GRAFT_E_INVALID,
                           "a run with %lld live rows of kind %d: the program holds 0 to %lld",
                           (long long)run->live[i], i, (long long)p->capacity[i]);
    return GRAFT_OK;
}

int32_t vk_program_run(struct graft_program *program, const struct graft_run *run)
{
    struct graft_device *d = program->device;
    struct vk_slot *slot;
    uint32_t live[GRAFT_ROWS_KINDS];
    int32_t status = check_live(program, run);
    if (status == GRAFT_OK) status = vk_slot_begin(d, &slot);
    if (status != GRAFT_OK) return status;
    for (int i = 0; i < GRAFT_ROWS_KINDS; i++) live[i] = (uint32_t)run->live[i];
    d->vk.CmdUpdateBuffer(slot->commands, d->live->handle, 0, sizeof live, live);
    return vk_slot_submit(d, slot, program->pieces, program->piece_count);
}

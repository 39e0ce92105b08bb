/* SPDX-License-Identifier: Apache-2.0
 *
 * Compute pipelines: one per shader, constants and subgroup size, made once per device.
 */
#include "device.h"

#include <string.h>

static VkResult make_module(struct graft_device *d, const struct vk_code *code, VkShaderModule *out)
{
    size_t words;
    uint32_t *spirv = vk_spirv_make(d, code, &words);
    if (spirv == NULL) return VK_ERROR_OUT_OF_HOST_MEMORY;
    VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = words * sizeof *spirv,
                                     .pCode = spirv};
    VkResult result = d->vk.CreateShaderModule(d->handle, &info, NULL, out);
    d->host->release(d->host->context, spirv);
    return result;
}

static VkResult make(struct graft_device *d, const struct vk_dispatch *dispatch, VkPipeline *out)
{
    VkShaderModule module = VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[VK_CONSTANTS];
    for (uint32_t i = 0; i < dispatch->constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){i, i * 4, 4};
    VkSpecializationInfo constants = {dispatch->constant_count, entries,
                                      dispatch->constant_count * sizeof(uint32_t),
                                      dispatch->constants};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = dispatch->subgroup};
    VkResult result = make_module(d, &vk_shader_code[dispatch->shader], &module);
    if (result != VK_SUCCESS) return result;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = dispatch->subgroup > 0 ? &size : NULL,
                  .flags = dispatch->subgroup > 0
                               ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT
                               : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = d->layout};
    result = d->vk.CreateComputePipelines(d->handle, d->cache, 1, &info, NULL, out);
    d->vk.DestroyShaderModule(d->handle, module, NULL);
    return result;
}

static bool grow(struct graft_device *d)
{
    if (d->pipeline_count < d->pipeline_room) return true;
    uint32_t room = d->pipeline_room > 0 ? 2 * d->pipeline_room : 64;
    struct vk_pipeline *more = d->host->alloc(d->host->context, room * sizeof *more);
    if (more == NULL) return false;
    if (d->pipelines != NULL) {
        memcpy(more, d->pipelines, d->pipeline_count * sizeof *more);
        d->host->release(d->host->context, d->pipelines);
    }
    d->pipelines = more;
    d->pipeline_room = room;
    return true;
}

static bool is(const struct vk_pipeline *p, const struct vk_dispatch *d)
{
    return p->shader == d->shader && p->subgroup == d->subgroup &&
           p->constant_count == d->constant_count &&
           memcmp(p->constants, d->constants, d->constant_count * sizeof(uint32_t)) == 0;
}

int32_t vk_pipeline_find(struct graft_device *d, const struct vk_dispatch *dispatch,
                         VkPipeline *out)
{
    for (uint32_t i = 0; i < d->pipeline_count; i++)
        if (is(&d->pipelines[i], dispatch)) {
            *out = d->pipelines[i].handle;
            return GRAFT_OK;
        }
    if (!grow(d)) return vk_fail(d->host, GRAFT_E_MEMORY, "no memory for a list of pipelines");
    struct vk_pipeline *p = &d->pipelines[d->pipeline_count];
    *p = (struct vk_pipeline){.shader = dispatch->shader,
                              .constant_count = dispatch->constant_count,
                              .subgroup = dispatch->subgroup};
    memcpy(p->constants, dispatch->constants, sizeof p->constants);
    VkResult result = make(d, dispatch, &p->handle);
    if (result != VK_SUCCESS) return vk_failed(d, vk_shader_code[dispatch->shader].name, result);
    d->pipeline_count++;
    d->unsaved++;
    *out = p->handle;
    return GRAFT_OK;
}

int32_t vk_pipelines_init(struct graft_device *d)
{
    VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, 2 * sizeof(uint64_t)};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &range};
    VkResult result = d->vk.CreatePipelineLayout(d->handle, &layout, NULL, &d->layout);
    if (result == VK_SUCCESS) result = vk_cache_open(d);
    return result == VK_SUCCESS ? GRAFT_OK : vk_failed(d, "making a pipeline layout", result);
}

void vk_pipelines_fini(struct graft_device *d)
{
    vk_cache_save(d);
    for (uint32_t i = 0; i < d->pipeline_count; i++)
        d->vk.DestroyPipeline(d->handle, d->pipelines[i].handle, NULL);
    if (d->pipelines != NULL) d->host->release(d->host->context, d->pipelines);
    d->vk.DestroyPipelineCache(d->handle, d->cache, NULL);
    d->vk.DestroyPipelineLayout(d->handle, d->layout, NULL);
}

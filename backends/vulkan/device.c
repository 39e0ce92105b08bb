/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices: listed, opened with the features that probe.c found, closed.
 */
#include "device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int32_t vk_fail(const struct graft_host *host, int32_t status, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    host->error(host->context, text);
    return status;
}

int32_t vk_failed(struct graft_device *d, const char *what, VkResult result)
{
    const char *name = d->probe.properties.deviceName;
    if (result == VK_ERROR_DEVICE_LOST) {
        d->lost = true;
        return vk_fail(d->host, GRAFT_E_FAILED,
                       "the device was lost in %s (%s, %s): its driver stopped it, as after a "
                       "fault, a reset or work that lasted too long; go on from the last "
                       "checkpoint with --resume",
                       what, name, d->probe.driver);
    }
    bool memory = result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
    return vk_fail(d->host, memory ? GRAFT_E_MEMORY : GRAFT_E_FAILED, "%s: %s (%s, %s)", what,
                   vk_result_text(result), name, d->probe.driver);
}

uint32_t vk_device_count(const struct graft_host *host)
{
    struct vk_list list;
    char why[256];
    if (!vk_list_init(host, &list, why)) {
        host->log(host->context, why);
        return 0;
    }
    uint32_t count = list.count;
    vk_list_fini(host, &list);
    return count;
}

static const char *type_text(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "CPU";
    default: return "other device";
    }
}

/* By type alone: `backend: auto` prefers any GPU to the processor, and the processor's own backend
 * to a software driver. */
static double rate_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1000.0;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 10000.0;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 5000.0;
    default: return 1.0;
    }
}

static void products_text(const struct vk_caps *c, char out[96])
{
    if (c->f16.m == 0 && c->bf16.m == 0) {
        snprintf(out, 96, "products in f32");
        return;
    }
    const struct vk_matrix *m = c->bf16.m > 0 ? &c->bf16 : &c->f16;
    snprintf(out, 96, "%s matrices %ux%ux%u", c->bf16.m > 0 ? "bf16 and f16" : "f16", m->m, m->n,
             m->k);
}

/* The narrow types that products are fast in: the device multiplies them, and this build's shader
 * compiler could make the shader. */
static uint32_t compute_of(const struct vk_caps *c)
{
    uint32_t mask = 0;
    if (c->f16.m > 0 && vk_shader_code[VK_SHADER_MATMUL_COOP].words > 0)
        mask |= 1u << GRAFT_DTYPE_F16;
    if (c->bf16.m > 0 && vk_shader_code[VK_SHADER_MATMUL_COOP_BF16].words > 0)
        mask |= 1u << GRAFT_DTYPE_BF16;
    return mask;
}

static void describe(const struct vk_probe *p, struct graft_device_info *info)
{
    char products[96], lanes[32];
    *info = (struct graft_device_info){.struct_size = sizeof *info,
                                       .usable = p->why[0] == '\0',
                                       .memory = p->local_memory,
                                       .compute = compute_of(&p->caps),
                                       .gflops = rate_of(p->properties.deviceType)};
    snprintf(info->name, sizeof info->name, "%.127s", p->properties.deviceName);
    if (p->why[0] != '\0') {
        snprintf(info->note, sizeof info->note, "%.255s", p->why);
        return;
    }
    products_text(&p->caps, products);
    if (p->caps.subgroup_least == p->caps.subgroup_most)
        snprintf(lanes, sizeof lanes, "%u", p->caps.subgroup);
    else
        snprintf(lanes, sizeof lanes, "%u (%u-%u)", p->caps.subgroup, p->caps.subgroup_least,
                 p->caps.subgroup_most);
    snprintf(info->driver, sizeof info->driver, "%.127s", p->driver);
    snprintf(info->note, sizeof info->note, "%s, %s, subgroups of %s%s",
             type_text(p->properties.deviceType), products, lanes,
             p->unified ? ", memory shared with the host" : "");
}

int32_t vk_device_info(const struct graft_host *host, uint32_t index,
                       struct graft_device_info *info)
{
    struct vk_list list;
    char why[256];
    if (!vk_list_init(host, &list, why)) return 0;
    bool found = index < list.count;
    if (found) {
        struct vk_probe probe;
        struct graft_device_info full;
        uint32_t size = info->struct_size;
        vk_probe_device(&list.instance, list.devices[index], &probe);
        describe(&probe, &full);
        if (size > sizeof full) size = sizeof full;
        memcpy(info, &full, size);
        info->struct_size = size;
    }
    vk_list_fini(host, &list);
    return found;
}

static VkResult make_device(struct graft_device *d)
{
    const struct vk_probe *p = &d->probe;
    const char *names[8];
    uint32_t count = 0;
    const float priority = 1.0f;
    if (p->cooperative) names[count++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
    if (p->bfloat16) names[count++] = VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME;
    if (p->import_alignment > 0) names[count++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    if (p->subgroup_control && p->properties.apiVersion < VK_API_VERSION_1_3)
        names[count++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = p->queue_family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkPhysicalDeviceVulkan12Features v12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .bufferDeviceAddress = VK_TRUE,
        .timelineSemaphore = VK_TRUE,
        .shaderFloat16 = p->cooperative,
        .vulkanMemoryModel = p->cooperative};
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .pNext = &v12,
        .subgroupSizeControl = VK_TRUE,
        .computeFullSubgroups = VK_TRUE};
    void *next = p->subgroup_control ? (void *)&sizes : (void *)&v12;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR cooperative = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .pNext = next,
        .cooperativeMatrix = VK_TRUE};
    if (p->cooperative) next = &cooperative;
    VkPhysicalDeviceShaderBfloat16FeaturesKHR bfloat16 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR,
        .pNext = next,
        .shaderBFloat16Type = VK_TRUE,
        .shaderBFloat16CooperativeMatrix = VK_TRUE};
    if (p->bfloat16) next = &bfloat16;
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = next,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = count,
                               .ppEnabledExtensionNames = names};
    VkResult result = d->instance.CreateDevice(p->physical, &info, NULL, &d->handle);
    if (result != VK_SUCCESS) return result;
#define LOAD(name) d->vk.name = (PFN_vk##name)d->instance.GetDeviceProcAddr(d->handle, "vk" #name);
    VK_DEVICE_FUNCTIONS(LOAD)
#undef LOAD
    d->vk.host_pointer_properties =
        (PFN_vkGetMemoryHostPointerPropertiesEXT)d->instance.GetDeviceProcAddr(
            d->handle, "vkGetMemoryHostPointerPropertiesEXT");
    d->vk.GetDeviceQueue(d->handle, p->queue_family, 0, &d->queue);
    return VK_SUCCESS;
}

/* Takes the instance over from the list. */
static int32_t open_device(struct graft_device *d, struct vk_list *list, uint32_t index)
{
    d->instance = list->instance;
    list->instance = (struct vk_instance){0};
    vk_probe_device(&d->instance, list->devices[index], &d->probe);
    if (d->probe.why[0] != '\0')
        return vk_fail(d->host, GRAFT_E_UNSUPPORTED, "Vulkan device %u (%s) cannot be used: %s",
                       (unsigned)index, d->probe.properties.deviceName, d->probe.why);
    VkResult result = make_device(d);
    if (result != VK_SUCCESS) return vk_failed(d, "opening the Vulkan device", result);
    int32_t status = vk_queue_init(d);
    if (status == GRAFT_OK) status = vk_pipelines_init(d);
    return status;
}

int32_t vk_open(const struct graft_host *host, uint32_t index, struct graft_device **device)
{
    struct vk_list list;
    char why[256];
    if (!vk_list_init(host, &list, why))
        return vk_fail(host, GRAFT_E_UNSUPPORTED, "no Vulkan device: %s", why);
    int32_t status = GRAFT_OK;
    struct graft_device *d = NULL;
    if (index >= list.count) {
        status = vk_fail(host, GRAFT_E_INVALID,
                         "Vulkan device %u does not exist: there are %u (0 to %u); see `graft "
                         "backend list`",
                         (unsigned)index, (unsigned)list.count, (unsigned)list.count - 1);
    } else if ((d = host->alloc(host->context, sizeof *d)) == NULL) {
        status = vk_fail(host, GRAFT_E_MEMORY, "no memory for the Vulkan device");
    } else {
        *d = (struct graft_device){.host = host};
        status = open_device(d, &list, index);
    }
    vk_list_fini(host, &list);
    if (status != GRAFT_OK) {
        vk_close(d);
        return status;
    }
    *device = d;
    return GRAFT_OK;
}

void vk_close(struct graft_device *device)
{
    if (device == NULL) return;
    const struct graft_host *host = device->host;
    if (device->handle != NULL) {
        device->vk.DeviceWaitIdle(device->handle);
        vk_buffer_destroy(device->scratch);
        vk_pipelines_fini(device);
        vk_queue_fini(device);
        device->vk.DestroyDevice(device->handle, NULL);
    }
    vk_instance_fini(&device->instance);
    host->release(host->context, device);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a physical device can, asked feature by feature: an extension that is listed may have its
 * feature off.
 */
#include "device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    WHY = 256,
    MAX_MATRICES = 128,
    MAX_FAMILIES = 32,
    MOST_THREADS = 256, /* of a workgroup */
    LEAST_LANES = 4,    /* shaders count on it: common/reduce.glsl */
    LEAST_SHARED = 16384
};

bool vk_list_init(const struct graft_host *host, struct vk_list *list, char why[WHY])
{
    *list = (struct vk_list){.count = 0};
    if (!vk_instance_init(&list->instance, why)) return false;
    VkResult result =
        list->instance.EnumeratePhysicalDevices(list->instance.handle, &list->count, NULL);
    size_t bytes = list->count * sizeof *list->devices;
    if (result == VK_SUCCESS && list->count > 0) {
        list->devices = host->alloc(host->context, bytes);
        result = list->devices == NULL ? VK_ERROR_OUT_OF_HOST_MEMORY
                                       : list->instance.EnumeratePhysicalDevices(
                                             list->instance.handle, &list->count, list->devices);
    }
    if (result == VK_SUCCESS && list->count > 0) return true;
    snprintf(why, WHY,
             list->count == 0 ? "no Vulkan driver shows a device (%s)"
                              : "the Vulkan devices could not be listed: %s",
             vk_result_text(result));
    vk_list_fini(host, list);
    return false;
}

void vk_list_fini(const struct graft_host *host, struct vk_list *list)
{
    if (list->devices != NULL) host->release(host->context, list->devices);
    vk_instance_fini(&list->instance);
    *list = (struct vk_list){.count = 0};
}

struct extensions {
    bool cooperative, bfloat16, import, subgroup_control;
};

static struct extensions extensions_of(const struct vk_instance *i, VkPhysicalDevice device)
{
    struct extensions found = {0};
    static VkExtensionProperties list[1024]; /* one call of a device at a time */
    uint32_t count = sizeof list / sizeof list[0];
    VkResult result = i->EnumerateDeviceExtensionProperties(device, NULL, &count, list);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) return found;
    for (uint32_t k = 0; k < count; k++) {
        const char *name = list[k].extensionName;
        if (strcmp(name, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME) == 0) found.cooperative = true;
        if (strcmp(name, VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME) == 0) found.bfloat16 = true;
        if (strcmp(name, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) == 0) found.import = true;
        if (strcmp(name, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME) == 0)
            found.subgroup_control = true;
    }
    return found;
}

/* The largest matrices of that type which add up in f32. */
static void find_matrices(const struct vk_instance *i, struct vk_probe *p, int32_t type,
                          struct vk_matrix *out)
{
    static VkCooperativeMatrixPropertiesKHR list[MAX_MATRICES];
    uint32_t count = MAX_MATRICES;
    for (uint32_t k = 0; k < MAX_MATRICES; k++)
        list[k] = (VkCooperativeMatrixPropertiesKHR){
            .sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR};
    if (i->cooperative_properties == NULL) return;
    VkResult result = i->cooperative_properties(p->physical, &count, list);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) return;
    for (uint32_t k = 0; k < count; k++) {
        const VkCooperativeMatrixPropertiesKHR *c = &list[k];
        if ((int32_t)c->AType != type || (int32_t)c->BType != type ||
            c->CType != VK_COMPONENT_TYPE_FLOAT32_KHR ||
            c->ResultType != VK_COMPONENT_TYPE_FLOAT32_KHR || c->scope != VK_SCOPE_SUBGROUP_KHR)
            continue;
        /* 16 x 16 x 16 is what most devices have; larger ones ask for more registers. */
        bool fits = c->MSize <= 16 && c->NSize <= 16 && c->KSize <= 32;
        if (fits && (uint64_t)c->MSize * c->NSize * c->KSize > (uint64_t)out->m * out->n * out->k)
            *out = (struct vk_matrix){c->MSize, c->NSize, c->KSize};
    }
}

static void probe_memory(const struct vk_instance *i, struct vk_probe *p)
{
    const VkMemoryPropertyFlags both = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                                       VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                       VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool visible = false;
    i->GetPhysicalDeviceMemoryProperties(p->physical, &p->memory);
    for (uint32_t k = 0; k < p->memory.memoryTypeCount; k++)
        if ((p->memory.memoryTypes[k].propertyFlags & both) == both) visible = true;
    /* A card's memory is slow to read over the bus, even where it is visible. */
    p->unified = visible && (p->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ||
                             p->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU);
    for (uint32_t k = 0; k < p->memory.memoryHeapCount; k++) {
        const VkMemoryHeap *heap = &p->memory.memoryHeaps[k];
        bool counts = p->unified || (heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT);
        if (counts && heap->size > p->local_memory) p->local_memory = heap->size;
    }
}

static bool probe_queue(const struct vk_instance *i, struct vk_probe *p)
{
    VkQueueFamilyProperties family[MAX_FAMILIES];
    uint32_t count = MAX_FAMILIES, best = MAX_FAMILIES;
    i->GetPhysicalDeviceQueueFamilyProperties(p->physical, &count, family);
    for (uint32_t k = 0; k < count; k++) {
        if (!(family[k].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
        /* One for compute alone does not share a queue with the display. */
        if (best == MAX_FAMILIES || !(family[k].queueFlags & VK_QUEUE_GRAPHICS_BIT)) best = k;
        if (!(family[best].queueFlags & VK_QUEUE_GRAPHICS_BIT)) break;
    }
    if (best == MAX_FAMILIES) return false;
    p->queue_family = best;
    p->timestamp_bits = family[best].timestampValidBits;
    return true;
}

struct properties {
    VkPhysicalDeviceVulkan12Properties v12;
    VkPhysicalDeviceVulkan11Properties v11;
    VkPhysicalDeviceSubgroupSizeControlProperties subgroup;
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT import;
};

struct features {
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroup;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR cooperative;
    VkPhysicalDeviceShaderBfloat16FeaturesKHR bfloat16;
};

static void *chain(void *first, void *next, bool present)
{
    VkBaseOutStructure *s = next;
    if (!present) return first;
    s->pNext = first;
    return s;
}

static void ask(const struct vk_instance *i, struct vk_probe *p, const struct extensions *e,
                struct properties *out, struct features *can)
{
    bool sizes = e->subgroup_control || p->properties.apiVersion >= VK_API_VERSION_1_3;
    *out = (struct properties){
        .v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES,
        .v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
        .subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES,
        .import.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
    void *next = chain(chain(NULL, &out->v12, true), &out->v11, true);
    next = chain(chain(next, &out->subgroup, sizes), &out->import, e->import);
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = next};
    i->GetPhysicalDeviceProperties2(p->physical, &properties);

    *can = (struct features){
        .v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .cooperative.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .bfloat16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR};
    next = chain(chain(NULL, &can->v12, true), &can->subgroup, sizes);
    next = chain(chain(next, &can->cooperative, e->cooperative), &can->bfloat16, e->bfloat16);
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = next};
    i->GetPhysicalDeviceFeatures2(p->physical, &features);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void fill_caps(const struct vk_instance *i, struct vk_probe *p, const struct properties *has,
                      const struct features *can)
{
    struct vk_caps *c = &p->caps;
    c->subgroup = c->subgroup_least = c->subgroup_most = has->v11.subgroupSize;
    c->shared_bytes = p->properties.limits.maxComputeSharedMemorySize;
    c->threads = smaller(p->properties.limits.maxComputeWorkGroupInvocations,
                         p->properties.limits.maxComputeWorkGroupSize[0]);
    c->f16_arithmetic = can->v12.shaderFloat16;
    if (can->subgroup.subgroupSizeControl && can->subgroup.computeFullSubgroups &&
        (has->subgroup.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
        has->subgroup.maxComputeWorkgroupSubgroups >= MOST_THREADS / c->subgroup) {
        p->subgroup_control = c->fixed_subgroup = true;
        c->subgroup_least = has->subgroup.minSubgroupSize;
        c->subgroup_most = has->subgroup.maxSubgroupSize;
    }
    p->cooperative = can->cooperative.cooperativeMatrix && c->fixed_subgroup &&
                     can->v12.vulkanMemoryModel && can->v12.shaderFloat16;
    /* Mesa's software driver has them with subgroups of 8 only, and says so with others too. */
    if (p->software && c->subgroup != 8) p->cooperative = false;
    p->bfloat16 = p->cooperative && can->bfloat16.shaderBFloat16Type &&
                  can->bfloat16.shaderBFloat16CooperativeMatrix;
    if (p->cooperative) find_matrices(i, p, VK_COMPONENT_TYPE_FLOAT16_KHR, &c->f16);
    if (p->bfloat16) find_matrices(i, p, VK_COMPONENT_TYPE_BFLOAT16_KHR, &c->bf16);
}

/* What every shader needs; empty: all is there. */
static void check(struct vk_probe *p, const struct properties *has, const struct features *can)
{
    const VkSubgroupFeatureFlags subgroup =
        VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    const char *lacks = NULL;
    if (!can->v12.bufferDeviceAddress) lacks = "buffer device addresses";
    if (!can->v12.timelineSemaphore) lacks = "timeline semaphores";
    if ((has->v11.subgroupSupportedOperations & subgroup) != subgroup ||
        !(has->v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
        lacks = "subgroup arithmetic in compute shaders";
    if (p->caps.threads < MOST_THREADS) lacks = "workgroups of 256 threads";
    if (p->caps.subgroup_least < LEAST_LANES) lacks = "subgroups of 4 lanes or more";
    if (p->caps.shared_bytes < LEAST_SHARED) lacks = "16 KiB of shared memory";
    if (lacks != NULL) snprintf(p->why, WHY, "its driver lacks %s, which graft needs", lacks);
}

void vk_probe_device(const struct vk_instance *i, VkPhysicalDevice device, struct vk_probe *out)
{
    struct properties has;
    struct features can;
    *out = (struct vk_probe){.physical = device};
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties large = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &driver};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &large};
    i->GetPhysicalDeviceProperties2(device, &properties);
    out->properties = properties.properties;
    out->largest = large.maxMemoryAllocationSize;
    uint32_t version = out->properties.apiVersion;
    if (version < VK_API_VERSION_1_2) {
        snprintf(out->why, WHY, "its driver has Vulkan %u.%u, graft needs 1.2",
                 VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
        return;
    }
    out->software = driver.driverID == VK_DRIVER_ID_MESA_LLVMPIPE;
    snprintf(out->driver, sizeof out->driver, "%.60s %.60s", driver.driverName, driver.driverInfo);
    struct extensions extensions = extensions_of(i, device);
    ask(i, out, &extensions, &has, &can);
    probe_memory(i, out);
    fill_caps(i, out, &has, &can);
    out->inf_nan_preserve = has.v12.shaderSignedZeroInfNanPreserveFloat32;
    out->denorm_preserve =
        has.v12.shaderDenormPreserveFloat32 &&
        has.v12.denormBehaviorIndependence != VK_SHADER_FLOAT_CONTROLS_INDEPENDENCE_NONE;
    /* A mapping is whole pages of the host, and what is rounded to more may not be all there. */
    if (extensions.import &&
        has.import.minImportedHostPointerAlignment <= (VkDeviceSize)sysconf(_SC_PAGESIZE))
        out->import_alignment = has.import.minImportedHostPointerAlignment;
    check(out, &has, &can);
    if (!probe_queue(i, out)) snprintf(out->why, WHY, "it has no queue that computes");
}

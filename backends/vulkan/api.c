/* SPDX-License-Identifier: Apache-2.0
 *
 * The Vulkan loader, opened at run time.
 */
#include "api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { WHY = 256 };

/* POSIX promises that dlsym's pointer can be one to a function; ISO C cannot say so. */
static PFN_vkGetInstanceProcAddr entry(void *library)
{
    PFN_vkGetInstanceProcAddr get = NULL;
    void *symbol = dlsym(library, "vkGetInstanceProcAddr");
    memcpy(&get, &symbol, sizeof get);
    return get;
}

static bool create(struct vk_instance *i, char why[WHY])
{
    PFN_vkEnumerateInstanceVersion version =
        (PFN_vkEnumerateInstanceVersion)i->get(NULL, "vkEnumerateInstanceVersion");
    PFN_vkCreateInstance make = (PFN_vkCreateInstance)i->get(NULL, "vkCreateInstance");
    uint32_t loader = VK_API_VERSION_1_0;
    if (version != NULL) version(&loader);
    if (make == NULL || loader < VK_API_VERSION_1_2) {
        snprintf(why, WHY, "the Vulkan loader (libvulkan.so.1) is of version %u.%u, 1.2 is needed",
                 VK_API_VERSION_MAJOR(loader), VK_API_VERSION_MINOR(loader));
        return false;
    }
    VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                             .pApplicationName = "graft",
                             .apiVersion = VK_API_VERSION_1_3};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &app};
    VkResult result = make(&info, NULL, &i->handle);
    if (result == VK_SUCCESS) return true;
    snprintf(why, WHY,
             result == VK_ERROR_INCOMPATIBLE_DRIVER
                 ? "the Vulkan loader found no driver: install the one of your GPU "
                   "(Debian: mesa-vulkan-drivers) (%s)"
                 : "the Vulkan loader refused an instance: %s",
             vk_result_text(result));
    return false;
}

bool vk_instance_init(struct vk_instance *i, char why[WHY])
{
    *i = (struct vk_instance){.library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL)};
    if (i->library == NULL) {
        snprintf(why, WHY, "no Vulkan loader: %.160s (Debian: libvulkan1)", dlerror());
        return false;
    }
    i->get = entry(i->library);
    if (i->get == NULL || !create(i, why)) {
        if (i->get == NULL) snprintf(why, WHY, "libvulkan.so.1 has no vkGetInstanceProcAddr");
        vk_instance_fini(i);
        return false;
    }
#define LOAD(name) i->name = (PFN_vk##name)i->get(i->handle, "vk" #name);
    VK_INSTANCE_FUNCTIONS(LOAD)
#undef LOAD
    i->cooperative_properties = (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)i->get(
        i->handle, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    return true;
}

void vk_instance_fini(struct vk_instance *i)
{
    if (i->handle != NULL && i->DestroyInstance != NULL) i->DestroyInstance(i->handle, NULL);
    if (i->library != NULL) dlclose(i->library);
    *i = (struct vk_instance){0};
}

const char *vk_result_text(VkResult result)
{
    static const struct {
        VkResult result;
        const char *text;
    } names[] = {
        {VK_SUCCESS, "VK_SUCCESS"},
        {VK_TIMEOUT, "VK_TIMEOUT"},
        {VK_ERROR_OUT_OF_HOST_MEMORY, "VK_ERROR_OUT_OF_HOST_MEMORY"},
        {VK_ERROR_OUT_OF_DEVICE_MEMORY, "VK_ERROR_OUT_OF_DEVICE_MEMORY"},
        {VK_ERROR_INITIALIZATION_FAILED, "VK_ERROR_INITIALIZATION_FAILED"},
        {VK_ERROR_DEVICE_LOST, "VK_ERROR_DEVICE_LOST"},
        {VK_ERROR_MEMORY_MAP_FAILED, "VK_ERROR_MEMORY_MAP_FAILED"},
        {VK_ERROR_LAYER_NOT_PRESENT, "VK_ERROR_LAYER_NOT_PRESENT"},
        {VK_ERROR_EXTENSION_NOT_PRESENT, "VK_ERROR_EXTENSION_NOT_PRESENT"},
        {VK_ERROR_FEATURE_NOT_PRESENT, "VK_ERROR_FEATURE_NOT_PRESENT"},
        {VK_ERROR_INCOMPATIBLE_DRIVER, "VK_ERROR_INCOMPATIBLE_DRIVER"},
        {VK_ERROR_TOO_MANY_OBJECTS, "VK_ERROR_TOO_MANY_OBJECTS"},
        {VK_ERROR_INVALID_EXTERNAL_HANDLE, "VK_ERROR_INVALID_EXTERNAL_HANDLE"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].result == result) return names[i].text;
    return "an unknown VkResult";
}

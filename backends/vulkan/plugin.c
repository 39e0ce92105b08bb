/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptor of the Vulkan backend.
 */
#include "device.h"

#include <graft/plugin.h>

static const struct graft_backend functions = {
    .struct_size = sizeof(struct graft_backend),
    .device_count = vk_device_count,
    .device_info = vk_device_info,
    .open = vk_open,
    .close = vk_close,
    .buffer_create = vk_buffer_create,
    .buffer_import = vk_buffer_import,
    .buffer_destroy = vk_buffer_destroy,
    .buffer_write = vk_buffer_write,
    .buffer_read = vk_buffer_read,
    .program_create = vk_program_create,
    .program_run = vk_program_run,
    .program_destroy = vk_program_destroy,
};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    .magic = GRAFT_PLUGIN_MAGIC,
    .struct_size = sizeof(struct graft_plugin),
    .abi_major = GRAFT_ABI_MAJOR,
    .abi_minor = GRAFT_ABI_MINOR,
    .kind = GRAFT_PLUGIN_BACKEND,
    .name = "vulkan",
    .version = VULKAN_VERSION,
    .license = "Apache-2.0",
    .summary = "any GPU with Vulkan 1.2, in f32, f16 or bf16",
    .functions = &functions,
};

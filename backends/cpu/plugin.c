/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptor of the CPU backend.
 */
#include "cpu_backend.h"

#include <graft/plugin.h>

static const struct graft_backend functions = {
    .struct_size = sizeof(struct graft_backend),
    .device_count = cpu_device_count,
    .device_info = cpu_device_info,
    .open = cpu_open,
    .close = cpu_close,
    .buffer_create = cpu_buffer_create,
    .buffer_import = cpu_buffer_import,
    .buffer_destroy = cpu_buffer_destroy,
    .buffer_write = cpu_buffer_write,
    .buffer_read = cpu_buffer_read,
    .program_create = cpu_program_create,
    .program_run = cpu_program_run,
    .program_destroy = cpu_program_destroy,
    .limits = cpu_limits,
};

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    .magic = GRAFT_PLUGIN_MAGIC,
    .struct_size = sizeof(struct graft_plugin),
    .abi_major = GRAFT_ABI_MAJOR,
    .abi_minor = GRAFT_ABI_MINOR,
    .kind = GRAFT_PLUGIN_BACKEND,
    .name = "cpu",
    .version = CPU_VERSION,
    .license = "Apache-2.0",
    .summary = "the processor's cores, in f32 or with products in bf16",
    .functions = &functions,
};

/* SPDX-License-Identifier: Apache-2.0
 *
 * What a plugin exports: one constant named graft_plugin. The host checks it field by field before
 * it calls anything, and says what it expected and found.
 */
#ifndef GRAFT_PLUGIN_H
#define GRAFT_PLUGIN_H

#include <graft/option.h>
#include <graft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRAFT_PLUGIN_MAGIC 0x54465247u /* "GRFT" */
#define GRAFT_ABI_MAJOR 1u             /* must match */
#define GRAFT_ABI_MINOR 0u             /* additions; sizes carry the rest */

enum graft_plugin_kind {
    GRAFT_PLUGIN_ADAPTER = 1,   /* functions: struct graft_adapter */
    GRAFT_PLUGIN_OPTIMIZER = 2, /* functions: struct graft_optimizer */
    GRAFT_PLUGIN_BACKEND = 3    /* functions: struct graft_backend */
};

/* The file is KIND-NAME.so ("adapter-lora.so") and must agree with kind and name. All pointers are
 * to constants that live as long as the library; texts are UTF-8 without line breaks. */
struct graft_plugin {
    uint32_t magic;       /* GRAFT_PLUGIN_MAGIC */
    uint32_t struct_size; /* sizeof(struct graft_plugin) as compiled */
    uint32_t abi_major, abi_minor;
    int32_t kind;
    uint32_t option_count;
    uint32_t option_stride; /* sizeof(struct graft_option) as compiled */
    uint32_t options_size;  /* of the struct that the host fills; at most 64 KiB */
    const char *name;       /* [a-z0-9_]+ */
    const char *version;
    const char *license; /* SPDX expression */
    const char *summary; /* one line */
    const struct graft_option *options;
    const void *functions; /* begins with its own uint32_t struct_size */
};

/* Everything but what differs:
 *   GRAFT_EXPORT const struct graft_plugin graft_plugin = {
 *       GRAFT_PLUGIN_HEAD(GRAFT_PLUGIN_ADAPTER, options, struct my_options),
 *       .name = "my", ..., .options = options, .functions = &functions}; */
#define GRAFT_PLUGIN_HEAD(kind_, options_, options_type_)                                          \
    .magic = GRAFT_PLUGIN_MAGIC, .struct_size = (uint32_t)sizeof(struct graft_plugin),             \
    .abi_major = GRAFT_ABI_MAJOR, .abi_minor = GRAFT_ABI_MINOR, .kind = (kind_),                   \
    .option_count = (uint32_t)(sizeof(options_) / sizeof((options_)[0])),                          \
    .option_stride = (uint32_t)sizeof(struct graft_option),                                        \
    .options_size = (uint32_t)sizeof(options_type_)

extern GRAFT_EXPORT const struct graft_plugin graft_plugin;

#ifdef __cplusplus
}
#endif

#endif

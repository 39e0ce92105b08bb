/* SPDX-License-Identifier: Apache-2.0
 *
 * A small plugin whose every field can be replaced: a file of bad/ or good/ defines what differs
 * and includes this. PLUGIN_NAME and PLUGIN_KIND come from the file's name (CMakeLists.txt).
 */
#include <graft/adapter.h>
#include <graft/backend.h>
#include <graft/optimizer.h>
#include <graft/plugin.h>

#ifndef MAGIC
#define MAGIC GRAFT_PLUGIN_MAGIC
#endif
#ifndef STRUCT_SIZE
#define STRUCT_SIZE (uint32_t)sizeof(struct graft_plugin)
#endif
#ifndef ABI_MAJOR
#define ABI_MAJOR GRAFT_ABI_MAJOR
#endif
#ifndef ABI_MINOR
#define ABI_MINOR GRAFT_ABI_MINOR
#endif
#ifndef KIND
#define KIND PLUGIN_KIND
#endif
#ifndef NAME
#define NAME PLUGIN_NAME
#endif
#ifndef VERSION
#define VERSION "0.1.0"
#endif
#ifndef LICENSE
#define LICENSE "Apache-2.0"
#endif
#ifndef SUMMARY
#define SUMMARY "a plugin for tests"
#endif

#ifndef OPTIONS
struct small {
    int64_t r;
};
#ifndef OPTION_R
#define OPTION_R                                                                                   \
    {                                                                                              \
        "r", GRAFT_OPTION_INT, offsetof(struct small, r), "8", 1, 64, NULL, NULL, "a number", 0, 0 \
    }
#endif
static const struct graft_option option_table[] = {OPTION_R};
#define OPTIONS option_table
#define OPTION_COUNT sizeof option_table / sizeof option_table[0]
#define DEFAULT_OPTIONS_SIZE sizeof(struct small)
#endif
#ifndef OPTION_STRIDE
#define OPTION_STRIDE sizeof(struct graft_option)
#endif
#ifndef OPTIONS_SIZE
#define OPTIONS_SIZE DEFAULT_OPTIONS_SIZE
#endif

#ifndef FUNCTIONS_SIZE
#define FUNCTIONS_SIZE sizeof functions
#endif
#ifndef FUNCTIONS
#ifdef FUNCTIONS_OPTIMIZER
static void update(struct graft_builder *b, const void *options, const struct graft_update *u)
{
    (void)b;
    (void)options;
    (void)u;
}
static const struct graft_optimizer functions = {
    .struct_size = FUNCTIONS_SIZE, .elementwise = 1, .update = update};
#else
#ifndef LINEAR
static graft_value linear(struct graft_builder *b, const void *options,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)b;
    (void)options;
    (void)site;
    return x;
}
#define LINEAR linear
#endif
static const struct graft_adapter functions = {
    .struct_size = FUNCTIONS_SIZE, .mergeable = 1, .linear = LINEAR};
#endif
#define FUNCTIONS &functions
#endif

GRAFT_EXPORT const struct graft_plugin graft_plugin = {
    .magic = MAGIC,
    .struct_size = STRUCT_SIZE,
    .abi_major = ABI_MAJOR,
    .abi_minor = ABI_MINOR,
    .kind = KIND,
    .option_count = (uint32_t)(OPTION_COUNT),
    .option_stride = (uint32_t)(OPTION_STRIDE),
    .options_size = (uint32_t)(OPTIONS_SIZE),
    .name = NAME,
    .version = VERSION,
    .license = LICENSE,
    .summary = SUMMARY,
    .options = (const struct graft_option *)(const void *)(OPTIONS),
    .functions = FUNCTIONS,
};

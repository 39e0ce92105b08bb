/* SPDX-License-Identifier: Apache-2.0
 *
 * As a later minor version would compile it: every struct has grown at its end.
 */
#include <graft/adapter.h>

struct newer {
    int64_t r, s;
};

struct newer_option {
    struct graft_option first;
    const char *unit;
};

static const struct newer_option newer_options[] = {
    {{"r", GRAFT_OPTION_INT, offsetof(struct newer, r), "8", 1, 64, NULL, NULL, "first", 0, 0},
     "rows"},
    {{"s", GRAFT_OPTION_INT, offsetof(struct newer, s), "9", 1, 64, NULL, NULL, "second", 0, 0},
     "rows"}};

static graft_value linear(struct graft_builder *b, const void *options,
                          const struct graft_linear_site *site, graft_value x)
{
    (void)b;
    (void)options;
    (void)site;
    return x;
}

struct newer_functions {
    struct graft_adapter first;
    void (*later)(void);
};

static const struct newer_functions newer_functions = {
    {.struct_size = sizeof(struct newer_functions), .linear = linear}, NULL};

struct newer_plugin {
    struct graft_plugin first;
    const char *homepage;
};

/* The header declares the first version's type: the larger struct is the same symbol. */
extern GRAFT_EXPORT const struct newer_plugin newer_plugin __asm__("graft_plugin");

const struct newer_plugin newer_plugin = {{.magic = GRAFT_PLUGIN_MAGIC,
                                           .struct_size = sizeof(struct newer_plugin),
                                           .abi_major = GRAFT_ABI_MAJOR,
                                           .abi_minor = GRAFT_ABI_MINOR + 1,
                                           .kind = GRAFT_PLUGIN_ADAPTER,
                                           .option_count = 2,
                                           .option_stride = sizeof(struct newer_option),
                                           .options_size = sizeof(struct newer),
                                           .name = "newer",
                                           .version = "9.0.0",
                                           .license = "Apache-2.0",
                                           .summary = "a plugin of a later version",
                                           .options = &newer_options[0].first,
                                           .functions = &newer_functions},
                                          "https://example.org"};

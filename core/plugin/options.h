/* SPDX-License-Identifier: Apache-2.0
 *
 * From keys and values with places (out of a recipe or an adapter_config.json) to the struct that
 * a plugin wants filled, once for all or per site, and back to JSON.
 */
#ifndef CORE_PLUGIN_OPTIONS_H
#define CORE_PLUGIN_OPTIONS_H

#include "plugin/plugin.h"

#include <stdbool.h>

enum option_input_type {
    OPTION_INPUT_NULL, /* as if the key were not there */
    OPTION_INPUT_BOOL,
    OPTION_INPUT_INT,
    OPTION_INPUT_FLOAT,
    OPTION_INPUT_STRING,
    OPTION_INPUT_LIST,
    OPTION_INPUT_MAP
};

/* One key with its value, borrowed for the call. */
struct option_input {
    const char *key; /* NULL for an item of a list */
    enum option_input_type type;
    bool b;
    int64_t i;
    double f;
    const char *s;
    const struct option_input *items; /* LIST and MAP */
    size_t count;
    const char *place;     /* of the value: "recipe.yaml:12:9", "--set 2"; never NULL */
    const char *key_place; /* of the key; NULL: as place */
};

struct option_request {
    const struct plugin *plugin;
    const char *path;  /* "adapter" or "adapter.0": stands before each key in messages */
    const char *place; /* of the whole mapping, for keys that are missing */
    const struct option_input *inputs;
    size_t count;
    const char *const *also_known; /* keys of the host at the same level, for "did you mean" */
    size_t also_count;
};

struct option_values;

/* Everything is copied. Refuses unknown keys, wrong types, values out of range, patterns that are
 * no regular expression and missing required keys: "PLACE: PATH.KEY: ...". */
GRAFT_MUST_USE enum graft_status option_values_create(const struct option_request *request,
                                                      struct option_values **values,
                                                      struct error *e);
void option_values_destroy(struct option_values *values);

/* The filled struct without patterns; lives as long as `values`. */
const void *option_values_get(const struct option_values *values);

/* Writes the struct for one site into `filled` (plugin->options_size bytes, aligned for any type);
 * its texts are borrowed from `values`. Patterns match as in PEFT: re.match(r"(.*\.)?(P)$", name),
 * the first one in order wins. */
GRAFT_MUST_USE enum graft_status option_values_for_site(const struct option_values *values,
                                                        const char *site_name, void *filled,
                                                        struct error *e);

/* A name that the user gave to a SITES option and that matches none of the sites has no effect, and
 * with `patterns_too` neither has such a pattern: GRAFT_E_INVALID "KEY: ...". */
GRAFT_MUST_USE enum graft_status option_values_check_sites(const struct option_values *values,
                                                           const char *const *sites, size_t count,
                                                           bool patterns_too, struct error *e);

/* Every key with its value, defaults included, in the plugin's order; pattern keys follow their
 * key. `trained`: without those that matter in training alone. A new reference; NULL when memory
 * ran out. */
json_t *option_values_json(const struct option_values *values, bool trained);

/* Where the value of a key (or pattern key) was given; NULL: it is the plugin's default. */
const char *option_values_place(const struct option_values *values, const char *key);

#endif

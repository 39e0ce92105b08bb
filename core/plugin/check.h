/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the plugin room: is this descriptor one that we can use?
 */
#ifndef CORE_PLUGIN_CHECK_H
#define CORE_PLUGIN_CHECK_H

#include "plugin/plugin.h"

#include <stdbool.h>

/* A value of an option, by its type: BOOL, INT and CHOICE (the index) in i, FLOAT in f. */
struct option_value {
    int64_t i;
    double f;
    const char *s;
};

/* Reads the descriptor of the library at `path`, in whatever size it was compiled, into *checked,
 * whose options are a new array (mem_free). Says "FILE: FIELD: found X, ...: what to do". */
GRAFT_MUST_USE enum graft_status check_descriptor(const void *descriptor, const char *path,
                                                  struct plugin *checked, struct error *e);

/* "1 to 64"; false when the option has no bounds. */
bool option_bounds(const struct graft_option *option, char out[80]);
/* False when the option has bounds and the value is outside. */
bool option_in_bounds(const struct graft_option *option, double value);
/* Index in choices, or -1. */
int32_t option_choice(const struct graft_option *option, const char *text);
/* The default; false when it is not a value of the option's type. */
bool option_fallback(const struct graft_option *option, struct option_value *value);
/* "integer", "true or false", ... */
const char *option_type_name(const struct graft_option *option);

#endif

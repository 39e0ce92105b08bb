/* SPDX-License-Identifier: Apache-2.0
 *
 * As compiled before options had a pattern and a help line: a smaller stride.
 */
#include <graft/option.h>

struct older {
    int64_t r, s;
};

struct older_option {
    const char *key;
    int32_t type;
    uint32_t offset;
    const char *fallback;
    double min, max;
    const char *const *choices;
};

static const struct older_option older_options[] = {
    {"r", GRAFT_OPTION_INT, offsetof(struct older, r), "8", 1, 64, NULL},
    {"s", GRAFT_OPTION_INT, offsetof(struct older, s), "9", 1, 64, NULL}};
#define OPTIONS older_options
#define OPTION_COUNT 2
#define OPTION_STRIDE sizeof(struct older_option)
#define OPTIONS_SIZE sizeof(struct older)
#include "descriptor.h"

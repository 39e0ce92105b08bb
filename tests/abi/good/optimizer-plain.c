/* SPDX-License-Identifier: Apache-2.0
 *
 * An optimizer with one key.
 */
#define FUNCTIONS_OPTIMIZER
#include <graft/optimizer.h>

struct plain {
    double momentum;
};

static const struct graft_option plain_options[] = {
    {"momentum", GRAFT_OPTION_FLOAT, offsetof(struct plain, momentum), "0.9", 0, 1, NULL, NULL,
     "share of the last step that is kept", 0, 0}};
#define OPTIONS plain_options
#define OPTION_COUNT 1
#define OPTIONS_SIZE sizeof(struct plain)
#include "descriptor.h"

/* SPDX-License-Identifier: Apache-2.0
 *
 * Every type of option; tests/unit reads its struct by the same layout.
 */
#include "full.h"

#include <graft/option.h>

static const char *const init_choices[] = {"true", "false", "gaussian", NULL};
static const struct graft_option full_options[] = {
    {"r", GRAFT_OPTION_INT, offsetof(struct full, r), "8", 1, 4096, NULL, "rank_pattern",
     "rank of the two factors", 0, 0},
    {"lora_alpha", GRAFT_OPTION_FLOAT, offsetof(struct full, lora_alpha), "8", 0, 1e6, NULL,
     "alpha_pattern", "scale of the product, over r", 0, 0},
    {"use_rslora", GRAFT_OPTION_BOOL, offsetof(struct full, use_rslora), "false", 0, 0, NULL, NULL,
     "divide by the root of r", 0, 0},
    {"init_lora_weights", GRAFT_OPTION_CHOICE, offsetof(struct full, init), "true", 0, 0,
     init_choices, NULL, "first values", 0, 0},
    {"note", GRAFT_OPTION_STRING, offsetof(struct full, note), "none: \"x\"", 0, 0, NULL, NULL,
     "any text", 0, 0},
    {"steps", GRAFT_OPTION_INT, offsetof(struct full, steps), NULL, 0, 0, NULL, NULL,
     "how many; there is no default", 0, 0}};
#define OPTIONS full_options
#define OPTION_COUNT sizeof full_options / sizeof full_options[0]
#define OPTIONS_SIZE sizeof(struct full)
#include "descriptor.h"

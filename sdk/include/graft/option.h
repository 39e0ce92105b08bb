/* SPDX-License-Identifier: Apache-2.0
 *
 * Options are data: a plugin lists its keys, the host reads the recipe, checks every value against
 * this table and fills the plugin's own struct. No plugin parses text.
 */
#ifndef GRAFT_OPTION_H
#define GRAFT_OPTION_H

#include <graft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The type of a value, and of the struct member that receives it. */
enum graft_option_type {
    GRAFT_OPTION_BOOL = 1,   /* int32_t, 0 or 1 */
    GRAFT_OPTION_INT = 2,    /* int64_t in [min, max] */
    GRAFT_OPTION_FLOAT = 3,  /* double in [min, max] */
    GRAFT_OPTION_STRING = 4, /* const char *, never NULL */
    GRAFT_OPTION_CHOICE =
        5, /* int32_t, index into choices; YAML true and false match "true", "false" */
    GRAFT_OPTION_SITES = 6 /* int32_t, 1 at the sites that the value means: a list of names or a
                              regular expression, as target_modules; a fallback's names stand
                              with spaces between them */
};

/* One key. Arrays of options carry a stride, so later versions may append members here. */
struct graft_option {
    const char *key;      /* spelled as in PEFT or torch where they have it */
    int32_t type;         /* enum graft_option_type */
    uint32_t offset;      /* of the member in the plugin's options struct */
    const char *fallback; /* the default as a recipe would write it; NULL: the key is required */
    double min, max;      /* INT and FLOAT; both 0: no bounds */
    const char *const *choices; /* CHOICE: ends with NULL */
    const char *pattern; /* a second key, a mapping from site pattern to value, that overrides
                            this one per site (PEFT's rank_pattern); NULL: none */
    const char *help;    /* one line */
    int32_t training;    /* 1: a matter of training alone, not written with a trained adapter */
    int32_t reserved;
};

#ifdef __cplusplus
}
#endif

#endif

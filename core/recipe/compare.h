/* SPDX-License-Identifier: Apache-2.0
 *
 * A recipe with a `compare` section: a common part and fragments over it. Every run of the
 * comparison has settings of its own, checked as any recipe is.
 */
#ifndef CORE_RECIPE_COMPARE_H
#define CORE_RECIPE_COMPARE_H

#include "recipe/settings.h"

struct node;

struct settings_method {
    const char *name;            /* usable as a folder's name */
    struct rates rates;          /* at least one */
    const struct node *fragment; /* compare.c's */
};

struct settings_compare {
    struct settings_method *methods;
    size_t method_count;
    struct numbers seeds; /* at least one */
    int32_t select_on;    /* always 0, "valid", in this version */
    int32_t halving, allow_test_in_train;
    const char *output;
    struct settings *owner; /* file, folder and arena of all this */
    const struct node *common;
    struct node *section;
};

/* Reads and checks the whole: the section, and every method with each of its rates. Errors as
 * settings_load's. */
GRAFT_MUST_USE enum graft_status settings_compare_load(const char *path, const char *const *sets,
                                                       size_t set_count,
                                                       struct settings_compare **compare,
                                                       struct error *e);
void settings_compare_free(struct settings_compare *compare);

/* The settings of one run; `output` is its folder, NULL: the comparison's own. */
GRAFT_MUST_USE enum graft_status settings_compare_run(const struct settings_compare *compare,
                                                      size_t method, size_t rate, size_t seed,
                                                      const char *output,
                                                      struct settings **settings, struct error *e);

/* Is there a `compare` section? False also for what cannot be read. */
bool settings_is_compare(const char *path, const char *const *sets, size_t set_count);

/* Appends the effective comparison: the section, then a document for each method, with comments
 * that say where each value came from. */
GRAFT_MUST_USE enum graft_status settings_compare_explain(const struct settings_compare *compare,
                                                          struct str *out, struct error *e);

#endif

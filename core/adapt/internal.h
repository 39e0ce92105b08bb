/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a stack of adapters, for this room's files only.
 */
#ifndef CORE_ADAPT_INTERNAL_H
#define CORE_ADAPT_INTERNAL_H

#include "adapt/adapt.h"

#include <graft/adapter.h>

/* A parameter of one adapter. */
struct parameter {
    size_t adapter;
    const char *key; /* under "base_model.model.": site name "." parameter name */
    const struct stored *stored;
    int32_t init;
    double scale;
    bool unsaved;
};

struct layer { /* one adapter of the stack */
    const struct settings_adapter *settings;
    const struct graft_adapter *functions;
    bool *matched; /* per site */
    void *filled;  /* the plugin's options for the current site */
};

struct adapt {
    struct arena arena;
    const struct model *model;
    const struct model_site *sites;
    size_t site_count;
    struct layer *layers;
    size_t layer_count;
    struct store *store;
    uint64_t seed;
    struct parameter *parameters;
    size_t parameter_count, parameter_capacity;

    /* while a graph is built */
    struct graph *graph;
    struct adapt_mode mode;
    bool registering;
    struct frame *frame; /* the call at work */
};

/* One call of a plugin at a site. The public site comes first, so that the pointer that a plugin
 * hands back leads here. */
struct frame {
    struct graft_linear_site site;
    const struct model_site *model_site;
    size_t layer;
    uint32_t dropouts; /* calls so far at this site */
    struct frame *outer;
};

#endif

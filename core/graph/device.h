/* SPDX-License-Identifier: Apache-2.0
 *
 * An open device: the backend's plugin, the host services it was given, the thread pool behind
 * them.
 */
#ifndef CORE_GRAPH_DEVICE_H
#define CORE_GRAPH_DEVICE_H

#include "graph/store.h"
#include "plugin/plugin.h"

struct device;

struct device_request {
    const char *name;     /* a backend's name, a file, or "auto": the fastest usable device */
    const char *base_dir; /* where a file's path starts */
    uint32_t index;
    uint32_t threads; /* 0: every processor this process may use */
    int32_t compute;  /* dtype of products with frozen weights, or DEVICE_COMPUTE_AUTO */
};

/* bf16 where the device offers it, else f32. (f16 is by request: it needs loss scaling.) */
enum { DEVICE_COMPUTE_AUTO = -1 };

GRAFT_MUST_USE enum graft_status device_open(const struct device_request *request,
                                             struct device **device, struct error *e);
void device_close(struct device *device); /* after everything that lives on it; NULL is fine */

/* One line per device of a backend: "usable" or why not; appended to `out` as "N  NAME". */
GRAFT_MUST_USE enum graft_status device_describe(const struct plugin *backend, struct str *out,
                                                 struct error *e);

const struct backend *device_backend(const struct device *device);
const struct plugin *device_plugin(const struct device *device);
const char *device_name(const struct device *device);   /* as the backend describes it */
const char *device_driver(const struct device *device); /* empty: none */
uint32_t device_index(const struct device *device);
const struct graft_host *device_host(const struct device *device); /* what its backend was given */
uint32_t device_threads(const struct device *device);
uint64_t device_memory(const struct device *device); /* bytes it may use; 0: unknown */
/* What the device can do at most, measured now; zeros where its backend does not tell. */
GRAFT_MUST_USE enum graft_status device_limits(const struct device *device,
                                               struct graft_limits *limits, struct error *e);

#endif

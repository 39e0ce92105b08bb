/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a backend, and the host services it lives on.
 */
#include "graph/device.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/threads.h"
#include "file/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device {
    const struct plugin *plugin;
    struct thread_pool *pool;
    struct graft_host host;
    char *cache_folder;
    struct graft_device_info info;
    uint32_t index;
    struct error error; /* what the backend said last */
    bool looked_at;     /* among others, for `auto`: that it has nothing is no news */
    struct backend backend;
};

static void *host_alloc(void *context, size_t size)
{
    (void)context;
    return mem_alloc(size);
}

static void host_release(void *context, void *memory)
{
    (void)context;
    mem_free(memory);
}

static void host_log(void *context, const char *line)
{
    const struct device *d = context;
    if (!d->looked_at) log_info("%s: %s", d->plugin->name, line);
}

static void host_error(void *context, const char *text)
{
    struct device *d = context;
    error_set(&d->error, GRAFT_E_FAILED, "%s: %s", d->plugin->name, text);
}

static void host_parallel(void *context, uint32_t tasks, graft_task *task, void *argument)
{
    struct device *d = context;
    thread_pool_run(d->pool, tasks, task, argument);
}

static const struct graft_backend *functions(const struct device *d)
{
    return d->plugin->functions;
}

static bool read_info(struct device *d, uint32_t index, struct graft_device_info *info)
{
    memset(info, 0, sizeof *info);
    info->struct_size = sizeof *info;
    return functions(d)->device_info(&d->host, index, info) != 0;
}

static const char *asked_kernels(void)
{
    const char *name = getenv("GRAFT_KERNELS");
    return name != NULL && *name != '\0' ? name : NULL;
}

static enum graft_status create(const struct plugin *plugin, uint32_t threads, struct device **out,
                                struct error *e)
{
    struct device *d = mem_zalloc(1, sizeof *d);
    if (d == NULL) return error_memory(e, "a device", sizeof *d);
    d->plugin = plugin;
    d->cache_folder = cache_folder();
    enum graft_status status = thread_pool_create(threads, &d->pool, e);
    if (status != GRAFT_OK) {
        mem_free(d->cache_folder);
        mem_free(d);
        return status;
    }
    d->host = (struct graft_host){.struct_size = sizeof d->host,
                                  .context = d,
                                  .alloc = host_alloc,
                                  .release = host_release,
                                  .log = host_log,
                                  .error = host_error,
                                  .thread_count = thread_pool_size(d->pool),
                                  .parallel = host_parallel,
                                  .cache_folder = d->cache_folder,
                                  .kernels = asked_kernels()};
    *out = d;
    return GRAFT_OK;
}

static enum graft_status choose_compute(struct device *d, int32_t wanted, struct error *e)
{
    uint32_t offered = d->info.compute | 1u << GRAFT_DTYPE_F32;
    bool bf16 = (offered >> GRAFT_DTYPE_BF16 & 1) != 0, f16 = (offered >> GRAFT_DTYPE_F16 & 1) != 0;
    if (wanted == DEVICE_COMPUTE_AUTO) wanted = bf16 ? GRAFT_DTYPE_BF16 : GRAFT_DTYPE_F32;
    if ((offered >> wanted & 1) == 0)
        return error_set(e, GRAFT_E_UNSUPPORTED,
                         "model.compute: %s: %s (%.127s) multiplies in f32%s%s only; name one of "
                         "these or auto",
                         wanted == GRAFT_DTYPE_BF16 ? "bf16" : "f16", d->plugin->name, d->info.name,
                         bf16 ? ", bf16" : "", f16 ? ", f16" : "");
    d->backend.compute = wanted;
    return GRAFT_OK;
}

static enum graft_status open_index(struct device *d, uint32_t index, int32_t compute,
                                    struct error *e)
{
    uint32_t count = functions(d)->device_count(&d->host);
    if (count == 0)
        return error_set(e, GRAFT_E_UNSUPPORTED,
                         "backend: %s: it finds no device here; name another one, or auto",
                         d->plugin->name);
    if (index >= count)
        return error_set(
            e, GRAFT_E_INVALID,
            "backend.device: %u: %s has %u device%s (0 to %u); see `graft backend list`", index,
            d->plugin->name, count, count == 1 ? "" : "s", count - 1);
    if (!read_info(d, index, &d->info) || !d->info.usable)
        return error_set(e, GRAFT_E_UNSUPPORTED, "backend %s, device %u cannot be used: %.255s",
                         d->plugin->name, index, d->info.note);
    enum graft_status chosen = choose_compute(d, compute, e);
    if (chosen != GRAFT_OK) return chosen;
    d->index = index;
    d->backend.sweeps = d->info.sweeps != 0;
    d->backend.api = functions(d);
    d->backend.error = &d->error;
    int32_t status = functions(d)->open(&d->host, index, &d->backend.device);
    if (status == GRAFT_OK) return GRAFT_OK;
    return error_set(e, (enum graft_status)status, "%s", d->error.text);
}

/* The plugin whose best device says it is fastest; its number in *index. */
static enum graft_status choose(const struct plugin **plugin, uint32_t *index, struct error *e)
{
    struct plugin_list *list = NULL;
    double best = -1;
    char why[300] = "";
    enum graft_status status = plugin_list_create(&list, e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < list->count && status == GRAFT_OK; i++) {
        struct device *d = NULL;
        struct graft_device_info info;
        if (list->items[i].plugin == NULL || list->items[i].plugin->kind != GRAFT_PLUGIN_BACKEND)
            continue;
        status = create(list->items[i].plugin, 1, &d, e);
        if (status == GRAFT_OK) d->looked_at = true;
        for (uint32_t n = 0; status == GRAFT_OK && n < functions(d)->device_count(&d->host); n++) {
            if (!read_info(d, n, &info)) continue;
            if (!info.usable)
                snprintf(why, sizeof why, " (%.32s: %.255s)", d->plugin->name, info.note);
            if (!info.usable || info.gflops <= best) continue;
            best = info.gflops;
            *plugin = list->items[i].plugin;
            *index = n;
        }
        device_close(d);
    }
    plugin_list_destroy(list);
    if (status == GRAFT_OK && best < 0)
        status = error_set(e, GRAFT_E_UNSUPPORTED,
                           "backend: auto: no backend with a usable device is installed%s; see "
                           "`graft plugin list`",
                           why);
    return status;
}

enum graft_status device_open(const struct device_request *request, struct device **out,
                              struct error *e)
{
    const struct plugin *plugin = NULL;
    struct device *d = NULL;
    uint32_t index = request->index;
    enum graft_status status =
        strcmp(request->name, "auto") == 0
            ? choose(&plugin, &index, e)
            : plugin_load(GRAFT_PLUGIN_BACKEND, request->name, request->base_dir, &plugin, e);
    uint32_t processors = thread_processors();
    if (status == GRAFT_OK && request->threads > processors)
        log_warning(
            "backend.threads: %u: %u processor%s can be used, so this is slower than 0, one "
            "for each",
            request->threads, processors, processors == 1 ? "" : "s");
    if (status == GRAFT_OK) status = create(plugin, request->threads, &d, e);
    if (status == GRAFT_OK) status = open_index(d, index, request->compute, e);
    if (status != GRAFT_OK) {
        device_close(d);
        return status;
    }
    *out = d;
    return GRAFT_OK;
}

void device_close(struct device *d)
{
    if (d == NULL) return;
    if (d->backend.device != NULL) functions(d)->close(d->backend.device);
    thread_pool_destroy(d->pool);
    mem_free(d->cache_folder);
    mem_free(d);
}

const struct backend *device_backend(const struct device *d)
{
    return &d->backend;
}

const struct plugin *device_plugin(const struct device *d)
{
    return d->plugin;
}

const char *device_name(const struct device *d)
{
    return d->info.name;
}

const char *device_driver(const struct device *d)
{
    return d->info.driver;
}

uint32_t device_index(const struct device *d)
{
    return d->index;
}

const struct graft_host *device_host(const struct device *d)
{
    return &d->host;
}

enum graft_status device_describe(const struct plugin *plugin, struct str *out, struct error *e)
{
    struct device *d = NULL;
    struct graft_device_info info;
    char memory[32];
    enum graft_status status = create(plugin, 0, &d, e);
    if (status != GRAFT_OK) return status;
    uint32_t count = functions(d)->device_count(&d->host);
    if (count == 0) str_printf(out, "%s: no device\n", plugin->name);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_info(d, i, &info)) continue;
        str_printf(out, "%s %u: %.127s", plugin->name, i, info.name);
        if (info.memory != 0) str_printf(out, ", %s", format_bytes(info.memory, memory));
        if (info.usable && info.driver[0] != '\0') str_printf(out, ", driver %.127s", info.driver);
        if (info.usable && info.note[0] != '\0') str_printf(out, ", %.255s", info.note);
        str_printf(out, info.usable ? "\n" : ": cannot be used: %.255s\n", info.note);
    }
    device_close(d);
    return GRAFT_OK;
}

uint64_t device_memory(const struct device *d)
{
    return d->info.memory;
}

uint32_t device_threads(const struct device *d)
{
    return thread_pool_size(d->pool);
}

enum graft_status device_limits(const struct device *d, struct graft_limits *limits,
                                struct error *e)
{
    const struct graft_backend *api = d->backend.api;
    size_t need = offsetof(struct graft_backend, limits) + sizeof api->limits;
    *limits = (struct graft_limits){.struct_size = sizeof *limits};
    if (api->struct_size < need || api->limits == NULL) return GRAFT_OK;
    int32_t status = api->limits(d->backend.device, limits);
    if (status == GRAFT_OK) return GRAFT_OK;
    return error_set(e, (enum graft_status)status, "%s", d->error.text);
}

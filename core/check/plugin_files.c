/* SPDX-License-Identifier: Apache-2.0
 *
 * What outlives an adapter's call: its files, the merged layer, the frozen weights, memory; and the
 * same gradient on every backend.
 */
#include "check/plugin_parts.h"

#include "adapt/merge.h"
#include "file/paths.h"

#include <dirent.h>
#include <graft/adapter.h>
#include <math.h>
#include <stdio.h>

static struct subject_request on(const struct plugin *plugin, enum machine machine)
{
    return (struct subject_request){.plugin = plugin, .machine = machine, .seed = 42};
}

static void failed(struct finding *f, const char *what, const struct error *e)
{
    finding_set(f, VERDICT_FAIL, "%s: %s", what, e->text);
}

/* ---- files ---- */

static bool same_file(const char *a, const char *b, const char *name)
{
    char *paths[2] = {path_join(a, name), path_join(b, name)};
    FILE *files[2] = {NULL, NULL};
    bool same = paths[0] != NULL && paths[1] != NULL;
    for (int i = 0; i < 2 && same; i++) same = (files[i] = fopen(paths[i], "rb")) != NULL;
    while (same) {
        int x = fgetc(files[0]), y = fgetc(files[1]);
        same = x == y;
        if (x == EOF || y == EOF) break;
    }
    for (int i = 0; i < 2; i++) {
        if (files[i] != NULL) fclose(files[i]);
        mem_free(paths[i]);
    }
    return same;
}

/* Every file of a is in b, the same. */
static bool same_folder(const char *a, const char *b)
{
    DIR *folder = opendir(a);
    const struct dirent *entry;
    bool same = folder != NULL;
    size_t files = 0;
    while (same && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.') {
            same = same_file(a, b, entry->d_name);
            files++;
        }
    if (folder != NULL) closedir(folder);
    return same && files != 0;
}

static enum graft_status save(struct subject *s, const char *folder, struct error *e)
{
    return adapt_save(s->session.adapt, 0, folder, "test/model", s->session.backend, e);
}

static void compare_files(const struct plugin *plugin, char *const folders[2], struct finding *f)
{
    struct subject trained = {0}, loaded = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT), from = r;
    double before = 0, after = 0;
    from.from_files = true;
    from.seed = 1;
    enum graft_status status = subject_open_moved(&trained, &r, &e);
    if (status == GRAFT_OK) status = subject_loss(&trained, false, &before, &e);
    if (status == GRAFT_OK) status = save(&trained, folders[0], &e);
    if (status == GRAFT_OK) status = subject_open(&loaded, &from, &e);
    if (status == GRAFT_OK)
        status = adapt_load(loaded.session.adapt, 0, folders[0], loaded.session.backend, &e);
    if (status == GRAFT_OK) status = save(&loaded, folders[1], &e);
    if (status == GRAFT_OK) status = subject_loss(&loaded, false, &after, &e);
    if (status != GRAFT_OK)
        failed(f, "saving and loading", &e);
    else if (fabs(before - after) > 1e-5 * fabs(before))
        finding_set(f, VERDICT_FAIL,
                    "loaded from its file it gives a loss of %.7g, before saving %.7g: is a "
                    "trained parameter unsaved, or drawn anew?",
                    after, before);
    else if (!same_folder(folders[0], folders[1]) || !same_folder(folders[1], folders[0]))
        finding_set(f, VERDICT_FAIL, "saved, loaded and saved again, its files differ");
    else
        finding_set(f, VERDICT_OK, "saved, loaded and saved again: same files, same loss");
    subject_close(&loaded);
    subject_close(&trained);
}

void adapter_files(const struct plugin *plugin, struct finding *f)
{
    struct error e = {0};
    char *folders[2] = {folder_make_temporary(&e), folder_make_temporary(&e)};
    if (folders[0] == NULL || folders[1] == NULL)
        finding_set(f, VERDICT_SKIP, "%s", e.text);
    else
        compare_files(plugin, folders, f);
    for (int i = 0; i < 2; i++) {
        if (folders[i] != NULL) folder_clear(folders[i]);
        mem_free(folders[i]);
    }
}

/* ---- claims ---- */

static enum graft_status merge_sites(struct subject *s, size_t *merged, struct error *e)
{
    size_t count;
    const struct model_site *sites = model_sites(s->session.model, &count);
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < count && status == GRAFT_OK; i++) {
        const struct model_site *site = &sites[i];
        if (site->kind != GRAFT_SITE_LINEAR) continue;
        size_t n = (size_t)(site->in_features * site->out_features);
        float *weight = mem_zalloc(n + (size_t)site->out_features, sizeof *weight);
        if (weight == NULL) return error_memory(e, "a weight", n);
        status =
            adapt_merge_site(s->session.adapt, site, s->session.backend, weight, weight + n, e);
        mem_free(weight);
        ++*merged;
    }
    return status;
}

void adapter_merge_claim(const struct plugin *plugin, struct finding *f)
{
    const struct graft_adapter *functions = plugin->functions;
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    size_t merged = 0;
    if (!functions->mergeable) {
        finding_set(f, VERDICT_SKIP, "it does not say that it can be merged");
        return;
    }
    enum graft_status status = subject_open_moved(&s, &r, &e);
    if (status == GRAFT_OK) status = adapt_check_merge(s.session.adapt, &e);
    if (status == GRAFT_OK) status = merge_sites(&s, &merged, &e);
    if (status != GRAFT_OK)
        failed(f, "it says mergeable", &e);
    else
        finding_set(f, VERDICT_OK, "merged = unmerged on %zu linear sites", merged);
    subject_close(&s);
}

static double sum_of_base(const struct subject *s, struct error *e)
{
    double sum = 0;
    for (const struct stored *p = store_first(s->session.store, STORE_BASE); p != NULL;
         p = p->next) {
        size_t n = (size_t)graft_shape_count(p->shape);
        double *x = mem_zalloc(n, sizeof *x);
        if (x == NULL || subject_read(s, p, x, e) != GRAFT_OK) return (double)NAN;
        for (size_t i = 0; i < n; i++) sum = sum * 0.999 + x[i];
        mem_free(x);
    }
    return sum;
}

void adapter_base(const struct plugin *plugin, struct finding *f)
{
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    enum graft_status status = subject_open(&s, &r, &e);
    double before = status == GRAFT_OK ? sum_of_base(&s, &e) : 0;
    for (int i = 0; i < 3 && status == GRAFT_OK; i++) status = subject_step(&s, 0.1, NULL, &e);
    if (status != GRAFT_OK)
        failed(f, "three steps", &e);
    else if (!(fabs(sum_of_base(&s, &e) - before) <= 0))
        finding_set(f, VERDICT_FAIL, "frozen weights changed in three steps");
    else
        finding_set(f, VERDICT_OK, "frozen weights are untouched after three steps");
    subject_close(&s);
}

/* ---- memory ---- */

/* Builds the stack anew on an open model. */
static enum graft_status build_once(const struct subject *s, struct error *e)
{
    struct store *store = NULL;
    struct adapt *adapt = NULL;
    enum graft_status status = store_create(&store, e);
    if (status == GRAFT_OK)
        status = adapt_create(&(struct adapt_request){.adapters = &s->adapter,
                                                      .count = 1,
                                                      .model = s->session.model,
                                                      .store = store,
                                                      .seed = 42},
                              &adapt, e);
    adapt_destroy(adapt);
    store_destroy(store);
    return status;
}

void adapter_leak(const struct plugin *plugin, struct finding *f)
{
    enum { ROUNDS = 64 };
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    enum graft_status status = subject_open(&s, &r, &e);
    for (int i = 0; i < 8 && status == GRAFT_OK; i++) status = build_once(&s, &e);
    int64_t least = INT64_MAX; /* of several rounds: malloc itself keeps a little now and then */
    for (int window = 0; window < 3; window++) {
        int64_t before = heap_in_use();
        for (int i = 0; i < ROUNDS && status == GRAFT_OK; i++) status = build_once(&s, &e);
        if (heap_in_use() - before < least) least = heap_in_use() - before;
    }
    if (status != GRAFT_OK)
        failed(f, "built again and again", &e);
    else if (heap_in_use() < 0)
        finding_set(f, VERDICT_SKIP, "this system does not tell how much memory is in use");
    else if (least >= ROUNDS)
        finding_set(f, VERDICT_FAIL, "%lld bytes are lost each time it is built",
                    (long long)(least / ROUNDS));
    else
        finding_set(f, VERDICT_OK, "built %d times, nothing is left behind", 3 * ROUNDS);
    subject_close(&s);
}

void adapter_memory(const struct plugin *plugin, struct finding *f)
{
    struct subject s = {0};
    struct error e = {0};
    struct subject_request r = on(plugin, MACHINE_FLOAT);
    int64_t n = 1, tried = 0;
    enum graft_status status = subject_open(&s, &r, &e);
    if (status != GRAFT_OK) failed(f, "with memory", &e);
    while (f->text[0] == '\0' && n < 100000) {
        struct error refused = {0};
        int64_t live = mem_live_count();
        mem_fail_after(n);
        status = build_once(&s, &refused);
        mem_fail_after(0);
        tried++;
        if (mem_live_count() != live)
            finding_set(f, VERDICT_FAIL, "when allocation %lld is refused, %lld are not given back",
                        (long long)n, (long long)(mem_live_count() - live));
        if (status == GRAFT_OK) break;
        n += 1 + n / 16;
    }
    if (f->text[0] == '\0')
        finding_set(f, VERDICT_OK, "%lld places where memory is refused end in an error",
                    (long long)tried - 1);
    subject_close(&s);
}

/* ---- backends ---- */

static enum graft_status gradients(struct subject *s, double *out, size_t room, struct error *e)
{
    size_t at = 0;
    double loss;
    enum graft_status status = subject_loss(s, true, &loss, e);
    for (const struct stored *p = store_first(s->session.store, STORE_ADAPTER);
         p != NULL && status == GRAFT_OK; p = p->next) {
        if (at + (size_t)graft_shape_count(p->shape) > room) break;
        status = subject_read(s, p->gradient, out + at, e);
        at += (size_t)graft_shape_count(p->shape);
    }
    return status;
}

/* The largest difference relative to the gradient's length. */
static enum graft_status difference(const struct plugin *plugin, const char *name, double *off,
                                    struct error *e)
{
    struct subject reference = {0}, device = {0};
    struct subject_request r = on(plugin, MACHINE_DOUBLE), d = on(plugin, MACHINE_NAMED);
    double *a = NULL, *b = NULL, error = 0, norm = 0;
    d.backend = name;
    enum graft_status status = subject_open(&reference, &r, e);
    if (status == GRAFT_OK) status = subject_open(&device, &d, e);
    size_t n = status == GRAFT_OK ? (size_t)adapt_parameters(reference.session.adapt) : 0;
    a = mem_zalloc(n + 1, sizeof *a);
    b = mem_zalloc(n + 1, sizeof *b);
    if (status == GRAFT_OK && (a == NULL || b == NULL)) status = error_memory(e, "gradients", n);
    if (status == GRAFT_OK) status = gradients(&reference, a, n, e);
    if (status == GRAFT_OK) status = gradients(&device, b, n, e);
    for (size_t i = 0; i < n && status == GRAFT_OK; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        norm += a[i] * a[i];
    }
    *off = sqrt(error) / (sqrt(norm) + 1e-12);
    mem_free(a);
    mem_free(b);
    subject_close(&device);
    subject_close(&reference);
    return status;
}

/* False: this machine has nothing that the backend drives. */
static bool has_device(const struct plugin *backend)
{
    struct device_request request = {.name = backend->path, .base_dir = ".", .threads = 1};
    struct device *device = NULL;
    struct error e = {0};
    enum graft_status status = device_open(&request, &device, &e);
    device_close(device);
    return status != GRAFT_E_UNSUPPORTED;
}

void adapter_backends(const struct plugin *plugin, struct finding *f)
{
    struct error e = {0};
    struct plugin_list *list = NULL;
    struct str names = {0};
    if (plugin_list_create(&list, &e) != GRAFT_OK) {
        failed(f, "looking for backends", &e);
        return;
    }
    for (size_t i = 0; i < list->count && f->text[0] == '\0'; i++) {
        const struct plugin *backend = list->items[i].plugin;
        double off = 0;
        if (backend == NULL || backend->kind != GRAFT_PLUGIN_BACKEND || !has_device(backend))
            continue;
        if (difference(plugin, backend->path, &off, &e) != GRAFT_OK)
            failed(f, backend->name, &e);
        else if (!(off <= 1e-3))
            finding_set(f, VERDICT_FAIL, "on %s the gradient is off by %.1e of its length",
                        backend->name, off);
        str_printf(&names, "%s%s (%.0e)", names.length != 0 ? ", " : "", backend->name, off);
    }
    if (f->text[0] == '\0' && names.length == 0)
        finding_set(f, VERDICT_SKIP, "no backend is found");
    else if (f->text[0] == '\0')
        finding_set(f, VERDICT_OK, "same gradient on %s", names.data);
    str_free(&names);
    plugin_list_destroy(list);
}

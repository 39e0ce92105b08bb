/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of checks, and one of them with its output caught.
 */
#include "check/plugin_parts.h"

#include "plugin/search.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ADAPTER GRAFT_PLUGIN_ADAPTER
#define OPTIMIZER GRAFT_PLUGIN_OPTIMIZER
#define BACKEND GRAFT_PLUGIN_BACKEND

/* clang-format off */
const struct plugin_check plugin_checks[] = {
    {"symbols", 0, 10, "one exported symbol, none wanted of graft", library_symbols, NULL},
    {"table", 0, 10, "loads, prints nothing, its table makes sense", NULL, library_table},
    {"builds", ADAPTER, 20, "a model with it computes a loss", NULL, adapter_builds},
    {"gradient", ADAPTER, 60, "gradients against finite differences in double", NULL, adapter_gradient},
    {"moves", ADAPTER, 20, "every trained parameter has a gradient", NULL, adapter_moves},
    {"same", ADAPTER, 20, "the same numbers each time", NULL, adapter_same},
    {"start", ADAPTER, 60, "the model before training", NULL, adapter_start},
    {"base", ADAPTER, 20, "frozen weights stay", NULL, adapter_base},
    {"files", ADAPTER, 20, "saved and loaded", NULL, adapter_files},
    {"resume", ADAPTER, 20, "going on from a checkpoint", NULL, adapter_resume},
    {"merge", ADAPTER, 20, "merged = unmerged, where it says so", NULL, adapter_merge_claim},
    {"options", ADAPTER, 60, "options at their bounds", NULL, adapter_options},
    {"leak", ADAPTER, 20, "memory is given back", NULL, adapter_leak},
    {"memory", ADAPTER, 60, "refused memory is an error", NULL, adapter_memory},
    {"backends", ADAPTER, 120, "gradients on every backend that is found", NULL, adapter_backends},
    {"falls", OPTIMIZER, 30, "the loss of a quadratic falls", NULL, optimizer_falls},
    {"resume", OPTIMIZER, 30, "going on from a checkpoint", NULL, optimizer_resume},
    {"options", OPTIMIZER, 60, "options at their bounds", NULL, optimizer_options},
    {"ops", BACKEND, 1200, "every op against the reference", NULL, backend_ops},
    {"gradients", BACKEND, 1200, "the gradient of every op", NULL, backend_gradients},
    {NULL, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"ok", "warn", "skip", "fail", "crash"};
    return names[verdict];
}

void finding_set(struct finding *f, enum verdict verdict, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    f->verdict = verdict;
}

static void run(const struct plugin_check *check, const char *path, struct finding *f)
{
    const struct plugin *plugin = NULL;
    struct error e = {0};
    enum graft_plugin_kind kind;
    const char *name;
    size_t length;
    if (check->file != NULL) {
        check->file(path, f);
        return;
    }
    if (!search_split(path, &kind, &name, &length) || kind == 0) {
        finding_set(f, VERDICT_FAIL, "its file is not named KIND-NAME.so (adapter-my.so)");
        return;
    }
    if (plugin_load(kind, path, ".", &plugin, &e) != GRAFT_OK)
        finding_set(f, VERDICT_FAIL, "%s", e.text);
    else
        check->run(plugin, f);
}

/* stdout and stderr into a file without a name. */
static bool catch_output(int kept[2], int *file)
{
    char path[] = "/tmp/graft-plugin-test-XXXXXX";
    *file = mkstemp(path);
    if (*file < 0) return false;
    unlink(path);
    for (int i = 0; i < 2; i++) {
        kept[i] = dup(i + 1);
        dup2(*file, i + 1);
    }
    return true;
}

static void give_output_back(const int kept[2], int file, struct finding *f)
{
    char said[81];
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        dup2(kept[i], i + 1);
        close(kept[i]);
    }
    ssize_t n = pread(file, said, sizeof said - 1, 0);
    close(file);
    if (n <= 0) return;
    said[n] = '\0';
    said[strcspn(said, "\n")] = '\0';
    if (f->verdict != VERDICT_FAIL)
        finding_set(f, VERDICT_FAIL, "it printed \"%s\": a plugin never writes to stdout or stderr",
                    said);
}

void plugin_check_run(const struct plugin_check *check, const char *path, struct finding *f)
{
    int kept[2], file;
    fflush(stdout);
    bool caught = catch_output(kept, &file);
    *f = (struct finding){VERDICT_OK, ""};
    run(check, path, f);
    if (caught) give_output_back(kept, file, f);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of files that a run leaves, and what follows from it.
 */
#include "train/folder.h"

#include "base/memory.h"
#include "base/text.h"
#include "file/atomic.h"
#include "file/paths.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const run_files[] = {"adapter_config.json", "adapter_model.safetensors",
                                        "adapter.safetensors", "full.safetensors",
                                        "recipe.yaml",         "steps.jsonl",
                                        "report.json",         "report.html",
                                        "passport.json",       "stack.json",
                                        "rows.jsonl"};
enum { RUN_FILES = sizeof run_files / sizeof run_files[0] };

static const char *const checkpoint_files[] = {"tensors.safetensors", "state.json",
                                               "manifest.json"};
static const char *const adapter_files[] = {"adapter_config.json", "adapter_model.safetensors",
                                            "adapter.safetensors", "full.safetensors"};

struct run_folder {
    char *path;
    struct file_lock *lock;
};

static bool holds_run(const char *path)
{
    for (size_t i = 0; i < RUN_FILES; i++)
        if (path_kind_in(path, run_files[i]) != PATH_MISSING) return true;
    return path_kind_in(path, "checkpoints") != PATH_MISSING;
}

enum graft_status run_folder_check(const char *path, enum run_mode mode, struct error *e)
{
    enum path_kind kind = path_kind(path);
    enum graft_status status = GRAFT_OK;
    if (kind == PATH_FILE)
        return error_set(e, GRAFT_E_INVALID, "output: %s is a file; name a folder", path);
    if (kind == PATH_FOLDER && mode == RUN_NEW && holds_run(path))
        return error_set(
            e, GRAFT_E_INVALID,
            "output: %s holds a run; go on with --resume, start anew with --overwrite, "
            "or choose another folder",
            path);
    if (kind == PATH_FOLDER && mode == RUN_OVERWRITE && !holds_run(path) && !folder_is_empty(path))
        return error_set(e, GRAFT_E_INVALID,
                         "output: %s holds other files and no run; --overwrite removes runs only",
                         path);
    if (kind == PATH_FOLDER) { /* would a second process hold it? */
        struct file_lock *lock = NULL;
        char *name = path_join(path, "lock");
        if (name == NULL) return error_memory(e, "a path", strlen(path));
        if (path_kind_in(path, "lock") != PATH_MISSING) status = file_lock(name, &lock, e);
        file_unlock(lock);
        mem_free(name);
    }
    if (status == GRAFT_OK) status = folder_writable(path, e);
    if (status != GRAFT_OK) error_place(e, "output");
    return status;
}

static enum graft_status remove_subfolders(const char *path, const char *name,
                                           const char *const *files, size_t count, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    char *folder = path_join(path, name);
    DIR *dir = folder != NULL ? opendir(folder) : NULL;
    for (struct dirent *d; dir != NULL && status == GRAFT_OK && (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.') continue;
        char *inner = path_join(folder, d->d_name);
        if (inner == NULL)
            status = error_memory(e, "a path", strlen(folder));
        else
            status = folder_remove(inner, files, count, e);
        mem_free(inner);
    }
    if (dir != NULL) closedir(dir);
    if (folder != NULL && status == GRAFT_OK) rmdir(folder);
    mem_free(folder);
    return status;
}

static enum graft_status clear(const char *path, struct error *e)
{
    enum graft_status status = remove_subfolders(path, "checkpoints", checkpoint_files, 3, e);
    if (status == GRAFT_OK) status = remove_subfolders(path, "adapters", adapter_files, 4, e);
    for (size_t i = 0; i < RUN_FILES && status == GRAFT_OK; i++) {
        char *file = path_join(path, run_files[i]);
        if (file == NULL) return error_memory(e, "a path", strlen(path));
        if (unlink(file) != 0 && errno != ENOENT) status = error_errno(e, "cannot remove", file);
        mem_free(file);
    }
    return status;
}

/* A kill leaves temporary names; the lock says that nobody is writing them. */
static enum graft_status sweep(const char *path, struct error *e)
{
    static const char *const steps[] = {"step-"};
    char *checkpoints = path_join(path, "checkpoints");
    if (checkpoints == NULL) return error_memory(e, "a path", strlen(path));
    enum graft_status status = folder_sweep(path, run_files, RUN_FILES, e);
    if (status == GRAFT_OK) status = folder_sweep(checkpoints, steps, 1, e);
    mem_free(checkpoints);
    return status;
}

enum graft_status run_folder_open(const char *path, enum run_mode mode, struct run_folder **out,
                                  struct error *e)
{
    struct run_folder *f = mem_zalloc(1, sizeof *f);
    if (f == NULL) return error_memory(e, "a run folder", sizeof *f);
    f->path = mem_strdup(path);
    enum graft_status status =
        f->path != NULL ? folder_make(path, e) : error_memory(e, "a path", strlen(path));
    if (status == GRAFT_OK) {
        char *lock = path_join(path, "lock");
        status =
            lock != NULL ? file_lock(lock, &f->lock, e) : error_memory(e, "a path", strlen(path));
        mem_free(lock);
    }
    /* Once more, now that nobody else can change it. */
    if (status == GRAFT_OK && mode == RUN_NEW && holds_run(path))
        status = error_set(e, GRAFT_E_INVALID, "%s holds a run", path);
    if (status == GRAFT_OK) status = sweep(path, e);
    if (status == GRAFT_OK && mode == RUN_OVERWRITE) status = clear(path, e);
    if (status != GRAFT_OK) {
        error_place(e, "output");
        run_folder_close(f);
        return status;
    }
    *out = f;
    return GRAFT_OK;
}

void run_folder_close(struct run_folder *f)
{
    if (f == NULL) return;
    file_unlock(f->lock);
    mem_free(f->path);
    mem_free(f);
}

const char *run_folder_path(const struct run_folder *f)
{
    return f->path;
}

char *run_folder_file(const struct run_folder *f, const char *name)
{
    return path_join(f->path, name);
}

bool run_folder_finished(const char *path)
{
    return path_kind_in(path, "report.json") != PATH_MISSING;
}

/* Checkpoints */

static int rising(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool parse_step(const char *name, int64_t *step)
{
    return strncmp(name, "step-", 5) == 0 && name[5] != '-' && parse_int64(name + 5, step);
}

enum graft_status run_folder_checkpoints(const char *path, int64_t **out, size_t *count,
                                         struct error *e)
{
    int64_t *steps = NULL;
    size_t n = 0, capacity = 0;
    char *folder = path_join(path, "checkpoints");
    if (folder == NULL) return error_memory(e, "a path", strlen(path));
    DIR *dir = opendir(folder);
    enum graft_status status =
        dir == NULL && errno != ENOENT ? error_errno(e, "cannot read", folder) : GRAFT_OK;
    for (struct dirent *d; dir != NULL && status == GRAFT_OK && (d = readdir(dir)) != NULL;) {
        int64_t step;
        if (!parse_step(d->d_name, &step)) continue;
        if (!array_reserve(&steps, &capacity, n + 1, sizeof *steps))
            status = error_memory(e, "a list of checkpoints", n);
        else
            steps[n++] = step;
    }
    if (dir != NULL) closedir(dir);
    mem_free(folder);
    if (status != GRAFT_OK) {
        mem_free(steps);
        return status;
    }
    if (n != 0) qsort(steps, n, sizeof *steps, rising);
    *out = steps;
    *count = n;
    return GRAFT_OK;
}

char *run_folder_checkpoint(const char *path, int64_t step)
{
    return mem_format("%s/checkpoints/step-%06lld", path, (long long)step);
}

enum graft_status run_folder_drop(const char *path, int64_t step, struct error *e)
{
    char *folder = run_folder_checkpoint(path, step);
    if (folder == NULL) return error_memory(e, "a path", strlen(path));
    enum graft_status status = folder_remove(folder, checkpoint_files, 3, e);
    mem_free(folder);
    return status;
}

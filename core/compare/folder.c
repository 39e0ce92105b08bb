/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of what a comparison leaves, and what follows from it. The runs are run folders, which
 * the room `train` begins, goes on with and clears.
 */
#include "compare/parts.h"

#include "file/atomic.h"
#include "file/paths.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const files[] = {"compare.json", "compare.csv", "compare.html",
                                    "compare.state.json", "base.rows.jsonl"};
enum { FILES = sizeof files / sizeof files[0] };

static bool holds_comparison(const char *path)
{
    for (size_t i = 0; i < FILES; i++)
        if (path_kind_in(path, files[i]) != PATH_MISSING) return true;
    return path_kind_in(path, "runs") != PATH_MISSING;
}

enum graft_status compare_folder_check(const char *path, enum run_mode mode, struct error *e)
{
    bool folder = path_kind(path) == PATH_FOLDER, holds = folder && holds_comparison(path);
    if (mode == RUN_NEW && holds)
        return error_set(e, GRAFT_E_INVALID,
                         "output: %s holds a comparison; go on with --resume, start anew with "
                         "--overwrite, or choose another folder",
                         path);
    if (mode == RUN_OVERWRITE && folder && !holds && !folder_is_empty(path))
        return error_set(e, GRAFT_E_INVALID,
                         "output: %s holds other files and no comparison; --overwrite removes "
                         "comparisons only",
                         path);
    if (mode == RUN_RESUME && folder && path_kind_in(path, "runs") != PATH_MISSING &&
        path_kind_in(path, "compare.state.json") == PATH_MISSING)
        return error_set(e, GRAFT_E_INVALID,
                         "output: %s holds runs, and no compare.state.json that says where they "
                         "stand; begin anew with --overwrite",
                         path);
    return run_folder_check(path, RUN_NEW, e); /* nor may it hold a run, or be in use */
}

/* Calls `remove` for each entry of a folder, and removes the folder where that leaves it empty. */
static enum graft_status sweep(const char *path,
                               enum graft_status (*remove)(const char *path, struct error *e),
                               struct error *e)
{
    enum graft_status status = GRAFT_OK;
    DIR *dir = opendir(path);
    if (dir == NULL) return errno == ENOENT ? GRAFT_OK : error_errno(e, "cannot read", path);
    for (struct dirent *d; status == GRAFT_OK && (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.') continue;
        char *inner = path_join(path, d->d_name);
        status = inner != NULL ? remove(inner, e) : error_memory(e, "a path", strlen(path));
        mem_free(inner);
    }
    closedir(dir);
    if (status == GRAFT_OK) rmdir(path); /* a file that is not ours stays, and its folder */
    return status;
}

/* "seed-1" */
static enum graft_status remove_run(const char *path, struct error *e)
{
    struct run_folder *run = NULL;
    if (strstr(path, "/seed-") == NULL || path_kind(path) != PATH_FOLDER) return GRAFT_OK;
    enum graft_status status = run_folder_open(path, RUN_OVERWRITE, &run, e);
    run_folder_close(run);
    if (status == GRAFT_OK) rmdir(path);
    return status;
}

static enum graft_status remove_rate(const char *path, struct error *e)
{
    return path_kind(path) == PATH_FOLDER ? sweep(path, remove_run, e) : GRAFT_OK;
}

static enum graft_status remove_method(const char *path, struct error *e)
{
    return path_kind(path) == PATH_FOLDER ? sweep(path, remove_rate, e) : GRAFT_OK;
}

static enum graft_status clear(const char *path, struct error *e)
{
    char *runs = path_join(path, "runs");
    enum graft_status status =
        runs != NULL ? sweep(runs, remove_method, e) : error_memory(e, "a path", strlen(path));
    mem_free(runs);
    for (size_t i = 0; i < FILES && status == GRAFT_OK; i++) {
        char *file = path_join(path, files[i]);
        if (file == NULL) return error_memory(e, "a path", strlen(path));
        if (unlink(file) != 0 && errno != ENOENT) status = error_errno(e, "cannot remove", file);
        mem_free(file);
    }
    return status;
}

enum graft_status compare_folder_open(const char *path, enum run_mode mode, struct file_lock **lock,
                                      struct error *e)
{
    enum graft_status status = folder_make(path, e);
    char *name = path_join(path, "lock");
    if (name == NULL) return error_memory(e, "a path", strlen(path));
    if (status == GRAFT_OK) status = file_lock(name, lock, e);
    mem_free(name);
    /* Once more, now that nobody else can change it. */
    if (status == GRAFT_OK && mode == RUN_NEW && holds_comparison(path))
        status = error_set(e, GRAFT_E_INVALID, "%s holds a comparison", path);
    if (status == GRAFT_OK) status = folder_sweep(path, files, FILES, e);
    if (status == GRAFT_OK && mode == RUN_OVERWRITE) status = clear(path, e);
    if (status != GRAFT_OK) error_place(e, "output");
    return status;
}

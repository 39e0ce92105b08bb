/* SPDX-License-Identifier: Apache-2.0
 *
 * steps.jsonl: one line per step, appended as it happens; cut back to the checkpoint on resume.
 */
#include "train/trainer.h"

#include "base/json.h"
#include "file/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool remember(struct trainer *t, const struct report_step *step)
{
    if (!array_reserve(&t->steps, &t->step_capacity, t->step_count + 1, sizeof *t->steps))
        return false;
    t->steps[t->step_count++] = *step;
    return true;
}

static double field(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Takes over one line of an earlier session; false ends the part that counts. */
static bool take_line(struct trainer *t, const char *line, size_t length)
{
    json_t *object = NULL;
    if (json_read_bytes(line, length, &object, NULL) != GRAFT_OK) return false;
    struct report_step s = {.step = (uint64_t)json_integer_value(json_object_get(object, "step")),
                            .loss = field(object, "loss"),
                            .tokens = (uint64_t)field(object, "tokens"),
                            .tokens_seen = (uint64_t)field(object, "tokens_seen"),
                            .lr = field(object, "lr"),
                            .grad_norm = field(object, "grad_norm"),
                            .seconds = field(object, "seconds")};
    json_decref(object);
    return s.step == t->step_count + 1 && s.step <= (uint64_t)t->step && remember(t, &s);
}

/* Keeps the lines up to t->step; returns the bytes that they take. */
static enum graft_status read_lines(struct trainer *t, const char *path, off_t *kept,
                                    struct error *e)
{
    struct stat info;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    *kept = 0;
    if (file < 0) return errno == ENOENT ? GRAFT_OK : error_errno(e, "cannot read", path);
    char *text = NULL;
    enum graft_status status = GRAFT_OK;
    if (fstat(file, &info) != 0)
        status = error_errno(e, "cannot read", path);
    else if ((text = mem_alloc((size_t)info.st_size + 1)) == NULL)
        status = error_memory(e, path, (size_t)info.st_size);
    else if (read(file, text, (size_t)info.st_size) != info.st_size)
        status = error_errno(e, "cannot read", path);
    close(file);
    size_t size = status == GRAFT_OK ? (size_t)info.st_size : 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL || !take_line(t, text + at, (size_t)(end - text) - at)) break;
        at = (size_t)(end - text) + 1;
        *kept = (off_t)at;
    }
    mem_free(text);
    return status;
}

enum graft_status steps_open(struct trainer *t, struct error *e)
{
    char *path = run_folder_file(t->folder, "steps.jsonl");
    off_t kept = 0;
    if (path == NULL) return error_memory(e, "a path", 0);
    enum graft_status status = read_lines(t, path, &kept, e);
    if (status == GRAFT_OK && t->step_count != (size_t)t->step)
        status =
            error_set(e, GRAFT_E_INVALID,
                      "%s: %zu of the %lld steps before the checkpoint are there; put the file "
                      "back or start anew with --overwrite",
                      path, t->step_count, (long long)t->step);
    if (status == GRAFT_OK) {
        t->steps_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (t->steps_file < 0 || ftruncate(t->steps_file, kept) != 0)
            status = error_errno(e, "cannot write", path);
    }
    mem_free(path);
    return status;
}

enum graft_status steps_append(struct trainer *t, const struct report_step *step, struct error *e)
{
    struct str line = {0};
    report_step_line(&line, step);
    enum graft_status status = GRAFT_OK;
    if (line.failed || !remember(t, step)) status = error_memory(e, "a step", sizeof *step);
    for (size_t at = 0; status == GRAFT_OK && at < line.length;) {
        ssize_t n = write(t->steps_file, line.data + at, line.length - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            status = error_errno(e, "cannot write", "steps.jsonl");
        else
            at += (size_t)n;
    }
    str_free(&line);
    return status;
}

enum graft_status steps_sync(struct trainer *t, struct error *e)
{
    return fsync(t->steps_file) == 0 ? GRAFT_OK : error_errno(e, "cannot write", "steps.jsonl");
}

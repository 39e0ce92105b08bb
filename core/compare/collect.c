/* SPDX-License-Identifier: Apache-2.0
 *
 * One run's folder, read back: its report, its steps, its passport, its rows.
 */
#include "compare/parts.h"

#include "base/json.h"
#include "file/paths.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct reader {
    const struct comparison *c;
    size_t method, rate, seed;
    struct arena *arena;
    struct collected *out;
    struct error *e;
};

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static int64_t integer(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
}

static const char *text(struct arena *arena, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value != NULL ? arena_strdup(arena, value) : NULL;
}

static char *path_of(const struct reader *r, const char *suffix)
{
    return compare_run_path(r->c->settings, r->method, r->rate, r->seed, suffix);
}

static enum graft_status read_json(const struct reader *r, const char *suffix, json_t **out)
{
    char *path = path_of(r, suffix);
    enum graft_status status = path != NULL ? json_read_file(path, (size_t)1 << 28, out, r->e)
                                            : error_memory(r->e, "a path", 0);
    mem_free(path);
    return status;
}

static enum graft_status read_report(const struct reader *r)
{
    json_t *root = NULL;
    struct collected *out = r->out;
    enum graft_status status = read_json(r, "/report.json", &root);
    if (status != GRAFT_OK) return status;
    const json_t *memory = json_object_get(root, "memory"), *evals = json_object_get(root, "evals");
    out->words = text(r->arena, root, "method");
    out->model = text(r->arena, root, "model");
    out->device = text(r->arena, root, "device");
    out->parameters = (uint64_t)integer(root, "trainable_parameters");
    out->total_parameters = (uint64_t)integer(root, "total_parameters");
    out->memory_planned = integer(memory, "planned");
    out->run.memory_used = integer(memory, "used");
    out->run.tokens_per_second = number(root, "tokens_per_second");
    size_t count = json_array_size(evals);
    struct report_eval *list = arena_alloc(r->arena, count + 1, sizeof *list);
    for (size_t i = 0; list != NULL && i < count; i++) {
        const json_t *item = json_array_get(evals, i);
        list[i] = (struct report_eval){(uint64_t)integer(item, "step"), number(item, "loss")};
        out->run.valid_loss = list[i].loss;
    }
    out->run.evals = list;
    out->run.eval_count = count;
    json_decref(root);
    return list != NULL ? GRAFT_OK : error_memory(r->e, "evaluations", count);
}

static enum graft_status read_passport(const struct reader *r)
{
    json_t *list = NULL;
    enum graft_status status = read_json(r, "/passport.json", &list);
    if (status != GRAFT_OK) return status;
    size_t count = json_array_size(list);
    struct report_field *fields = arena_alloc(r->arena, count + 1, sizeof *fields);
    for (size_t i = 0; fields != NULL && i < count; i++) {
        const json_t *item = json_array_get(list, i);
        fields[i] =
            (struct report_field){text(r->arena, item, "name"), text(r->arena, item, "value")};
    }
    r->out->passport = fields;
    r->out->passport_count = count;
    json_decref(list);
    return fields != NULL ? GRAFT_OK : error_memory(r->e, "a passport", count);
}

/* The losses at the rungs stand for the evaluations of a candidate that was stopped. */
static enum graft_status read_rungs(const struct reader *r)
{
    const struct settings_compare *s = r->c->settings;
    const struct candidate *candidate =
        &compare_record_at(&r->c->state, r->method, r->rate, r->seed)->candidate;
    struct report_eval *list = arena_alloc(r->arena, candidate->rungs + 1, sizeof *list);
    if (list == NULL) return error_memory(r->e, "evaluations", candidate->rungs);
    for (size_t i = 0; i < candidate->rungs; i++) {
        int64_t step =
            halving_step(s->methods[r->method].rates.count, s->halving != 0, r->c->state.steps, i);
        list[i] = (struct report_eval){(uint64_t)step, candidate->loss[i]};
        r->out->run.valid_loss = list[i].loss;
    }
    r->out->run.evals = list;
    r->out->run.eval_count = candidate->rungs;
    return GRAFT_OK;
}

static enum graft_status add_line(const struct reader *r, const char *line, size_t length,
                                  struct report_step *step)
{
    json_t *object = NULL;
    enum graft_status status = json_read_bytes(line, length, &object, r->e);
    if (status != GRAFT_OK) return status;
    *step = (struct report_step){.step = (uint64_t)integer(object, "step"),
                                 .loss = number(object, "loss"),
                                 .tokens = (uint64_t)integer(object, "tokens"),
                                 .tokens_seen = (uint64_t)integer(object, "tokens_seen"),
                                 .lr = number(object, "lr"),
                                 .grad_norm = number(object, "grad_norm"),
                                 .seconds = number(object, "seconds")};
    json_decref(object);
    return GRAFT_OK;
}

static enum graft_status read_lines(const struct reader *r, const char *path, FILE *file)
{
    struct report_step *steps = arena_alloc(r->arena, (size_t)r->c->state.steps, sizeof *steps);
    struct report_run *run = &r->out->run;
    char line[1024];
    enum graft_status status =
        steps != NULL ? GRAFT_OK : error_memory(r->e, "steps", (size_t)r->c->state.steps);
    run->seconds = 0;
    while (status == GRAFT_OK && run->step_count < (size_t)r->c->state.steps &&
           fgets(line, sizeof line, file) != NULL) {
        status = add_line(r, line, strlen(line), &steps[run->step_count]);
        if (status == GRAFT_OK) run->seconds += steps[run->step_count++].seconds;
    }
    run->steps = steps;
    return status == GRAFT_OK ? status : error_place(r->e, "%s", path);
}

/* A run that failed before its first step has none. */
static enum graft_status read_steps(const struct reader *r)
{
    char *path = path_of(r, "/steps.jsonl");
    FILE *file = path != NULL ? fopen(path, "rb") : NULL;
    enum graft_status status = GRAFT_OK;
    if (path == NULL)
        status = error_memory(r->e, "a path", 0);
    else if (file != NULL)
        status = read_lines(r, path, file);
    else if (errno != ENOENT)
        status = error_errno(r->e, "cannot read", path);
    if (file != NULL) fclose(file);
    mem_free(path);
    return status;
}

static enum graft_status read_recipe_file(const struct reader *r)
{
    char *path = path_of(r, "/recipe.yaml");
    FILE *file = path != NULL ? fopen(path, "rb") : NULL;
    struct stat info;
    enum graft_status status = GRAFT_OK;
    if (path == NULL) return error_memory(r->e, "a path", 0);
    if (file == NULL || fstat(fileno(file), &info) != 0) {
        status = error_errno(r->e, "cannot read", path);
    } else {
        char *bytes = arena_alloc(r->arena, (size_t)info.st_size + 1, 1);
        if (bytes == NULL || fread(bytes, 1, (size_t)info.st_size, file) != (size_t)info.st_size)
            status = error_set(r->e, GRAFT_E_IO, "cannot read %s", path);
        r->out->recipe = bytes;
    }
    if (file != NULL) fclose(file);
    mem_free(path);
    return status;
}

static const char *const adapter_files[] = {"adapter_config.json", "adapter_model.safetensors",
                                            "adapter.safetensors", "full.safetensors"};

static uint64_t bytes_in(const struct reader *r, const char *folder)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof adapter_files / sizeof adapter_files[0]; i++) {
        struct stat info;
        char *suffix = mem_format("/%s%s", folder, adapter_files[i]);
        char *path = suffix != NULL ? path_of(r, suffix) : NULL;
        if (path != NULL && stat(path, &info) == 0) bytes += (uint64_t)info.st_size;
        mem_free(suffix);
        mem_free(path);
    }
    return bytes;
}

/* Of all files that the adapters consist of, configuration included; a stack has folders. */
static enum graft_status measure_adapter(const struct reader *r)
{
    json_t *stack = NULL, *name;
    size_t index;
    char *path = path_of(r, "/stack.json");
    if (path == NULL) return error_memory(r->e, "a path", 0);
    bool is_stack = path_kind(path) == PATH_FILE;
    mem_free(path);
    if (!is_stack) r->out->adapter_bytes = bytes_in(r, "");
    enum graft_status status = is_stack ? read_json(r, "/stack.json", &stack) : GRAFT_OK;
    json_array_foreach(json_object_get(stack, "adapters"), index, name)
    {
        char *folder = mem_format("%s/", json_string_value(name));
        if (folder != NULL) r->out->adapter_bytes += bytes_in(r, folder);
        mem_free(folder);
    }
    json_decref(stack);
    return status;
}

enum graft_status compare_collect(const struct comparison *c, size_t method, size_t rate,
                                  size_t seed, struct arena *arena, struct collected *out,
                                  struct error *e)
{
    const struct compare_record *record = compare_record_at(&c->state, method, rate, seed);
    struct reader r = {c, method, rate, seed, arena, out, e};
    *out = (struct collected){.run = {.lr = c->settings->methods[method].rates.items[rate],
                                      .seed = c->settings->seeds.items[seed],
                                      .finished = record->done,
                                      .valid_loss = (double)NAN,
                                      .seconds = (double)NAN,
                                      .tokens_per_second = (double)NAN,
                                      .first_token = (double)NAN,
                                      .per_token = (double)NAN,
                                      .memory_used = -1}};
    enum graft_status status = read_steps(&r);
    if (status != GRAFT_OK || !record->done) return status == GRAFT_OK ? read_rungs(&r) : status;
    if (status == GRAFT_OK) status = read_report(&r);
    if (status == GRAFT_OK) status = read_passport(&r);
    if (status == GRAFT_OK) status = read_recipe_file(&r);
    char *path = path_of(&r, "/rows.jsonl");
    if (path == NULL) return error_memory(e, "a path", 0);
    if (status == GRAFT_OK) status = rows_load(path, &out->rows, e);
    mem_free(path);
    if (status == GRAFT_OK) status = measure_adapter(&r);
    out->run.first_token = record->time.first_token;
    out->run.per_token = record->time.per_token;
    return status;
}

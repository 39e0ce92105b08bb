/* SPDX-License-Identifier: Apache-2.0
 *
 * The records, what follows from them, and their file.
 */
#include "compare/state.h"

#include "base/json.h"
#include "file/atomic.h"
#include "file/paths.h"

#include <math.h>
#include <string.h>

static const char state_name[] = "compare.state.json";

/* Lines of an effective recipe that a comparison varies or that say nothing about results. */
static bool is_varied(const char *section, const char *line, size_t length)
{
    bool lr =
        strncmp(section, "optimizer:", 10) == 0 && length > 6 && strncmp(line, "  lr: ", 6) == 0;
    bool seed =
        strncmp(section, "train:", 6) == 0 && length > 8 && strncmp(line, "  seed: ", 8) == 0;
    return lr || seed;
}

/* What decides about rungs. */
static void put_rates(const struct settings_compare *c, size_t method, struct str *out)
{
    const struct rates *rates = &c->methods[method].rates;
    char number[32];
    str_puts(out, "lr: [");
    for (size_t i = 0; i < rates->count; i++)
        str_printf(out, "%s%s", i != 0 ? ", " : "", format_f64(rates->items[i], number));
    str_printf(out, "]\nhalving: %s\n", c->halving ? "true" : "false");
}

static enum graft_status method_recipe(struct compare_state *state, size_t method, struct error *e)
{
    const struct settings_compare *c = state->settings;
    struct settings *s = NULL;
    struct str whole = {0}, kept = {0};
    const char *section = "";
    put_rates(c, method, &kept);
    enum graft_status status = settings_compare_run(c, method, 0, 0, NULL, &s, e);
    if (status == GRAFT_OK) status = settings_write_yaml(s, c->output, false, &whole, e);
    for (const char *line = whole.data; status == GRAFT_OK && *line != '\0';) {
        size_t length = strcspn(line, "\n") + 1;
        if (*line != ' ') section = line;
        if (!is_varied(section, line, length)) str_add(&kept, line, length);
        line += length;
    }
    if (status == GRAFT_OK && (kept.failed || (state->methods[method].recipe =
                                                   arena_strdup(&state->arena, kept.data)) == NULL))
        status = error_memory(e, "a recipe", whole.length);
    str_free(&whole);
    str_free(&kept);
    settings_free(s);
    return status;
}

enum graft_status compare_state_create(const struct settings_compare *c,
                                       struct compare_state *state, struct error *e)
{
    *state = (struct compare_state){.settings = c, .base_time = {(double)NAN, (double)NAN}};
    state->methods = arena_alloc(&state->arena, c->method_count, sizeof *state->methods);
    if (state->methods == NULL) return error_memory(e, "a comparison", c->method_count);
    for (size_t m = 0; m < c->method_count; m++) {
        size_t count = c->methods[m].rates.count * c->seeds.count;
        struct compare_record *records = arena_alloc(&state->arena, count, sizeof *records);
        if (records == NULL) return error_memory(e, "a comparison", count * sizeof *records);
        for (size_t i = 0; i < count; i++)
            records[i].time = (struct answer_time){(double)NAN, (double)NAN};
        state->methods[m].records = records;
    }
    return GRAFT_OK;
}

enum graft_status compare_state_recipes(struct compare_state *state, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t m = 0; m < state->settings->method_count && status == GRAFT_OK; m++)
        status = method_recipe(state, m, e);
    return status;
}

void compare_state_free(struct compare_state *state)
{
    arena_free(&state->arena);
    *state = (struct compare_state){0};
}

struct compare_record *compare_record_at(const struct compare_state *state, size_t method,
                                         size_t rate, size_t seed)
{
    return &state->methods[method].records[rate * state->settings->seeds.count + seed];
}

char *compare_run_path(const struct settings_compare *c, size_t method, size_t rate, size_t seed,
                       const char *file)
{
    char number[32];
    return mem_format("%s/runs/%s/lr-%s/seed-%lld%s", c->output, c->methods[method].name,
                      format_f64(c->methods[method].rates.items[rate], number),
                      (long long)c->seeds.items[seed], file);
}

/* What follows from the records */

static struct halving_next sweep(const struct compare_state *state, size_t method)
{
    struct candidate candidates[64];
    size_t rates = state->settings->methods[method].rates.count;
    for (size_t r = 0; r < rates; r++)
        candidates[r] = compare_record_at(state, method, r, 0)->candidate;
    return halving_next(candidates, rates, halving_rungs(rates, state->settings->halving != 0));
}

size_t compare_chosen(const struct compare_state *state, size_t method)
{
    if (state->methods[method].error != NULL) return SIZE_MAX;
    struct halving_next next = sweep(state, method);
    return next.what == HALVING_CHOSEN ? next.candidate : SIZE_MAX;
}

static bool method_next(const struct compare_state *state, size_t method, size_t seed,
                        struct compare_action *action)
{
    const struct settings_compare *c = state->settings;
    if (state->methods[method].error != NULL) return false;
    struct halving_next next = sweep(state, method);
    *action = (struct compare_action){method, next.candidate, seed, 0};
    if (next.what == HALVING_NONE) return false;
    if (next.what == HALVING_RUN) {
        action->seed = 0;
        action->pause_at =
            halving_step(c->methods[method].rates.count, c->halving != 0, state->steps, next.rung);
        return true;
    }
    const struct compare_record *r = compare_record_at(state, method, next.candidate, seed);
    return !r->done && !r->candidate.failed;
}

bool compare_next(const struct compare_state *state, struct compare_action *action)
{
    for (size_t seed = 0; seed < state->settings->seeds.count; seed++)
        for (size_t m = 0; m < state->settings->method_count; m++)
            if (method_next(state, m, seed, action)) return true;
    return false;
}

void compare_count(const struct compare_state *state, size_t *done, size_t *total)
{
    const struct settings_compare *c = state->settings;
    *done = *total = 0;
    for (size_t m = 0; m < c->method_count; m++) {
        size_t chosen = compare_chosen(state, m);
        if (state->methods[m].error != NULL) continue;
        *total += c->methods[m].rates.count - 1 + c->seeds.count;
        for (size_t r = 0; r < c->methods[m].rates.count; r++)
            for (size_t s = 0; s < c->seeds.count; s++) {
                const struct compare_record *at = compare_record_at(state, m, r, s);
                bool lost = s == 0 && chosen != SIZE_MAX && r != chosen;
                *done += at->done || at->candidate.failed || lost;
            }
    }
}

const char *compare_failure(const struct compare_state *state, size_t method)
{
    const struct settings_compare *c = state->settings;
    size_t chosen = compare_chosen(state, method);
    if (state->methods[method].error != NULL) return state->methods[method].error;
    for (size_t r = 0; chosen == SIZE_MAX && r < c->methods[method].rates.count; r++)
        if (compare_record_at(state, method, r, 0)->error != NULL)
            return compare_record_at(state, method, r, 0)->error;
    for (size_t s = 0; chosen != SIZE_MAX && s < c->seeds.count; s++)
        if (compare_record_at(state, method, chosen, s)->error != NULL)
            return compare_record_at(state, method, chosen, s)->error;
    return NULL;
}

/* The file */

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *time_json(const struct answer_time *time)
{
    return json_pack("{s:o, s:o}", "first_token", real(time->first_token), "per_token",
                     real(time->per_token));
}

static json_t *record_json(const struct settings_compare *c, size_t method, size_t rate,
                           size_t seed, const struct compare_record *r)
{
    json_t *rungs = json_array();
    for (size_t i = 0; i < r->candidate.rungs; i++)
        json_array_append_new(rungs, real(r->candidate.loss[i]));
    return json_pack("{s:f, s:I, s:o, s:b, s:s?, s:o}", "lr", c->methods[method].rates.items[rate],
                     "seed", (json_int_t)c->seeds.items[seed], "rungs", rungs, "done", (int)r->done,
                     "error", r->error, "answers", time_json(&r->time));
}

static json_t *method_json(const struct compare_state *state, size_t method)
{
    const struct settings_compare *c = state->settings;
    json_t *runs = json_array();
    for (size_t r = 0; r < c->methods[method].rates.count; r++)
        for (size_t s = 0; s < c->seeds.count; s++) {
            const struct compare_record *record = compare_record_at(state, method, r, s);
            if (record->begun) json_array_append_new(runs, record_json(c, method, r, s, record));
        }
    return json_pack("{s:s, s:s, s:o}", "name", c->methods[method].name, "recipe",
                     state->methods[method].recipe, "runs", runs);
}

enum graft_status compare_state_save(const struct compare_state *state, const char *folder,
                                     struct error *e)
{
    struct str text = {0};
    json_t *methods = json_array();
    for (size_t m = 0; m < state->settings->method_count; m++)
        json_array_append_new(methods, method_json(state, m));
    json_t *root = json_pack("{s:I, s:o, s:o}", "steps", (json_int_t)state->steps, "base_answers",
                             time_json(&state->base_time), "methods", methods);
    char *path = path_join(folder, state_name);
    if (root != NULL) json_write(&text, root, 1, false);
    str_putc(&text, '\n');
    enum graft_status status = root == NULL || path == NULL || text.failed
                                   ? error_memory(e, state_name, text.length)
                                   : atomic_write_file(path, text.data, text.length, e);
    json_decref(root);
    mem_free(path);
    str_free(&text);
    return status;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static struct answer_time time_of(const json_t *object)
{
    return (struct answer_time){number(object, "first_token"), number(object, "per_token")};
}

/* What failed is tried again: the cause may be gone, and if not it fails again. */
static void load_record(const json_t *from, struct compare_record *to)
{
    const json_t *rungs = json_object_get(from, "rungs");
    to->begun = true;
    to->done = json_is_true(json_object_get(from, "done"));
    to->time = time_of(json_object_get(from, "answers"));
    to->candidate.rungs =
        json_array_size(rungs) < HALVING_RUNGS ? json_array_size(rungs) : HALVING_RUNGS;
    for (size_t i = 0; i < to->candidate.rungs; i++) {
        const json_t *loss = json_array_get(rungs, i);
        to->candidate.loss[i] = json_is_number(loss) ? json_number_value(loss) : (double)NAN;
    }
}

/* The first line that differs, for the message. */
static enum graft_status recipe_changed(const char *name, const char *then, const char *now,
                                        struct error *e)
{
    while (*then != '\0' && *now != '\0') {
        size_t a = strcspn(then, "\n"), b = strcspn(now, "\n");
        if (a != b || memcmp(then, now, a) != 0) break;
        then += a + (then[a] == '\n');
        now += b + (now[b] == '\n');
    }
    then += strspn(then, " ");
    now += strspn(now, " ");
    return error_set(
        e, GRAFT_E_INVALID,
        "--resume: the recipe of %s changed: it was \"%.*s\", now it is \"%.*s\"; give "
        "the changed method a new name, or begin anew with --overwrite",
        name, (int)strcspn(then, "\n"), then, (int)strcspn(now, "\n"), now);
}

static enum graft_status load_method(struct compare_state *state, const json_t *from, size_t method,
                                     struct error *e)
{
    const struct settings_compare *c = state->settings;
    const char *recipe = json_string_value(json_object_get(from, "recipe"));
    const json_t *runs = json_object_get(from, "runs"), *run;
    size_t index;
    if (json_array_size(runs) != 0 &&
        (recipe == NULL || strcmp(recipe, state->methods[method].recipe) != 0))
        return recipe_changed(c->methods[method].name, recipe != NULL ? recipe : "",
                              state->methods[method].recipe, e);
    json_array_foreach(runs, index, run)
    {
        double lr = number(run, "lr"), seed = number(run, "seed");
        for (size_t r = 0; r < c->methods[method].rates.count; r++)
            for (size_t s = 0; s < c->seeds.count; s++)
                if (c->methods[method].rates.items[r] == lr && (double)c->seeds.items[s] == seed)
                    load_record(run, compare_record_at(state, method, r, s));
    }
    return GRAFT_OK;
}

enum graft_status compare_state_load(struct compare_state *state, const char *folder,
                                     struct error *e)
{
    const struct settings_compare *c = state->settings;
    json_t *root = NULL;
    char *path = path_join(folder, state_name);
    if (path == NULL) return error_memory(e, "a path", strlen(folder));
    enum graft_status status = GRAFT_OK;
    if (path_kind(path) == PATH_FILE) status = json_read_file(path, 1 << 26, &root, e);
    mem_free(path);
    const json_t *methods = json_object_get(root, "methods"), *method;
    state->base_time = time_of(json_object_get(root, "base_answers"));
    size_t index;
    json_array_foreach(methods, index, method)
    {
        const char *name = json_string_value(json_object_get(method, "name"));
        for (size_t m = 0; name != NULL && m < c->method_count && status == GRAFT_OK; m++)
            if (strcmp(name, c->methods[m].name) == 0) status = load_method(state, method, m, e);
    }
    json_decref(root);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading: the file, the --set texts, the walk over the tree, what is missing, what contradicts.
 */
#include "recipe/settings.h"

#include "base/log.h"
#include "recipe/read.h"
#include "recipe/set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool settings_is_recipe(const char *path)
{
    return text_ends(path, ".yaml") || text_ends(path, ".yml");
}

static enum graft_status read_bytes(const char *path, FILE *file, char **bytes, size_t *length,
                                    struct error *e)
{
    struct stat info;
    if (fstat(fileno(file), &info) != 0) return error_errno(e, "cannot read", path);
    if (S_ISDIR(info.st_mode))
        return error_set(e, GRAFT_E_INVALID, "%s: is a folder, expected a recipe", path);
    char *buffer = mem_alloc(RECIPE_SIZE_LIMIT + 1);
    if (buffer == NULL) return error_memory(e, "a recipe", RECIPE_SIZE_LIMIT + 1);
    size_t n = fread(buffer, 1, RECIPE_SIZE_LIMIT + 1, file);
    enum graft_status status = GRAFT_OK;
    if (ferror(file))
        status = error_errno(e, "cannot read", path);
    else if (n > RECIPE_SIZE_LIMIT)
        status = error_set(e, GRAFT_E_INVALID, "%s: larger than 1 MiB, not a recipe", path);
    if (status != GRAFT_OK) {
        mem_free(buffer);
        return status;
    }
    *bytes = buffer;
    *length = n;
    return GRAFT_OK;
}

static enum graft_status read_file(struct settings *s, struct node **root, struct error *e)
{
    struct source source = {s->file, 0};
    char *bytes = NULL;
    size_t length = 0;
    FILE *file = fopen(s->file, "rb");
    if (file == NULL) return error_set(e, GRAFT_E_INVALID, "%s: %s", s->file, strerror(errno));
    enum graft_status status = read_bytes(s->file, file, &bytes, &length, e);
    fclose(file);
    if (status == GRAFT_OK) status = node_parse(&s->arena, &source, bytes, length, root, e);
    mem_free(bytes);
    return status;
}

static enum graft_status read_section(struct loader *l, const struct node *map, const char *prefix);

static enum graft_status read_key(struct loader *l, struct node *child, const char *prefix)
{
    char label[128];
    int n = snprintf(label, sizeof label, "%s%s%s", prefix, *prefix != '\0' ? "." : "", child->key);
    const struct schema_key *row =
        n > 0 && (size_t)n < sizeof label && strchr(child->key, '.') == NULL
            ? schema_find(&schema_core, label, (size_t)n)
            : NULL;
    if (row == NULL && strcmp(prefix, "optimizer") == 0) return GRAFT_OK; /* the plugin's */
    if (row == NULL && strcmp(label, "compare") == 0)
        return l->use == USE_DATA
                   ? GRAFT_OK
                   : read_refuse(l, child->key_place, label,
                                 "this recipe compares methods: run it with graft compare");
    if (row == NULL) return read_unknown(l, &schema_core, prefix, child);
    if (child->type == NODE_NULL) return GRAFT_OK;
    size_t index = (size_t)(row - schema_core.keys);
    l->given[index] = child;
    if ((l->s->places.of[index] = read_place(l, child->place)) == NULL) return read_no_memory(l);
    if (row->type != SCHEMA_MAP) return read_value(l, row, label, child, l->s);
    if (strcmp(label, "adapter") == 0) return GRAFT_OK; /* read when the rest is known */
    if (child->type != NODE_MAP) {
        char shown[128];
        return read_refuse(l, child->place, label, "found %s, expected a mapping of keys",
                           node_show(child, shown));
    }
    if (strcmp(label, "train.early_stopping") == 0) l->s->early_stopping.enabled = true;
    return read_section(l, child, label);
}

static enum graft_status read_section(struct loader *l, const struct node *map, const char *prefix)
{
    enum graft_status status = GRAFT_OK;
    for (struct node *child = map->first; status == GRAFT_OK && child != NULL; child = child->next)
        status = read_key(l, child, prefix);
    return status;
}

/* The place of the mapping that a key should stand in. */
static struct place parent_place(const struct loader *l, const char *key)
{
    const char *dot = strrchr(key, '.');
    const struct schema_key *row =
        dot != NULL ? schema_find(&schema_core, key, (size_t)(dot - key)) : NULL;
    const struct node *parent = row != NULL ? l->given[row - schema_core.keys] : NULL;
    return parent != NULL ? parent->place : l->root->place;
}

/* Of the model or the rows, which are all that `graft data` looks at. */
static bool is_of_data(const struct schema_key *row)
{
    const char *name;
    return schema_below(row, "model", &name) || schema_below(row, "data", &name);
}

static enum graft_status fill_defaults(struct loader *l)
{
    for (size_t i = 0; i < schema_core.count; i++) {
        const struct schema_key *row = &schema_core.keys[i];
        enum graft_status status = GRAFT_OK;
        if (l->given[i] != NULL) continue;
        bool needed = row->required || strcmp(row->path, "adapter") == 0;
        if (needed && l->use == USE_DATA && !is_of_data(row)) continue;
        if (needed)
            return read_refuse(l, parent_place(l, row->path), row->path, "missing: %s", row->help);
        if (row->type != SCHEMA_MAP) status = read_default(l, row, row->path, l->s);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static const struct node *given(const struct loader *l, const char *key)
{
    const struct schema_key *row = schema_find(&schema_core, key, strlen(key));
    return l->given[row - schema_core.keys];
}

/* Defaults that depend on other keys. */
static void fill_dependent(struct loader *l)
{
    struct settings *s = l->s;
    if (s->train.max_steps == 0 && given(l, "train.epochs") == NULL) s->train.epochs = 3;
    if (given(l, "train.num_cycles") == NULL)
        s->train.schedule.num_cycles =
            s->train.schedule.kind == SCHEDULE_COSINE_WITH_RESTARTS ? 1 : 0.5;
    s->train.schedule.has_min_lr = given(l, "train.min_lr") != NULL;
}

static enum graft_status check_effects(const struct loader *l)
{
    for (size_t i = 0; i < schema_core.count; i++) {
        const char *key = schema_core.keys[i].path;
        const char *reason = l->given[i] != NULL ? effect_missing(l->s, key) : NULL;
        if (reason != NULL) return read_refuse(l, l->given[i]->key_place, key, "%s", reason);
    }
    return GRAFT_OK;
}

static enum graft_status check_below_lr(const struct loader *l, const char *key, double value)
{
    const struct node *node = given(l, key);
    char text[32], lr[32];
    if (node == NULL || given(l, "optimizer.lr") == NULL || value <= l->s->optimizer.lr)
        return GRAFT_OK;
    return read_refuse(l, node->place, key, "found %s, more than optimizer.lr %s",
                       format_f64(value, text), format_f64(l->s->optimizer.lr, lr));
}

static enum graft_status check_schedule(const struct loader *l)
{
    const struct settings_schedule *c = &l->s->train.schedule;
    struct place place = parent_place(l, "train.schedule");
    if (c->kind == SCHEDULE_WARMUP_STABLE_DECAY && given(l, "train.num_decay_steps") == NULL)
        return read_refuse(l, place, "train.num_decay_steps",
                           "missing: schedule warmup_stable_decay needs it");
    if (c->kind == SCHEDULE_COSINE_WITH_MIN_LR && given(l, "train.min_lr") == NULL &&
        given(l, "train.min_lr_rate") == NULL)
        return read_refuse(l, place, "train.min_lr_rate",
                           "missing: schedule cosine_with_min_lr needs it, or min_lr");
    enum graft_status status = check_below_lr(l, "train.lr_end", c->lr_end);
    return status == GRAFT_OK ? check_below_lr(l, "train.min_lr", c->min_lr) : status;
}

static enum graft_status check_backend(const struct loader *l)
{
    char *path = NULL, place[PLACE_SIZE];
    if (strcmp(l->s->backend.name, "auto") == 0) return GRAFT_OK;
    enum graft_status status =
        plugin_find(GRAFT_PLUGIN_BACKEND, l->s->backend.name, NULL, &path, l->e);
    mem_free(path);
    if (status != GRAFT_OK)
        error_place(l->e, "%s: backend.name",
                    place_text(l->s->file, given(l, "backend.name")->place, place));
    return status;
}

enum graft_status read_tree(struct loader *l)
{
    enum graft_status status;
    char shown[128];
    if (l->root->type != NODE_MAP)
        return read_refuse(l, l->root->place, "recipe", "found %s, expected a mapping of keys",
                           node_show(l->root, shown));
    l->given = arena_alloc(&l->s->arena, schema_core.count, sizeof *l->given);
    l->s->places.of = arena_alloc(&l->s->arena, schema_core.count, sizeof *l->s->places.of);
    if (l->given == NULL || l->s->places.of == NULL) return read_no_memory(l);
    if ((status = read_section(l, l->root, "")) != GRAFT_OK ||
        (status = fill_defaults(l)) != GRAFT_OK)
        return status;
    fill_dependent(l);
    const struct node *adapter = given(l, "adapter"), *method = given(l, "optimizer.method");
    if ((status = check_effects(l)) != GRAFT_OK || (status = check_schedule(l)) != GRAFT_OK ||
        (adapter != NULL && (status = read_adapters(l, adapter)) != GRAFT_OK) ||
        (method != NULL && (status = read_optimizer(l, given(l, "optimizer"))) != GRAFT_OK))
        return status;
    return check_backend(l);
}

enum graft_status read_recipe(struct loader *l, const char *path, const char *const *sets,
                              size_t set_count)
{
    struct settings *s = l->s;
    const char *slash = strrchr(path, '/');
    enum graft_status status;
    s->file = arena_strdup(&s->arena, path);
    s->folder = slash == NULL   ? arena_strdup(&s->arena, ".")
                : slash == path ? arena_strdup(&s->arena, "/")
                                : arena_format(&s->arena, "%.*s", (int)(slash - path), path);
    l->dropped = arena_alloc(&s->arena, set_count + 1, sizeof *l->dropped);
    l->set_count = set_count;
    if (s->file == NULL || s->folder == NULL || l->dropped == NULL) return read_no_memory(l);
    if ((status = read_file(s, &l->root, l->e)) != GRAFT_OK) return status;
    if (l->root->type == NODE_MAP && (status = set_expand(&s->arena, l->root, l->e)) != GRAFT_OK)
        return status;
    for (size_t i = 0; l->root->type == NODE_MAP && i < set_count; i++) {
        status = set_apply(&s->arena, l->root, (uint32_t)i + 1, sets[i], &l->dropped[i], l->e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

void read_log_dropped(const struct loader *l)
{
    for (size_t i = 0; i < l->set_count; i++)
        if (l->dropped[i] != NULL) log_info("%s", l->dropped[i]);
}

static enum graft_status load(const char *path, const char *const *sets, size_t set_count,
                              enum recipe_use use, struct settings **settings, struct error *e)
{
    struct settings *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return error_memory(e, "settings", sizeof *s);
    struct loader l = {.s = s, .use = use, .e = e};
    enum graft_status status = read_recipe(&l, path, sets, set_count);
    if (status == GRAFT_OK) status = read_tree(&l);
    if (status != GRAFT_OK) {
        settings_free(s);
        return status;
    }
    read_log_dropped(&l);
    *settings = s;
    return GRAFT_OK;
}

enum graft_status settings_load(const char *path, const char *const *sets, size_t set_count,
                                struct settings **settings, struct error *e)
{
    return load(path, sets, set_count, USE_ALL, settings, e);
}

enum graft_status settings_load_data(const char *path, const char *const *sets, size_t set_count,
                                     struct settings **settings, struct error *e)
{
    return load(path, sets, set_count, USE_DATA, settings, e);
}

enum graft_status settings_load_run(const char *path, const char *const *sets, size_t set_count,
                                    struct settings **settings, struct error *e)
{
    return load(path, sets, set_count, USE_RUN, settings, e);
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) return;
    for (size_t i = 0; i < settings->adapter_count; i++)
        option_values_destroy(settings->adapters[i].options);
    option_values_destroy(settings->optimizer.options);
    arena_free(&settings->arena);
    mem_free(settings);
}

void settings_locate(const struct settings *settings, struct error *e)
{
    size_t length = strcspn(e->text, ":");
    const struct schema_key *row = schema_find(&schema_core, e->text, length);
    /* A section's place is where it begins: a --set below it may be what is wrong. */
    if (row == NULL || row->type == SCHEMA_MAP) return;
    const char *place = settings->places.of[row - schema_core.keys];
    if (place != NULL) error_place(e, "%s", place);
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The section `compare`, and the tree of each run: a copy of the common part with the method's
 * fragment, one rate and one seed put into it.
 */
#include "recipe/compare.h"

#include "plugin/quote.h"
#include "recipe/read.h"

#include <stdio.h>
#include <string.h>

enum { METHOD_LIMIT = 64, RATE_LIMIT = 32, SEED_LIMIT = 64, NAME_LIMIT = 60 };

/* Keys of `train` that a method may set. The others are rows, their order and the budget, which a
 * comparison keeps equal. */
static const char *const method_train_keys[] = {"schedule",
                                                "warmup_ratio",
                                                "warmup_steps",
                                                "num_cycles",
                                                "lr_end",
                                                "power",
                                                "timescale",
                                                "min_lr",
                                                "min_lr_rate",
                                                "min_lr_ratio",
                                                "warmup_type",
                                                "decay_type",
                                                "num_stable_steps",
                                                "num_decay_steps",
                                                "max_grad_norm",
                                                "gradient_checkpointing",
                                                "micro_batch_tokens"};

/* Trees */

static struct node *copy_tree(struct arena *arena, const struct node *from)
{
    struct node *to = arena_alloc(arena, 1, sizeof *to);
    if (to == NULL) return NULL;
    *to = *from;
    to->first = to->next = NULL;
    to->count = 0;
    if ((from->text != NULL && (to->text = arena_strdup(arena, from->text)) == NULL) ||
        (from->key != NULL && (to->key = arena_strdup(arena, from->key)) == NULL))
        return NULL;
    for (const struct node *child = from->first; child != NULL; child = child->next) {
        struct node *copied = copy_tree(arena, child);
        if (copied == NULL) return NULL;
        node_append(to, copied);
    }
    return to;
}

/* `value` becomes the child `key` of the mapping, in the place of one that is there. */
static void put(struct node *map, const char *key, struct place key_place, struct node *value)
{
    value->key = key;
    value->key_place = key_place;
    for (struct node **at = &map->first; *at != NULL; at = &(*at)->next) {
        if (strcmp((*at)->key, key) != 0) continue;
        value->next = (*at)->next;
        *at = value;
        return;
    }
    node_append(map, value);
}

/* The mapping `key` of the root, made where it is missing or null. */
static struct node *section_of(struct arena *arena, struct node *root, const char *key)
{
    struct node *map = node_get(root, key);
    if (map != NULL && map->type != NODE_NULL) return map;
    struct node *made = arena_alloc(arena, 1, sizeof *made);
    if (made == NULL) return NULL;
    *made = (struct node){.type = NODE_MAP, .place = root->place};
    put(root, key, root->place, made);
    return made;
}

static enum graft_status merge(struct loader *l, const struct node *from)
{
    struct arena *arena = &l->s->arena;
    bool whole = strcmp(from->key, "adapter") == 0 ||
                 (from->type == NODE_MAP && strcmp(from->key, "optimizer") == 0 &&
                  node_get(from, "method") != NULL);
    struct node *copy = copy_tree(arena, from);
    struct node *target = whole ? l->root : section_of(arena, l->root, from->key);
    if (copy == NULL || target == NULL) return read_no_memory(l);
    if (whole) {
        put(l->root, copy->key, copy->key_place, copy);
        return GRAFT_OK;
    }
    for (struct node *child = copy->first, *next; child != NULL; child = next) {
        next = child->next;
        put(target, child->key, child->key_place, child);
    }
    return GRAFT_OK;
}

static enum graft_status put_number(struct loader *l, const char *map, const char *key,
                                    const struct node *from)
{
    struct node *copy = copy_tree(&l->s->arena, from);
    struct node *target = section_of(&l->s->arena, l->root, map);
    if (copy == NULL || target == NULL) return read_no_memory(l);
    if (target->type != NODE_MAP) return GRAFT_OK; /* read_tree says what is wrong with it */
    put(target, key, from->place, copy);
    return GRAFT_OK;
}

static const struct node *item(const struct node *list_or_one, size_t index)
{
    const struct node *node = list_or_one->type == NODE_LIST ? list_or_one->first : list_or_one;
    while (index-- > 0) node = node->next;
    return node;
}

static enum graft_status put_seed(struct loader *l, const struct settings_compare *c, size_t seed)
{
    const struct node *given = node_get(c->section, "seeds");
    struct node number = {
        .type = NODE_INT, .i = c->seeds.items[seed], .text = "", .place = c->section->place};
    if (given != NULL && given->type != NODE_NULL) number = *item(given, seed);
    number.first = NULL;
    return put_number(l, "train", "seed", &number);
}

static enum graft_status build(struct loader *l, const struct settings_compare *c, size_t method,
                               size_t rate, size_t seed, const char *output)
{
    const struct node *fragment = c->methods[method].fragment, *lr = node_get(fragment, "lr");
    enum graft_status status = GRAFT_OK;
    l->s->file = arena_strdup(&l->s->arena, c->owner->file);
    l->s->folder = arena_strdup(&l->s->arena, c->owner->folder);
    l->root = copy_tree(&l->s->arena, c->common);
    if (l->s->file == NULL || l->s->folder == NULL || l->root == NULL) return read_no_memory(l);
    for (const struct node *child = fragment->first; child != NULL && status == GRAFT_OK;
         child = child->next)
        if (child->type != NODE_NULL && strcmp(child->key, "name") != 0 &&
            strcmp(child->key, "lr") != 0)
            status = merge(l, child);
    if (status == GRAFT_OK && lr != NULL && lr->type != NODE_NULL)
        status = put_number(l, "optimizer", "lr", item(lr, rate));
    if (status == GRAFT_OK) status = put_seed(l, c, seed);
    if (status == GRAFT_OK) status = read_tree(l);
    if (status == GRAFT_OK && output != NULL &&
        (l->s->output = arena_strdup(&l->s->arena, output)) == NULL)
        return read_no_memory(l);
    return status;
}

enum graft_status settings_compare_run(const struct settings_compare *c, size_t method, size_t rate,
                                       size_t seed, const char *output, struct settings **settings,
                                       struct error *e)
{
    struct settings *s = mem_zalloc(1, sizeof *s);
    if (s == NULL) return error_memory(e, "settings", sizeof *s);
    struct loader l = {.s = s, .e = e};
    enum graft_status status = build(&l, c, method, rate, seed, output);
    if (status == GRAFT_OK)
        *settings = s;
    else
        settings_free(s);
    return status;
}

/* The section */

static enum graft_status read_rows(const struct loader *l, const struct schema *schema,
                                   const char *label, const struct node *map, void *base)
{
    for (const struct node *child = map->first; child != NULL; child = child->next)
        if (schema_find(schema, child->key, strlen(child->key)) == NULL)
            return read_unknown(l, schema, "", child);
    for (size_t i = 0; i < schema->count; i++) {
        const struct schema_key *row = &schema->keys[i];
        const struct node *node = node_get(map, row->path);
        char key[128];
        enum graft_status status = GRAFT_OK;
        snprintf(key, sizeof key, "%s.%s", label, row->path);
        if (node != NULL && node->type != NODE_NULL)
            status = read_value(l, row, key, node, base);
        else if (row->required)
            status = read_refuse(l, map->place, key, "missing: %s", row->help);
        else if (row->type != SCHEMA_MAP)
            status = read_default(l, row, key, base);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status check_name(const struct loader *l, const struct settings_compare *c,
                                    const struct settings_method *m, const struct node *map,
                                    const char *label)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const struct node *node = node_get(map, "name");
    char shown[QUOTE_SIZE];
    if (strlen(m->name) > NAME_LIMIT || strspn(m->name, allowed) != strlen(m->name) ||
        *m->name == '.' || *m->name == '-')
        return read_refuse(l, node->place, label,
                           "name: found %s, expected at most %d letters, digits, '.', '_' and '-', "
                           "beginning with a letter or digit",
                           quote_text(m->name, shown), NAME_LIMIT);
    for (size_t i = 0; &c->methods[i] != m; i++)
        if (strcmp(c->methods[i].name, m->name) == 0)
            return read_refuse(l, node->place, label,
                               "name: %s is the name of method %zu too; every name stands once",
                               quote_text(m->name, shown), i);
    return GRAFT_OK;
}

/* A section that is no mapping would change nothing. */
static enum graft_status check_sections(const struct loader *l, const struct node *map,
                                        const char *label)
{
    char shown[QUOTE_SIZE];
    for (const struct node *child = map->first; child != NULL; child = child->next) {
        const struct schema_key *row = schema_find(&schema_method, child->key, strlen(child->key));
        bool stack = child->type == NODE_LIST && strcmp(child->key, "adapter") == 0;
        if (row->type == SCHEMA_MAP && child->type != NODE_MAP && child->type != NODE_NULL &&
            !stack)
            return read_refuse(l, child->place, label, "%s: found %s, expected a mapping of keys",
                               child->key, node_show(child, shown));
    }
    return GRAFT_OK;
}

static enum graft_status check_train(const struct loader *l, const struct node *map,
                                     const char *label)
{
    const struct node *train = node_get(map, "train");
    for (const struct node *child = train != NULL ? train->first : NULL; child != NULL;
         child = child->next) {
        bool known = false;
        for (size_t i = 0; i < sizeof method_train_keys / sizeof method_train_keys[0]; i++)
            known |= strcmp(child->key, method_train_keys[i]) == 0;
        if (!known)
            return read_refuse(l, child->key_place, label,
                               "train.%s: is the same for all methods, or the comparison would not "
                               "be fair: set it in the common part",
                               child->key);
    }
    return GRAFT_OK;
}

static enum graft_status check_rates(const struct loader *l, struct settings_method *m,
                                     const struct node *map, const char *label)
{
    const struct node *optimizer = node_get(map, "optimizer"), *lr = node_get(map, "lr");
    const struct node *inner =
        optimizer != NULL && optimizer->type == NODE_MAP ? node_get(optimizer, "lr") : NULL;
    char number[32];
    if (m->rates.count != 0 && inner != NULL)
        return read_refuse(l, inner->key_place, label, "optimizer.lr: stands beside lr: keep one");
    if (m->rates.count > RATE_LIMIT)
        return read_refuse(l, lr->place, label, "lr: found %zu rates, at most %d", m->rates.count,
                           RATE_LIMIT);
    for (size_t i = 1; i < m->rates.count; i++)
        for (size_t k = 0; k < i; k++)
            if (m->rates.items[i] == m->rates.items[k])
                return read_refuse(l, item(lr, i)->place, label, "lr: %s stands twice",
                                   format_f64(m->rates.items[i], number));
    return GRAFT_OK;
}

/* Without `lr` the rate is optimizer.lr, as the merged recipe has it. */
static enum graft_status find_rate(const struct loader *l, struct settings_compare *c,
                                   size_t method)
{
    struct settings *s = NULL;
    struct rates *rates = &c->methods[method].rates;
    enum graft_status status = settings_compare_run(c, method, 0, 0, NULL, &s, l->e);
    if (status != GRAFT_OK || rates->count != 0) {
        settings_free(s);
        return status;
    }
    rates->items = arena_alloc(&l->s->arena, 1, sizeof *rates->items);
    rates->count = 1;
    if (rates->items != NULL) rates->items[0] = s->optimizer.lr;
    settings_free(s);
    return rates->items != NULL ? GRAFT_OK : read_no_memory(l);
}

static enum graft_status read_method(const struct loader *l, struct settings_compare *c,
                                     size_t index, const struct node *map)
{
    struct settings_method *m = &c->methods[index];
    char label[64], shown[QUOTE_SIZE];
    snprintf(label, sizeof label, "compare.methods.%zu", index);
    if (map->type != NODE_MAP)
        return read_refuse(l, map->place, label, "found %s, expected a mapping with a name",
                           node_show(map, shown));
    m->fragment = map;
    enum graft_status status = read_rows(l, &schema_method, label, map, m);
    if (status == GRAFT_OK) status = check_name(l, c, m, map, label);
    if (status == GRAFT_OK) status = check_sections(l, map, label);
    if (status == GRAFT_OK) status = check_train(l, map, label);
    if (status == GRAFT_OK) status = check_rates(l, m, map, label);
    return status;
}

static enum graft_status read_methods(const struct loader *l, struct settings_compare *c)
{
    const struct node *list = node_get(c->section, "methods");
    if (list->count == 0 || list->count > METHOD_LIMIT)
        return read_refuse(l, list->place, "compare.methods", "found %zu methods, expected 1 to %d",
                           list->count, METHOD_LIMIT);
    c->methods = arena_alloc(&l->s->arena, list->count, sizeof *c->methods);
    if (c->methods == NULL) return read_no_memory(l);
    c->method_count = list->count;
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < c->method_count && status == GRAFT_OK; i++)
        status = read_method(l, c, i, item(list, i));
    return status;
}

static enum graft_status check_seeds(const struct loader *l, const struct settings_compare *c)
{
    const struct node *list = node_get(c->section, "seeds");
    if (c->seeds.count > SEED_LIMIT)
        return read_refuse(l, list->place, "compare.seeds", "found %zu seeds, at most %d",
                           c->seeds.count, SEED_LIMIT);
    for (size_t i = 1; i < c->seeds.count; i++)
        for (size_t k = 0; k < i; k++)
            if (c->seeds.items[i] == c->seeds.items[k])
                return read_refuse(l, item(list, i)->place, "compare.seeds", "%lld stands twice",
                                   (long long)c->seeds.items[i]);
    return GRAFT_OK;
}

/* What the common part may not hold beside a comparison, and what it must. */
static enum graft_status check_common(const struct loader *l, struct settings_compare *c)
{
    const struct node *train = node_get(c->common, "train"),
                      *output = node_get(c->common, "output");
    const struct node *node = train != NULL && train->type == NODE_MAP ? train : NULL;
    const struct node *seed = node != NULL ? node_get(node, "seed") : NULL;
    const struct node *stop = node != NULL ? node_get(node, "early_stopping") : NULL;
    if (seed != NULL && seed->type != NODE_NULL)
        return read_refuse(l, seed->key_place, "train.seed",
                           "has no effect in a comparison: compare.seeds has the seeds");
    if (stop != NULL && stop->type != NODE_NULL)
        return read_refuse(l, stop->key_place, "train.early_stopping",
                           "a comparison gives every method the same steps: take it out");
    if (output == NULL || output->type == NODE_NULL)
        return read_refuse(l, l->root->place, "output",
                           "missing: the folder of the comparison (or --set output=FOLDER)");
    const struct schema_key *row = schema_find(&schema_core, "output", 6);
    struct settings *s = l->s;
    enum graft_status status = read_value(l, row, "output", output, s);
    c->output = s->output;
    return status;
}

/* Every method with each of its rates, as a run would have it. */
static enum graft_status check_runs(const struct loader *l, struct settings_compare *c)
{
    for (size_t m = 0; m < c->method_count; m++) {
        const struct node *lr = node_get(c->methods[m].fragment, "lr");
        enum graft_status status = find_rate(l, c, m);
        for (size_t r = 1; r < c->methods[m].rates.count && status == GRAFT_OK; r++) {
            struct settings *s = NULL;
            status = settings_compare_run(c, m, r, 0, NULL, &s, l->e);
            settings_free(s);
        }
        if (status != GRAFT_OK) return status;
        const struct node *data = node_get(c->common, "data");
        const struct node *valid = data != NULL ? node_get(data, "valid") : NULL;
        if (c->methods[m].rates.count > 1 && (valid == NULL || valid->type == NODE_NULL))
            return read_refuse(l, lr->place, "compare.methods",
                               "%s: lr: a list of rates is chosen from on data.valid, which is not "
                               "given: give it, or one rate",
                               c->methods[m].name);
    }
    return GRAFT_OK;
}

static enum graft_status read_section(struct loader *l, struct settings_compare *c)
{
    char shown[QUOTE_SIZE];
    enum graft_status status;
    if (l->root->type != NODE_MAP)
        return read_refuse(l, l->root->place, "recipe", "found %s, expected a mapping of keys",
                           node_show(l->root, shown));
    c->section = node_remove(l->root, "compare");
    c->common = l->root;
    if (c->section == NULL || c->section->type == NODE_NULL)
        return read_refuse(l, l->root->place, "compare",
                           "missing: the methods to compare (graft train runs a recipe without)");
    if (c->section->type != NODE_MAP)
        return read_refuse(l, c->section->place, "compare", "found %s, expected a mapping of keys",
                           node_show(c->section, shown));
    if ((status = read_rows(l, &schema_compare, "compare", c->section, c)) != GRAFT_OK ||
        (status = check_seeds(l, c)) != GRAFT_OK || (status = read_methods(l, c)) != GRAFT_OK ||
        (status = check_common(l, c)) != GRAFT_OK)
        return status;
    return check_runs(l, c);
}

enum graft_status settings_compare_load(const char *path, const char *const *sets, size_t set_count,
                                        struct settings_compare **compare, struct error *e)
{
    struct settings_compare *c = mem_zalloc(1, sizeof *c);
    if (c == NULL || (c->owner = mem_zalloc(1, sizeof *c->owner)) == NULL) {
        mem_free(c);
        return error_memory(e, "a comparison", sizeof *c);
    }
    struct loader l = {.s = c->owner, .e = e};
    enum graft_status status = read_recipe(&l, path, sets, set_count);
    if (status == GRAFT_OK) status = read_section(&l, c);
    if (status != GRAFT_OK) {
        settings_compare_free(c);
        return status;
    }
    read_log_dropped(&l);
    *compare = c;
    return GRAFT_OK;
}

void settings_compare_free(struct settings_compare *c)
{
    if (c == NULL) return;
    settings_free(c->owner);
    mem_free(c);
}

bool settings_is_compare(const char *path, const char *const *sets, size_t set_count)
{
    struct settings *s = mem_zalloc(1, sizeof *s);
    struct loader l = {.s = s};
    bool is = s != NULL && read_recipe(&l, path, sets, set_count) == GRAFT_OK &&
              l.root->type == NODE_MAP && node_get(l.root, "compare") != NULL;
    settings_free(s);
    return is;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Option values: checked against the plugin's table, stored in the plugin's own struct. Knows no
 * YAML; libpcre2 matches site patterns.
 */
#include "plugin/options.h"

#include "base/memory.h"
#include "plugin/check.h"
#include "plugin/quote.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

/* A regular expression with what the option becomes where it matches. */
struct pattern {
    size_t option;
    const char *text;
    bool listed; /* SITES: an item of a list, not an expression */
    struct option_value value;
    pcre2_code *code;
};

struct option_values {
    const struct plugin *plugin;
    struct arena arena;
    unsigned char *filled;
    const char **places;         /* per option; NULL: default */
    const char **pattern_places; /* per option */
    struct pattern *patterns;    /* in the order given */
    size_t pattern_count, pattern_capacity;
    pcre2_general_context *memory;
};

/* What is being read, for messages. */
struct reading {
    const struct option_request *request;
    struct option_values *values;
    struct error *e;
};

static void *pcre_alloc(size_t size, void *unused)
{
    (void)unused;
    return mem_alloc(size);
}

static void pcre_free(void *memory, void *unused)
{
    (void)unused;
    mem_free(memory);
}

static void store(const struct graft_option *o, struct option_value value, unsigned char *filled)
{
    int32_t small = (int32_t)value.i;
    unsigned char *member = filled + o->offset;
    switch (o->type) {
    case GRAFT_OPTION_BOOL:
    case GRAFT_OPTION_SITES:
    case GRAFT_OPTION_CHOICE: memcpy(member, &small, sizeof small); break;
    case GRAFT_OPTION_INT: memcpy(member, &value.i, sizeof value.i); break;
    case GRAFT_OPTION_FLOAT: memcpy(member, &value.f, sizeof value.f); break;
    default: memcpy(member, &value.s, sizeof value.s); break;
    }
}

static struct option_value fetch(const struct graft_option *o, const unsigned char *filled)
{
    struct option_value value = {0};
    int32_t small = 0;
    const unsigned char *member = filled + o->offset;
    switch (o->type) {
    case GRAFT_OPTION_BOOL:
    case GRAFT_OPTION_SITES:
    case GRAFT_OPTION_CHOICE: memcpy(&small, member, sizeof small); break;
    case GRAFT_OPTION_INT: memcpy(&value.i, member, sizeof value.i); break;
    case GRAFT_OPTION_FLOAT: memcpy(&value.f, member, sizeof value.f); break;
    default: memcpy(&value.s, member, sizeof value.s); break;
    }
    if (o->type == GRAFT_OPTION_BOOL || o->type == GRAFT_OPTION_CHOICE) value.i = small;
    return value;
}

static const char *input_text(const struct option_input *in, char out[QUOTE_SIZE])
{
    char number[32];
    switch (in->type) {
    case OPTION_INPUT_NULL: return "null";
    case OPTION_INPUT_BOOL: return in->b ? "true" : "false";
    case OPTION_INPUT_INT: snprintf(out, QUOTE_SIZE, "%lld", (long long)in->i); return out;
    case OPTION_INPUT_FLOAT: snprintf(out, QUOTE_SIZE, "%s", format_f64(in->f, number)); return out;
    case OPTION_INPUT_STRING: return quote_text(in->s, out);
    case OPTION_INPUT_LIST: return "a list";
    case OPTION_INPUT_MAP: return "a mapping";
    }
    return "nothing";
}

static void add_choices(const struct graft_option *o, struct str *text)
{
    for (size_t i = 0; o->choices[i] != NULL; i++)
        str_printf(text, "%s%s", i != 0 ? ", " : "", o->choices[i]);
}

/* "PLACE: PATH.KEY: found X, expected ..." */
static enum graft_status refuse_value(const struct reading *r, const struct graft_option *o,
                                      const char *path_key, const struct option_input *in)
{
    char found[QUOTE_SIZE], bounds[80], fault[FAULT_SIZE];
    struct str expected = {0};
    if (o->type == GRAFT_OPTION_CHOICE) {
        const char *nearest = NULL;
        size_t count = 0;
        while (o->choices[count] != NULL) count++;
        if (in->type == OPTION_INPUT_STRING) nearest = nearest_word(in->s, o->choices, count);
        str_puts(&expected, "one of ");
        add_choices(o, &expected);
        if (nearest != NULL) str_printf(&expected, "; did you mean \"%s\"?", nearest);
    } else {
        str_puts(&expected, option_type_name(o));
        if (option_bounds(o, bounds)) str_printf(&expected, " from %s", bounds);
        if (o->type == GRAFT_OPTION_INT || o->type == GRAFT_OPTION_FLOAT)
            if (in->type == OPTION_INPUT_STRING) str_puts(&expected, number_fault(in->s, fault));
    }
    enum graft_status status =
        expected.failed
            ? error_memory(r->e, "a message", 0)
            : error_set(r->e, GRAFT_E_INVALID, "%s: %s.%s: found %s, expected %s", in->place,
                        r->request->path, path_key, input_text(in, found), expected.data);
    str_free(&expected);
    return status;
}

/* False when `in` is no value of this option. Texts stay the input's. */
static bool convert(const struct graft_option *o, const struct option_input *in,
                    struct option_value *value)
{
    switch (o->type) {
    case GRAFT_OPTION_BOOL: value->i = in->b; return in->type == OPTION_INPUT_BOOL;
    case GRAFT_OPTION_INT:
        value->i = in->i;
        return in->type == OPTION_INPUT_INT && option_in_bounds(o, (double)in->i);
    case GRAFT_OPTION_FLOAT:
        value->f = in->type == OPTION_INPUT_INT ? (double)in->i : in->f;
        return (in->type == OPTION_INPUT_INT || in->type == OPTION_INPUT_FLOAT) &&
               option_in_bounds(o, value->f);
    case GRAFT_OPTION_STRING: value->s = in->s; return in->type == OPTION_INPUT_STRING;
    default: break;
    }
    if (in->type == OPTION_INPUT_STRING)
        value->i = option_choice(o, in->s);
    else
        value->i = in->type == OPTION_INPUT_BOOL ? option_choice(o, in->b ? "true" : "false") : -1;
    return value->i >= 0;
}

static enum graft_status read_value(struct reading *r, const struct graft_option *o,
                                    const char *path_key, const struct option_input *in,
                                    struct option_value *value)
{
    if (!convert(o, in, value)) return refuse_value(r, o, path_key, in);
    if (o->type == GRAFT_OPTION_STRING) {
        value->s = arena_strdup(&r->values->arena, value->s);
        if (value->s == NULL) return error_memory(r->e, "an option", strlen(in->s));
    }
    return GRAFT_OK;
}

/* `text` is what the user wrote, `expression` what is made of it; NULL: no memory. */
static enum graft_status compile(struct reading *r, const char *path_key,
                                 const struct option_input *in, const char *text,
                                 const char *expression, pcre2_code **code)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    struct option_values *v = r->values;
    pcre2_compile_context *context = pcre2_compile_context_create(v->memory);
    if (expression != NULL && context != NULL)
        *code = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
                              PCRE2_ANCHORED | PCRE2_UTF, &number, &at, context);
    pcre2_compile_context_free(context);
    if (*code != NULL) return GRAFT_OK;
    if (expression == NULL || context == NULL || number == PCRE2_ERROR_NOMEMORY ||
        number == 121 /* "failed to allocate heap memory" */)
        return error_memory(r->e, "a pattern", strlen(text));
    char shown[QUOTE_SIZE];
    PCRE2_UCHAR why[128] = "";
    pcre2_get_error_message(number, why, sizeof why);
    const char *place = in->key_place != NULL ? in->key_place : in->place;
    return error_set(r->e, GRAFT_E_INVALID, "%s: %s.%s: %s is not a regular expression: %s", place,
                     r->request->path, path_key, quote_text(text, shown), (const char *)why);
}

static enum graft_status read_pattern(struct reading *r, size_t option,
                                      const struct option_input *in)
{
    struct option_values *v = r->values;
    const struct graft_option *o = &v->plugin->options[option];
    struct pattern p = {.option = option};
    enum graft_status status;
    if (in->type == OPTION_INPUT_NULL)
        return error_set(r->e, GRAFT_E_INVALID, "%s: %s.%s: found null, expected %s", in->place,
                         r->request->path, o->pattern, option_type_name(o));
    if (!array_reserve(&v->patterns, &v->pattern_capacity, v->pattern_count + 1, sizeof p))
        return error_memory(r->e, "a pattern", sizeof p);
    if ((p.text = arena_strdup(&v->arena, in->key)) == NULL)
        return error_memory(r->e, "a pattern", strlen(in->key));
    if ((status = read_value(r, o, o->pattern, in, &p.value)) != GRAFT_OK ||
        (status = compile(r, o->pattern, in, in->key,
                          arena_format(&v->arena, "(.*\\.)?(%s)$", in->key), &p.code)) != GRAFT_OK)
        return status;
    v->patterns[v->pattern_count++] = p;
    return GRAFT_OK;
}

static enum graft_status read_patterns(struct reading *r, size_t option,
                                       const struct option_input *in)
{
    const char *key = r->values->plugin->options[option].pattern;
    char found[QUOTE_SIZE];
    if (in->type == OPTION_INPUT_NULL) return GRAFT_OK;
    if (in->type != OPTION_INPUT_MAP)
        return error_set(r->e, GRAFT_E_INVALID,
                         "%s: %s.%s: found %s, expected a mapping from site pattern to value",
                         in->place, r->request->path, key, input_text(in, found));
    r->values->pattern_places[option] = arena_strdup(&r->values->arena, in->place);
    if (r->values->pattern_places[option] == NULL) return error_memory(r->e, "an option", 0);
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < in->count; i++)
        status = read_pattern(r, option, &in->items[i]);
    return status;
}

/* "(.*\\.)?NAME$" with everything in NAME but letters and digits taken literally. */
static char *name_expression(struct arena *arena, const char *name)
{
    size_t n = strlen(name);
    char *escaped = arena_alloc(arena, 2 * n + 1, 1), *to = escaped;
    if (escaped == NULL) return NULL;
    for (const char *c = name; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                      (*c >= '0' && *c <= '9') || (*c & 0x80) != 0;
        if (!letter) *to++ = '\\';
        *to++ = *c;
    }
    return arena_format(arena, "(.*\\.)?%s$", escaped);
}

static enum graft_status add_sites(struct reading *r, size_t option, const struct option_input *in,
                                   const char *text, bool listed)
{
    struct option_values *v = r->values;
    const struct graft_option *o = &v->plugin->options[option];
    struct pattern p = {.option = option, .listed = listed, .value.i = 1};
    if (!array_reserve(&v->patterns, &v->pattern_capacity, v->pattern_count + 1, sizeof p) ||
        (p.text = arena_strdup(&v->arena, text)) == NULL)
        return error_memory(r->e, "sites", strlen(text));
    char *expression =
        listed ? name_expression(&v->arena, text) : arena_format(&v->arena, "(%s)$", text);
    enum graft_status status = compile(r, o->key, in, text, expression, &p.code);
    if (status == GRAFT_OK) v->patterns[v->pattern_count++] = p;
    return status;
}

/* A list of names, or one expression over the whole name. */
static enum graft_status read_sites(struct reading *r, size_t option, const struct option_input *in)
{
    const struct graft_option *o = &r->values->plugin->options[option];
    if (in->type == OPTION_INPUT_STRING) return add_sites(r, option, in, in->s, false);
    if (in->type != OPTION_INPUT_LIST) return refuse_value(r, o, o->key, in);
    for (size_t i = 0; i < in->count; i++) {
        const struct option_input *item = &in->items[i];
        if (item->type != OPTION_INPUT_STRING) return refuse_value(r, o, o->key, item);
        enum graft_status status = add_sites(r, option, item, item->s, true);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

/* The words of a fallback. */
static enum graft_status default_sites(struct reading *r, size_t option, const char *words)
{
    struct option_input in = {.type = OPTION_INPUT_STRING, .place = r->request->place};
    char *rest = NULL, *copy = arena_strdup(&r->values->arena, words);
    if (copy == NULL) return error_memory(r->e, "sites", strlen(words));
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        enum graft_status status = add_sites(r, option, &in, word, true);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status refuse_key(const struct reading *r, const struct option_input *in)
{
    const struct option_request *request = r->request;
    const struct plugin *plugin = request->plugin;
    const char **known = mem_zalloc(2 * plugin->option_count + request->also_count, sizeof *known);
    struct str list = {0};
    char shown[QUOTE_SIZE];
    size_t count = 0;
    if (known == NULL) return error_memory(r->e, "a message", 0);
    for (size_t i = 0; i < plugin->option_count; i++) {
        known[count++] = plugin->options[i].key;
        if (plugin->options[i].pattern != NULL) known[count++] = plugin->options[i].pattern;
    }
    for (size_t i = 0; i < request->also_count; i++) known[count++] = request->also_known[i];
    for (size_t i = 0; i < count; i++) str_printf(&list, "%s%s", i != 0 ? ", " : "", known[i]);
    const char *fault = key_fault(in->key);
    const char *nearest = *fault == '\0' ? nearest_word(in->key, known, count) : NULL;
    str_add(&list, "", 0);
    enum graft_status status =
        list.failed
            ? error_memory(r->e, "a message", 0)
            : error_set(r->e, GRAFT_E_INVALID, "%s: %s.%s: unknown key%s%s%s%s (known: %s)",
                        in->key_place != NULL ? in->key_place : in->place, request->path,
                        /* a plain key is shown bare, another one quoted */
                        strspn(in->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789_") == strlen(in->key) &&
                                strlen(in->key) < 64
                            ? in->key
                            : quote_text(in->key, shown),
                        nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                        nearest != NULL ? "\"?" : "", fault, list.data);
    str_free(&list);
    mem_free(known);
    return status;
}

static enum graft_status read_input(struct reading *r, const struct option_input *in)
{
    struct option_values *v = r->values;
    const struct plugin *plugin = v->plugin;
    for (size_t i = 0; i < plugin->option_count; i++) {
        const struct graft_option *o = &plugin->options[i];
        if (o->pattern != NULL && strcmp(o->pattern, in->key) == 0) return read_patterns(r, i, in);
        if (strcmp(o->key, in->key) != 0) continue;
        if (in->type == OPTION_INPUT_NULL) return GRAFT_OK;
        struct option_value value = {0};
        enum graft_status status = o->type == GRAFT_OPTION_SITES
                                       ? read_sites(r, i, in)
                                       : read_value(r, o, o->key, in, &value);
        if (status != GRAFT_OK) return status;
        store(o, value, v->filled);
        v->places[i] = arena_strdup(&v->arena, in->place);
        return v->places[i] != NULL ? GRAFT_OK : error_memory(r->e, "an option", 0);
    }
    return refuse_key(r, in);
}

static enum graft_status fill_defaults(struct reading *r)
{
    struct option_values *v = r->values;
    for (size_t i = 0; i < v->plugin->option_count; i++) {
        const struct graft_option *o = &v->plugin->options[i];
        struct option_value value = {0};
        if (v->places[i] != NULL) continue;
        if (o->fallback == NULL)
            return error_set(r->e, GRAFT_E_INVALID, "%s: %s.%s: missing, %s %s needs it: %s",
                             r->request->place, r->request->path, o->key,
                             plugin_kind_name(v->plugin->kind), v->plugin->name, o->help);
        if (o->type == GRAFT_OPTION_SITES) {
            enum graft_status status = default_sites(r, i, o->fallback);
            if (status != GRAFT_OK) return status;
            continue;
        }
        (void)option_fallback(o, &value); /* the loader has checked it */
        store(o, value, v->filled);
    }
    return GRAFT_OK;
}

static bool allocate(struct option_values *v)
{
    size_t count = v->plugin->option_count;
    v->filled = arena_alloc(&v->arena, v->plugin->options_size, 1);
    v->places = arena_alloc(&v->arena, count, sizeof *v->places);
    v->pattern_places = arena_alloc(&v->arena, count, sizeof *v->pattern_places);
    v->memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    return v->filled != NULL && v->places != NULL && v->pattern_places != NULL && v->memory != NULL;
}

enum graft_status option_values_create(const struct option_request *request,
                                       struct option_values **values, struct error *e)
{
    struct option_values *v = mem_zalloc(1, sizeof *v);
    if (v == NULL) return error_memory(e, "options", sizeof *v);
    v->plugin = request->plugin;
    struct reading r = {request, v, e};
    enum graft_status status =
        allocate(v) ? GRAFT_OK : error_memory(e, "options", request->plugin->options_size);
    for (size_t i = 0; status == GRAFT_OK && i < request->count; i++)
        status = read_input(&r, &request->inputs[i]);
    if (status == GRAFT_OK) status = fill_defaults(&r);
    if (status == GRAFT_OK)
        *values = v;
    else
        option_values_destroy(v);
    return status;
}

void option_values_destroy(struct option_values *values)
{
    if (values == NULL) return;
    for (size_t i = 0; i < values->pattern_count; i++) pcre2_code_free(values->patterns[i].code);
    mem_free(values->patterns);
    pcre2_general_context_free(values->memory);
    arena_free(&values->arena);
    mem_free(values);
}

const void *option_values_get(const struct option_values *values)
{
    return values->filled;
}

static const char *pattern_key(const struct graft_option *o)
{
    return o->type == GRAFT_OPTION_SITES ? o->key : o->pattern;
}

static enum graft_status matches(const struct option_values *v, const struct pattern *p,
                                 const char *site_name, bool *matched, struct error *e)
{
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(p->code, v->memory);
    pcre2_match_context *context = pcre2_match_context_create(v->memory);
    int found = PCRE2_ERROR_NOMEMORY;
    if (context != NULL) pcre2_set_match_limit(context, 1000000); /* a site's name is short */
    if (data != NULL && context != NULL)
        found = pcre2_match(p->code, (PCRE2_SPTR)site_name, strlen(site_name), 0, 0, data, context);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
    if (found == PCRE2_ERROR_NOMEMORY || found == PCRE2_ERROR_HEAPLIMIT)
        return error_memory(e, "matching a pattern", 0);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
        PCRE2_UCHAR why[128] = "";
        char shown[QUOTE_SIZE];
        pcre2_get_error_message(found, why, sizeof why);
        return error_set(e, GRAFT_E_INVALID, "%s: pattern %s on %s: %s",
                         pattern_key(&v->plugin->options[p->option]), quote_text(p->text, shown),
                         site_name, (const char *)why);
    }
    *matched = found > 0;
    return GRAFT_OK;
}

enum graft_status option_values_for_site(const struct option_values *v, const char *site_name,
                                         void *filled, struct error *e)
{
    /* From the last to the first, so that the first one that matches is what stays. */
    memcpy(filled, v->filled, v->plugin->options_size);
    for (size_t i = v->pattern_count; i > 0; i--) {
        const struct pattern *p = &v->patterns[i - 1];
        bool matched = false;
        enum graft_status status = matches(v, p, site_name, &matched, e);
        if (status != GRAFT_OK) return status;
        if (matched) store(&v->plugin->options[p->option], p->value, filled);
    }
    return GRAFT_OK;
}

enum graft_status option_values_check_sites(const struct option_values *v, const char *const *sites,
                                            size_t count, bool patterns_too, struct error *e)
{
    for (size_t i = 0; i < v->pattern_count; i++) {
        const struct pattern *p = &v->patterns[i];
        const struct graft_option *o = &v->plugin->options[p->option];
        bool names_sites = o->type == GRAFT_OPTION_SITES;
        bool matched = names_sites ? v->places[p->option] == NULL : !patterns_too;
        char shown[QUOTE_SIZE];
        for (size_t s = 0; s < count && !matched; s++) {
            enum graft_status status = matches(v, p, sites[s], &matched, e);
            if (status != GRAFT_OK) return status;
        }
        if (!matched)
            return error_set(e, GRAFT_E_INVALID,
                             "%s: %s matches none of the %zu layers that target_modules chooses",
                             pattern_key(o), quote_text(p->text, shown), count);
    }
    return GRAFT_OK;
}

static json_t *value_json(const struct graft_option *o, struct option_value value)
{
    switch (o->type) {
    case GRAFT_OPTION_BOOL: return json_boolean(value.i != 0);
    case GRAFT_OPTION_INT: return json_integer(value.i);
    case GRAFT_OPTION_FLOAT: return json_real(value.f);
    case GRAFT_OPTION_STRING: /* empty and nothing given: no text, as PEFT has it */
        if (value.s[0] == '\0' && o->fallback != NULL && o->fallback[0] == '\0') return json_null();
        return json_string(value.s);
    default: break;
    }
    const char *choice = o->choices[value.i];
    if (strcmp(choice, "true") == 0) return json_true();
    if (strcmp(choice, "false") == 0) return json_false();
    if (strcmp(choice, "null") == 0) return json_null();
    return json_string(choice);
}

static json_t *patterns_json(const struct option_values *v, size_t option)
{
    json_t *map = json_object();
    for (size_t i = 0; map != NULL && i < v->pattern_count; i++) {
        const struct pattern *p = &v->patterns[i];
        if (p->option != option) continue;
        if (json_object_set_new(map, p->text, value_json(&v->plugin->options[option], p->value)) !=
            0) {
            json_decref(map);
            map = NULL;
        }
    }
    return map;
}

static json_t *sites_json(const struct option_values *v, size_t option)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < v->pattern_count; i++) {
        const struct pattern *p = &v->patterns[i];
        if (p->option != option) continue;
        if (p->listed && json_array_append_new(list, json_string(p->text)) == 0) continue;
        json_decref(list);
        return p->listed ? NULL : json_string(p->text);
    }
    return list;
}

json_t *option_values_json(const struct option_values *v, bool trained)
{
    json_t *all = json_object();
    for (size_t i = 0; all != NULL && i < v->plugin->option_count; i++) {
        const struct graft_option *o = &v->plugin->options[i];
        if (trained && o->training) continue;
        json_t *value =
            o->type == GRAFT_OPTION_SITES ? sites_json(v, i) : value_json(o, fetch(o, v->filled));
        if (json_object_set_new(all, o->key, value) != 0 ||
            (o->pattern != NULL &&
             json_object_set_new(all, o->pattern, patterns_json(v, i)) != 0)) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

const char *option_values_place(const struct option_values *v, const char *key)
{
    for (size_t i = 0; i < v->plugin->option_count; i++) {
        const struct graft_option *o = &v->plugin->options[i];
        if (strcmp(o->key, key) == 0) return v->places[i];
        if (o->pattern != NULL && strcmp(o->pattern, key) == 0) return v->pattern_places[i];
    }
    return NULL;
}

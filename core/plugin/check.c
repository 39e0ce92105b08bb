/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptor, field by field. Every refusal names the field, what was found, what this graft
 * has, and what to do. Reads a layout of any size: what an older file lacks is zero, what a newer
 * one has more is not looked at. Opens no library.
 */
#include "plugin/check.h"

#include "base/memory.h"
#include "plugin/quote.h"
#include "plugin/search.h"

#include <graft/adapter.h>
#include <graft/backend.h>
#include <graft/optimizer.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The first version ends behind these members; they never move (tests/abi/layout.txt). */
#define END_OF(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
enum {
    PLUGIN_SIZE_V1 = END_OF(struct graft_plugin, functions),
    OPTION_SIZE_V1 = END_OF(struct graft_option, choices), /* pattern and help may be absent */
    OPTIONS_SIZE_LIMIT = 64 * 1024,
    OPTION_COUNT_LIMIT = 1024,
    SIZE_LIMIT = 4096 /* of a struct that we would believe */
};

struct kind_rule {
    size_t size_v1;
    struct {
        const char *name;
        size_t offset;
    } required[12]; /* functions that must not be NULL; ends with name NULL */
};

#define FUNCTION(type, member)                                                                     \
    {                                                                                              \
#member, offsetof(type, member)                                                            \
    }

static const struct kind_rule adapter_rule = {END_OF(struct graft_adapter, reserved), {{NULL, 0}}};

static const struct kind_rule optimizer_rule = {END_OF(struct graft_optimizer, update),
                                                {FUNCTION(struct graft_optimizer, update)}};

static const struct kind_rule backend_rule = {
    END_OF(struct graft_backend, program_destroy),
    {FUNCTION(struct graft_backend, device_count), FUNCTION(struct graft_backend, device_info),
     FUNCTION(struct graft_backend, open), FUNCTION(struct graft_backend, close),
     FUNCTION(struct graft_backend, buffer_create), FUNCTION(struct graft_backend, buffer_destroy),
     FUNCTION(struct graft_backend, buffer_write), FUNCTION(struct graft_backend, buffer_read),
     FUNCTION(struct graft_backend, program_create), FUNCTION(struct graft_backend, program_run),
     FUNCTION(struct graft_backend, program_destroy)}};

static const struct kind_rule *kind_rule(int32_t kind)
{
    switch (kind) {
    case GRAFT_PLUGIN_ADAPTER: return &adapter_rule;
    case GRAFT_PLUGIN_OPTIMIZER: return &optimizer_rule;
    case GRAFT_PLUGIN_BACKEND: return &backend_rule;
    default: return NULL;
    }
}

const char *plugin_kind_name(enum graft_plugin_kind kind)
{
    switch (kind) {
    case GRAFT_PLUGIN_ADAPTER: return "adapter";
    case GRAFT_PLUGIN_OPTIMIZER: return "optimizer";
    case GRAFT_PLUGIN_BACKEND: return "backend";
    }
    return "unknown";
}

const char *option_type_name(const struct graft_option *option)
{
    switch (option->type) {
    case GRAFT_OPTION_BOOL: return "true or false";
    case GRAFT_OPTION_INT: return "an integer";
    case GRAFT_OPTION_FLOAT: return "a number";
    case GRAFT_OPTION_STRING: return "text";
    case GRAFT_OPTION_SITES: return "a list of names or a regular expression";
    default: return "one of the choices";
    }
}

static bool has_bounds(const struct graft_option *option)
{
    return (option->type == GRAFT_OPTION_INT || option->type == GRAFT_OPTION_FLOAT) &&
           (option->min < 0 || option->min > 0 || option->max < 0 || option->max > 0);
}

bool option_bounds(const struct graft_option *option, char out[80])
{
    char low[32], high[32];
    if (!has_bounds(option)) return false;
    snprintf(out, 80, "%s to %s", format_plain(option->min, low), format_plain(option->max, high));
    return true;
}

bool option_in_bounds(const struct graft_option *option, double value)
{
    return !has_bounds(option) || (value >= option->min && value <= option->max);
}

int32_t option_choice(const struct graft_option *option, const char *text)
{
    for (int32_t i = 0; option->choices[i] != NULL; i++)
        if (strcmp(option->choices[i], text) == 0) return i;
    return -1;
}

bool option_fallback(const struct graft_option *option, struct option_value *value)
{
    const char *text = option->fallback;
    switch (option->type) {
    case GRAFT_OPTION_BOOL:
        value->i = strcmp(text, "true") == 0;
        return value->i == 1 || strcmp(text, "false") == 0;
    case GRAFT_OPTION_INT:
        return parse_int64(text, &value->i) && option_in_bounds(option, (double)value->i);
    case GRAFT_OPTION_FLOAT:
        return parse_double(text, &value->f) && option_in_bounds(option, value->f);
    case GRAFT_OPTION_STRING:
    case GRAFT_OPTION_SITES: value->s = text; return true;
    case GRAFT_OPTION_CHOICE: value->i = option_choice(option, text); return value->i >= 0;
    default: return false;
    }
}

static enum graft_status refuse(struct error *e, const char *path, const char *format, ...)
    GRAFT_PRINTF(3, 4);

static enum graft_status refuse(struct error *e, const char *path, const char *format, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return error_set(e, GRAFT_E_INVALID, "%s: %s", path_base(path), text);
}

static bool one_line(const char *text)
{
    return text != NULL && *text != '\0' && strpbrk(text, "\r\n") == NULL &&
           utf8_check(text, strlen(text)) == strlen(text);
}

static enum graft_status check_head(const struct graft_plugin *p, const char *path, struct error *e)
{
    if (p->magic != GRAFT_PLUGIN_MAGIC)
        return refuse(e, path,
                      "magic: found 0x%08x, expected 0x%08x: graft_plugin is not a "
                      "struct graft_plugin",
                      (unsigned)p->magic, (unsigned)GRAFT_PLUGIN_MAGIC);
    if (p->struct_size < PLUGIN_SIZE_V1 || p->struct_size > SIZE_LIMIT)
        return refuse(e, path,
                      "struct_size: found %u, expected %d to %d: set it with "
                      "GRAFT_PLUGIN_HEAD",
                      (unsigned)p->struct_size, PLUGIN_SIZE_V1, SIZE_LIMIT);
    if (p->abi_major != GRAFT_ABI_MAJOR)
        return refuse(e, path,
                      "abi_major: found %u, this graft has %u: rebuild the plugin against "
                      "this sdk",
                      (unsigned)p->abi_major, (unsigned)GRAFT_ABI_MAJOR);
    return GRAFT_OK;
}

static enum graft_status check_name(const struct graft_plugin *p, const char *path, struct error *e)
{
    enum graft_plugin_kind kind;
    const char *name;
    size_t length;
    if (kind_rule(p->kind) == NULL)
        return refuse(e, path,
                      "kind: found %d, this graft knows 1 (adapter), 2 (optimizer) and 3 "
                      "(backend)",
                      (int)p->kind);
    if (!search_split(path, &kind, &name, &length))
        return refuse(e, path,
                      "file name: expected KIND-NAME.so with a KIND of adapter, optimizer "
                      "or backend and a NAME of a-z, 0-9 and _: rename the file");
    if ((int32_t)kind != p->kind)
        return refuse(e, path,
                      "kind: found %s, the file's name says %s: rename the file or change "
                      "the kind",
                      plugin_kind_name((enum graft_plugin_kind)p->kind), plugin_kind_name(kind));
    if (p->name == NULL || strlen(p->name) != length || strncmp(p->name, name, length) != 0) {
        char shown[QUOTE_SIZE];
        return refuse(e, path,
                      "name: found %s, the file's name says \"%.*s\": rename the file or "
                      "change the name",
                      p->name != NULL ? quote_text(p->name, shown) : "none", (int)length, name);
    }
    return GRAFT_OK;
}

static enum graft_status check_texts(const struct graft_plugin *p, const char *path,
                                     struct error *e)
{
    const struct {
        const char *field, *text, *expected;
    } texts[] = {{"version", p->version, "a version such as 0.1.0"},
                 {"license", p->license, "an SPDX expression such as Apache-2.0"},
                 {"summary", p->summary, "one line that says what the plugin is"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char shown[QUOTE_SIZE];
        if (!one_line(texts[i].text))
            return refuse(e, path, "%s: found %s, expected %s", texts[i].field,
                          texts[i].text != NULL ? quote_text(texts[i].text, shown) : "none",
                          texts[i].expected);
    }
    return GRAFT_OK;
}

static enum graft_status check_sites(const struct graft_adapter *a, const char *path,
                                     struct error *e)
{
    if (a->linear != NULL || a->norm != NULL || a->embedding != NULL || a->attention != NULL ||
        a->block != NULL)
        return GRAFT_OK;
    return refuse(e, path,
                  "functions: found no linear, norm, embedding, attention or block, an adapter "
                  "acts on at least one kind of site");
}

static enum graft_status check_functions(const struct graft_plugin *p, const char *path,
                                         struct error *e)
{
    const struct kind_rule *rule = kind_rule(p->kind);
    const unsigned char *table = p->functions;
    uint32_t size;
    if (table == NULL)
        return refuse(e, path, "functions: found none, expected a struct graft_%s",
                      plugin_kind_name((enum graft_plugin_kind)p->kind));
    memcpy(&size, table, sizeof size);
    if (size < rule->size_v1 || size > SIZE_LIMIT)
        return refuse(e, path,
                      "functions.struct_size: found %u, expected %zu to %d: set it to "
                      "sizeof(struct graft_%s)",
                      (unsigned)size, rule->size_v1, SIZE_LIMIT,
                      plugin_kind_name((enum graft_plugin_kind)p->kind));
    for (size_t i = 0; i < 12 && rule->required[i].name != NULL; i++) {
        void (*function)(void);
        memcpy(&function, table + rule->required[i].offset, sizeof function);
        if (function == NULL)
            return refuse(e, path, "functions.%s: found NULL, expected a function",
                          rule->required[i].name);
    }
    return p->kind == GRAFT_PLUGIN_ADAPTER ? check_sites(p->functions, path, e) : GRAFT_OK;
}

static enum graft_status check_option_table(const struct graft_plugin *p, const char *path,
                                            struct error *e)
{
    if (p->options_size > OPTIONS_SIZE_LIMIT)
        return refuse(e, path, "options_size: found %u, at most %d bytes are filled",
                      (unsigned)p->options_size, OPTIONS_SIZE_LIMIT);
    if (p->option_count > OPTION_COUNT_LIMIT)
        return refuse(e, path, "option_count: found %u, at most %d are read",
                      (unsigned)p->option_count, OPTION_COUNT_LIMIT);
    if (p->option_count == 0) return GRAFT_OK;
    if (p->options == NULL)
        return refuse(e, path, "options: found none, option_count is %u",
                      (unsigned)p->option_count);
    if (p->option_stride < OPTION_SIZE_V1 || p->option_stride > SIZE_LIMIT ||
        p->option_stride % _Alignof(struct graft_option) != 0)
        return refuse(e, path,
                      "option_stride: found %u, expected %d to %d and a multiple of %zu: "
                      "set it to sizeof(struct graft_option)",
                      (unsigned)p->option_stride, OPTION_SIZE_V1, SIZE_LIMIT,
                      _Alignof(struct graft_option));
    return GRAFT_OK;
}

/* Size, and alignment, of the member that receives a value; 0: no such type. */
static size_t member_size(int32_t type)
{
    switch (type) {
    case GRAFT_OPTION_BOOL:
    case GRAFT_OPTION_SITES:
    case GRAFT_OPTION_CHOICE: return sizeof(int32_t);
    case GRAFT_OPTION_INT: return sizeof(int64_t);
    case GRAFT_OPTION_FLOAT: return sizeof(double);
    case GRAFT_OPTION_STRING: return sizeof(const char *);
    default: return 0;
    }
}

static bool is_key(const char *text)
{
    return text != NULL && *text != '\0' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
               strlen(text);
}

static enum graft_status check_member(const struct graft_option *o, const char *path,
                                      size_t options_size, struct error *e)
{
    size_t size = member_size(o->type);
    if (size == 0)
        return refuse(e, path, "option %s: type: found %d, this graft knows 1 to 6", o->key,
                      (int)o->type);
    if (o->offset % size != 0)
        return refuse(e, path,
                      "option %s: offset: found %u, its member is aligned to %zu bytes: "
                      "use offsetof and the member type of option.h",
                      o->key, (unsigned)o->offset, size);
    if (o->offset > options_size || size > options_size - o->offset)
        return refuse(e, path,
                      "option %s: offset: found %u, the member of %zu bytes ends past "
                      "options_size %zu",
                      o->key, (unsigned)o->offset, size, options_size);
    return GRAFT_OK;
}

static enum graft_status check_value(const struct graft_option *o, const char *path,
                                     struct error *e)
{
    struct option_value value = {0};
    char shown[QUOTE_SIZE], bounds[80];
    if (o->type == GRAFT_OPTION_CHOICE) {
        if (o->choices == NULL || o->choices[0] == NULL)
            return refuse(e, path,
                          "option %s: choices: found none, expected a list that ends with "
                          "NULL",
                          o->key);
        for (size_t i = 0; o->choices[i] != NULL; i++)
            if (i >= OPTION_COUNT_LIMIT || !one_line(o->choices[i]))
                return refuse(e, path,
                              "option %s: choices: found more than %d or one that is not "
                              "a line of text: end the list with NULL",
                              o->key, OPTION_COUNT_LIMIT);
    }
    if (o->type == GRAFT_OPTION_SITES && o->pattern != NULL)
        return refuse(e, path, "option %s: pattern: found %s, sites have none: set it to NULL",
                      o->key, o->pattern);
    if (!isfinite(o->min) || !isfinite(o->max) || o->min > o->max)
        return refuse(e, path, "option %s: min and max: found a range without a number in it",
                      o->key);
    if (o->fallback != NULL && !option_fallback(o, &value))
        return refuse(e, path, "option %s: fallback: found %s, expected %s%s%s", o->key,
                      quote_text(o->fallback, shown), option_type_name(o),
                      option_bounds(o, bounds) ? ", " : "", has_bounds(o) ? bounds : "");
    return GRAFT_OK;
}

static enum graft_status check_unique(const struct graft_option *options, size_t count,
                                      const char *path, struct error *e)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j <= i; j++) {
            const char *key = options[i].key, *pattern = options[i].pattern;
            if ((j < i && strcmp(key, options[j].key) == 0) ||
                (options[j].pattern != NULL && strcmp(key, options[j].pattern) == 0))
                return refuse(e, path, "option %s: key: found twice, each key stands once", key);
            if (pattern != NULL && ((j < i && options[j].pattern != NULL &&
                                     strcmp(pattern, options[j].pattern) == 0) ||
                                    strcmp(pattern, options[j].key) == 0))
                return refuse(e, path,
                              "option %s: pattern: found \"%s\" twice, each key stands "
                              "once",
                              key, pattern);
        }
    }
    return GRAFT_OK;
}

static enum graft_status copy_options(const struct graft_plugin *p, const char *path,
                                      struct graft_option *options, struct error *e)
{
    size_t size = p->option_stride < sizeof *options ? p->option_stride : sizeof *options;
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < p->option_count; i++) {
        struct graft_option *o = &options[i];
        memcpy(o, (const unsigned char *)p->options + i * p->option_stride, size);
        if (o->help == NULL) o->help = "";
        if (!is_key(o->key) || (o->pattern != NULL && !is_key(o->pattern)))
            return refuse(e, path, "option %zu: key: expected letters, digits and _", i);
        status = check_member(o, path, p->options_size, e);
        if (status == GRAFT_OK) status = check_value(o, path, e);
    }
    return status == GRAFT_OK ? check_unique(options, p->option_count, path, e) : status;
}

enum graft_status check_descriptor(const void *descriptor, const char *path, struct plugin *checked,
                                   struct error *e)
{
    struct graft_plugin p = {0};
    enum graft_status status;
    memcpy(&p, descriptor, offsetof(struct graft_plugin, kind)); /* magic, size and ABI */
    if ((status = check_head(&p, path, e)) != GRAFT_OK) return status;
    memcpy(&p, descriptor, p.struct_size < sizeof p ? p.struct_size : sizeof p);
    if ((status = check_name(&p, path, e)) != GRAFT_OK ||
        (status = check_texts(&p, path, e)) != GRAFT_OK ||
        (status = check_option_table(&p, path, e)) != GRAFT_OK ||
        (status = check_functions(&p, path, e)) != GRAFT_OK)
        return status;
    struct graft_option *options = mem_zalloc(p.option_count, sizeof *options);
    if (options == NULL) return error_memory(e, "a plugin's options", p.option_count);
    if ((status = copy_options(&p, path, options, e)) != GRAFT_OK) {
        mem_free(options);
        return status;
    }
    *checked = (struct plugin){.kind = (enum graft_plugin_kind)p.kind,
                               .name = p.name,
                               .version = p.version,
                               .license = p.license,
                               .summary = p.summary,
                               .path = path,
                               .abi_major = p.abi_major,
                               .abi_minor = p.abi_minor,
                               .options = options,
                               .option_count = p.option_count,
                               .options_size = p.options_size,
                               .functions = p.functions};
    return GRAFT_OK;
}

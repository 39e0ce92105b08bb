/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin for people: what `graft plugin show` prints, as text and as JSON.
 */
#include "plugin/plugin.h"

#include "plugin/check.h"

#include <stdbool.h>
#include <string.h>

/* type, default and what is allowed, as short texts */
static void option_cells(const struct graft_option *o, struct str cells[3])
{
    static const char *const types[] = {"?", "bool", "int", "float", "text", "choice", "sites"};
    char bounds[80];
    for (size_t i = 0; i < 3; i++) str_clear(&cells[i]);
    str_puts(&cells[0], types[o->type]);
    if (o->fallback == NULL)
        str_puts(&cells[1], "(required)");
    else if (o->type == GRAFT_OPTION_STRING)
        str_printf(&cells[1], "\"%s\"", o->fallback);
    else
        str_puts(&cells[1], o->fallback);
    if (o->type == GRAFT_OPTION_CHOICE) {
        for (size_t i = 0; o->choices[i] != NULL; i++)
            str_printf(&cells[2], "%s%s", i != 0 ? "|" : "", o->choices[i]);
    } else if (o->type == GRAFT_OPTION_BOOL) {
        str_puts(&cells[2], "true|false");
    } else if (o->type == GRAFT_OPTION_SITES) {
        str_puts(&cells[2], "[NAME ...] or a pattern");
    } else if (option_bounds(o, bounds)) {
        str_puts(&cells[2], bounds);
    } else {
        str_putc(&cells[2], '-');
    }
}

static size_t at_least(size_t width, size_t length)
{
    return length > width ? length : width;
}

/* The table while it is measured and then printed. */
struct rows {
    struct str *out; /* NULL: only measure */
    size_t width[4];
    bool failed;
};

static void put_row(struct rows *rows, const char *const cells[4], const char *help)
{
    for (size_t c = 0; c < 4; c++) rows->width[c] = at_least(rows->width[c], strlen(cells[c]));
    if (rows->out == NULL) return;
    for (size_t c = 0; c < 4; c++) str_printf(rows->out, "%-*s  ", (int)rows->width[c], cells[c]);
    str_printf(rows->out, "%s\n", help);
}

static void put_options(struct rows *rows, const struct plugin *plugin)
{
    struct str cells[3] = {{0}, {0}, {0}};
    put_row(rows, (const char *const[]){"key", "type", "default", "allowed"}, "help");
    for (size_t i = 0; i < plugin->option_count && !rows->failed; i++) {
        const struct graft_option *o = &plugin->options[i];
        option_cells(o, cells);
        for (size_t c = 0; c < 3; c++) rows->failed = rows->failed || cells[c].failed;
        if (rows->failed) break;
        put_row(rows, (const char *const[]){o->key, cells[0].data, cells[1].data, cells[2].data},
                o->help);
        if (o->pattern == NULL) continue;
        str_clear(&cells[2]);
        str_printf(&cells[2], "pattern: %s ...", o->key);
        rows->failed = cells[2].failed;
        if (!rows->failed)
            put_row(rows, (const char *const[]){o->pattern, "map", "{}", cells[2].data},
                    "replaces it where the regular expression matches the site's name");
    }
    for (size_t c = 0; c < 3; c++) str_free(&cells[c]);
}

static void describe_options(const struct plugin *plugin, struct str *out)
{
    struct rows rows = {0};
    put_options(&rows, plugin); /* once to measure, once to print */
    rows.out = out;
    str_putc(out, '\n');
    put_options(&rows, plugin);
    out->failed = out->failed || rows.failed;
}

void plugin_describe(const struct plugin *plugin, struct str *out)
{
    str_printf(out, "%s %s %s: %s\n", plugin_kind_name(plugin->kind), plugin->name, plugin->version,
               plugin->summary);
    str_printf(out, "license %s, ABI %u.%u, %s\n", plugin->license, (unsigned)plugin->abi_major,
               (unsigned)plugin->abi_minor, plugin->path);
    if (plugin->option_count != 0)
        describe_options(plugin, out);
    else
        str_puts(out, "\nno keys of its own\n");
}

static json_t *option_json(const struct graft_option *o)
{
    static const char *const types[] = {"", "bool", "int", "float", "string", "choice", "sites"};
    json_t *choices = NULL;
    if (o->type == GRAFT_OPTION_CHOICE) {
        choices = json_array();
        for (size_t i = 0; o->choices[i] != NULL; i++)
            if (json_array_append_new(choices, json_string(o->choices[i])) != 0) break;
    }
    json_t *value = json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:o*}", "key", o->key, "type",
                              types[o->type], "default", o->fallback, "pattern", o->pattern, "help",
                              o->help, "choices", choices);
    if (value != NULL && (o->min < 0 || o->min > 0 || o->max < 0 || o->max > 0)) {
        json_object_set_new(value, "minimum", json_real(o->min));
        json_object_set_new(value, "maximum", json_real(o->max));
    }
    return value;
}

json_t *plugin_json(const struct plugin *plugin)
{
    json_t *options = json_array();
    for (size_t i = 0; options != NULL && i < plugin->option_count; i++) {
        if (json_array_append_new(options, option_json(&plugin->options[i])) != 0) {
            json_decref(options);
            options = NULL;
        }
    }
    if (options == NULL) return NULL;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:o}", "kind",
                     plugin_kind_name(plugin->kind), "name", plugin->name, "version",
                     plugin->version, "summary", plugin->summary, "license", plugin->license,
                     "path", plugin->path, "abi_major", (int)plugin->abi_major, "abi_minor",
                     (int)plugin->abi_minor, "options", options);
}

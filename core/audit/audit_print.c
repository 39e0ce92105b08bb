/* SPDX-License-Identifier: Apache-2.0
 *
 * An audit for a terminal and for programs.
 */
#include "audit/parts.h"

#include <stdio.h>
#include <string.h>

enum { BAR = 40 };

static void put_share(struct str *out, size_t part, size_t whole)
{
    size_t tenths = whole == 0 ? 0 : (part * 1000 + whole / 2) / whole;
    str_printf(out, "%zu.%zu %%", tenths / 10, tenths % 10);
}

static void put_heading(const struct audit_split *s, struct str *out)
{
    str_printf(out, "%s: %s", s->name, s->files[0]);
    if (s->file_count > 1) str_printf(out, " and %zu more", s->file_count - 1);
    str_printf(out, ", %s: %zu records, %zu rows", encoding_name(s->encoding), s->records,
               s->rows.count);
    if (s->rows.count != 0) str_printf(out, " (%s)", data_format_name(s->rows.formats[0]));
    str_putc(out, '\n');
}

static void put_scripts(const struct audit_split *s, struct str *out)
{
    bool first = true;
    str_puts(out, "  answers by script (most of their letters) ");
    for (enum script i = 0; i < SCRIPTS; i++) {
        if (s->scripts[i] == 0) continue;
        str_printf(out, "%s%s ", first ? " " : ", ", script_name(i));
        put_share(out, s->scripts[i], s->rows.count);
        first = false;
    }
    str_putc(out, '\n');
}

/* One line of the histogram: "     1-64     120  ######". */
static void put_bin(const struct audit_lengths *l, size_t bin, size_t most, size_t limit,
                    struct str *out)
{
    size_t count = bin < AUDIT_BINS ? l->bins[bin] : l->beyond, first = bin * l->width + 1;
    size_t bar = most == 0 ? 0 : (count * BAR + most - 1) / most;
    char range[48];
    if (bin < AUDIT_BINS)
        snprintf(range, sizeof range, "%zu-%zu", first, first + l->width - 1);
    else
        snprintf(range, sizeof range, "%zu-%zu", first, l->longest);
    str_printf(out, "  %15s %8zu  ", range, count);
    for (size_t i = 0; i < bar; i++) str_putc(out, '#');
    if (limit != 0 && count != 0 && first > limit) str_puts(out, "  left out");
    str_putc(out, '\n');
}

static void put_lengths(const struct audit *a, const struct audit_split *s, struct str *out)
{
    const struct audit_lengths *l = &s->lengths;
    size_t most = l->beyond, limit = a->options != NULL ? a->options->max_length : 0;
    for (size_t i = 0; i < l->bin_count; i++)
        if (l->bins[i] > most) most = l->bins[i];
    if (a->options == NULL) {
        str_printf(out, "  length in characters, longest %zu (--model counts tokens)\n",
                   l->longest);
    } else {
        str_printf(out, "  tokens             %zu in %zu rows, trained %zu (", l->total, l->rows,
                   l->trained);
        put_share(out, l->trained, l->total);
        str_printf(out, ")\n  length in tokens, longest %zu, max_length %zu\n", l->longest, limit);
    }
    size_t first = 0;
    while (first < l->bin_count && l->bins[first] == 0) first++;
    for (size_t i = first; i < l->bin_count; i++) put_bin(l, i, most, limit, out);
    if (l->beyond != 0) put_bin(l, AUDIT_BINS, most, limit, out);
}

static void put_places(const struct audit_finding *f, struct str *out)
{
    const char *file = NULL;
    for (size_t i = 0; i < f->count && i < AUDIT_LISTED; i++) {
        const struct audit_place *p = &f->places[i], *o = &f->others[i];
        str_puts(out, i == 0 ? "           " : ", ");
        if (file == NULL || strcmp(file, p->file) != 0) str_printf(out, "%s:", p->file);
        str_printf(out, "%u", p->line);
        if (o->file != NULL && strcmp(o->file, p->file) == 0) str_printf(out, " (as %u)", o->line);
        if (o->file != NULL && strcmp(o->file, p->file) != 0)
            str_printf(out, " (as %s:%u)", o->file, o->line);
        file = p->file;
    }
    str_puts(out, f->count > AUDIT_LISTED ? ", ...\n" : "\n");
}

static void put_findings(const struct audit_split *s, struct str *out)
{
    for (int severity = AUDIT_ERROR; severity >= AUDIT_NOTE; severity--)
        for (int kind = 0; kind < AUDIT_KINDS; kind++) {
            const struct audit_finding *f = &s->findings[kind];
            const struct audit_entry *entry = &audit_entries[kind];
            if (f->count == 0 || (int)f->severity != severity) continue;
            str_printf(out, "  %-8s %s: %zu %s%s%s\n", audit_severity_name(f->severity),
                       entry->name, f->count, entry->what,
                       f->detail[0] == '\0' ? ""
                       : f->count > 1       ? "; the first: "
                                            : ": ",
                       f->detail);
            put_places(f, out);
            str_printf(out, "           -> %s\n", entry->todo);
        }
}

void audit_print(const struct audit *a, struct str *out)
{
    size_t by_severity[AUDIT_ERROR + 1] = {0};
    for (size_t i = 0; i < a->split_count; i++) {
        const struct audit_split *s = &a->splits[i];
        put_heading(s, out);
        if (s->rows.count != 0) {
            put_scripts(s, out);
            put_lengths(a, s, out);
        }
        put_findings(s, out);
        str_putc(out, '\n');
        for (int kind = 0; kind < AUDIT_KINDS; kind++)
            if (s->findings[kind].count != 0) by_severity[s->findings[kind].severity]++;
    }
    if (audit_count(a) == 0)
        str_puts(out, "nothing found");
    else
        str_printf(out, "found: %zu errors (training refuses), %zu warnings",
                   by_severity[AUDIT_ERROR], by_severity[AUDIT_WARNING]);
    if (by_severity[AUDIT_NOTE] != 0) str_printf(out, "; %zu notes", by_severity[AUDIT_NOTE]);
    str_putc(out, '\n');
}

/* ---- for programs ---- */

static json_t *place_json(const struct audit_place *p, const struct audit_place *other)
{
    json_t *place = json_pack("{s:s, s:i}", "file", p->file, "line", (int)p->line);
    if (other->file != NULL)
        json_object_set_new(place, "as",
                            json_pack("{s:s, s:i}", "file", other->file, "line", (int)other->line));
    return place;
}

static json_t *finding_json(const struct audit_split *s, int kind)
{
    const struct audit_finding *f = &s->findings[kind];
    const struct audit_entry *entry = &audit_entries[kind];
    json_t *places = json_array();
    for (size_t i = 0; i < f->count && i < AUDIT_LISTED; i++)
        json_array_append_new(places, place_json(&f->places[i], &f->others[i]));
    json_t *finding =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:s}", "split", s->name, "name", entry->name,
                  "severity", audit_severity_name(f->severity), "count", (json_int_t)f->count,
                  "what", entry->what, "places", places, "todo", entry->todo);
    if (f->detail[0] != '\0') json_object_set_new(finding, "detail", json_string(f->detail));
    return finding;
}

static json_t *lengths_json(const struct audit *a, const struct audit_lengths *l)
{
    json_t *bins = json_array();
    for (size_t i = 0; i < l->bin_count; i++)
        json_array_append_new(bins, json_integer((json_int_t)l->bins[i]));
    json_t *lengths =
        json_pack("{s:s, s:I, s:I, s:o, s:I}", "unit", a->options != NULL ? "tokens" : "characters",
                  "longest", (json_int_t)l->longest, "width", (json_int_t)l->width, "bins", bins,
                  "beyond", (json_int_t)l->beyond);
    if (a->options != NULL)
        json_object_set_new(lengths, "max_length",
                            json_integer((json_int_t)a->options->max_length));
    return lengths;
}

static json_t *split_json(const struct audit *a, const struct audit_split *s)
{
    json_t *files = json_array(), *scripts = json_object();
    for (size_t i = 0; i < s->file_count; i++)
        json_array_append_new(files, json_string(s->files[i]));
    for (enum script i = 0; i < SCRIPTS; i++)
        if (s->scripts[i] != 0)
            json_object_set_new(scripts, script_name(i), json_integer((json_int_t)s->scripts[i]));
    json_t *split =
        json_pack("{s:s, s:o, s:s, s:I, s:I, s:o}", "name", s->name, "files", files, "encoding",
                  encoding_name(s->encoding), "records", (json_int_t)s->records, "rows",
                  (json_int_t)s->rows.count, "answers_by_script", scripts);
    json_object_set_new(split, "lengths", lengths_json(a, &s->lengths));
    if (a->options != NULL)
        json_object_set_new(split, "tokens",
                            json_pack("{s:I, s:I, s:I}", "rows", (json_int_t)s->lengths.rows, "all",
                                      (json_int_t)s->lengths.total, "trained",
                                      (json_int_t)s->lengths.trained));
    return split;
}

json_t *audit_json(const struct audit *a)
{
    json_t *splits = json_array(), *findings = json_array();
    for (size_t i = 0; i < a->split_count; i++) {
        json_array_append_new(splits, split_json(a, &a->splits[i]));
        for (int kind = 0; kind < AUDIT_KINDS; kind++)
            if (a->splits[i].findings[kind].count != 0)
                json_array_append_new(findings, finding_json(&a->splits[i], kind));
    }
    return json_pack("{s:o, s:o}", "splits", splits, "findings", findings);
}

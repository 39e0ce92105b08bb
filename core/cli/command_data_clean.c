/* SPDX-License-Identifier: Apache-2.0
 *
 * graft data clean FILE --output FILE: what can be trained on, and an account of the rest.
 */
#include "cli/cli.h"

#include "audit/clean.h"
#include "base/memory.h"
#include "file/atomic.h"
#include "file/paths.h"

#include <string.h>
#include <sys/stat.h>

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (strcmp(a, b) == 0) return true;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A file that can be written without losing another. */
static enum graft_status check_target(const char *option, const char *path, const char *input,
                                      bool overwrite, struct error *e)
{
    if (same_file(path, input))
        return error_set(e, GRAFT_E_INVALID,
                         "--%s: %s is the file that is read; it is never changed, name another",
                         option, path);
    enum path_kind kind = path_kind(path);
    if (kind == PATH_FOLDER)
        return error_set(e, GRAFT_E_INVALID, "--%s: %s is a folder; name a file", option, path);
    if (kind == PATH_FILE && !overwrite)
        return error_set(e, GRAFT_E_INVALID,
                         "--%s: %s is there already; --overwrite replaces it, or name another",
                         option, path);
    char *folder = path_parent(path);
    if (folder == NULL) return error_memory(e, "a file name", 0);
    enum graft_status status = folder_writable(folder, e);
    mem_free(folder);
    return status;
}

static enum graft_status read_keep(const struct cli_args *args, struct clean_request *q,
                                   struct error *e)
{
    const char *names[RULES];
    size_t given = cli_values(args, "keep", names, RULES);
    for (size_t i = 0; i < given && i < RULES; i++) {
        enum rule rule = rule_find(names[i]);
        if (rule != RULES && rules[rule].optional) {
            q->keep |= RULE_BIT(rule);
            continue;
        }
        struct str known = {0};
        for (enum rule r = 0; r < RULES; r++)
            if (rules[r].optional)
                str_printf(&known, "%s%s", known.length == 0 ? "" : ", ", rules[r].name);
        error_set(e, GRAFT_E_INVALID, "--keep: found \"%.40s\", expected one of %s", names[i],
                  known.failed ? "the rules" : known.data);
        str_free(&known);
        return GRAFT_E_INVALID;
    }
    return GRAFT_OK;
}

static enum graft_status read_request(const struct cli_args *args, struct clean_request *q,
                                      struct error *e)
{
    int64_t longest;
    bool overwrite = cli_flag(args, "overwrite");
    q->input = args->arguments[0];
    q->output = cli_value(args, "output");
    q->dropped = cli_value(args, "dropped");
    q->near_duplicates = cli_flag(args, "near-duplicates");
    q->stop = cli_stop_requested;
    if (q->output == NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "data clean: name the file of cleaned rows with --output FILE");
    enum graft_status status = cli_int(args, "longest", 0, INT32_MAX, CLEAN_LONGEST, &longest, e);
    if (status == GRAFT_OK) status = read_keep(args, q, e);
    if (status != GRAFT_OK) return status;
    q->longest = (size_t)longest;
    if (q->dropped != NULL && same_file(q->dropped, q->output))
        return error_set(e, GRAFT_E_INVALID, "--dropped and --output name one file, %s", q->output);
    if (path_kind(q->input) != PATH_FILE)
        return error_set(e, GRAFT_E_INVALID, "%s: there is no such %s", q->input,
                         path_kind(q->input) == PATH_FOLDER ? "file, but a folder" : "file");
    status = check_target("output", q->output, q->input, overwrite, e);
    if (status == GRAFT_OK && q->dropped != NULL)
        status = check_target("dropped", q->dropped, q->input, overwrite, e);
    return status;
}

static void put_rules(const struct clean_result *r, bool drops, bool near, struct str *out)
{
    for (enum rule i = 0; i < RULES; i++) {
        const struct clean_found *f = &r->found[i];
        if (f->count == 0 || rules[i].drops != drops || (i == RULE_NEAR_DUPLICATE && !near))
            continue;
        str_printf(out, "  %-24s%8zu   line", rules[i].name, f->count);
        for (size_t k = 0; k < f->count && k < CLEAN_LISTED; k++)
            str_printf(out, "%s%u", k == 0 ? " " : ", ", f->lines[k]);
        str_puts(out, f->count > CLEAN_LISTED ? ", ...\n" : "\n");
    }
}

static void put_text(const struct clean_request *q, const struct clean_result *r, struct str *out)
{
    str_printf(out, "%s: %zu records, %s\n", q->input, r->records, encoding_name(r->encoding));
    str_printf(out, "kept      %24zu\n", r->kept);
    str_printf(out, "repaired  %24zu\n", r->repaired);
    put_rules(r, false, true, out);
    str_printf(out, "dropped   %24zu\n", r->dropped);
    put_rules(r, true, q->near_duplicates, out);
    size_t near = r->found[RULE_NEAR_DUPLICATE].count;
    if (!q->near_duplicates && near != 0)
        str_printf(out, "%zu near duplicates are kept; --near-duplicates drops them\n", near);
    if (r->found[RULE_TOO_LONG].count != 0)
        str_printf(out, "too_long: more than %zu characters; --longest N allows more\n",
                   q->longest);
    str_printf(out, "written: %s", q->output);
    if (q->dropped != NULL)
        str_printf(out, "; every record dropped or repaired: %s\n", q->dropped);
    else
        str_puts(out, " (--dropped FILE would list every record dropped or repaired)\n");
}

static json_t *as_json(const struct clean_request *q, const struct clean_result *r)
{
    json_t *repaired = json_object(), *dropped = json_object();
    for (enum rule i = 0; i < RULES; i++) {
        if (r->found[i].count == 0 || (i == RULE_NEAR_DUPLICATE && !q->near_duplicates)) continue;
        json_object_set_new(rules[i].drops ? dropped : repaired, rules[i].name,
                            json_integer((json_int_t)r->found[i].count));
    }
    size_t near = q->near_duplicates ? 0 : r->found[RULE_NEAR_DUPLICATE].count;
    return json_pack("{s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:I, s:o, s:o, s:I}", "file", q->input,
                     "encoding", encoding_name(r->encoding), "output", q->output, "list",
                     q->dropped, "records", (json_int_t)r->records, "kept", (json_int_t)r->kept,
                     "repaired", (json_int_t)r->repaired, "dropped", (json_int_t)r->dropped,
                     "repaired_by", repaired, "dropped_by", dropped, "near_duplicates_kept",
                     (json_int_t)near);
}

int command_data_clean(const struct cli_args *args)
{
    struct error e = {0};
    struct clean_request request = {0};
    struct clean_result result;
    struct str text = {0};
    cli_signals_begin();
    enum graft_status status = read_request(args, &request, &e);
    if (status == GRAFT_OK) status = clean_file(&request, &result, &e);
    if (status != GRAFT_OK) return cli_fail(&e);
    if (cli_flag(args, "json")) return cli_print_json(as_json(&request, &result));
    put_text(&request, &result, &text);
    return cli_print(&text);
}

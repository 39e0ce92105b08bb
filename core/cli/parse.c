/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line by the table. Knows no command.
 */
#include "cli/cli.h"

#include "base/memory.h"
#include "plugin/quote.h"

#include <string.h>

/* How many words of argv the command's name takes: 0 when it is another one. */
static int words_matched(const struct cli_command *command, int argc, char **argv)
{
    const char *name = command->name;
    for (int i = 1; i < argc; i++) {
        size_t length = strcspn(name, " ");
        if (strlen(argv[i]) != length || strncmp(argv[i], name, length) != 0) return 0;
        if (name[length] == '\0') return i;
        name += length + 1;
    }
    return 0;
}

static enum graft_status unknown_command(int argc, char **argv, struct error *e)
{
    const char *names[64], *first = argv[1];
    char shown[QUOTE_SIZE], tried[128];
    size_t count = 0;
    bool group = cli_is_group(first);
    for (const struct cli_command *c = cli_commands; c->name != NULL && count < 64; c++) {
        if (c->hidden) continue;
        names[count++] = c->name;
    }
    if (group && argc == 2)
        return error_set(e, GRAFT_E_INVALID, "%s: a word is missing (graft %s --help lists them)",
                         first, first);
    snprintf(tried, sizeof tried, "%.60s%s%.60s", first, group ? " " : "", group ? argv[2] : "");
    const char *nearest = nearest_word(tried, names, count);
    return error_set(e, GRAFT_E_INVALID, "%s: unknown command%s%s%s (graft --help lists them)",
                     quote_text(tried, shown), nearest != NULL ? "; did you mean \"" : "",
                     nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
}

static const struct cli_option *find_option(const struct cli_command *command, const char *name,
                                            size_t length)
{
    const struct cli_option *lists[] = {command->options, cli_global_options};
    for (size_t i = 0; i < 2; i++)
        for (const struct cli_option *o = lists[i]; o != NULL && o->name != NULL; o++)
            if (strlen(o->name) == length && strncmp(o->name, name, length) == 0) return o;
    return NULL;
}

static enum graft_status unknown_option(const struct cli_command *command, const char *word,
                                        struct error *e)
{
    const char *names[64];
    char shown[QUOTE_SIZE], name[64];
    size_t count = 0;
    for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++)
        if (count < 64) names[count++] = o->name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    const char *nearest = strncmp(word, "--", 2) == 0 ? nearest_word(name, names, count) : NULL;
    return error_set(e, GRAFT_E_INVALID, "%s: unknown option %s%s%s%s (graft %s --help)",
                     command->name, quote_text(word, shown),
                     nearest != NULL ? "; did you mean \"--" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "\"?" : "", command->name);
}

struct parse {
    struct cli_args *args;
    struct cli_given *given;
    int argc, at;
    char **argv;
    struct error *e;
};

static enum graft_status read_option(struct parse *p)
{
    const struct cli_command *command = p->args->command;
    const char *given = p->argv[p->at], *word = strcmp(given, "-h") == 0 ? "--help" : given;
    size_t length = strncmp(word, "--", 2) == 0 ? strcspn(word + 2, "=") : 0;
    const struct cli_option *option = length != 0 ? find_option(command, word + 2, length) : NULL;
    if (option == NULL) return unknown_option(command, word, p->e);
    const char *value = word[2 + length] == '=' ? word + 2 + length + 1 : NULL;
    if (option->argument == NULL && value != NULL)
        return error_set(p->e, GRAFT_E_INVALID, "%s: --%s takes no value", command->name,
                         option->name);
    if (option->argument != NULL && value == NULL) {
        if (p->at + 1 >= p->argc)
            return error_set(p->e, GRAFT_E_INVALID, "%s: --%s needs %s", command->name,
                             option->name, option->argument);
        value = p->argv[++p->at];
    }
    if (!option->repeated && option->argument != NULL)
        for (size_t i = 0; i < p->args->given_count; i++)
            if (p->given[i].option == option)
                return error_set(p->e, GRAFT_E_INVALID, "%s: --%s stands twice", command->name,
                                 option->name);
    p->given[p->args->given_count++] = (struct cli_given){option, value};
    return GRAFT_OK;
}

static enum graft_status read_words(struct parse *p)
{
    bool options = true;
    for (; p->at < p->argc; p->at++) {
        const char *word = p->argv[p->at];
        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            enum graft_status status = read_option(p);
            if (status != GRAFT_OK) return status;
        } else {
            p->args->arguments[p->args->count++] = word;
        }
    }
    return GRAFT_OK;
}

static enum graft_status check_count(const struct cli_args *args, struct error *e)
{
    const struct cli_command *c = args->command;
    if (cli_flag(args, "help") || (args->count >= c->least && args->count <= c->most))
        return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "%s: found %zu argument%s, expected %s (graft %s --help)",
                     c->name, args->count, args->count == 1 ? "" : "s",
                     c->most == 0 ? "none" : c->arguments, c->name);
}

enum graft_status cli_parse(int argc, char **argv, struct cli_args *args, struct error *e)
{
    int words = 0;
    struct cli_args found = {0};
    for (const struct cli_command *c = cli_commands; c->name != NULL && words == 0; c++) {
        found.command = c;
        words = words_matched(c, argc, argv);
    }
    if (words == 0) return unknown_command(argc, argv, e);
    struct cli_given *given = mem_zalloc((size_t)argc, sizeof *given);
    found.given = given;
    found.arguments = mem_zalloc((size_t)argc, sizeof *found.arguments);
    struct parse p = {&found, given, argc, words + 1, argv, e};
    enum graft_status status = given != NULL && found.arguments != NULL
                                   ? read_words(&p)
                                   : error_memory(e, "arguments", (size_t)argc);
    if (status == GRAFT_OK) status = check_count(&found, e);
    if (status == GRAFT_OK)
        *args = found;
    else
        cli_args_fini(&found);
    return status;
}

void cli_args_fini(struct cli_args *args)
{
    mem_free((void *)(uintptr_t)args->given);
    mem_free(args->arguments);
    *args = (struct cli_args){0};
}

bool cli_flag(const struct cli_args *args, const char *name)
{
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, name) == 0) return true;
    return false;
}

const char *cli_value(const struct cli_args *args, const char *name)
{
    for (size_t i = args->given_count; i > 0; i--)
        if (strcmp(args->given[i - 1].option->name, name) == 0) return args->given[i - 1].value;
    return NULL;
}

size_t cli_values(const struct cli_args *args, const char *name, const char **values, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].option->name, name) != 0) continue;
        if (count < room) values[count] = args->given[i].value;
        count++;
    }
    return count;
}

enum graft_status cli_int(const struct cli_args *args, const char *name, int64_t min, int64_t max,
                          int64_t fallback, int64_t *value, struct error *e)
{
    const char *text = cli_value(args, name);
    char shown[QUOTE_SIZE], fault[FAULT_SIZE];
    int64_t parsed = fallback;
    bool wrong = text != NULL && (!parse_int64(text, &parsed) || parsed < min || parsed > max);
    if (wrong && max == INT64_MAX)
        return error_set(e, GRAFT_E_INVALID,
                         "--%s: found %s, expected an integer of %lld or more%s", name,
                         quote_text(text, shown), (long long)min, number_fault(text, fault));
    if (wrong)
        return error_set(
            e, GRAFT_E_INVALID, "--%s: found %s, expected an integer from %lld to %lld%s", name,
            quote_text(text, shown), (long long)min, (long long)max, number_fault(text, fault));
    *value = parsed;
    return GRAFT_OK;
}

enum graft_status cli_float(const struct cli_args *args, const char *name, double min, double max,
                            double fallback, double *value, struct error *e)
{
    const char *text = cli_value(args, name);
    char shown[QUOTE_SIZE], low[32], high[32], fault[FAULT_SIZE];
    double parsed = fallback;
    if (text != NULL && (!parse_double(text, &parsed) || parsed < min || parsed > max))
        return error_set(e, GRAFT_E_INVALID, "--%s: found %s, expected a number from %s to %s%s",
                         name, quote_text(text, shown), format_plain(min, low),
                         format_plain(max, high), number_fault(text, fault));
    *value = parsed;
    return GRAFT_OK;
}

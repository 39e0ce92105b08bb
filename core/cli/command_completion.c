/* SPDX-License-Identifier: Apache-2.0
 *
 * graft completion bash: what the Tab key completes, out of the one table.
 */
#include "cli/cli.h"

#include <string.h>

static size_t first_word(const char *name)
{
    return strcspn(name, " ");
}

/* Does the command's name begin with this word? */
static bool begins_with(const struct cli_command *c, const char *word, size_t length)
{
    return first_word(c->name) == length && strncmp(c->name, word, length) == 0;
}

/* Is it the first of the table with its first word? */
static bool is_first(const struct cli_command *c)
{
    for (const struct cli_command *before = cli_commands; before < c; before++)
        if (!before->hidden && begins_with(before, c->name, first_word(c->name))) return false;
    return !c->hidden;
}

static void put_options(const struct cli_option *options, struct str *out)
{
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++)
        str_printf(out, " --%s", o->name);
}

/* One row of the script: the words that may stand behind the command so far. */
static void put_group(const struct cli_command *group, struct str *out)
{
    size_t length = first_word(group->name);
    str_printf(out, "    '%.*s ') echo", (int)length, group->name);
    for (const struct cli_command *c = group; c->name != NULL; c++)
        if (!c->hidden && begins_with(c, group->name, length))
            str_printf(out, "%s", c->name + length);
    str_puts(out, " ;;\n");
}

static void put_table(struct str *out)
{
    str_puts(out, "    '') echo");
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        if (is_first(c)) str_printf(out, " %.*s", (int)first_word(c->name), c->name);
    put_options(cli_global_options, out);
    str_puts(out, " ;;\n");
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        if (c->hidden) continue;
        if (is_first(c) && strchr(c->name, ' ') != NULL) put_group(c, out);
        str_printf(out, "    '%s') echo", c->name);
        put_options(c->options, out);
        str_puts(out, " --help ;;\n");
    }
}

/* A word that completes nothing is left to bash: file names. */
static const char script[] =
    "_graft() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-} words\n"
    "    COMPREPLY=()\n"
    "    if [ \"$COMP_CWORD\" -le 1 ]; then\n"
    "        words=$(_graft_words '')\n"
    "    elif words=$(_graft_words \"$command \") && [ -n \"$words\" ]; then\n"
    "        [ \"$COMP_CWORD\" -le 2 ] || words=$(_graft_words \"$command ${COMP_WORDS[2]}\")\n"
    "    else\n"
    "        words=$(_graft_words \"$command\")\n"
    "    fi\n"
    "    [[ $word == -* || $words != --* ]] || return 0\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
    "}\n"
    "complete -o default -F _graft graft\n";

static void put_script(struct str *out)
{
    str_puts(out, "# What bash completes for graft: source <(graft completion bash)\n"
                  "_graft_words() { # the words that may follow a command\n    case $1 in\n");
    put_table(out);
    str_puts(out, "    esac\n}\n");
    str_puts(out, script);
}

int command_completion(const struct cli_args *args)
{
    struct error e = {0};
    struct str text = {0};
    if (strcmp(args->arguments[0], "bash") != 0) {
        error_set(&e, GRAFT_E_INVALID, "completion: found \"%.40s\", expected bash",
                  args->arguments[0]);
        return cli_fail(&e);
    }
    put_script(&text);
    return cli_print(&text);
}

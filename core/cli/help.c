/* SPDX-License-Identifier: Apache-2.0
 *
 * Help texts and the man page, out of the one table.
 */
#include "cli/cli.h"

#include <graft/plugin.h>

#include <stdio.h>
#include <string.h>

#ifndef GRAFT_VERSION
#define GRAFT_VERSION "unversioned"
#endif
#ifndef GRAFT_COMMIT
#define GRAFT_COMMIT ""
#endif

static const char exit_text[] =
    "0 done, 1 the run failed, 2 the request is wrong, 130 after SIGINT, 143 after SIGTERM or "
    "SIGHUP";

void cli_version(struct str *out)
{
    str_printf(out, "graft %s (ABI %u.%u%s%s)\n", GRAFT_VERSION, (unsigned)GRAFT_ABI_MAJOR,
               (unsigned)GRAFT_ABI_MINOR, *GRAFT_COMMIT != '\0' ? ", commit " : "", GRAFT_COMMIT);
}

static void option_name(const struct cli_option *o, struct str *out)
{
    str_printf(out, "--%s%s%s", o->name, o->argument != NULL ? " " : "",
               o->argument != NULL ? o->argument : "");
}

static void help_options(const struct cli_option *options, struct str *out)
{
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
        size_t start = out->length;
        str_puts(out, "  ");
        option_name(o, out);
        size_t width = out->length - start;
        str_printf(out, "%*s%s\n", width < 26 ? (int)(26 - width) : 2, "", o->help);
    }
}

static size_t name_width(const struct cli_command *c)
{
    return strlen(c->name) + (*c->arguments != '\0') + strlen(c->arguments);
}

bool cli_is_group(const char *word)
{
    size_t length = strlen(word);
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        if (!c->hidden && strncmp(c->name, word, length) == 0 && c->name[length] == ' ')
            return true;
    return false;
}

/* The commands that begin with these words. */
static void help_commands(const char *words, struct str *out)
{
    size_t width = 0, length = strlen(words);
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        if (!c->hidden && name_width(c) > width) width = name_width(c);
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        if (c->hidden || strncmp(c->name, words, length) != 0) continue;
        str_printf(out, "  %s%s%s%*s  %s\n", c->name, *c->arguments != '\0' ? " " : "",
                   c->arguments, (int)(width - name_width(c)), "", c->summary);
    }
}

void cli_help_group(const char *word, struct str *out)
{
    char words[64];
    snprintf(words, sizeof words, "%.60s ", word);
    str_printf(out, "usage: graft %s COMMAND\n\ncommands:\n", word);
    help_commands(words, out);
}

void cli_help(struct str *out)
{
    str_puts(out, "graft: fine-tuning of large language models by small trainable parts\n\n"
                  "usage: graft COMMAND [ARGUMENT]... [--option]...\n\ncommands:\n");
    help_commands("", out);
    str_puts(out, "\noptions:\n");
    help_options(cli_global_options, out);
    str_printf(out, "\nexit status: %s\n", exit_text);
}

void cli_help_command(const struct cli_command *command, struct str *out)
{
    str_printf(out, "usage: graft %s%s%s%s\n\n%s\n", command->name,
               *command->arguments != '\0' ? " " : "", command->arguments,
               command->options != NULL ? " [--option]..." : "", command->summary);
    if (command->options != NULL) {
        str_puts(out, "\noptions:\n");
        help_options(command->options, out);
    }
}

/* Text for troff: no request at a line's start, dashes and backslashes as they are. */
static void troff(struct str *out, const char *text)
{
    if (*text == '.' || *text == '\'') str_puts(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '-')
            str_puts(out, "\\-");
        else if (*text == '\\')
            str_puts(out, "\\e");
        else
            str_putc(out, *text);
    }
}

static void man_options(const struct cli_option *options, struct str *out)
{
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
        struct str name = {0};
        option_name(o, &name);
        str_puts(out, ".TP\n.B ");
        troff(out, name.failed ? "" : name.data);
        str_putc(out, '\n');
        troff(out, o->help);
        str_putc(out, '\n');
        out->failed = out->failed || name.failed;
        str_free(&name);
    }
}

void cli_man(struct str *out)
{
    str_printf(out, ".TH GRAFT 1 \"\" \"graft %s\"\n.SH NAME\n", GRAFT_VERSION);
    troff(out, "graft - fine-tuning of large language models by small trainable parts");
    str_puts(out, "\n.SH SYNOPSIS\n.B graft\nCOMMAND [ARGUMENT]... [\\-\\-option]...\n"
                  ".SH COMMANDS\n");
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        if (c->hidden) continue;
        str_puts(out, ".SS ");
        troff(out, c->name);
        str_putc(out, ' ');
        troff(out, c->arguments);
        str_putc(out, '\n');
        troff(out, c->summary);
        str_putc(out, '\n');
        man_options(c->options, out);
    }
    str_puts(out, ".SH OPTIONS\n");
    man_options(cli_global_options, out);
    str_puts(out, ".SH EXIT STATUS\n");
    troff(out, exit_text);
    str_puts(out,
             "\n.SH ENVIRONMENT\n.TP\n.B GRAFT_PLUGIN_PATH\nabsolute folders, separated by "
             "colons, that are searched for plugins first\n.TP\n.B GRAFT_KERNELS\nfor tests: how a "
             "backend computes that has several ways (cpu: baseline, avx2, avx512, avx512bf16, "
             "amx) instead of its own choice\n.TP\n.B NO_COLOR\nno colours\n");
}

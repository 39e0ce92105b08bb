/* SPDX-License-Identifier: Apache-2.0
 *
 * The program: parse, call, print. Output, signals and the exit status live in this room alone.
 *
 * A command is a file command_NAME.c with `int command_NAME(const struct cli_args *)` and a row in
 * table.c, from which parsing, --help and the man page come.
 */
#ifndef CORE_CLI_CLI_H
#define CORE_CLI_CLI_H

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_REQUEST = 2 };

/* The whole program; returns the exit status. */
int cli_main(int argc, char **argv);

struct cli_args;
typedef int cli_run(const struct cli_args *args);

/* "--NAME" or "--NAME ARGUMENT". Arrays end with name NULL. */
struct cli_option {
    const char *name;
    const char *argument; /* NULL: a flag */
    bool repeated;        /* may stand more than once; without it, twice is an error */
    const char *help;
};

struct cli_command {
    const char *name;                 /* "plugin show" */
    const char *arguments;            /* for --help: "NAME" */
    size_t least, most;               /* number of arguments */
    const char *summary;              /* one line */
    const struct cli_option *options; /* may be NULL */
    cli_run *run;
    bool hidden; /* not in --help */
};

struct cli_given {
    const struct cli_option *option;
    const char *value; /* NULL: a flag */
};

struct cli_args {
    const struct cli_command *command;
    const char **arguments;
    size_t count;
    const struct cli_given *given; /* in order */
    size_t given_count;
};

bool cli_flag(const struct cli_args *args, const char *name);
/* The value of an option, or NULL when it was not given. */
const char *cli_value(const struct cli_args *args, const char *name);
/* Up to `room` values of a repeated option, in order; returns how many there are. */
size_t cli_values(const struct cli_args *args, const char *name, const char **values, size_t room);
/* A number in [min, max]; `fallback` when not given; "--NAME: found X, expected ...". */
GRAFT_MUST_USE enum graft_status cli_int(const struct cli_args *args, const char *name, int64_t min,
                                         int64_t max, int64_t fallback, int64_t *value,
                                         struct error *e);
GRAFT_MUST_USE enum graft_status cli_float(const struct cli_args *args, const char *name,
                                           double min, double max, double fallback, double *value,
                                           struct error *e);

/* Prints "graft: TEXT" on stderr and returns the exit status that belongs to the error. */
int cli_fail(const struct error *e);
/* The exit status of a status, signals included. */
int cli_exit_status(enum graft_status status);

/* Results to stdout. Both take over what they print (free, decref) and return the exit status. */
int cli_print(struct str *text);
int cli_print_json(json_t *value);

/* True when colours and a progress line are wanted on this stream (1 or 2): a terminal, and no
 * NO_COLOR for colours. */
bool cli_is_terminal(int stream);
bool cli_colours(int stream);

/* From here to the end of the program SIGINT, SIGTERM and SIGHUP ask to stop; a second one ends at
 * once. Commands that keep something when stopped call it. */
void cli_signals_begin(void);
/* Polled by the work; the argument is not looked at. */
bool cli_stop_requested(void *unused);

/* The table; ends with name NULL. */
extern const struct cli_command cli_commands[];
/* Options of the program itself. */
extern const struct cli_option cli_global_options[];

/* Parses argv[1..]. On success *args is filled (its arrays are from mem_alloc: cli_args_fini). */
GRAFT_MUST_USE enum graft_status cli_parse(int argc, char **argv, struct cli_args *args,
                                           struct error *e);
void cli_args_fini(struct cli_args *args);

void cli_help(struct str *out);
/* Is it the first word of commands of two words ("plugin")? Their list is its help. */
bool cli_is_group(const char *word);
void cli_help_group(const char *word, struct str *out);
void cli_help_command(const struct cli_command *command, struct str *out);
void cli_man(struct str *out);
void cli_version(struct str *out);

int command_plugin_list(const struct cli_args *args);
int command_plugin_show(const struct cli_args *args);
int command_plugin_test(const struct cli_args *args);
int command_schema(const struct cli_args *args);
int command_explain(const struct cli_args *args);
int command_man(const struct cli_args *args);
int command_completion(const struct cli_args *args);
int command_train(const struct cli_args *args);
int command_compare(const struct cli_args *args);
int command_plan(const struct cli_args *args);
int command_bench(const struct cli_args *args);
int command_eval(const struct cli_args *args);
int command_generate(const struct cli_args *args);
int command_chat(const struct cli_args *args);
int command_merge(const struct cli_args *args);
int command_data_show(const struct cli_args *args);
int command_data_check(const struct cli_args *args);
int command_data_clean(const struct cli_args *args);
int command_backend_list(const struct cli_args *args);
int command_backend_test(const struct cli_args *args);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The program's frame: log, signals, help and version, the command, the exit status.
 */
#include "cli/cli.h"
#include "cli/progress.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t caught_signal;

static int signal_exit_status(int number)
{
    return 128 + (number == SIGHUP ? SIGTERM : number);
}

static void on_signal(int number)
{
    if (caught_signal != 0) _exit(signal_exit_status(number));
    caught_signal = number;
}

void cli_signals_begin(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {0};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

bool cli_stop_requested(void *unused)
{
    (void)unused;
    return caught_signal != 0;
}

int cli_exit_status(enum graft_status status)
{
    switch (status) {
    case GRAFT_OK: return EXIT_DONE;
    case GRAFT_E_INVALID:
    case GRAFT_E_UNSUPPORTED: return EXIT_REQUEST; /* this version cannot do what is asked */
    case GRAFT_E_INTERRUPTED:
        return signal_exit_status(caught_signal != 0 ? (int)caught_signal : SIGINT);
    default: return EXIT_FAILED;
    }
}

int cli_fail(const struct error *e)
{
    fflush(stdout);
    fprintf(stderr, "graft: %s\n", e->text);
    return cli_exit_status(e->status);
}

static void to_stderr(void *unused, enum log_level level, const char *line)
{
    (void)unused;
    progress_clear();
    fprintf(stderr, "%s%s\n", level == LOG_WARNING ? "graft: warning: " : "", line);
}

bool cli_is_terminal(int stream)
{
    return isatty(stream) == 1;
}

bool cli_colours(int stream)
{
    const char *no = getenv("NO_COLOR");
    return (no == NULL || *no == '\0') && cli_is_terminal(stream);
}

static int no_memory(void)
{
    struct error e = {0};
    error_memory(&e, "a result", 0);
    return cli_fail(&e);
}

int cli_print(struct str *text)
{
    bool failed = text->failed;
    if (!failed && text->length != 0) fwrite(text->data, 1, text->length, stdout);
    str_free(text);
    return failed ? no_memory() : EXIT_DONE;
}

int cli_print_json(json_t *value)
{
    struct str text = {0};
    if (value == NULL) return no_memory();
    json_write(&text, value, 2, false);
    str_putc(&text, '\n');
    json_decref(value);
    return cli_print(&text);
}

int command_man(const struct cli_args *args)
{
    struct str text = {0};
    (void)args;
    cli_man(&text);
    return cli_print(&text);
}

static int run_command(int argc, char **argv)
{
    struct error e = {0};
    struct cli_args args = {0};
    struct str text = {0};
    int status;
    if (cli_parse(argc, argv, &args, &e) != GRAFT_OK) return cli_fail(&e);
    if (cli_flag(&args, "help")) {
        cli_help_command(args.command, &text);
        status = cli_print(&text);
    } else if (cli_flag(&args, "version")) {
        cli_version(&text);
        status = cli_print(&text);
    } else {
        status = args.command->run(&args);
    }
    cli_args_fini(&args);
    return status;
}

static int run(int argc, char **argv)
{
    struct str text = {0};
    if (argc < 2) {
        struct error e = {0};
        error_set(&e, GRAFT_E_INVALID, "no command is given (graft --help lists them)");
        return cli_fail(&e);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        cli_help(&text);
    else if (strcmp(argv[1], "--version") == 0)
        cli_version(&text);
    else if (argc == 3 && strcmp(argv[2], "--help") == 0 && cli_is_group(argv[1]))
        cli_help_group(argv[1], &text);
    else
        return run_command(argc, argv);
    return cli_print(&text);
}

int cli_main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is a refused write, as a full disk is */
    log_set_sink(to_stderr, NULL);
    int status = run(argc, argv);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        /* A reader that went away knows it; a full disk must be said. */
        if (errno != EPIPE)
            fprintf(stderr, "graft: cannot write the result: %s\n", strerror(errno));
        if (status == EXIT_DONE) status = EXIT_FAILED;
    }
    return status;
}

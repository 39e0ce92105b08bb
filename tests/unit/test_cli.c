/* SPDX-License-Identifier: Apache-2.0
 *
 * cli: the command line by its table, help and man page, and the program itself: exit status,
 * what goes to stdout and what to stderr.
 */
#include "unit/test.h"

#include "base/memory.h"
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDER GRAFT_BUILD_DIR "/tests/cli"
#define GOOD GRAFT_BUILD_DIR "/tests/abi/good"
#define BAD GRAFT_BUILD_DIR "/tests/abi/bad"

static int set_up(void **state)
{
    (void)state;
    mkdir(FOLDER, 0777);
    return chdir(FOLDER) != 0 || setenv("GRAFT_PLUGIN_PATH", GOOD, 1) != 0;
}

static char **words(const char *const *from, int *count)
{
    static char buffer[16][256];
    static char *argv[17];
    *count = 0;
    for (; from[*count] != NULL; ++*count) {
        snprintf(buffer[*count], sizeof buffer[0], "%s", from[*count]);
        argv[*count] = buffer[*count];
    }
    argv[*count] = NULL;
    return argv;
}

static void parse_refused(const char *const *from, const char *expected)
{
    struct error e = {0};
    struct cli_args args = {0};
    int argc;
    char **argv = words(from, &argc);
    int64_t before = mem_live_count();
    assert_int_equal(cli_parse(argc, argv, &args, &e), GRAFT_E_INVALID);
    assert_int_equal(mem_live_count(), before);
    if (strncmp(e.text, expected, strlen(expected)) != 0)
        fail_msg("\n  found    %s\n  expected %s", e.text, expected);
}

#define WORDS(...) ((const char *const[]){"graft", __VA_ARGS__, NULL})

static void test_parse(void **state)
{
    struct error e = {0};
    struct cli_args args = {0};
    const char *values[2];
    int argc;
    char **argv =
        words(WORDS("explain", "--set", "a=1", "r.yaml", "--set=b=2=3", "--set", "c=-1"), &argc);
    (void)state;
    assert_ok(cli_parse(argc, argv, &args, &e), &e);
    assert_string_equal(args.command->name, "explain");
    assert_int_equal(args.count, 1);
    assert_string_equal(args.arguments[0], "r.yaml");
    assert_int_equal(cli_values(&args, "set", values, 2), 3);
    assert_string_equal(values[0], "a=1");
    assert_string_equal(values[1], "b=2=3");
    assert_string_equal(cli_value(&args, "set"), "c=-1");
    assert_false(cli_flag(&args, "json"));
    cli_args_fini(&args);
    argv = words(WORDS("train", "-h"), &argc);
    assert_ok(cli_parse(argc, argv, &args, &e), &e);
    assert_true(cli_flag(&args, "help"));
    cli_args_fini(&args);
    argv = words(WORDS("plugin", "show", "--json", "--", "--odd"), &argc);
    assert_ok(cli_parse(argc, argv, &args, &e), &e);
    assert_string_equal(args.command->name, "plugin show");
    assert_string_equal(args.arguments[0], "--odd");
    assert_true(cli_flag(&args, "json"));
    cli_args_fini(&args);
}

static void test_parse_mistakes(void **state)
{
    (void)state;
    parse_refused(WORDS("explian", "x"), "\"explian\": unknown command; did you mean \"explain\"?");
    parse_refused(WORDS("plugin", "lits"),
                  "\"plugin lits\": unknown command; did you mean \"plugin list\"?");
    parse_refused(WORDS("explain"), "explain: found 0 arguments, expected RECIPE");
    parse_refused(WORDS("explain", "a", "b"), "explain: found 2 arguments, expected RECIPE");
    parse_refused(WORDS("plugin", "list", "x"), "plugin list: found 1 argument, expected none");
    parse_refused(WORDS("plugin"), "plugin: a word is missing (graft plugin --help lists them)");
    parse_refused(WORDS("explain", "r", "--sett", "x"),
                  "explain: unknown option \"--sett\"; did you mean \"--set\"?");
    parse_refused(WORDS("explain", "r", "-x"), "explain: unknown option \"-x\"");
    parse_refused(WORDS("explain", "r", "--set"), "explain: --set needs KEY.PATH=VALUE");
    parse_refused(WORDS("plugin", "list", "--json=1"), "plugin list: --json takes no value");
}

static void test_numbers(void **state)
{
    static const struct cli_option option = {"port", "N", false, ""};
    struct cli_given given = {&option, "8080"};
    struct cli_args args = {.given = &given, .given_count = 1};
    struct error e = {0};
    int64_t i = 0;
    double d = 0;
    (void)state;
    assert_ok(cli_int(&args, "port", 1, 65535, 80, &i, &e), &e);
    assert_int_equal(i, 8080);
    assert_ok(cli_int(&args, "other", 1, 65535, 80, &i, &e), &e);
    assert_int_equal(i, 80);
    assert_int_equal(cli_int(&args, "port", 1, 80, 80, &i, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "--port: found \"8080\", expected an integer from 1 to 80");
    given.value = "-1";
    assert_int_equal(cli_int(&args, "port", 0, INT64_MAX, 80, &i, &e), GRAFT_E_INVALID);
    assert_string_equal(e.text, "--port: found \"-1\", expected an integer of 0 or more");
    given.value = "0.5";
    assert_ok(cli_float(&args, "port", 0, 1, 0, &d, &e), &e);
    assert_true(d == 0.5);
    given.value = "nan";
    assert_int_equal(cli_float(&args, "port", 0, 1, 0, &d, &e), GRAFT_E_INVALID);
}

/* Every command and option of the table is in --help and in the man page. */
static void test_help(void **state)
{
    struct str help = {0}, man = {0};
    (void)state;
    cli_help(&help);
    cli_man(&man);
    assert_false(help.failed || man.failed);
    assert_non_null(strstr(man.data, ".SH EXIT STATUS"));
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        struct str one = {0}, row = {0};
        cli_help_command(c, &one);
        str_printf(&row, "\n  %s ", c->name);
        assert_int_equal(strstr(help.data, row.data) != NULL, !c->hidden);
        for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
            str_clear(&row);
            str_printf(&row, "--%s", o->name);
            assert_non_null(strstr(one.data, row.data));
            str_clear(&row);
            str_puts(&row, "\\-\\-");
            for (const char *at = o->name; *at != '\0'; at++)
                str_printf(&row, *at == '-' ? "\\%c" : "%c", *at);
            assert_non_null(strstr(man.data, row.data));
        }
        assert_non_null(c->run);
        str_free(&one);
        str_free(&row);
    }
    str_free(&help);
    str_free(&man);
}

/* Runs cli_main with its streams in files; returns the exit status. */
static int run(const char *const *from, char *out, char *err)
{
    int argc, saved[2] = {dup(1), dup(2)};
    char **argv = words(from, &argc);
    fflush(stdout);
    assert_non_null(freopen("out.txt", "w+", stdout));
    assert_non_null(freopen("err.txt", "w+", stderr));
    int status = cli_main(argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    close(saved[0]);
    close(saved[1]);
    char *texts[2] = {out, err};
    static const char *const names[2] = {"out.txt", "err.txt"};
    for (size_t i = 0; i < 2; i++) {
        FILE *file = fopen(names[i], "r");
        assert_non_null(file);
        texts[i][fread(texts[i], 1, 65535, file)] = '\0';
        fclose(file);
    }
    return status;
}

static void test_program(void **state)
{
    char out[65536], err[65536];
    (void)state;
    assert_int_equal(run(WORDS("--version"), out, err), 0);
    assert_non_null(strstr(out, "(ABI 1.0"));
    assert_string_equal(err, "");
    assert_int_equal(run(WORDS("--help"), out, err), 0);
    assert_int_equal(run(WORDS("explain", "--help"), out, err), 0);
    assert_non_null(strstr(out, "usage: graft explain RECIPE"));
    assert_int_equal(run((const char *const[]){"graft", NULL}, out, err), 2);
    assert_string_equal(out, "");
    assert_string_equal(err, "graft: no command is given (graft --help lists them)\n");
    assert_int_equal(run(WORDS("explain", "none.yaml"), out, err), 2);
    assert_string_equal(err, "graft: none.yaml: No such file or directory\n");
}

static void test_plugin_commands(void **state)
{
    char out[65536], err[65536];
    (void)state;
    assert_int_equal(run(WORDS("plugin", "list"), out, err), 0);
    assert_non_null(strstr(out, "optimizer  plain             0.1.0     a plugin for tests\n"));
    assert_int_equal(run(WORDS("plugin", "show", "plain"), out, err), 0);
    assert_non_null(strstr(out, "optimizer plain 0.1.0"));
    assert_int_equal(run(WORDS("plugin", "show", "adapter-full"), out, err), 0);
    assert_non_null(strstr(out, "init_lora_weights"));
    assert_non_null(strstr(out, "target_modules")); /* the host's keys, too */
    assert_int_equal(run(WORDS("plugin", "show", GOOD "/optimizer-plain.so"), out, err), 0);
    assert_int_equal(run(WORDS("plugin", "show", "plian"), out, err), 2);
    assert_non_null(strstr(err, "graft: no optimizer is named \"plian\"; did you mean \"plain\"?"));
    assert_int_equal(run(WORDS("plugin", "show", "nothing-like-it"), out, err), 2);
    assert_string_equal(err,
                        "graft: no plugin is named \"nothing-like-it\" (graft plugin list shows "
                        "all)\n");
    assert_int_equal(run(WORDS("plugin", "--help"), out, err), 0);
    assert_non_null(strstr(out, "\n  plugin test FILE "));
    assert_null(strstr(out, "\n  train"));
    assert_int_equal(run(WORDS("generate", "x", "--prompt", "caf\xe9"), out, err), 2);
    assert_string_equal(err, "graft: --prompt: not UTF-8 at byte 3 (0xE9): convert it to UTF-8\n");
    assert_int_equal(run(WORDS("plugin", "show", BAD "/adapter-abi_major.so"), out, err), 2);
    assert_string_equal(err, "graft: adapter-abi_major.so: abi_major: found 2, this graft has 1: "
                             "rebuild the plugin against this sdk\n");
    assert_string_equal(out, "");
}

static void test_json(void **state)
{
    char out[65536], err[65536];
    struct error e = {0};
    json_t *value = NULL;
    (void)state;
    setenv("GRAFT_PLUGIN_PATH", GOOD ":" GOOD "/.", 1);
    assert_int_equal(run(WORDS("plugin", "list", "--json"), out, err), 0);
    setenv("GRAFT_PLUGIN_PATH", GOOD, 1);
    assert_ok(json_read_bytes(out, strlen(out), &value, &e), &e);
    assert_true(json_array_size(value) >= 10);
    assert_non_null(json_object_get(json_array_get(value, 5), "hidden_by"));
    json_decref(value);
    assert_int_equal(run(WORDS("plugin", "show", "full", "--json"), out, err), 0);
    assert_ok(json_read_bytes(out, strlen(out), &value, &e), &e);
    assert_string_equal(json_string_value(json_object_get(value, "name")), "full");
    json_decref(value);
}

static void test_explain(void **state)
{
    static const char yaml[] = "model: m.gguf\ndata: {train: t.jsonl}\n"
                               "adapter: {method: full, steps: 1}\n"
                               "optimizer: {method: plain, lr: 1}\n";
    char out[65536], err[65536];
    (void)state;
    const struct {
        const char *name, *text;
    } files[] = {{"r.yaml", yaml}, {"m.gguf", "x"}, {"t.jsonl", "{}"}};
    for (size_t i = 0; i < 3; i++) {
        FILE *file = fopen(files[i].name, "w");
        assert_non_null(file);
        assert_true(fputs(files[i].text, file) >= 0);
        fclose(file);
    }
    assert_int_equal(run(WORDS("explain", "r.yaml", "--set", "train.seed=9"), out, err), 0);
    assert_non_null(strstr(out, "  seed: 9 "));
    assert_non_null(strstr(out, "# --set 1\n"));
    assert_string_equal(err, "");
    assert_int_equal(run(WORDS("explain", "r.yaml", "--set", "adapter.method=minimal"), out, err),
                     0);
    assert_non_null(strstr(err, "--set 1: adapter.method: minimal instead of full: dropped steps"));
    assert_int_equal(run(WORDS("explain", "r.yaml", "--set", "adapter.r=0"), out, err), 2);
    assert_string_equal(out, "");
    assert_string_equal(err, "graft: --set 1: adapter.r: found 0, expected an integer from 1 to "
                             "4096\n");
}

static void test_exit_status(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_status(GRAFT_OK), 0);
    assert_int_equal(cli_exit_status(GRAFT_E_INVALID), 2);
    assert_int_equal(cli_exit_status(GRAFT_E_FAILED), 1);
    assert_int_equal(cli_exit_status(GRAFT_E_MEMORY), 1);
    assert_int_equal(cli_exit_status(GRAFT_E_IO), 1);
    assert_int_equal(cli_exit_status(GRAFT_E_UNSUPPORTED), 2);
    cli_signals_begin();
    assert_false(cli_stop_requested(NULL));
    raise(SIGHUP);
    assert_true(cli_stop_requested(NULL));
    assert_int_equal(cli_exit_status(GRAFT_E_INTERRUPTED), 143);
}

/* The first signal asks, the second ends at once, with the status of the signal. */
static void test_second_signal(void **state)
{
    int status = 0;
    (void)state;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        cli_signals_begin();
        raise(SIGINT);
        if (!cli_stop_requested(NULL)) _exit(1);
        raise(SIGINT);
        _exit(2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 130);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),         cmocka_unit_test(test_parse_mistakes),
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_help),
        cmocka_unit_test(test_program),       cmocka_unit_test(test_plugin_commands),
        cmocka_unit_test(test_json),          cmocka_unit_test(test_explain),
        cmocka_unit_test(test_second_signal), cmocka_unit_test(test_exit_status),
    };
    return cmocka_run_group_tests(tests, set_up, NULL) != 0;
}

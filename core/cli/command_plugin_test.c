/* SPDX-License-Identifier: Apache-2.0
 *
 * graft plugin test FILE: each check in a process of its own, this program started anew, under a
 * time limit. With --check: one check in this process, its finding as one line "VERDICT TEXT".
 */
#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "check/plugin.h"
#include "plugin/search.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int run_here(const struct plugin_check *check, const char *path)
{
    struct finding f;
    log_set_sink(NULL, NULL); /* what the host says is not the plugin's output */
    plugin_check_run(check, path, &f);
    for (char *c = f.text; *c != '\0'; c++)
        if (*c == '\n') *c = ' ';
    printf("%s %s\n", verdict_name(f.verdict), f.text);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the child's side ends, the parent's begins ---- */

static enum graft_status spawn(const char *path, const struct plugin_check *check, pid_t *child,
                               int *from, struct error *e)
{
    char *argv[] = {"graft",   "plugin",
                    "test",    (char *)(uintptr_t)path,
                    "--check", (char *)(uintptr_t)check->name,
                    NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (pipe(ends) != 0) return error_errno(e, "cannot start", "a check");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1 /* O_WRONLY */, 0);
    int failed = posix_spawn(child, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *from = ends[0];
    if (failed == 0) return GRAFT_OK;
    close(ends[0]);
    return error_set(e, GRAFT_E_FAILED, "cannot start a check: %s", strerror(failed));
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads to the end of the pipe; false when time ran out first. */
static bool read_until(int from, int64_t deadline, char *out, size_t room)
{
    size_t at = 0;
    for (;;) {
        struct pollfd p = {.fd = from, .events = POLLIN};
        int64_t left = deadline - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) == 0) return false;
        ssize_t n = read(from, out + at, room - 1 - at);
        if (n <= 0 || at + (size_t)n >= room - 1) break;
        at += (size_t)n;
        out[at] = '\0';
    }
    return true;
}

static void parse_finding(const char *line, int status, struct finding *f)
{
    for (int v = VERDICT_OK; v <= VERDICT_FAIL; v++) {
        const char *name = verdict_name((enum verdict)v);
        size_t n = strlen(name);
        if (!WIFEXITED(status) || strncmp(line, name, n) != 0 || line[n] != ' ') continue;
        finding_set(f, (enum verdict)v, "%.*s", (int)strcspn(line + n + 1, "\n"), line + n + 1);
        return;
    }
    if (WIFSIGNALED(status))
        finding_set(f, VERDICT_CRASH, "ended by signal %d (%s)", WTERMSIG(status),
                    strsignal(WTERMSIG(status)));
    else
        finding_set(f, VERDICT_CRASH, "ended with status %d before the check was done",
                    WEXITSTATUS(status));
}

static enum graft_status run_apart(const char *path, const struct plugin_check *check, int seconds,
                                   struct finding *f, struct error *e)
{
    char line[ERROR_TEXT_SIZE + 16] = "";
    pid_t child;
    int from = -1, status = 0;
    enum graft_status started = spawn(path, check, &child, &from, e);
    if (started != GRAFT_OK) return started;
    bool done = read_until(from, now_ms() + (int64_t)seconds * 1000, line, sizeof line);
    close(from);
    if (!done) kill(child, SIGKILL);
    waitpid(child, &status, 0);
    if (done)
        parse_finding(line, status, f);
    else
        finding_set(f, VERDICT_CRASH, "it hangs: not done after %d seconds", seconds);
    return GRAFT_OK;
}

static const struct plugin_check *find_check(const char *name, enum graft_plugin_kind kind)
{
    for (const struct plugin_check *c = plugin_checks; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0 && (c->kind == 0 || c->kind == kind)) return c;
    return NULL;
}

static void add_finding(const struct plugin_check *check, const struct finding *f, bool json,
                        json_t *all, struct str *text)
{
    if (json)
        json_array_append_new(all, json_pack("{s:s, s:s, s:s}", "check", check->name, "verdict",
                                             verdict_name(f->verdict), "text", f->text));
    else
        str_printf(text, "%-10s %-6s %s\n", check->name, verdict_name(f->verdict), f->text);
}

/* A plugin that does not load would fail every further check for the same reason. */
static bool ends_all(const struct plugin_check *check, const struct finding *f)
{
    return f->verdict >= VERDICT_FAIL &&
           (strcmp(check->name, "table") == 0 || strcmp(check->name, "builds") == 0);
}

static enum graft_status run_all(const char *path, enum graft_plugin_kind kind, int64_t limit,
                                 bool json, json_t *all, struct str *text, int *bad,
                                 struct error *e)
{
    for (const struct plugin_check *c = plugin_checks; c->name != NULL; c++) {
        struct finding f = {VERDICT_OK, ""};
        if (c->kind != 0 && c->kind != kind) continue;
        int seconds = limit != 0 && limit < c->seconds ? (int)limit : c->seconds;
        enum graft_status status = run_apart(path, c, seconds, &f, e);
        if (status != GRAFT_OK) return status;
        add_finding(c, &f, json, all, text);
        *bad += f.verdict >= VERDICT_FAIL;
        if (ends_all(c, &f)) break;
    }
    return GRAFT_OK;
}

int command_plugin_test(const struct cli_args *args)
{
    struct error e = {0};
    struct str text = {0};
    const char *name, *path = args->arguments[0], *one = cli_value(args, "check");
    enum graft_plugin_kind kind = 0;
    size_t length;
    int64_t limit = 0;
    int bad = 0;
    bool json = cli_flag(args, "json");
    char *file = strchr(path, '/') == NULL ? mem_format("./%s", path) : mem_strdup(path);
    json_t *all = json_array();
    enum graft_status status = cli_int(args, "limit", 1, 86400, 0, &limit, &e);
    if (file == NULL || all == NULL) status = error_memory(&e, "a test", 1);
    if (status == GRAFT_OK && (!search_split(path, &kind, &name, &length) || kind == 0))
        status = error_set(&e, GRAFT_E_INVALID,
                           "%s: a plugin's file is named KIND-NAME.so, as adapter-my.so", path);
    const struct plugin_check *check =
        status == GRAFT_OK && one != NULL ? find_check(one, kind) : NULL;
    if (status == GRAFT_OK && one != NULL && check == NULL)
        status = error_set(&e, GRAFT_E_INVALID, "--check: there is no check %s", one);
    if (check != NULL) {
        bad = run_here(check, file);
        mem_free(file);
        json_decref(all);
        return bad;
    }
    if (status == GRAFT_OK) status = run_all(file, kind, limit, json, all, &text, &bad, &e);
    mem_free(file);
    int printed = status != GRAFT_OK ? EXIT_DONE
                  : json             ? cli_print_json(json_incref(all))
                                     : cli_print(&text);
    json_decref(all);
    if (status != GRAFT_OK) {
        str_free(&text);
        return cli_fail(&e);
    }
    return printed != EXIT_DONE ? printed : bad != 0 ? EXIT_FAILED : EXIT_DONE;
}

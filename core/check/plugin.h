/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of one plugin, for its author. Each runs in a process of its own, since a plugin under
 * test may crash, hang or print; whoever starts the processes is core/cli.
 */
#ifndef CORE_CHECK_PLUGIN_H
#define CORE_CHECK_PLUGIN_H

#include "base/text.h"
#include "plugin/plugin.h"

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_SKIP, VERDICT_FAIL, VERDICT_CRASH };

/* "ok", "warn", "skip", "fail", "crash". */
const char *verdict_name(enum verdict verdict);

struct finding {
    enum verdict verdict;
    char text[ERROR_TEXT_SIZE]; /* one sentence */
};

/* Writes the sentence; returns nothing so that a check may say `finding_set(...); return;`. */
void finding_set(struct finding *f, enum verdict verdict, const char *format, ...)
    GRAFT_PRINTF(3, 4);

struct plugin_check {
    const char *name;
    enum graft_plugin_kind kind; /* 0: every kind */
    int seconds;                 /* longer is a hang */
    const char *help;
    void (*file)(const char *path, struct finding *f);           /* without loading; or */
    void (*run)(const struct plugin *plugin, struct finding *f); /* on the loaded plugin */
};

/* In the order in which they are worth running; ends with name NULL. */
extern const struct plugin_check plugin_checks[];

/* One check in this process. What the plugin writes to stdout or stderr meanwhile is a failure. */
void plugin_check_run(const struct plugin_check *check, const char *path, struct finding *f);

#endif

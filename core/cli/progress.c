/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress line.
 */
#include "cli/progress.h"

#include "cli/cli.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <sys/ioctl.h>

static bool shown; /* the terminal's state, so it is the program's */

/* Of the terminal, less one: a line that fills it may wrap. Unknown: no limit. */
static int width(void)
{
    struct winsize size = {0};
    return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : INT_MAX;
}

void progress_show(const char *line)
{
    if (!cli_is_terminal(2)) return;
    fprintf(stderr, "\r%.*s\033[K", width(), line);
    fflush(stderr);
    shown = true;
}

void progress_clear(void)
{
    if (!shown) return;
    fputs("\r\033[K", stderr);
    shown = false;
}

char *progress_time(double seconds, char *out)
{
    if (!isfinite(seconds) || seconds < 0) return snprintf(out, 32, "-"), out;
    long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%lld:%02lld", s / 60, s % 60);
    return out;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress line.
 */
#include "cli/progress.h"

#include "cli/cli.h"

#include <math.h>
#include <stdio.h>

static bool shown; /* the terminal's state, so it is the program's */

void progress_show(const char *line)
{
    if (!cli_is_terminal(2)) return;
    fprintf(stderr, "\r%s\033[K", line);
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

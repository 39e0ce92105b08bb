/* SPDX-License-Identifier: Apache-2.0
 *
 * One line on a terminal that is written over, and log lines that do not tear it.
 */
#ifndef CORE_CLI_PROGRESS_H
#define CORE_CLI_PROGRESS_H

/* Replaces the line on stderr, cut to the terminal's width (one byte a column); without a terminal,
 * prints nothing. */
void progress_show(const char *line);
/* Ends it: what follows starts on a clean line. Safe when there is none. */
void progress_clear(void);
/* "3:07", "1:02:33" into 32 bytes. */
char *progress_time(double seconds, char *out);

#endif

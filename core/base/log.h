/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the core says something without failing: the application decides where it goes.
 */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <graft/types.h>

enum log_level { LOG_INFO, LOG_WARNING };

/* One line without its newline. Called from the thread that logs. */
typedef void log_sink(void *context, enum log_level level, const char *line);

/* Set once by the application before anything else runs; without one, lines are dropped. */
void log_set_sink(log_sink *sink, void *context);
void log_info(const char *format, ...) GRAFT_PRINTF(1, 2);
void log_warning(const char *format, ...) GRAFT_PRINTF(1, 2);

#endif

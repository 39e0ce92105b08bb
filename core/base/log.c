/* SPDX-License-Identifier: Apache-2.0
 *
 * The log. One of the two documented globals of the core (the other is the plugin registry).
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static log_sink *current_sink;
static void *current_context;

void log_set_sink(log_sink *sink, void *context)
{
    current_sink = sink;
    current_context = context;
}

static void emit(enum log_level level, const char *format, va_list args)
{
    char line[1024];
    if (current_sink == NULL) return;
    vsnprintf(line, sizeof line, format, args);
    current_sink(current_context, level, line);
}

void log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(LOG_INFO, format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(LOG_WARNING, format, args);
    va_end(args);
}

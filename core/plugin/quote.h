/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's text inside a message: quoted, control bytes shown as escapes, cut when long, so that
 * a message stays one readable line.
 */
#ifndef CORE_PLUGIN_QUOTE_H
#define CORE_PLUGIN_QUOTE_H

#include <stddef.h>

enum { QUOTE_SIZE = 96 };

/* Returns `out`. */
char *quote_text(const char *text, char out[QUOTE_SIZE]);

#endif

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

enum { FAULT_SIZE = QUOTE_SIZE + 32 };

/* What ends a text that begins as a number does and is none, as the tail of a message; "" where
 * there is nothing to say. Returns `out`. */
char *number_fault(const char *text, char out[FAULT_SIZE]);
/* The same for an unknown key: in {lr: 1,5} a key named 5 begins. */
const char *key_fault(const char *key);

#endif

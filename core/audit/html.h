/* SPDX-License-Identifier: Apache-2.0
 *
 * HTML in a text, back to plain text. Only what HTML names is taken for HTML: `a < b`,
 * `vector<int>` and `<your name>` are text.
 */
#ifndef CORE_AUDIT_HTML_H
#define CORE_AUDIT_HTML_H

#include "base/text.h"

/* Does it hold a tag, a comment or an entity? */
bool html_find(const char *text, size_t length);
/* Appends the plain text: line breaks for blocks and <br>, nothing for other tags, entities decoded
 * once, no-break spaces of entities as blanks; comments, scripts and styles are left out. */
void html_strip(const char *text, size_t length, struct str *out);

/* The character of a named entity, without & and ;. 0: none. */
uint32_t html_entity(const char *name);

#endif

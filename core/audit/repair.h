/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be wrong inside one text, found and repaired; the rules of kind "repair" but for the
 * encoding. Texts are valid UTF-8 and may hold NULs.
 */
#ifndef CORE_AUDIT_REPAIR_H
#define CORE_AUDIT_REPAIR_H

#include "audit/rules.h"
#include "base/text.h"

/* The bits of RULE_REPLACEMENT_CHAR, RULE_HTML, RULE_CONTROL_CHARS and RULE_WHITESPACE that hold of
 * the text as it stands. */
unsigned text_faults(const char *text, size_t length);

/* Replaces `out` by the text with these faults repaired, in the order of the rules; blanks are
 * always put right once anything else was taken out. `scratch` is the caller's. */
void text_repair(const char *text, size_t length, unsigned faults, struct str *scratch,
                 struct str *out);

/* Nothing but blanks of any kind? */
bool text_is_blank(const char *text, size_t length);
/* Characters, not bytes. */
size_t text_count(const char *text, size_t length);
/* Appends the text with every run of blanks as one and none around it: what is compared. */
void text_squeeze(const char *text, size_t length, struct str *out);
/* Appends a squeezed text in lower case and without sentence punctuation at its ends: what near
 * duplicates have in common. */
void text_loosen(const char *text, size_t length, struct str *out);

#endif

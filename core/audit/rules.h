/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that data is cleaned by, as one table: what the command line names, what the list of
 * dropped records says and what docs/data.md explains. A rule either repairs a text or drops the
 * record.
 */
#ifndef CORE_AUDIT_RULES_H
#define CORE_AUDIT_RULES_H

#include <stdbool.h>
#include <stddef.h>

/* In the order in which they are tried: a record is dropped by the first rule that finds it. */
enum rule {
    RULE_BAD_ENCODING,
    RULE_BAD_RECORD,
    RULE_REPLACEMENT_CHAR,
    RULE_GBK,
    RULE_LATIN1,
    RULE_HTML,
    RULE_CONTROL_CHARS,
    RULE_WHITESPACE,
    RULE_EMPTY_INSTRUCTION,
    RULE_EMPTY_OUTPUT,
    RULE_TOO_LONG,
    RULE_DUPLICATE,
    RULE_DUPLICATE_AFTER_REPAIR,
    RULE_NEAR_DUPLICATE,
    RULES
};

struct rule_entry {
    const char *name;
    bool drops;    /* else it repairs */
    bool optional; /* --keep may name it: what it finds can be left as it is */
    const char *finds;
};

extern const struct rule_entry rules[RULES];

#define RULE_BIT(rule) (1u << (unsigned)(rule))

/* RULES when there is none of that name. */
enum rule rule_find(const char *name);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of rules.
 */
#include "audit/rules.h"

#include <string.h>

const struct rule_entry rules[RULES] = {
    [RULE_BAD_ENCODING] = {"bad_encoding", true, false,
                           "bytes that are neither UTF-8 nor GBK nor Latin-1"},
    [RULE_BAD_RECORD] = {"bad_record", true, false, "no record of a known format"},
    [RULE_REPLACEMENT_CHAR] = {"replacement_char", true, true,
                               "U+FFFD: a part of the text is lost already"},
    [RULE_GBK] = {"gbk_to_utf8", false, false, "GBK among records of another encoding"},
    [RULE_LATIN1] = {"latin1_to_utf8", false, false, "Latin-1 among records of another encoding"},
    [RULE_HTML] = {"html", false, true, "HTML tags, comments, scripts, styles and entities"},
    [RULE_CONTROL_CHARS] = {"control_chars", false, true, "control and invisible characters"},
    [RULE_WHITESPACE] = {"whitespace", false, true, "blanks around a text or in runs inside it"},
    [RULE_EMPTY_INSTRUCTION] = {"empty_instruction", true, true, "no question"},
    [RULE_EMPTY_OUTPUT] = {"empty_output", true, true, "no answer"},
    [RULE_TOO_LONG] = {"too_long", true, true, "a text of more characters than --longest"},
    [RULE_DUPLICATE] = {"duplicate", true, true, "the texts of an earlier record"},
    [RULE_DUPLICATE_AFTER_REPAIR] = {"duplicate_after_repair", true, true,
                                     "the texts of an earlier record, once both are repaired"},
    [RULE_NEAR_DUPLICATE] = {"near_duplicate", true, false,
                             "the texts of an earlier record but for letter case and punctuation "
                             "at their ends"},
};

enum rule rule_find(const char *name)
{
    for (enum rule r = 0; r < RULES; r++)
        if (strcmp(rules[r].name, name) == 0) return r;
    return RULES;
}

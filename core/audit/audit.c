/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of findings, and an audit from its parts.
 */
#include "audit/parts.h"

#include "audit/overlap.h"

#include <stdio.h>

#define CLEAN "`graft data clean` "

const struct audit_entry audit_entries[AUDIT_KINDS] = {
    [AUDIT_ENCODING] = {"encoding", AUDIT_ERROR, "records are not UTF-8",
                        CLEAN "converts what is GBK or Latin-1 and drops the rest"},
    [AUDIT_BAD_ROW] = {"bad_row", AUDIT_ERROR, "records are no rows",
                       "mend them, or " CLEAN "drops what is no record"},
    [AUDIT_EMPTY_ANSWER] = {"empty_answer", AUDIT_ERROR, "rows have an empty answer",
                            "write the answers, or " CLEAN "drops the rows"},
    [AUDIT_EMPTY_QUESTION] = {"empty_question", AUDIT_WARNING, "rows have an empty question",
                              "write the questions, or " CLEAN "drops the rows"},
    [AUDIT_CUT_ANSWER] = {"cut_answer", AUDIT_WARNING,
                          "answers end in the middle of a sentence or of a code block",
                          "look whether the export cut them; a model learns to stop there"},
    [AUDIT_REPLACEMENT_CHAR] = {"replacement_char", AUDIT_WARNING,
                                "rows hold U+FFFD: a part of the text is lost",
                                "export them again, or " CLEAN "drops them"},
    [AUDIT_MOJIBAKE] = {"mojibake", AUDIT_WARNING,
                        "rows hold UTF-8 that was read as Latin-1 (\xC3\x83\xC2\xA9 for \xC3\xA9)",
                        "export them again as UTF-8"},
    [AUDIT_CONTROL_CHARS] = {"control_chars", AUDIT_WARNING,
                             "rows hold control or invisible characters", CLEAN "removes them"},
    [AUDIT_HTML] = {"html", AUDIT_WARNING, "rows hold HTML tags or entities",
                    CLEAN "makes plain text of it, if HTML is not what you teach"},
    [AUDIT_WHITESPACE] = {"whitespace", AUDIT_NOTE, "rows have stray blanks",
                          CLEAN "makes them one"},
    [AUDIT_BYTE_ORDER_MARK] = {"byte_order_mark", AUDIT_NOTE, "files begin with a byte order mark",
                               "nothing: it is skipped"},
    [AUDIT_LEADING_ANSWER] = {"leading_answer", AUDIT_NOTE,
                              "answers stand before the first question of their row",
                              "nothing: they are left out"},
    [AUDIT_DUPLICATE] = {"duplicate", AUDIT_WARNING, "rows repeat an earlier one",
                         CLEAN "keeps the first; repeated rows weigh more in training"},
    [AUDIT_CONFLICT] = {"conflict", AUDIT_WARNING, "rows answer an earlier question differently",
                        "keep the answer that is right; a model learns a mixture of both"},
    [AUDIT_NEAR_DUPLICATE] = {"near_duplicate", AUDIT_NOTE,
                              "rows repeat an earlier one but for case or punctuation",
                              CLEAN "--near-duplicates keeps the first"},
    [AUDIT_LEAK] = {"leak", AUDIT_WARNING, "rows stand in train too",
                    "take them out of one: measured on them, a model looks better than it is"},
    [AUDIT_LEAK_QUESTION] = {"leak_question", AUDIT_WARNING,
                             "questions stand in train with another answer",
                             "look which answer is right, and take them out of one"},
    [AUDIT_LANGUAGE] = {"language", AUDIT_WARNING,
                        "answers are in another script than their question",
                        "look whether that is meant (a hint by script alone)"},
    [AUDIT_TEMPLATE] = {"template", AUDIT_ERROR, "rows do not fit the chat template",
                        "mend them, or name another template with data.template"},
    [AUDIT_TEMPLATE_UNUSED] = {"template_unused", AUDIT_WARNING,
                               "rows are plain text, which no chat template changes",
                               "give rows with a question and an answer, or leave data.template "
                               "out"},
    [AUDIT_SPECIAL_TOKEN] = {"special_token", AUDIT_WARNING,
                             "texts hold special tokens of the model",
                             "take them out; the template writes its own"},
    [AUDIT_TOO_LONG] = {"too_long", AUDIT_WARNING, "rows are longer than max_length",
                        "raise data.max_length, or shorten them; they are left out"},
    [AUDIT_UNTRAINED] = {"untrained", AUDIT_WARNING, "rows have no token to train",
                         "they are left out"},
};

const char *audit_severity_name(enum audit_severity severity)
{
    static const char *const names[] = {"note", "warning", "error"};
    return names[severity];
}

void audit_add(struct audit_split *split, enum audit_kind kind, struct audit_place place,
               struct audit_place other, const char *detail)
{
    struct audit_finding *f = &split->findings[kind];
    if (f->count == 0) {
        f->severity = audit_entries[kind].severity;
        snprintf(f->detail, sizeof f->detail, "%s", detail == NULL ? "" : detail);
    }
    if (f->count < AUDIT_LISTED) {
        f->places[f->count] = place;
        f->others[f->count] = other;
    }
    f->count++;
}

struct audit_place audit_row_place(const struct data_rows *rows, size_t row)
{
    return (struct audit_place){data_row_file(rows, row), rows->rows[row].line};
}

/* Takes over what overlap.h has counted. */
static void add_pairs(struct audit_split *split, enum audit_kind kind,
                      const struct overlap_count *c, const struct data_rows *others)
{
    for (size_t i = 0; i < c->count && i < OVERLAP_LISTED; i++)
        audit_add(split, kind, audit_row_place(&split->rows, c->first[i].row),
                  audit_row_place(others, c->first[i].other), NULL);
    split->findings[kind].count = c->count;
}

static enum graft_status find_repeats(struct audit_split *split, struct error *e)
{
    struct data_repeats r;
    enum graft_status status = data_repeats(&split->rows, &r, e);
    if (status != GRAFT_OK) return status;
    add_pairs(split, AUDIT_DUPLICATE, &r.duplicates, &split->rows);
    add_pairs(split, AUDIT_CONFLICT, &r.conflicts, &split->rows);
    add_pairs(split, AUDIT_NEAR_DUPLICATE, &r.near, &split->rows);
    return GRAFT_OK;
}

static enum graft_status find_leaks(const struct audit_split *train, struct audit_split *split,
                                    struct error *e)
{
    struct data_overlap o;
    enum graft_status status = data_overlap(&train->rows, &split->rows, &o, e);
    if (status != GRAFT_OK) return status;
    add_pairs(split, AUDIT_LEAK, &o.rows, &train->rows);
    add_pairs(split, AUDIT_LEAK_QUESTION, &o.questions, &train->rows);
    return GRAFT_OK;
}

enum graft_status audit_run(struct audit *a, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < a->split_count; i++) {
        struct audit_split *split = &a->splits[i];
        status = audit_read(a, split, e);
        if (status == GRAFT_OK) status = find_repeats(split, e);
        if (status == GRAFT_OK && i != 0) status = find_leaks(&a->splits[0], split, e);
        if (status == GRAFT_OK) status = audit_rows(a, split, e);
    }
    return status;
}

void audit_free(struct audit *a)
{
    for (size_t i = 0; i < a->split_count; i++) data_rows_free(&a->splits[i].rows);
}

size_t audit_count(const struct audit *a)
{
    size_t count = 0;
    for (size_t i = 0; i < a->split_count; i++)
        for (int kind = 0; kind < AUDIT_KINDS; kind++) {
            const struct audit_finding *f = &a->splits[i].findings[kind];
            count += f->count != 0 && f->severity != AUDIT_NOTE;
        }
    return count;
}

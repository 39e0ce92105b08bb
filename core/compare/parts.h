/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this room share.
 */
#ifndef CORE_COMPARE_PARTS_H
#define CORE_COMPARE_PARTS_H

#include "compare/compare.h"
#include "compare/rows.h"
#include "compare/state.h"
#include "report/compare.h"

/* The final split's rows that stand in data.train. */
struct compare_leak {
    size_t rows, of;
    char first[512]; /* "test.jsonl:17 is train.jsonl:5" */
};

/* A comparison at work. */
struct comparison {
    const struct compare_request *request;
    const struct settings_compare *settings;
    struct compare_state state;
    struct train_plan *plans; /* of each method */
    struct compare_leak leak;
    char *base_path; /* rows of the base model */
    struct rows base;
    struct file_lock *lock;
};

/* base.c */
GRAFT_MUST_USE enum graft_status compare_measure_base(const struct compare_request *request,
                                                      const struct settings *s, const char *path,
                                                      struct answer_time *time, struct error *e);
/* leak.c: rows that are found are GRAFT_E_INVALID, or a warning where they are allowed; those of
 * valid are a warning where it chooses the rates alone. */
GRAFT_MUST_USE enum graft_status compare_check_leak(const struct settings *s, bool allowed,
                                                    struct compare_leak *leak, struct error *e);
/* folder.c: what a comparison leaves. */
GRAFT_MUST_USE enum graft_status compare_folder_check(const char *path, enum run_mode mode,
                                                      struct error *e);
/* Makes and locks it; with RUN_OVERWRITE removes the comparison that it holds. */
GRAFT_MUST_USE enum graft_status compare_folder_open(const char *path, enum run_mode mode,
                                                     struct file_lock **lock, struct error *e);
/* plan.c: everything that can be found before the first run. */
GRAFT_MUST_USE enum graft_status compare_plan(struct comparison *c, struct error *e);
/* runs.c: all runs that are left to make. */
GRAFT_MUST_USE enum graft_status compare_runs(struct comparison *c, struct error *e);
/* collect.c: what the folder of a run says. Texts live in the arena. `rows` is filled where the run
 * is finished; the caller frees it. */
struct collected {
    struct report_run run;
    struct rows rows;
    const char *words, *recipe, *model, *device;
    uint64_t parameters, total_parameters, adapter_bytes;
    int64_t memory_planned;
    struct report_field *passport;
    size_t passport_count;
};
GRAFT_MUST_USE enum graft_status compare_collect(const struct comparison *c, size_t method,
                                                 size_t rate, size_t seed, struct arena *arena,
                                                 struct collected *out, struct error *e);
/* report.c: from the runs' folders to the report's files and the table. */
GRAFT_MUST_USE enum graft_status compare_report(struct comparison *c,
                                                struct compare_outcome *outcome, struct error *e);

#endif

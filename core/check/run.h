/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the check room: an opened device under watch, and one run of a case on it.
 */
#ifndef CORE_CHECK_RUN_H
#define CORE_CHECK_RUN_H

#include "check/case.h"
#include "check/check.h"

/* A host that passes everything on, keeps the error text and counts what is not released. */
struct watch {
    struct graft_host host;
    const struct graft_host *inner;
    _Atomic int64_t live;
    struct error error; /* what the backend said last */
};

struct bench {
    const struct graft_backend *api;
    struct watch *watch;
    struct graft_device *device;
};

GRAFT_MUST_USE enum graft_status bench_open(struct bench *b, const struct graft_backend *api,
                                            const struct graft_host *host, uint32_t device,
                                            struct error *e);
/* FAILED when the backend did not release all it took. */
GRAFT_MUST_USE enum graft_status bench_close(struct bench *b, struct error *e);

/* The status of a call into the backend, with the text that it gave. */
enum graft_status bench_failed(const struct bench *b, const char *what, int32_t status,
                               struct error *e);

enum { RUN_PLAIN = -1 };

/* Runs the case: alias is the input whose memory output 0 takes, or RUN_PLAIN. `results` receives
 * the outputs' bytes one after the other (case_result_bytes); live rows only are of use. Errors:
 * what the backend did wrong. */
GRAFT_MUST_USE enum graft_status run_case(const struct bench *b, const struct check_data *d,
                                          const struct check_family *family, int alias,
                                          uint8_t *results, struct error *e);
uint64_t case_result_bytes(const struct check_data *d);
/* Are the live parts of two results the same bits? */
GRAFT_MUST_USE enum graft_status compare_results(const struct check_data *d, const uint8_t *a,
                                                 const uint8_t *b, const char *what,
                                                 struct error *e);
/* Counts a case, and what was found if it failed; `e` keeps the first. */
void check_record(struct check_report *report, const struct check_data *d, uint64_t seed,
                  enum graft_status status, struct error *found, struct error *e);

/* By options->stride. */
bool check_passed_over(const struct check_options *options, const struct check_report *report,
                       const struct check_case *c);

bool may_alias(const struct check_data *d, int input);

#endif

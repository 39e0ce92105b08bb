/* SPDX-License-Identifier: Apache-2.0
 *
 * The self-test of a backend: every op on many shapes and storage types, run as one-node programs
 * through backend.h and compared with the double reference. Outputs start poisoned, guard bands
 * surround every tensor, dead rows hold NaNs, and what may be done in place is done in place.
 */
#ifndef CORE_CHECK_CHECK_H
#define CORE_CHECK_CHECK_H

#include "base/text.h"

#include <graft/backend.h>

enum { CHECK_MAX_OPS = 128 };

struct check_options {
    uint64_t seed;  /* a failure prints it; the same seed and case give the same inputs */
    const char *op; /* only this op ("matmul"); NULL: all */
    /* Every so manyth case of a family, and the first of each op; 0 or 1: all. */
    uint32_t stride;
};

/* Zero-initialized by the caller, ended with check_report_free. */
struct check_report {
    uint32_t cases, failed;
    uint32_t narrow; /* of the cases: computed in f16 or bf16 */
    struct {
        uint32_t cases, failed;
    } op[CHECK_MAX_OPS]; /* by number */
    struct str text;     /* a line per failure */
};

void check_report_free(struct check_report *report);

/* Runs all cases on a device. The first host's results are compared with the reference, those of
 * the others (with other numbers of threads) with the first's, bit for bit. FAILED when a case
 * fails or when none ran; `e` has the first failure, the report all of them. */
GRAFT_MUST_USE enum graft_status check_backend(const struct graft_backend *backend,
                                               const struct graft_host *const *hosts,
                                               size_t host_count, uint32_t device,
                                               const struct check_options *options,
                                               struct check_report *report, struct error *e);

/* The gradient of every op that has one: a random linear functional of its output, differentiated
 * by core/graph. In double on the reference against finite differences of it; then the same
 * program on the device against the reference's gradient. backend NULL: the first part alone. */
GRAFT_MUST_USE enum graft_status check_gradients(const struct graft_backend *backend,
                                                 const struct graft_host *host, uint32_t device,
                                                 const struct check_options *options,
                                                 struct check_report *report, struct error *e);

#endif

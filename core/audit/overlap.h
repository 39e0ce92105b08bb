/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows that repeat others: within one set of rows, and between two. Texts are compared with every
 * run of blanks as one.
 */
#ifndef CORE_AUDIT_OVERLAP_H
#define CORE_AUDIT_OVERLAP_H

#include "data/rows.h"

enum { OVERLAP_LISTED = 5 };

struct overlap_pair {
    size_t row, other; /* `row` repeats `other` */
};

/* How many rows repeat, and the first of them. */
struct overlap_count {
    size_t count;
    struct overlap_pair first[OVERLAP_LISTED];
};

/* What training has seen already. */
struct data_overlap {
    struct overlap_count rows;      /* of `tested` that stand in `trained` whole */
    struct overlap_count questions; /* whose question stands there, with another answer */
};

/* pair.row is a row of `tested`, pair.other one of `trained`. */
GRAFT_MUST_USE enum graft_status data_overlap(const struct data_rows *trained,
                                              const struct data_rows *tested,
                                              struct data_overlap *out, struct error *e);

/* Rows that repeat an earlier one of the same set; each is counted once. */
struct data_repeats {
    struct overlap_count duplicates;
    struct overlap_count conflicts; /* the same question, another answer */
    struct overlap_count near;      /* the same but for letter case and punctuation at the ends */
};

GRAFT_MUST_USE enum graft_status data_repeats(const struct data_rows *rows,
                                              struct data_repeats *out, struct error *e);

#endif

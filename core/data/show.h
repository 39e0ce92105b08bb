/* SPDX-License-Identifier: Apache-2.0
 *
 * `graft data show`: rows as the exact tokens that are trained on, before any compute.
 */
#ifndef CORE_DATA_SHOW_H
#define CORE_DATA_SHOW_H

#include "data/tokenize.h"

struct data_show_request {
    const struct data_rows *rows;
    const struct data_tokenize_options *options;
    const struct data_ledger *ledger; /* NULL: no summary */
    size_t first, count;              /* rows to show; fewer where the data ends */
    bool colour;                      /* else brackets: [trained] {special} */
};

/* Appends text for a terminal. Control characters of the data come out as \xNN. */
GRAFT_MUST_USE enum graft_status data_show(const struct data_show_request *request, struct str *out,
                                           struct error *e);

#endif

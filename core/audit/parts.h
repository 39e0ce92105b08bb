/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of an audit share.
 */
#ifndef CORE_AUDIT_PARTS_H
#define CORE_AUDIT_PARTS_H

#include "audit/audit.h"

/* Counts one more; the first few keep their places. */
void audit_add(struct audit_split *split, enum audit_kind kind, struct audit_place place,
               struct audit_place other, const char *detail);
struct audit_place audit_row_place(const struct data_rows *rows, size_t row);

/* Reads the files of a split, record by record, with what is wrong with each by itself. */
GRAFT_MUST_USE enum graft_status audit_read(struct audit *audit, struct audit_split *split,
                                            struct error *e);
/* Rows as the trainer sees them: languages, ends, and lengths in tokens or characters. */
GRAFT_MUST_USE enum graft_status audit_rows(struct audit *audit, struct audit_split *split,
                                            struct error *e);

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a number stopped being finite: a run gone over again, node by node, sweep by sweep.
 */
#ifndef CORE_GRAPH_BLAME_H
#define CORE_GRAPH_BLAME_H

#include "base/text.h"
#include "graph/plan.h"

/* Runs the plan's nodes one after another as program_run would, up to the first that reads or gives
 * a number that is not finite, and says which: "matmul of model.layers.3.self_attn.q_proj", "the
 * backward pass of ..", "parameter ..". Nothing is appended when all are finite. */
GRAFT_MUST_USE enum graft_status program_blame(struct program *program, const struct plan *plan,
                                               const int64_t live[GRAFT_ROWS_KINDS],
                                               struct str *out, struct error *e);

#endif

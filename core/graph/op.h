/* SPDX-License-Identifier: Apache-2.0
 *
 * The op table: what each op is called, how many values it takes and gives, the shapes of its
 * outputs, and which input's memory its first output may take.
 */
#ifndef CORE_GRAPH_OP_H
#define CORE_GRAPH_OP_H

#include "graph/graph.h"

struct op_shape {
    struct graft_shape shape; /* rank 0: an absent value */
    int32_t dtype, rows;
};

/* Writes the outputs' shapes into zeros, which it leaves for outputs that these inputs have not;
 * false with a text ("[4, 8] and [4, 9] do not fit"). */
typedef bool op_infer(const struct op_shape *in, const union graft_params *params,
                      struct op_shape *out, struct error *e);

struct op_info {
    int32_t op;
    const char *name;
    uint32_t inputs_min, inputs_max;
    uint32_t optional; /* bit i: input i may be absent */
    uint32_t outputs;
    uint32_t in_place; /* bit i: output 0 may lie in input i's memory if shapes are equal */
    uint32_t by_row;   /* bit i: row r of the outputs needs no other row of input i (sweep.h); 0: no
                          such op */
    bool writes;       /* changes stored values: never pruned */
    op_infer *infer;
};

/* NULL for unknown numbers. */
const struct op_info *op_info(int32_t op);
/* The `compute` of an op that may multiply narrow operands; NULL for others. Products: only those
 * whose second operand can be a frozen weight. */
int32_t *op_compute(int32_t op, struct graft_shape a, union graft_params *params);
/* "[4, 8]" into `out` of 64 bytes. */
char *shape_text(struct graft_shape s, char *out);

#endif

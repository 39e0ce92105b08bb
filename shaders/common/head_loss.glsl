/* SPDX-License-Identifier: Apache-2.0
 *
 * What both steps of the head's loss know: a block of rows, and for a row what its words so far
 * gave.
 */
layout(buffer_reference, scalar, buffer_reference_align = 8) buffer head_args
{
    floats w;                           /* [V, C], of any type */
    floats z;                           /* [rows, words] */
    floats largest, sum, wanted, scale; /* [rows] */
    ints best;                          /* [rows] */
    ints target;                        /* [R] */
    floats nll;                         /* [R] */
    ints argmax;                        /* [R] */
    floats g;                           /* [R, C] */
    uint rows, kind, row;               /* of this block; the first of it */
    uint word, words;                   /* the first of this chunk; of this chunk */
    uint channels, vocabulary;
};

layout(push_constant, scalar) uniform push
{
    head_args args;
    live_t live;
};

uint head_rows()
{
    uint rows = live_rows(args.kind, args.row + args.rows);
    return min(args.rows, rows - min(rows, args.row));
}

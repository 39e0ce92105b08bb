/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention of small heads: a thread has one row (a pair, or a key) with its D numbers in registers,
 * and the others pass by, each the same for a whole subgroup. Nothing is shared, so nothing waits at
 * a barrier. D is a multiple of 4, at most 4 * MOST.
 *
 * Mesa's driver in software goes through a loop once more when no thread is left in it, and reads
 * what is the same for all threads even so: those addresses must be good past a loop's end too.
 */
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "attention_args.glsl"

const uint MOST = 8; /* fours of a row; arrays of FOURS could not be arguments */

struct row_t {
    vec4 v[MOST];
};

row_t load_row(floats x, uint at)
{
    row_t row;
    [[unroll]] for (uint n = 0; n < FOURS; n++) row.v[n] = vectors(x).v[at / 4 + n];
    return row;
}

row_t zero_row()
{
    row_t row;
    [[unroll]] for (uint n = 0; n < FOURS; n++) row.v[n] = vec4(0.0);
    return row;
}

void store_row(floats x, uint at, row_t row, float scale)
{
    [[unroll]] for (uint n = 0; n < FOURS; n++) vectors(x).v[at / 4 + n] = row.v[n] * scale;
}

/* row . numbers of x from `at` on */
float dot_row(row_t row, floats x, uint at)
{
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint n = 0; n < FOURS; n++) sum += row.v[n] * vectors(x).v[at / 4 + n];
    return (sum.x + sum.y) + (sum.z + sum.w);
}

/* row += factor * numbers of x from `at` on */
void add_row(inout row_t row, float factor, floats x, uint at)
{
    [[unroll]] for (uint n = 0; n < FOURS; n++) row.v[n] += factor * vectors(x).v[at / 4 + n];
}

/* Where key `key`'s numbers begin. */
uint key_at(uint key)
{
    return (key * a.kv_heads + g) * D;
}

/* Of this thread's pair: its place in [T, H]; the keys it sees, own ones: x to y. */
uint pair_place;
ivec2 pair_sees;

/* False: there is no such pair. */
bool pair_begin()
{
    uint pair = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    bool live = pair < queries * group;
    pair_place = live ? pair_at(pair) : 0;
    pair_sees = live ? range_of(pair / group) : ivec2(0, -1);
    return live;
}

/* Keys begin .. end - 1, of which this pair sees `sees`; by the shader. */
void visit(floats k, floats v, uint begin, uint end, ivec2 sees);

/* Keys of the prefix, then own ones that a pair of the subgroup sees. */
void visit_all(bool live)
{
    bool any = pair_sees.x <= pair_sees.y;
    uint own_begin = subgroupMin(any ? uint(pair_sees.x) : NONE);
    uint own_end = subgroupMax(any ? uint(pair_sees.y) + 1 : 0);
    [[dont_unroll]] for (uint own = a.prefix > 0 ? 0 : 1; own < 2; own++) {
        floats k = a.k, v = a.v;
        uint begin = own_begin, end = own_end;
        ivec2 sees = pair_sees;
        if (own == 0) {
            k = a.pk;
            v = a.pv;
            begin = 0;
            end = subgroupOr(live) ? a.prefix : 0;
            sees = ivec2(0, int(end) - 1);
        }
        if (begin >= end) { /* nothing to see, but something to read */
            k = v = a.q;
            begin = end = 1;
        }
        visit(k, v, begin, end, sees);
    }
}

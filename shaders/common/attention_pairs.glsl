/* SPDX-License-Identifier: Apache-2.0
 *
 * The forward pass and the backward pass of queries: rows are pairs of a query and a head, columns
 * are keys, of the prefix first.
 */

const float UNSEEN = -3e38;     /* below every score */
const float FAR = 16777216.0;   /* above every key's number; so many are exact in f32 */

int from[RM], to[RM];     /* keys of a row */
int seen_first, seen_end; /* keys that any row sees */
uint key_begin, key_end;

uint column_at(uint i)
{
    uint key = key_begin + i;
    return key < key_end ? (key * a.kv_heads + g) * D : NONE;
}

/* False: no row is live. */
bool rows_begin()
{
    uint begin = gl_WorkGroupID.x * a.tile, end = min(begin + a.tile, queries * group);
    if (begin >= end) return false;
    for (uint i = 0; i < RM; i++) {
        uint row = ty + i * TY, pair = begin + row;
        ivec2 range = pair < end ? range_of(pair / group) : ivec2(0, -1);
        from[i] = range.x;
        to[i] = range.y;
        if (tx > 0) continue;
        row_at[row] = pair < end ? pair_at(pair) * D : NONE;
        left[row].xy = range.x <= range.y ? vec2(range.x, range.y + 1) : vec2(FAR, 0.0);
    }
    barrier();
    vec2 seen = vec2(FAR, 0.0);
    for (uint row = 0; row < ROWS; row++)
        seen = vec2(min(seen.x, left[row].x), max(seen.y, left[row].y));
    seen_first = int(seen.x);
    seen_end = int(seen.y);
    return true;
}

/* product becomes scores; a key that a row does not see has UNSEEN. */
void score(bool prefix)
{
    [[unroll]] for (uint i = 0; i < RM; i++)
        [[unroll]] for (uint j = 0; j < 4; j++) {
            int key = int(key_begin + tx + j * TX);
            bool seen = key < int(key_end) && (prefix || key >= from[i] && key <= to[i]);
            product[i][j] = seen ? score_of(product[i][j]) : UNSEEN;
        }
}

/* One tile of keys, from key_begin to at most key_end; by the shader. */
void visit(floats k, floats v, bool prefix);

/* Keys of the prefix, then own ones from `begin` on. */
void visit_all(bool prefix, uint begin, uint end)
{
    [[dont_unroll]] for (uint own = prefix ? 0 : 1; own < 2; own++) {
        floats k = a.k, v = a.v;
        key_begin = begin;
        key_end = end;
        if (own == 0) {
            k = a.pk;
            v = a.pv;
            key_begin = 0;
            key_end = a.prefix;
        }
        for (; key_begin < key_end; key_begin += WIDTH) visit(k, v, own == 0);
    }
}

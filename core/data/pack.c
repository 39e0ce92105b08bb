/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing: rows into micro-batches, micro-batches into arrays.
 */
#include "data/pack.h"

#include "base/memory.h"

enum { BUCKET_UNIT = 128, BUCKET_STEPS = 8 };

enum graft_status micro_batch_create(size_t capacity, struct micro_batch *batch, struct error *e)
{
    size_t total;
    int32_t *block = NULL;
    if (capacity > INT32_MAX)
        return error_set(e, GRAFT_E_INVALID, "train.micro_batch_tokens: %zu tokens; at most %d",
                         capacity, INT32_MAX);
    if (size_mul(capacity, 7, &total)) block = mem_zalloc(total, sizeof *block);
    if (block == NULL) return error_memory(e, "a micro-batch", capacity);
    int32_t *part[7];
    for (size_t i = 0; i < 7; i++) part[i] = block + i * capacity;
    *batch = (struct micro_batch){
        .capacity = capacity,
        .ids = part[0],
        .positions = part[1],
        .first = part[2],
        .last = part[3],
        .row = part[4],
        .index = part[5],
        .target = part[6],
    };
    return GRAFT_OK;
}

void micro_batch_destroy(struct micro_batch *batch)
{
    mem_free(batch->ids);
    *batch = (struct micro_batch){0};
}

enum graft_status pack_step(const struct data_tokens *tokens, const uint32_t *rows,
                            size_t row_count, size_t capacity, size_t *begin,
                            struct packed_step *step, struct error *e)
{
    struct packed_step s = {.tokens = tokens, .rows = rows, .row_count = row_count, .begin = begin};
    size_t used = 0;
    for (size_t i = 0; i < row_count; i++) {
        const struct data_sequence *row = &tokens->rows[rows[i]];
        if (row->length > capacity)
            return error_set(e, GRAFT_E_INVALID,
                             "train.micro_batch_tokens: a row of %zu tokens does not fit into %zu; "
                             "raise it or lower data.max_length",
                             row->length, capacity);
        if (i == 0 || used + row->length > capacity) {
            begin[s.count++] = i;
            used = 0;
        }
        used += row->length;
        s.token_count += row->length;
        s.trained += row->trained;
    }
    begin[s.count] = row_count;
    *step = s;
    return GRAFT_OK;
}

static void add_row(struct micro_batch *b, const struct data_sequence *row, size_t row_in_step)
{
    size_t start = b->token_count;
    for (size_t i = 0; i < row->length; i++) {
        size_t t = start + i;
        b->ids[t] = row->ids[i];
        b->positions[t] = (int32_t)i + b->position_offset;
        b->first[t] = (int32_t)start;
        b->last[t] = (int32_t)t;
        b->row[t] = (int32_t)row_in_step;
        if (i + 1 == row->length || row->labels[i + 1] == LABEL_IGNORED) continue;
        b->index[b->trained_count] = (int32_t)t;
        b->target[b->trained_count++] = row->labels[i + 1];
    }
    b->token_count += row->length;
    b->documents++;
}

static void fill_rest(struct micro_batch *b)
{
    for (size_t t = b->token_count; t < b->capacity; t++) {
        b->ids[t] = 0;
        b->positions[t] = 0;
        b->first[t] = b->last[t] = (int32_t)t;
        b->row[t] = 0;
    }
    for (size_t r = b->trained_count; r < b->capacity; r++) {
        b->index[r] = 0;
        b->target[r] = LABEL_IGNORED;
    }
}

void pack_micro_batch(const struct packed_step *step, size_t m, struct micro_batch *batch)
{
    batch->token_count = batch->trained_count = batch->documents = 0;
    for (size_t i = step->begin[m]; i < step->begin[m + 1]; i++)
        add_row(batch, &step->tokens->rows[step->rows[i]], i);
    fill_rest(batch);
}

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static size_t bucket_step(size_t largest)
{
    size_t step = largest / BUCKET_STEPS / BUCKET_UNIT * BUCKET_UNIT;
    return step == 0 ? BUCKET_UNIT : step;
}

size_t bucket_for(size_t tokens, size_t largest)
{
    size_t top = round_up(largest, BUCKET_UNIT);
    size_t bucket = round_up(tokens == 0 ? 1 : tokens, bucket_step(top));
    return bucket < top ? bucket : top;
}

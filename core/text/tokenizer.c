/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer as a whole: what both loaders build, the encode pipeline (added tokens, normalizer,
 * added tokens that are matched in normalized text, pre-tokenizer, model) and the questions.
 */
#include "text/tokenizer.h"

#include "text/parts.h"

#include <string.h>

struct tokenizer *tokenizer_create(void)
{
    struct tokenizer *t = mem_zalloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->unknown = t->bos = t->eos = -1;
    for (size_t i = 0; i < 256; i++) t->byte_ids[i] = -1;
    return t;
}

void tokenizer_destroy(struct tokenizer *t)
{
    if (t == NULL) return;
    for (size_t i = 0; i < t->normalizer_count; i++) regex_free(&t->normalizers[i].regex);
    for (size_t i = 0; i < t->step_count; i++) regex_free(&t->steps[i].regex);
    mem_free(t->normalizers);
    mem_free(t->added.items);
    mem_free(t->added_normalized.items);
    mem_free(t->score_rank);
    mem_free(t->merges.slots);
    mem_free(t->model.slots);
    mem_free(t->tokens);
    arena_free(&t->arena);
    mem_free(t);
}

enum graft_status tokenizer_put(struct tokenizer *t, int64_t id, const char *bytes, size_t length,
                                uint8_t flags, struct error *e)
{
    if (id < 0 || id >= VOCABULARY_LARGEST || length > UINT16_MAX)
        return error_set(e, GRAFT_E_INVALID,
                         "token %lld of %zu bytes: ids are 0 to %d, tokens up to %d bytes long",
                         (long long)id, length, VOCABULARY_LARGEST - 1, UINT16_MAX);
    size_t need = (size_t)id + 1, old = t->capacity;
    char *copy = arena_alloc(&t->arena, length + 1, 1);
    if (copy == NULL || !array_reserve(&t->tokens, &t->capacity, need, sizeof *t->tokens))
        return error_memory(e, "the vocabulary", need * sizeof *t->tokens);
    memset(t->tokens + old, 0, (t->capacity - old) * sizeof *t->tokens);
    memcpy(copy, bytes, length);
    struct token *token = &t->tokens[id];
    token->bytes = copy;
    token->length = (uint32_t)length;
    token->flags |= flags;
    if (need > t->count) t->count = need;
    return GRAFT_OK;
}

enum graft_status tokenizer_add_merge(struct tokenizer *t, const char *left, size_t left_length,
                                      const char *right, size_t right_length, uint32_t rank,
                                      struct error *e)
{
    char joined[512], *room = joined;
    size_t skip = right_length >= t->inner_length ? t->inner_length : right_length;
    size_t length = left_length + right_length - skip;
    int32_t a = string_map_find(&t->model, left, left_length);
    int32_t b = string_map_find(&t->model, right, right_length), merged = -1;
    if (length > sizeof joined && (room = mem_alloc(length)) == NULL)
        return error_memory(e, "a merge", length);
    memcpy(room, left, left_length);
    memcpy(room + left_length, right + skip, right_length - skip);
    merged = string_map_find(&t->model, room, length);
    if (room != joined) mem_free(room);
    if (a < 0 || b < 0 || merged < 0)
        return error_set(e, GRAFT_E_INVALID,
                         "merge %u (\"%.*s\" + \"%.*s\"): %s is not in the vocabulary", rank,
                         (int)left_length, left, (int)right_length, right,
                         a < 0   ? "the left part"
                         : b < 0 ? "the right part"
                                 : "the result");
    pair_map_put(&t->merges, a, b, rank, merged);
    return GRAFT_OK;
}

enum graft_status tokenizer_add_split(struct tokenizer *t, const char *pattern,
                                      enum split_behavior behavior, bool invert, bool literal,
                                      struct error *e)
{
    struct step step = {.kind = STEP_SPLIT, .behavior = behavior, .invert = invert};
    if (t->step_count == MOST_STEPS)
        return error_set(e, GRAFT_E_INVALID, "more than %d pre-tokenizer steps", MOST_STEPS);
    enum graft_status status = regex_compile(pattern, strlen(pattern), literal, &step.regex, e);
    if (status == GRAFT_OK) t->steps[t->step_count++] = step;
    return status;
}

enum graft_status tokenizer_add_normalizer(struct tokenizer *t, struct normalizer *normalizer,
                                           struct error *e)
{
    if (!array_reserve(&t->normalizers, &t->normalizer_capacity, t->normalizer_count + 1,
                       sizeof *t->normalizers)) {
        regex_free(&normalizer->regex);
        return error_memory(e, "a normalizer", sizeof *t->normalizers);
    }
    t->normalizers[t->normalizer_count++] = *normalizer;
    return GRAFT_OK;
}

static void mark_ends(struct tokenizer *t)
{
    static const char *const texts[] = {"<|eot_id|>",      "<|im_end|>",    "<|end|>",
                                        "<end_of_turn>",   "<|endoftext|>", "<|end_of_text|>",
                                        "<|eom_id|>",      "<EOT>",         "_<EOT>",
                                        "<|end_of_turn|>", "<|return|>",    "<|call|>"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int32_t id = tokenizer_find(t, texts[i]);
        if (id >= 0 && (t->tokens[id].flags & TOKEN_ADDED) != 0) t->tokens[id].flags |= TOKEN_ENDS;
    }
    if (t->eos >= 0) t->tokens[t->eos].flags |= TOKEN_ENDS;
}

enum graft_status tokenizer_complete(struct tokenizer *t, struct error *e)
{
    if (t->count == 0) return error_set(e, GRAFT_E_INVALID, "the vocabulary is empty");
    added_set_sort(&t->added);
    added_set_sort(&t->added_normalized);
    for (size_t id = 0; id < t->count; id++) {
        struct token *token = &t->tokens[id];
        if (token->bytes == NULL) continue;
        if ((!t->byte_level || (token->flags & TOKEN_ADDED) != 0) &&
            utf8_check(token->bytes, token->length) != token->length)
            return error_set(e, GRAFT_E_INVALID, "token %zu is not UTF-8", id);
        if (t->byte_level && token->length == 1 && (token->flags & TOKEN_ADDED) == 0)
            t->byte_ids[(unsigned char)token->bytes[0]] = (int32_t)id;
        int byte = t->byte_level ? -1 : byte_token_value(token->bytes, token->length);
        if (byte < 0) continue;
        token->byte = (uint8_t)byte;
        token->flags |= t->decode.byte_fallback ? TOKEN_BYTE : 0;
        t->byte_ids[byte] = (int32_t)id;
    }
    int32_t *named[] = {&t->bos, &t->eos, &t->unknown};
    for (size_t i = 0; i < 3; i++)
        if (*named[i] >= 0 && ((size_t)*named[i] >= t->count || t->tokens[*named[i]].bytes == NULL))
            *named[i] = -1;
    mark_ends(t);
    return GRAFT_OK;
}

/* ---- encoding ---- */

bool token_list_add(struct token_list *list, int32_t id, uint32_t begin)
{
    size_t ids = list->capacity, begins = list->capacity;
    if (!array_reserve(&list->ids, &ids, list->count + 1, sizeof *list->ids) ||
        !array_reserve(&list->begin, &begins, list->count + 1, sizeof *list->begin))
        return false;
    list->capacity = ids;
    list->ids[list->count] = id;
    list->begin[list->count++] = begin;
    return true;
}

void token_list_free(struct token_list *list)
{
    mem_free(list->ids);
    mem_free(list->begin);
    *list = (struct token_list){0};
}

void encoder_free(struct encoder *x)
{
    pcre2_match_data_free(x->match);
    for (size_t i = 0; i < 2; i++) rewrite_free(&x->normal[i]);
    for (size_t i = 0; i < MOST_STEPS; i++) rewrite_free(&x->step[i]);
    rewrite_free(&x->affix);
    mem_free(x->symbols);
    mem_free(x->heap);
}

typedef enum graft_status piece_encoder(struct encoder *x, const struct piece *p);

/* The tokens of `set` as they are, what lies between them by `between`. */
static enum graft_status encode_around(struct encoder *x, const struct added_set *set,
                                       const struct piece *p, piece_encoder *between)
{
    size_t at = 0, search = 0, begin = 0, end = 0;
    enum graft_status status = GRAFT_OK;
    for (;;) {
        const struct added *item = added_set_next(set, p, search, at, &begin, &end, &search);
        size_t stop = item != NULL ? begin : p->length;
        if (stop > at) {
            struct piece gap = piece_part(p, at, stop);
            status = between(x, &gap);
        }
        if (status != GRAFT_OK || item == NULL) return status;
        if (!token_list_add(x->out, item->id, piece_origin(p, begin)))
            return error_memory(x->e, "tokens of a text", p->length);
        at = end;
    }
}

static enum graft_status encode_plain(struct encoder *x, const struct piece *p)
{
    return pretokenize(x, 0, p);
}

static enum graft_status encode_gap(struct encoder *x, const struct piece *p)
{
    struct piece normal = *p;
    enum graft_status status = normalize(x, &normal);
    if (status != GRAFT_OK) return status;
    return encode_around(x, &x->t->added_normalized, &normal, encode_plain);
}

static enum graft_status check_text(const char *text, size_t length, struct error *e)
{
    if (length > TOKENIZER_LONGEST_TEXT)
        return error_set(e, GRAFT_E_INVALID, "a text of %zu bytes: at most %zu are encoded at once",
                         length, TOKENIZER_LONGEST_TEXT);
    size_t bad = utf8_check(text, length);
    if (bad == length) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID,
                     "the text is not UTF-8 at byte %zu (0x%02X): convert it to UTF-8", bad,
                     (unsigned)(unsigned char)text[bad]);
}

static bool add_all(struct token_list *out, const int32_t *ids, size_t count, uint32_t begin)
{
    for (size_t i = 0; i < count; i++)
        if (!token_list_add(out, ids[i], begin)) return false;
    return true;
}

enum graft_status tokenizer_encode(const struct tokenizer *t, const char *text, size_t length,
                                   bool add_special, struct token_list *out, struct error *e)
{
    size_t count = out->count;
    enum graft_status status = check_text(text, length, e);
    if (status != GRAFT_OK) return status;
    struct encoder x = {.t = t, .out = out, .e = e, .match = regex_match_data_create()};
    struct piece whole = {text, length, NULL, 0};
    if (x.match == NULL || (add_special && !add_all(out, t->before, t->before_count, 0)))
        status = error_memory(e, "tokens of a text", length);
    if (status == GRAFT_OK) status = encode_around(&x, &t->added, &whole, encode_gap);
    if (status == GRAFT_OK && add_special &&
        !add_all(out, t->after, t->after_count, (uint32_t)length))
        status = error_memory(e, "tokens of a text", length);
    if (status != GRAFT_OK) out->count = count;
    encoder_free(&x);
    return status;
}

/* ---- questions ---- */

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->count;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    for (size_t i = 0; i < t->before_count; i++)
        if (t->before[i] == t->bos) return true;
    return false;
}

static bool has_flag(const struct tokenizer *t, int32_t id, uint8_t flag)
{
    return id >= 0 && (size_t)id < t->count && (t->tokens[id].flags & flag) != 0;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return has_flag(t, id, TOKEN_SPECIAL);
}

bool tokenizer_ends_generation(const struct tokenizer *t, int32_t id)
{
    return has_flag(t, id, TOKEN_ENDS);
}

const char *tokenizer_piece(const struct tokenizer *t, int32_t id, size_t *length)
{
    if (id < 0 || (size_t)id >= t->count || t->tokens[id].bytes == NULL) return NULL;
    *length = t->tokens[id].length;
    return t->tokens[id].bytes;
}

static int32_t find_added(const struct added_set *set, const char *text, size_t length)
{
    for (size_t i = set->first[(unsigned char)text[0]]; i < set->first[(unsigned char)text[0] + 1];
         i++)
        if (set->items[i].length == length && memcmp(set->items[i].bytes, text, length) == 0)
            return set->items[i].id;
    return -1;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text)
{
    size_t length = strlen(text);
    if (length == 0) return -1;
    int32_t id = find_added(&t->added, text, length);
    if (id < 0) id = find_added(&t->added_normalized, text, length);
    return id >= 0 ? id : string_map_find(&t->model, text, length);
}

const char *tokenizer_chat_template(const struct tokenizer *t)
{
    return t->chat_template;
}

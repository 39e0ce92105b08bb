/* SPDX-License-Identifier: Apache-2.0
 *
 * The BPE model of a tokenizer.json (vocabulary, merges in both forms, flags) and its added tokens.
 */
#include "text/load_json.h"

#include <string.h>

/* A vocabulary string as the encoder works on it: bytes where the model is byte-level. */
struct form {
    char bytes[UINT16_MAX];
};

static bool to_form(const struct tokenizer *t, const char *text, size_t length, struct form *room,
                    const char **bytes, size_t *count)
{
    *bytes = text;
    *count = length;
    if (!t->byte_level || length > sizeof room->bytes) return !t->byte_level;
    if (!printable_to_bytes(text, length, room->bytes, count)) return false;
    *bytes = room->bytes;
    return true;
}

static enum graft_status load_entry(struct tokenizer *t, const char *text, const json_t *value,
                                    struct form *room, struct error *e)
{
    const char *bytes;
    size_t length;
    if (!json_is_integer(value))
        return error_set(e, GRAFT_E_INVALID, "vocab: the id of \"%.60s\" is not an integer", text);
    int64_t id = json_integer_value(value);
    bool in_model = to_form(t, text, strlen(text), room, &bytes, &length);
    if (!in_model) {
        bytes = text;
        length = strlen(text);
    }
    if (id >= 0 && (size_t)id < t->count && t->tokens[id].bytes != NULL)
        return error_set(e, GRAFT_E_INVALID, "vocab: id %lld is there twice (second: \"%.60s\")",
                         (long long)id, text);
    enum graft_status status = tokenizer_put(t, id, bytes, length, 0, e);
    if (status != GRAFT_OK) return error_place(e, "vocab");
    if (in_model) string_map_add(&t->model, t->tokens[id].bytes, length, (int32_t)id);
    return GRAFT_OK;
}

static enum graft_status load_vocabulary(struct tokenizer *t, const json_t *vocab,
                                         struct form *room, struct error *e)
{
    size_t count = json_object_size(vocab);
    if (!json_is_object(vocab) || count == 0)
        return error_set(e, GRAFT_E_INVALID, "\"vocab\" is not an object with tokens");
    if (count > VOCABULARY_LARGEST || !string_map_reserve(&t->model, count))
        return error_memory(e, "the vocabulary", count * sizeof(struct string_slot));
    json_t *object = (json_t *)(uintptr_t)vocab;
    for (void *it = json_object_iter(object); it != NULL; it = json_object_iter_next(object, it)) {
        enum graft_status status =
            load_entry(t, json_object_iter_key(it), json_object_iter_value(it), room, e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

struct side {
    const char *text;
    size_t length;
};

/* "a b" or ["a", "b"] */
static bool take_sides(const json_t *value, struct side *left, struct side *right)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value), *blank = strchr(text, ' ');
        if (blank == NULL || strchr(blank + 1, ' ') != NULL) return false;
        *left = (struct side){text, (size_t)(blank - text)};
        *right = (struct side){blank + 1, strlen(blank + 1)};
        return true;
    }
    const json_t *a = json_array_get(value, 0), *b = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_string(a) || !json_is_string(b)) return false;
    *left = (struct side){json_string_value(a), json_string_length(a)};
    *right = (struct side){json_string_value(b), json_string_length(b)};
    return true;
}

static enum graft_status load_merges(struct tokenizer *t, const json_t *merges, struct form *room,
                                     struct error *e)
{
    size_t count = json_array_size(merges);
    if (!json_is_array(merges)) return error_set(e, GRAFT_E_INVALID, "\"merges\" is not a list");
    if (count > VOCABULARY_LARGEST || !pair_map_reserve(&t->merges, count))
        return error_memory(e, "merges", count * sizeof(struct pair_slot));
    for (size_t i = 0; i < count; i++) {
        struct side left, right;
        bool good = take_sides(json_array_get(merges, i), &left, &right) &&
                    to_form(t, left.text, left.length, &room[0], &left.text, &left.length) &&
                    to_form(t, right.text, right.length, &room[1], &right.text, &right.length);
        if (!good)
            return error_set(e, GRAFT_E_INVALID,
                             "merges: entry %zu is neither \"a b\" nor [\"a\", \"b\"] of tokens",
                             i);
        enum graft_status status = tokenizer_add_merge(t, left.text, left.length, right.text,
                                                       right.length, (uint32_t)i, e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

static enum graft_status load_affix(struct tokenizer *t, const json_t *value, const char *key,
                                    const char **affix, size_t *length, struct error *e)
{
    const char *text;
    enum graft_status status = json_take_text(value, key, &text, length, e);
    if (status != GRAFT_OK || text == NULL || *length == 0) return status;
    if (t->byte_level)
        return error_set(
            e, GRAFT_E_INVALID,
            "\"%s\" is \"%.60s\", which is not supported with ByteLevel (allowed: null)", key,
            text);
    *affix = arena_strdup(&t->arena, text);
    return *affix != NULL ? GRAFT_OK : error_memory(e, key, *length);
}

static enum graft_status load_flags(struct tokenizer *t, const json_t *value, struct error *e)
{
    const json_t *dropout = json_object_get(value, "dropout");
    if (json_is_number(dropout) && json_number_value(dropout) > 0)
        return error_set(e, GRAFT_E_INVALID,
                         "\"dropout\" is %g, which is not supported: set it to null",
                         json_number_value(dropout));
    enum graft_status status = json_take_bool(value, "ignore_merges", &t->ignore_merges, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "byte_fallback", &t->byte_fallback, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "fuse_unk", &t->fuse_unknown, e);
    if (status == GRAFT_OK)
        status = load_affix(t, value, "continuing_subword_prefix", &t->inner, &t->inner_length, e);
    if (status == GRAFT_OK)
        status = load_affix(t, value, "end_of_word_suffix", &t->outer, &t->outer_length, e);
    return status;
}

static enum graft_status load_unknown(struct tokenizer *t, const json_t *value, struct form *room,
                                      struct error *e)
{
    const char *text, *bytes;
    size_t length;
    enum graft_status status = json_take_text(value, "unk_token", &text, &length, e);
    if (status != GRAFT_OK || text == NULL) return status;
    if (to_form(t, text, length, room, &bytes, &length))
        t->unknown = string_map_find(&t->model, bytes, length);
    if (t->unknown >= 0) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "unk_token \"%.60s\" is not in the vocabulary", text);
}

enum graft_status load_model(struct tokenizer *t, const json_t *value, struct error *e)
{
    const char *type;
    size_t length;
    enum graft_status status = json_take_text(value, "type", &type, &length, e);
    if (status != GRAFT_OK) return status;
    if (type == NULL) type = json_object_get(value, "merges") != NULL ? "BPE" : "none";
    if (strcmp(type, "BPE") != 0)
        return error_set(e, GRAFT_E_INVALID, "type \"%.60s\" is not supported (allowed: BPE)",
                         type);
    struct form *room = mem_zalloc(2, sizeof *room);
    if (room == NULL) return error_memory(e, "the vocabulary", 2 * sizeof *room);
    status = load_flags(t, value, e);
    if (status == GRAFT_OK) status = load_vocabulary(t, json_object_get(value, "vocab"), room, e);
    if (status == GRAFT_OK) status = load_unknown(t, value, room, e);
    if (status == GRAFT_OK) status = load_merges(t, json_object_get(value, "merges"), room, e);
    mem_free(room);
    return status;
}

/* ---- added tokens ---- */

enum graft_status load_added_token(struct tokenizer *t, const json_t *value, int64_t id,
                                   struct error *e)
{
    const char *content;
    size_t length;
    bool special = false, normalized = false;
    struct added item = {0};
    enum graft_status status = json_take_text(value, "content", &content, &length, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "special", &special, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "normalized", &normalized, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "lstrip", &item.lstrip, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "rstrip", &item.rstrip, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "single_word", &item.single_word, e);
    if (status != GRAFT_OK) return status;
    if (content == NULL)
        return error_set(e, GRAFT_E_INVALID, "token %lld has no \"content\"", (long long)id);
    if (length == 0) return GRAFT_OK; /* can never be found */
    uint8_t flags = special ? TOKEN_ADDED | TOKEN_SPECIAL : TOKEN_ADDED;
    status = tokenizer_put(t, id, content, length, flags, e);
    if (status != GRAFT_OK) return status;
    item.bytes = t->tokens[id].bytes;
    item.id = (int32_t)id;
    if (normalized && t->normalizer_count != 0) {
        status = normalize_added(t, item.bytes, length, &item.bytes, &length, e);
        if (status != GRAFT_OK) return status;
    }
    item.length = (uint32_t)length;
    struct added_set *set = normalized ? &t->added_normalized : &t->added;
    return added_set_put(set, &item) ? GRAFT_OK : error_memory(e, "added tokens", length);
}

enum graft_status load_added_tokens(struct tokenizer *t, const json_t *value, struct error *e)
{
    if (value == NULL || json_is_null(value)) return GRAFT_OK;
    if (!json_is_array(value)) return error_set(e, GRAFT_E_INVALID, "not a list");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *token = json_array_get(value, i);
        int64_t id = -1;
        enum graft_status status = json_take_int(token, "id", &id, e);
        if (status == GRAFT_OK) status = load_added_token(t, token, id, e);
        if (status != GRAFT_OK) return error_place(e, "entry %zu", i);
    }
    return GRAFT_OK;
}

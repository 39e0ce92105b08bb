/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer from GGUF metadata: `gpt2` (byte-level BPE, the pre-tokenizer by name) and `llama`
 * (SentencePiece-style, merges by score). Keys: gguf-py/gguf/constants.py of ggml-org/llama.cpp,
 * defaults and pre-tokenizer names: src/llama-vocab.cpp there.
 */
#include "file/gguf.h"
#include "text/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."
#define LOWER_MARK "\xE2\x96\x81" /* U+2581 */

enum token_type { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

#define CONTRACTIONS "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define BLANKS "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SYMBOLS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define OTHER "[^\\r\\n\\p{L}\\p{N}]?"
#define SUFFIX "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

static const char LLAMA3[] = CONTRACTIONS "|" OTHER "\\p{L}+|\\p{N}{1,3}" SYMBOLS BLANKS;
static const char QWEN2[] = CONTRACTIONS "|" OTHER "\\p{L}+|\\p{N}" SYMBOLS BLANKS;
static const char TEKKEN[] = OTHER UPPER "*" LOWER "+|" OTHER UPPER "+" LOWER
                                         "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" BLANKS;
static const char GPT4O[] = OTHER UPPER "*" LOWER "+" SUFFIX "|" OTHER UPPER "+" LOWER "*" SUFFIX
                                        "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" BLANKS;

struct pre {
    const char *names; /* with a blank around each */
    const char *patterns[2];
    bool ignore_merges, add_bos, nfc;
};

static const struct pre PRES[] = {
    {" gpt-2 phi-2 olmo mpt jais exaone4 ", {GPT2_PATTERN, NULL}, false, false, false},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b ",
     {"\\p{N}", GPT2_PATTERN},
     false,
     false,
     false},
    {" llama-bpe llama3 llama-v3 falcon3 pixtral lfm2 ", {LLAMA3, NULL}, true, true, false},
    {" qwen2 megrez ", {QWEN2, NULL}, false, false, true},
    {" deepseek-r1-qwen ", {QWEN2, NULL}, false, false, false},
    {" chatglm-bpe glm4 ", {LLAMA3, NULL}, false, false, false},
    {" tekken ", {TEKKEN, NULL}, true, true, false},
    {" gpt-4o llama4 ", {GPT4O, NULL}, false, false, false},
};

struct loader {
    const struct gguf *file;
    struct tokenizer *t;
    struct error *e;
    bool printable; /* tokens are in GPT-2's alphabet */
};

static enum graft_status find_pre(const struct gguf *file, const struct pre **pre, struct error *e)
{
    const char *name = "default";
    char word[64];
    size_t length;
    if (!gguf_get_string(file, KEY "pre", &name, &length)) name = "default";
    if (strlen(name) < sizeof word - 2 && strchr(name, ' ') == NULL) {
        word[0] = ' ';
        strcpy(word + 1, name);
        strcat(word, " ");
        for (size_t i = 0; i < sizeof PRES / sizeof *PRES; i++)
            if (strstr(PRES[i].names, word) != NULL) {
                *pre = &PRES[i];
                return GRAFT_OK;
            }
    }
    return error_set(e, GRAFT_E_INVALID,
                     KEY "pre is \"%.60s\", which does not say how text is split (allowed: gpt-2, "
                         "smollm, llama-bpe, qwen2, deepseek-r1-qwen, chatglm-bpe, glm4, tekken, "
                         "gpt-4o and their aliases): convert the model again with a newer "
                         "llama.cpp, or use its Hugging Face folder",
                     name);
}

static uint8_t flags_of(int64_t type)
{
    if (type == TYPE_CONTROL || type == TYPE_UNKNOWN) return TOKEN_ADDED | TOKEN_SPECIAL;
    return type == TYPE_USER ? TOKEN_ADDED : 0;
}

/* One token into the vocabulary and, where it belongs there, into the model's map or the added
 * tokens. `room` holds the longest token. */
static enum graft_status load_token(struct loader *l, size_t id, char *room)
{
    struct tokenizer *t = l->t;
    const char *text;
    size_t length;
    int64_t type = TYPE_NORMAL;
    if (!gguf_array_string(l->file, KEY "tokens", id, &text, &length))
        return error_set(l->e, GRAFT_E_INVALID, KEY "tokens is not a list of texts");
    gguf_array_int(l->file, KEY "token_type", id, &type);
    bool in_model = type == TYPE_NORMAL || (type == TYPE_BYTE && t->score_rank == NULL);
    if (in_model && l->printable && length <= UINT16_MAX) {
        in_model = printable_to_bytes(text, length, room, &length);
        if (in_model) text = room;
    }
    enum graft_status status = tokenizer_put(t, (int64_t)id, text, length, flags_of(type), l->e);
    if (status != GRAFT_OK) return status;
    text = t->tokens[id].bytes;
    if ((flags_of(type) & TOKEN_ADDED) != 0) {
        struct added item = {.bytes = text, .length = (uint32_t)length, .id = (int32_t)id};
        if (!added_set_put(&t->added, &item)) return error_memory(l->e, "added tokens", length);
    }
    if (in_model && !string_map_add(&t->model, text, length, (int32_t)id))
        return error_set(l->e, GRAFT_E_INVALID, KEY "tokens: token %zu (\"%.*s\") is there twice",
                         id, (int)length, text);
    return GRAFT_OK;
}

static enum graft_status load_tokens(struct loader *l)
{
    size_t count = gguf_array_count(l->file, KEY "tokens");
    size_t types = gguf_array_count(l->file, KEY "token_type");
    if (count == 0 || count > VOCABULARY_LARGEST)
        return error_set(l->e, GRAFT_E_INVALID, KEY "tokens has %zu tokens (allowed: 1 to %d)",
                         count, VOCABULARY_LARGEST);
    if (types != 0 && types != count)
        return error_set(l->e, GRAFT_E_INVALID, KEY "token_type has %zu entries for %zu tokens",
                         types, count);
    char *room = mem_alloc(UINT16_MAX);
    enum graft_status status = GRAFT_OK;
    if (room == NULL || !string_map_reserve(&l->t->model, count))
        status = error_memory(l->e, "the vocabulary", count);
    for (size_t id = 0; status == GRAFT_OK && id < count; id++) status = load_token(l, id, room);
    mem_free(room);
    return status;
}

static enum graft_status load_merge(struct loader *l, size_t index, char *room)
{
    const char *text;
    size_t length, left, right;
    if (!gguf_array_string(l->file, KEY "merges", index, &text, &length) || length < 3 ||
        length > UINT16_MAX)
        return error_set(l->e, GRAFT_E_INVALID, KEY "merges: entry %zu is not a pair", index);
    const char *blank = memchr(text + 1, ' ', length - 1);
    if (blank == NULL)
        return error_set(l->e, GRAFT_E_INVALID, KEY "merges: entry %zu (\"%.*s\") has no blank",
                         index, (int)length, text);
    size_t cut = (size_t)(blank - text);
    if (!printable_to_bytes(text, cut, room, &left) ||
        !printable_to_bytes(blank + 1, length - cut - 1, room + left, &right))
        return error_set(l->e, GRAFT_E_INVALID,
                         KEY "merges: entry %zu (\"%.*s\") is not in the byte alphabet", index,
                         (int)length, text);
    enum graft_status status =
        tokenizer_add_merge(l->t, room, left, room + left, right, (uint32_t)index, l->e);
    if (status != GRAFT_OK) error_place(l->e, KEY "merges");
    return status;
}

static enum graft_status load_merges(struct loader *l)
{
    size_t count = gguf_array_count(l->file, KEY "merges");
    if (count == 0 || count > VOCABULARY_LARGEST)
        return error_set(l->e, GRAFT_E_INVALID, KEY "merges has %zu entries (allowed: 1 to %d)",
                         count, VOCABULARY_LARGEST);
    char *room = mem_alloc(UINT16_MAX);
    enum graft_status status = GRAFT_OK;
    if (room == NULL || !pair_map_reserve(&l->t->merges, count))
        status = error_memory(l->e, "merges", count);
    for (size_t i = 0; status == GRAFT_OK && i < count; i++) status = load_merge(l, i, room);
    mem_free(room);
    return status;
}

static enum graft_status load_gpt2(struct loader *l, bool *add_bos)
{
    const struct pre *pre = NULL;
    struct tokenizer *t = l->t;
    enum graft_status status = find_pre(l->file, &pre, l->e);
    if (status != GRAFT_OK) return status;
    t->byte_level = l->printable = true;
    t->ignore_merges = pre->ignore_merges;
    *add_bos = pre->add_bos;
    status = load_tokens(l);
    if (status == GRAFT_OK) status = load_merges(l);
    struct normalizer nfc = {.kind = NORMALIZE_NFC};
    if (status == GRAFT_OK && pre->nfc) status = tokenizer_add_normalizer(t, &nfc, l->e);
    for (size_t i = 0; status == GRAFT_OK && i < 2 && pre->patterns[i] != NULL; i++)
        status = tokenizer_add_split(t, pre->patterns[i], SPLIT_ISOLATED, false, false, l->e);
    return status;
}

struct scored {
    double score;
    int32_t id;
};

static int by_score(const void *left, const void *right)
{
    const struct scored *a = left, *b = right;
    return (a->score < b->score) - (a->score > b->score);
}

/* Scores to ranks: the best one is 0, equal scores share a rank. */
static enum graft_status load_scores(struct loader *l)
{
    size_t count = gguf_array_count(l->file, KEY "tokens");
    if (gguf_array_count(l->file, KEY "scores") != count || count == 0 ||
        count > VOCABULARY_LARGEST)
        return error_set(l->e, GRAFT_E_INVALID,
                         KEY "scores has %zu entries for %zu tokens (needed: one for each, up to "
                             "%d)",
                         gguf_array_count(l->file, KEY "scores"), count, VOCABULARY_LARGEST);
    struct scored *order = mem_zalloc(count, sizeof *order);
    l->t->score_rank = mem_zalloc(count, sizeof *l->t->score_rank);
    enum graft_status status = GRAFT_OK;
    if (order == NULL || l->t->score_rank == NULL)
        status = error_memory(l->e, "scores", count * sizeof *order);
    for (size_t i = 0; status == GRAFT_OK && i < count; i++) {
        order[i].id = (int32_t)i;
        if (!gguf_array_number(l->file, KEY "scores", i, &order[i].score) || isnan(order[i].score))
            status = error_set(l->e, GRAFT_E_INVALID, KEY "scores: entry %zu is not a number", i);
    }
    if (status == GRAFT_OK) {
        uint32_t rank = 0;
        qsort(order, count, sizeof *order, by_score);
        for (size_t i = 0; i < count; i++) {
            if (i != 0 && order[i].score < order[i - 1].score) rank++;
            l->t->score_rank[order[i].id] = rank;
        }
    }
    mem_free(order);
    return status;
}

/* The normalizer and decoder of an SPM vocabulary. */
static enum graft_status add_blank_marks(struct loader *l, bool prefix)
{
    struct normalizer prepend = {
        .kind = NORMALIZE_PREPEND, .content = LOWER_MARK, .content_length = 3};
    struct normalizer replace = {
        .kind = NORMALIZE_REPLACE, .content = LOWER_MARK, .content_length = 3};
    struct decode_rules *decode = &l->t->decode;
    enum graft_status status = GRAFT_OK;
    if (prefix) status = tokenizer_add_normalizer(l->t, &prepend, l->e);
    if (status == GRAFT_OK) status = regex_compile(" ", 1, true, &replace.regex, l->e);
    if (status == GRAFT_OK) status = tokenizer_add_normalizer(l->t, &replace, l->e);
    decode->replace[0].from = LOWER_MARK;
    decode->replace[0].from_length = 3;
    decode->replace[0].to = " ";
    decode->replace[0].to_length = 1;
    decode->replace_count = 1;
    decode->byte_fallback = true;
    decode->strip[0] = ' ';
    decode->strip_length = 1;
    decode->strip_start = prefix ? 1 : 0;
    return status;
}

static enum graft_status load_llama(struct loader *l, bool *add_bos)
{
    bool prefix = true, trims = false;
    *add_bos = true;
    l->t->bos = 1;
    l->t->eos = 2;
    l->t->unknown = 0;
    l->t->fuse_unknown = l->t->byte_fallback = true;
    gguf_get_bool(l->file, KEY "add_space_prefix", &prefix);
    if (gguf_get_bool(l->file, KEY "remove_extra_whitespaces", &trims) && trims)
        return error_set(l->e, GRAFT_E_INVALID,
                         KEY "remove_extra_whitespaces is true, which is not supported for model "
                             "\"llama\" (allowed: false)");
    enum graft_status status = load_scores(l);
    if (status == GRAFT_OK) status = load_tokens(l);
    if (status == GRAFT_OK) status = add_blank_marks(l, prefix);
    return status;
}

static enum graft_status get_id(const struct loader *l, const char *key, int32_t *id)
{
    int64_t value;
    if (!gguf_get_int(l->file, key, &value)) return GRAFT_OK;
    if (value < 0 || (uint64_t)value >= l->t->count)
        return error_set(l->e, GRAFT_E_INVALID, "%s is %lld, the vocabulary has %zu tokens", key,
                         (long long)value, l->t->count);
    *id = (int32_t)value;
    return GRAFT_OK;
}

static enum graft_status load_named(struct loader *l, bool add_bos)
{
    struct tokenizer *t = l->t;
    int32_t eot = -1, eom = -1;
    bool add_eos = false;
    enum graft_status status = get_id(l, KEY "bos_token_id", &t->bos);
    if (status == GRAFT_OK) status = get_id(l, KEY "eos_token_id", &t->eos);
    if (status == GRAFT_OK && !t->byte_level)
        status = get_id(l, KEY "unknown_token_id", &t->unknown);
    if (status == GRAFT_OK) status = get_id(l, KEY "eot_token_id", &eot);
    if (status == GRAFT_OK) status = get_id(l, KEY "eom_token_id", &eom);
    if (status != GRAFT_OK) return status;
    if (eot >= 0) t->tokens[eot].flags |= TOKEN_ENDS;
    if (eom >= 0) t->tokens[eom].flags |= TOKEN_ENDS;
    gguf_get_bool(l->file, KEY "add_bos_token", &add_bos);
    gguf_get_bool(l->file, KEY "add_eos_token", &add_eos);
    if (add_bos && t->bos >= 0 && (size_t)t->bos < t->count) t->before[t->before_count++] = t->bos;
    if (add_eos && t->eos >= 0 && (size_t)t->eos < t->count) t->after[t->after_count++] = t->eos;
    return GRAFT_OK;
}

static enum graft_status load_template(struct loader *l)
{
    const char *text;
    size_t length;
    if (!gguf_get_string(l->file, "tokenizer.chat_template", &text, &length)) return GRAFT_OK;
    l->t->chat_template = arena_strdup(&l->t->arena, text);
    return l->t->chat_template != NULL ? GRAFT_OK : error_memory(l->e, "the chat template", length);
}

enum graft_status tokenizer_from_gguf(const struct gguf *file, struct tokenizer **t,
                                      struct error *e)
{
    struct loader l = {file, tokenizer_create(), e, false};
    const char *model = "";
    size_t length;
    bool add_bos = false;
    enum graft_status status = GRAFT_OK;
    if (l.t == NULL) return error_memory(e, "a tokenizer", sizeof *l.t);
    if (!gguf_get_string(file, KEY "model", &model, &length))
        status = error_set(e, GRAFT_E_INVALID, "the file has no tokenizer (" KEY "model)");
    else if (strcmp(model, "gpt2") == 0)
        status = load_gpt2(&l, &add_bos);
    else if (strcmp(model, "llama") == 0)
        status = load_llama(&l, &add_bos);
    else
        status = error_set(e, GRAFT_E_INVALID,
                           KEY "model is \"%.60s\", which is not supported (allowed: gpt2, llama)",
                           model);
    if (status == GRAFT_OK) status = load_named(&l, add_bos);
    if (status == GRAFT_OK) status = load_template(&l);
    if (status == GRAFT_OK) status = tokenizer_complete(l.t, e);
    if (status != GRAFT_OK) {
        tokenizer_destroy(l.t);
        return status;
    }
    *t = l.t;
    return GRAFT_OK;
}

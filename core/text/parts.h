/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a tokenizer, shared by the files of this room only: vocabulary and merges, added
 * tokens, normalizers, pre-tokenizer steps, decoder rules, and the state of one encode call.
 *
 * Byte-level vocabularies are kept as raw bytes, not in GPT-2's printable alphabet, so encoding
 * maps nothing.
 */
#ifndef CORE_TEXT_PARTS_H
#define CORE_TEXT_PARTS_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/memory.h"
#include "text/tokenizer.h"

#include <pcre2.h>

/* ---- vocabulary ---- */

enum {
    TOKEN_ADDED = 1,   /* matched in the text before anything else */
    TOKEN_SPECIAL = 2, /* left out by skip_special */
    TOKEN_ENDS = 4,    /* ends generation */
    TOKEN_BYTE = 8     /* <0xHH> of a byte-fallback vocabulary */
};

enum { VOCABULARY_LARGEST = 1 << 23 }; /* ids beyond this mean a broken file */

struct token {
    const char *bytes; /* NULL: a hole */
    uint32_t length;
    uint8_t flags;
    uint8_t byte; /* for TOKEN_BYTE */
};

/* Bytes to id, open addressing. The keys are the arena's. */
struct string_slot {
    const char *bytes; /* NULL: free */
    uint32_t length;
    int32_t id;
};

struct string_map {
    struct string_slot *slots;
    size_t mask, count;
};

GRAFT_MUST_USE bool string_map_reserve(struct string_map *map, size_t count);
/* The first one of equal keys stays; false then. Needs room reserved. */
bool string_map_add(struct string_map *map, const char *bytes, size_t length, int32_t id);
int32_t string_map_find(const struct string_map *map, const char *bytes, size_t length);

/* A pair of adjacent ids to the rank of its merge and the id it becomes. */
struct pair_slot {
    uint64_t key; /* left << 32 | right */
    uint32_t rank;
    int32_t merged; /* -1: free */
};

struct pair_map {
    struct pair_slot *slots;
    size_t mask;
};

GRAFT_MUST_USE bool pair_map_reserve(struct pair_map *map, size_t count);
void pair_map_put(struct pair_map *map, int32_t left, int32_t right, uint32_t rank, int32_t merged);
const struct pair_slot *pair_map_find(const struct pair_map *map, int32_t left, int32_t right);

/* GPT-2's printable alphabet back to bytes (`out` has room for `length`). False: a character is
 * outside the alphabet. */
bool printable_to_bytes(const char *text, size_t length, char *out, size_t *out_length);
/* "<0xHH>": the byte, else -1. */
int byte_token_value(const char *text, size_t length);

/* ---- characters ---- */

bool is_white_space(uint32_t code); /* Unicode White_Space */
bool is_word(uint32_t code);        /* \w of Unicode regular expressions */

/* ---- a stretch of text that knows where it came from ---- */

struct piece {
    const char *bytes;
    size_t length;
    const uint32_t *origin; /* per byte; NULL: base + i */
    uint32_t base;
};

struct piece piece_part(const struct piece *p, size_t begin, size_t end);
uint32_t piece_origin(const struct piece *p, size_t at);

/* A rewritten piece; zero-initialized. */
struct rewrite {
    char *bytes;
    uint32_t *origin;
    size_t length, capacity, origin_capacity;
    bool failed;
};

void rewrite_add(struct rewrite *r, const char *bytes, size_t length, uint32_t origin);
void rewrite_copy(struct rewrite *r, const struct piece *from, size_t begin, size_t end);
struct piece rewrite_piece(const struct rewrite *r);
void rewrite_free(struct rewrite *r);

/* ---- regular expressions ---- */

struct regex {
    pcre2_code *code;
};

/* Oniguruma's dialect as tokenizer.json uses it, or a literal. */
GRAFT_MUST_USE enum graft_status regex_compile(const char *pattern, size_t length, bool literal,
                                               struct regex *regex, struct error *e);
void regex_free(struct regex *regex);
pcre2_match_data *regex_match_data_create(void);
/* The next match at or after `from`; false with status OK: none. */
GRAFT_MUST_USE enum graft_status regex_next(const struct regex *regex, pcre2_match_data *match,
                                            const struct piece *p, size_t from, bool *found,
                                            size_t *begin, size_t *end, struct error *e);

/* ---- added tokens ---- */

struct added {
    const char *bytes;
    uint32_t length;
    int32_t id;
    bool lstrip, rstrip, single_word;
};

struct added_set {
    struct added *items; /* sorted by bytes once ready */
    size_t count, capacity;
    uint32_t first[257]; /* items that start with byte b: first[b] .. first[b+1]-1 */
};

GRAFT_MUST_USE bool added_set_put(struct added_set *set, const struct added *item);
void added_set_sort(struct added_set *set);
/* The next token at or after `from`, with the blanks it swallows; `floor` is where the previous one
 * ended. NULL: none. *resume is where the search goes on. */
const struct added *added_set_next(const struct added_set *set, const struct piece *p, size_t from,
                                   size_t floor, size_t *begin, size_t *end, size_t *resume);

/* ---- normalizers ---- */

enum normalizer_kind {
    NORMALIZE_NFC,
    NORMALIZE_NFD,
    NORMALIZE_NFKC,
    NORMALIZE_NFKD,
    NORMALIZE_LOWERCASE,
    NORMALIZE_STRIP,
    NORMALIZE_PREPEND,
    NORMALIZE_REPLACE
};

struct normalizer {
    enum normalizer_kind kind;
    bool left, right; /* STRIP */
    struct regex regex;
    const char *content; /* PREPEND, REPLACE */
    size_t content_length;
};

/* ---- pre-tokenizer ---- */

enum split_behavior {
    SPLIT_ISOLATED,
    SPLIT_REMOVED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
};

enum step_kind { STEP_SPLIT, STEP_PREFIX_SPACE, STEP_METASPACE };
enum prepend_scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct step {
    enum step_kind kind;
    enum split_behavior behavior; /* SPLIT */
    bool invert;
    struct regex regex;
    enum prepend_scheme scheme; /* METASPACE */
    char mark[4];
    size_t mark_length;
};

enum { MOST_STEPS = 16, MOST_AROUND = 8, MOST_REPLACES = 4 };

/* ---- decoder ---- */

struct decode_rules {
    struct {
        const char *from, *to;
        size_t from_length, to_length;
    } replace[MOST_REPLACES];
    size_t replace_count;
    bool byte_fallback;
    bool metaspace, drop_first_mark; /* the first token's marks are dropped, not blanks */
    char mark[4];
    size_t mark_length;
    char strip[4];
    size_t strip_length;
    uint32_t strip_start, strip_stop;
};

/* ---- the whole ---- */

struct tokenizer {
    struct arena arena;
    struct token *tokens;
    size_t count, capacity;
    struct string_map model;
    struct pair_map merges;
    uint32_t *score_rank; /* by id: SPM merges by the vocabulary's scores; NULL: by pairs */
    bool byte_level, ignore_merges, byte_fallback, fuse_unknown;
    int32_t unknown;           /* -1: none */
    int32_t byte_ids[256];     /* byte_level: the single bytes; byte_fallback: <0xHH> */
    const char *inner, *outer; /* continuing_subword_prefix, end_of_word_suffix */
    size_t inner_length, outer_length;
    struct added_set added, added_normalized;
    struct normalizer *normalizers;
    size_t normalizer_count, normalizer_capacity;
    struct step steps[MOST_STEPS];
    size_t step_count;
    int32_t before[MOST_AROUND], after[MOST_AROUND];
    size_t before_count, after_count;
    int32_t bos, eos;
    struct decode_rules decode;
    const char *chat_template;
};

/* What one encode call needs; rewrites are per depth because a step calls the next one inside. */
struct encoder {
    const struct tokenizer *t;
    struct token_list *out;
    struct error *e;
    pcre2_match_data *match;
    struct rewrite normal[2];
    struct rewrite step[MOST_STEPS];
    struct rewrite affix;
    struct symbol *symbols;
    size_t symbol_count, symbol_capacity;
    struct merge *heap;
    size_t heap_count, heap_capacity;
};

GRAFT_MUST_USE bool token_list_add(struct token_list *list, int32_t id, uint32_t begin);
GRAFT_MUST_USE enum graft_status normalize(struct encoder *x, struct piece *p);
/* Text of an added token as the normalizers make it, in the arena. */
GRAFT_MUST_USE enum graft_status normalize_added(struct tokenizer *t, const char *bytes,
                                                 size_t length, const char **result,
                                                 size_t *result_length, struct error *e);
GRAFT_MUST_USE enum graft_status pretokenize(struct encoder *x, size_t step, const struct piece *p);
GRAFT_MUST_USE enum graft_status bpe_encode(struct encoder *x, const struct piece *p);
void encoder_free(struct encoder *x);

/* ---- what both loaders do ---- */

struct tokenizer *tokenizer_create(void);
/* Copies the bytes. An id that is there already gets the new text and keeps its flags. */
GRAFT_MUST_USE enum graft_status tokenizer_put(struct tokenizer *t, int64_t id, const char *bytes,
                                               size_t length, uint8_t flags, struct error *e);
GRAFT_MUST_USE enum graft_status tokenizer_add_merge(struct tokenizer *t, const char *left,
                                                     size_t left_length, const char *right,
                                                     size_t right_length, uint32_t rank,
                                                     struct error *e);
GRAFT_MUST_USE enum graft_status tokenizer_add_split(struct tokenizer *t, const char *pattern,
                                                     enum split_behavior behavior, bool invert,
                                                     bool literal, struct error *e);
GRAFT_MUST_USE enum graft_status
tokenizer_add_normalizer(struct tokenizer *t, struct normalizer *normalizer, struct error *e);
/* Last: byte ids, added tokens sorted, the tokens whose text says that they end generation. */
GRAFT_MUST_USE enum graft_status tokenizer_complete(struct tokenizer *t, struct error *e);

/* The pattern of ByteLevel(use_regex), and what `tokenizer.ggml.pre` names stand for. */
extern const char GPT2_PATTERN[];

#endif

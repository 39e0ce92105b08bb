/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalizer, pre-tokenizer, decoder and post-processor of a tokenizer.json. Each component has a
 * "type"; a Sequence holds others. A type that is not known is refused by name.
 */
#include "text/load_json.h"

#include <string.h>

static enum graft_status wrong_kind(const char *key, const char *wanted, struct error *e)
{
    return error_set(e, GRAFT_E_INVALID, "\"%s\" is not %s", key, wanted);
}

enum graft_status json_take_bool(const json_t *object, const char *key, bool *value,
                                 struct error *e)
{
    const json_t *found = json_object_get(object, key);
    if (found == NULL || json_is_null(found)) return GRAFT_OK;
    if (!json_is_boolean(found)) return wrong_kind(key, "true or false", e);
    *value = json_is_true(found);
    return GRAFT_OK;
}

enum graft_status json_take_int(const json_t *object, const char *key, int64_t *value,
                                struct error *e)
{
    const json_t *found = json_object_get(object, key);
    if (found == NULL || json_is_null(found)) return GRAFT_OK;
    if (!json_is_integer(found)) return wrong_kind(key, "an integer", e);
    *value = json_integer_value(found);
    return GRAFT_OK;
}

enum graft_status json_take_text(const json_t *object, const char *key, const char **text,
                                 size_t *length, struct error *e)
{
    const json_t *found = json_object_get(object, key);
    *text = NULL;
    *length = 0;
    if (found == NULL || json_is_null(found)) return GRAFT_OK;
    if (!json_is_string(found)) return wrong_kind(key, "a text", e);
    *text = json_string_value(found);
    *length = json_string_length(found);
    return GRAFT_OK;
}

/* "type" of a component: an error where it is no object with a type. */
static enum graft_status take_type(const json_t *component, const char **type, struct error *e)
{
    *type = json_string_value(json_object_get(component, "type"));
    if (*type != NULL) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "a component is not an object with a \"type\"");
}

static enum graft_status refuse(const char *type, const char *allowed, struct error *e)
{
    return error_set(e, GRAFT_E_INVALID, "type \"%.60s\" is not supported (allowed: %s)", type,
                     allowed);
}

typedef enum graft_status part_loader(struct tokenizer *t, const json_t *value, struct error *e);

static enum graft_status load_sequence(struct tokenizer *t, const json_t *value, const char *key,
                                       part_loader *load, struct error *e)
{
    const json_t *list = json_object_get(value, key);
    if (!json_is_array(list)) return wrong_kind(key, "a list", e);
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum graft_status status = load(t, json_array_get(list, i), e);
        if (status != GRAFT_OK) return status;
    }
    return GRAFT_OK;
}

/* "pattern": {"String": ...} or {"Regex": ...} */
static enum graft_status take_pattern(const json_t *value, const char **text, size_t *length,
                                      bool *literal, struct error *e)
{
    const json_t *pattern = json_object_get(value, "pattern");
    enum graft_status status = json_take_text(pattern, "String", text, length, e);
    *literal = *text != NULL;
    if (status == GRAFT_OK && *text == NULL)
        status = json_take_text(pattern, "Regex", text, length, e);
    if (status == GRAFT_OK && (*text == NULL || *length == 0))
        return wrong_kind("pattern", "{\"String\": ...} or {\"Regex\": ...} with a text", e);
    return status;
}

static const char *keep(struct tokenizer *t, const char *text)
{
    return arena_strdup(&t->arena, text);
}

/* ---- normalizer ---- */

static bool form_kind(const char *type, enum normalizer_kind *kind)
{
    static const char *const names[] = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(type, names[i]) == 0) {
            *kind = (enum normalizer_kind)(NORMALIZE_NFC + i);
            return true;
        }
    return false;
}

static enum graft_status load_content(struct tokenizer *t, const json_t *value, const char *key,
                                      struct normalizer *n, struct error *e)
{
    const char *text;
    enum graft_status status = json_take_text(value, key, &text, &n->content_length, e);
    if (status != GRAFT_OK) return status;
    if (text == NULL) return wrong_kind(key, "a text", e);
    n->content = keep(t, text);
    return n->content != NULL ? GRAFT_OK : error_memory(e, "a normalizer", n->content_length);
}

static enum graft_status load_replace(struct tokenizer *t, const json_t *value,
                                      struct normalizer *n, struct error *e)
{
    const char *pattern;
    size_t length;
    bool literal;
    n->kind = NORMALIZE_REPLACE;
    enum graft_status status = load_content(t, value, "content", n, e);
    if (status == GRAFT_OK) status = take_pattern(value, &pattern, &length, &literal, e);
    return status == GRAFT_OK ? regex_compile(pattern, length, literal, &n->regex, e) : status;
}

static enum graft_status load_one_normalizer(struct tokenizer *t, const json_t *value,
                                             struct error *e)
{
    const char *type;
    struct normalizer n = {.left = true, .right = true};
    enum graft_status status = take_type(value, &type, e);
    if (status != GRAFT_OK) return status;
    if (strcmp(type, "Sequence") == 0)
        return load_sequence(t, value, "normalizers", load_one_normalizer, e);
    if (form_kind(type, &n.kind)) {
        status = GRAFT_OK;
    } else if (strcmp(type, "Strip") == 0) {
        n.kind = NORMALIZE_STRIP;
        status = json_take_bool(value, "strip_left", &n.left, e);
        if (status == GRAFT_OK) status = json_take_bool(value, "strip_right", &n.right, e);
    } else if (strcmp(type, "Prepend") == 0) {
        n.kind = NORMALIZE_PREPEND;
        status = load_content(t, value, "prepend", &n, e);
    } else if (strcmp(type, "Replace") == 0) {
        status = load_replace(t, value, &n, e);
    } else {
        return refuse(type, "NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace, Sequence",
                      e);
    }
    return status == GRAFT_OK ? tokenizer_add_normalizer(t, &n, e) : status;
}

enum graft_status load_normalizer(struct tokenizer *t, const json_t *value, struct error *e)
{
    if (value == NULL || json_is_null(value)) return GRAFT_OK;
    return load_one_normalizer(t, value, e);
}

/* ---- pre-tokenizer ---- */

static enum graft_status take_mark(const json_t *value, const char *key, char mark[4],
                                   size_t *mark_length, struct error *e)
{
    const char *text;
    size_t length;
    enum graft_status status = json_take_text(value, key, &text, &length, e);
    if (status != GRAFT_OK) return status;
    if (text == NULL || length == 0 || utf8_length(text, length) != length)
        return wrong_kind(key, "one character", e);
    memcpy(mark, text, length);
    *mark_length = length;
    return GRAFT_OK;
}

static enum graft_status take_scheme(const json_t *value, enum prepend_scheme *scheme,
                                     struct error *e)
{
    static const char *const names[] = {"always", "first", "never"};
    const char *text;
    size_t length;
    bool prefix = true;
    enum graft_status status = json_take_text(value, "prepend_scheme", &text, &length, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "add_prefix_space", &prefix, e);
    if (status != GRAFT_OK) return status;
    *scheme = prefix ? PREPEND_ALWAYS : PREPEND_NEVER;
    if (text == NULL) return GRAFT_OK;
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *scheme = (enum prepend_scheme)i;
            return GRAFT_OK;
        }
    return error_set(e, GRAFT_E_INVALID,
                     "prepend_scheme is \"%.60s\" (allowed: always, first, never)", text);
}

static enum graft_status add_step(struct tokenizer *t, const struct step *step, struct error *e)
{
    if (t->step_count == MOST_STEPS)
        return error_set(e, GRAFT_E_INVALID, "more than %d steps", MOST_STEPS);
    t->steps[t->step_count++] = *step;
    return GRAFT_OK;
}

static enum graft_status load_metaspace(struct tokenizer *t, const json_t *value, struct error *e)
{
    struct step step = {.kind = STEP_METASPACE};
    char mark[5] = {0};
    bool cuts = true;
    enum graft_status status = take_mark(value, "replacement", step.mark, &step.mark_length, e);
    if (status == GRAFT_OK) status = take_scheme(value, &step.scheme, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "split", &cuts, e);
    if (status == GRAFT_OK) status = add_step(t, &step, e);
    if (status != GRAFT_OK || !cuts) return status;
    memcpy(mark, step.mark, step.mark_length);
    return tokenizer_add_split(t, mark, SPLIT_MERGED_WITH_NEXT, false, true, e);
}

static enum graft_status load_split(struct tokenizer *t, const json_t *value, struct error *e)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const char *pattern, *behavior;
    size_t length;
    bool literal, invert = false;
    enum graft_status status = json_take_text(value, "behavior", &behavior, &length, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "invert", &invert, e);
    if (status == GRAFT_OK) status = take_pattern(value, &pattern, &length, &literal, e);
    if (status != GRAFT_OK) return status;
    for (int i = 0; i < 5 && behavior != NULL; i++)
        if (strcmp(behavior, names[i]) == 0)
            return tokenizer_add_split(t, pattern, (enum split_behavior)i, invert, literal, e);
    return error_set(e, GRAFT_E_INVALID,
                     "behavior of Split is \"%.60s\" (allowed: Isolated, Removed, "
                     "MergedWithPrevious, MergedWithNext, Contiguous)",
                     behavior != NULL ? behavior : "");
}

static enum graft_status load_byte_level(struct tokenizer *t, const json_t *value, struct error *e)
{
    struct step prefix = {.kind = STEP_PREFIX_SPACE, .mark = " ", .mark_length = 1};
    bool prefixed = true, regex = true;
    enum graft_status status = json_take_bool(value, "add_prefix_space", &prefixed, e);
    if (status == GRAFT_OK) status = json_take_bool(value, "use_regex", &regex, e);
    if (status == GRAFT_OK && prefixed) status = add_step(t, &prefix, e);
    if (status == GRAFT_OK && regex)
        status = tokenizer_add_split(t, GPT2_PATTERN, SPLIT_ISOLATED, false, false, e);
    t->byte_level = true;
    return status;
}

static enum graft_status load_step(struct tokenizer *t, const json_t *value, struct error *e)
{
    const char *type;
    bool each = false;
    enum graft_status status = take_type(value, &type, e);
    if (status != GRAFT_OK) return status;
    if (t->byte_level)
        return error_set(e, GRAFT_E_INVALID,
                         "type \"%.60s\" comes after ByteLevel, which must be "
                         "the last",
                         type);
    if (strcmp(type, "Sequence") == 0)
        return load_sequence(t, value, "pretokenizers", load_step, e);
    if (strcmp(type, "ByteLevel") == 0) return load_byte_level(t, value, e);
    if (strcmp(type, "Split") == 0) return load_split(t, value, e);
    if (strcmp(type, "Metaspace") == 0) return load_metaspace(t, value, e);
    if (strcmp(type, "Digits") != 0)
        return refuse(type, "ByteLevel, Split, Digits, Metaspace, Sequence", e);
    status = json_take_bool(value, "individual_digits", &each, e);
    if (status != GRAFT_OK) return status;
    return tokenizer_add_split(t, "\\p{N}", each ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false, false,
                               e);
}

enum graft_status load_pre_tokenizer(struct tokenizer *t, const json_t *value, struct error *e)
{
    if (value == NULL || json_is_null(value)) return GRAFT_OK;
    return load_step(t, value, e);
}

/* ---- decoder ---- */

static enum graft_status load_decoder_replace(struct tokenizer *t, const json_t *value,
                                              struct error *e)
{
    struct decode_rules *d = &t->decode;
    const char *pattern, *content;
    size_t length, content_length;
    bool literal;
    enum graft_status status = json_take_text(value, "content", &content, &content_length, e);
    if (status == GRAFT_OK) status = take_pattern(value, &pattern, &length, &literal, e);
    if (status != GRAFT_OK) return status;
    if (content == NULL || !literal || d->replace_count == MOST_REPLACES || d->byte_fallback)
        return error_set(e, GRAFT_E_INVALID,
                         "Replace needs a String pattern and a content, stands before ByteFallback "
                         "and at most %d times",
                         MOST_REPLACES);
    d->replace[d->replace_count].from = keep(t, pattern);
    d->replace[d->replace_count].from_length = length;
    d->replace[d->replace_count].to = keep(t, content);
    d->replace[d->replace_count].to_length = content_length;
    if (d->replace[d->replace_count].from == NULL || d->replace[d->replace_count].to == NULL)
        return error_memory(e, "the decoder", length);
    d->replace_count++;
    return GRAFT_OK;
}

static enum graft_status load_decoder_strip(struct tokenizer *t, const json_t *value,
                                            struct error *e)
{
    struct decode_rules *d = &t->decode;
    int64_t start = 0, stop = 0;
    enum graft_status status = take_mark(value, "content", d->strip, &d->strip_length, e);
    if (status == GRAFT_OK) status = json_take_int(value, "start", &start, e);
    if (status == GRAFT_OK) status = json_take_int(value, "stop", &stop, e);
    if (status != GRAFT_OK) return status;
    if (start < 0 || stop < 0 || start > 1000 || stop > 1000)
        return error_set(e, GRAFT_E_INVALID,
                         "Strip's start and stop are %lld and %lld (allowed: 0 to 1000)",
                         (long long)start, (long long)stop);
    d->strip_start = (uint32_t)start;
    d->strip_stop = (uint32_t)stop;
    return GRAFT_OK;
}

static enum graft_status load_decoder_metaspace(struct tokenizer *t, const json_t *value,
                                                struct error *e)
{
    struct decode_rules *d = &t->decode;
    enum prepend_scheme scheme;
    enum graft_status status = take_mark(value, "replacement", d->mark, &d->mark_length, e);
    if (status == GRAFT_OK) status = take_scheme(value, &scheme, e);
    if (status != GRAFT_OK) return status;
    d->metaspace = true;
    d->drop_first_mark = scheme != PREPEND_NEVER;
    return GRAFT_OK;
}

/* The order that is supported, so that decoding can go token by token. */
enum decoder_place { PLACE_TEXT, PLACE_BYTES, PLACE_FUSE, PLACE_STRIP, PLACE_ALONE };

static enum graft_status load_one_decoder(struct tokenizer *t, const json_t *value,
                                          enum decoder_place *last, struct error *e)
{
    static const struct {
        const char *type;
        enum decoder_place place;
        part_loader *load;
    } parts[] = {{"Replace", PLACE_TEXT, load_decoder_replace},
                 {"Metaspace", PLACE_TEXT, load_decoder_metaspace},
                 {"ByteFallback", PLACE_BYTES, NULL},
                 {"Fuse", PLACE_FUSE, NULL},
                 {"Strip", PLACE_STRIP, load_decoder_strip},
                 {"ByteLevel", PLACE_ALONE, NULL}};
    const char *type;
    enum graft_status status = take_type(value, &type, e);
    if (status != GRAFT_OK) return status;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strcmp(type, parts[i].type) != 0) continue;
        bool strip_each = parts[i].place == PLACE_STRIP && *last != PLACE_FUSE;
        bool wrong_level = (parts[i].place == PLACE_ALONE) != t->byte_level;
        if (parts[i].place < *last || strip_each || wrong_level)
            return error_set(e, GRAFT_E_INVALID,
                             "%s is not supported at this place (allowed: ByteLevel alone with a "
                             "ByteLevel pre-tokenizer; else Replace or Metaspace, ByteFallback, "
                             "Fuse, Strip in this order)",
                             type);
        *last = parts[i].place;
        if (parts[i].place == PLACE_BYTES) t->decode.byte_fallback = true;
        return parts[i].load != NULL ? parts[i].load(t, value, e) : GRAFT_OK;
    }
    return refuse(type, "ByteLevel, Replace, Metaspace, ByteFallback, Fuse, Strip, Sequence", e);
}

enum graft_status load_decoder(struct tokenizer *t, const json_t *value, struct error *e)
{
    const char *type;
    enum decoder_place last = PLACE_TEXT;
    if (value == NULL || json_is_null(value)) return GRAFT_OK;
    enum graft_status status = take_type(value, &type, e);
    if (status != GRAFT_OK) return status;
    if (strcmp(type, "Sequence") != 0) return load_one_decoder(t, value, &last, e);
    const json_t *list = json_object_get(value, "decoders");
    if (!json_is_array(list)) return wrong_kind("decoders", "a list", e);
    for (size_t i = 0; i < json_array_size(list) && status == GRAFT_OK; i++)
        status = load_one_decoder(t, json_array_get(list, i), &last, e);
    return status;
}

/* ---- post-processor ---- */

static enum graft_status add_template_ids(struct tokenizer *t, const json_t *template,
                                          const char *name, bool after, struct error *e)
{
    const json_t *known = json_object_get(json_object_get(template, "special_tokens"), name);
    const json_t *ids = json_object_get(known, "ids");
    int32_t *list = after ? t->after : t->before;
    size_t *count = after ? &t->after_count : &t->before_count;
    if (!json_is_array(ids))
        return error_set(e, GRAFT_E_INVALID, "special_tokens has no ids of \"%.60s\"", name);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));
        if (!json_is_integer(json_array_get(ids, i)) || id < 0 || (size_t)id >= t->count)
            return error_set(e, GRAFT_E_INVALID, "\"%.60s\": id %lld is not in the vocabulary",
                             name, (long long)id);
        if (*count == MOST_AROUND)
            return error_set(e, GRAFT_E_INVALID, "more than %d special tokens around a text",
                             MOST_AROUND);
        list[(*count)++] = (int32_t)id;
    }
    return GRAFT_OK;
}

static enum graft_status load_template(struct tokenizer *t, const json_t *value, struct error *e)
{
    const json_t *single = json_object_get(value, "single");
    size_t sequences = 0;
    if (!json_is_array(single)) return wrong_kind("single", "a list", e);
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *token = json_object_get(item, "SpecialToken");
        const char *name = json_string_value(json_object_get(token, "id"));
        if (json_object_get(item, "Sequence") != NULL) {
            sequences++;
            continue;
        }
        if (name == NULL)
            return error_set(e, GRAFT_E_INVALID,
                             "entry %zu of \"single\" is neither a SpecialToken nor a Sequence", i);
        enum graft_status status = add_template_ids(t, value, name, sequences != 0, e);
        if (status != GRAFT_OK) return status;
    }
    if (sequences == 1) return GRAFT_OK;
    return error_set(e, GRAFT_E_INVALID, "\"single\" has %zu Sequences, not one", sequences);
}

enum graft_status load_post_processor(struct tokenizer *t, const json_t *value, struct error *e)
{
    const char *type;
    if (value == NULL || json_is_null(value)) return GRAFT_OK;
    enum graft_status status = take_type(value, &type, e);
    if (status != GRAFT_OK) return status;
    if (strcmp(type, "Sequence") == 0)
        return load_sequence(t, value, "processors", load_post_processor, e);
    if (strcmp(type, "TemplateProcessing") == 0) return load_template(t, value, e);
    if (strcmp(type, "ByteLevel") == 0) return GRAFT_OK; /* it only moves offsets */
    return refuse(type, "TemplateProcessing, ByteLevel, Sequence", e);
}

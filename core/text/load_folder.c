/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer from a Hugging Face folder: tokenizer.json, then the files beside it that name the
 * special tokens, the chat template and the ids that end generation.
 */
#include "text/load_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { JSON_LIMIT = 256 << 20, TEMPLATE_LIMIT = 1 << 20 };

static enum graft_status no_memory(const char *path, struct error *e)
{
    return error_memory(e, path, strlen(path));
}

/* A JSON object beside tokenizer.json; NULL where there is no such file. */
static enum graft_status read_beside(const char *folder, const char *name, json_t **value,
                                     struct error *e)
{
    struct stat info;
    *value = NULL;
    char *path = mem_format("%s/%s", folder, name);
    if (path == NULL) return no_memory(name, e);
    enum graft_status status = GRAFT_OK;
    if (stat(path, &info) == 0) {
        status = json_read_file(path, JSON_LIMIT, value, e);
        if (status == GRAFT_OK && !json_is_object(*value)) {
            json_decref(*value);
            *value = NULL;
            status = error_set(e, GRAFT_E_INVALID, "%s: not a JSON object", path);
        }
    } else if (errno != ENOENT) {
        status = error_errno(e, "cannot open", path);
    }
    mem_free(path);
    return status;
}

static enum graft_status load_pipeline(struct tokenizer *t, const json_t *root, struct error *e)
{
    static const struct {
        const char *key;
        enum graft_status (*load)(struct tokenizer *, const json_t *, struct error *);
    } parts[] = {{"pre_tokenizer", load_pre_tokenizer},
                 {"normalizer", load_normalizer},
                 {"model", load_model},
                 {"decoder", load_decoder},
                 {"added_tokens", load_added_tokens},
                 {"post_processor", load_post_processor}};
    const char *type = json_string_value(json_object_get(json_object_get(root, "model"), "type"));
    if (type != NULL && strcmp(type, "BPE") != 0) /* said first: the rest differs for a reason */
        return error_set(e, GRAFT_E_INVALID,
                         "model: type \"%.60s\" is not supported (allowed: BPE)", type);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].load(t, json_object_get(root, parts[i].key), e) != GRAFT_OK)
            return error_place(e, "%s", parts[i].key);
    return GRAFT_OK;
}

static enum graft_status load_main(struct tokenizer *t, const char *folder, struct error *e)
{
    json_t *root = NULL;
    enum graft_status status = read_beside(folder, "tokenizer.json", &root, e);
    if (status != GRAFT_OK) return status;
    if (root == NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "%s: there is no tokenizer.json (a tokenizer.model alone is not read): "
                         "save the model again with transformers",
                         folder);
    status = load_pipeline(t, root, e);
    json_decref(root);
    return status == GRAFT_OK ? GRAFT_OK : error_place(e, "%s/tokenizer.json", folder);
}

/* A text or an object with "content". */
static const char *token_text(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
}

/* added_tokens_decoder may hold tokens that tokenizer.json lacks. */
static enum graft_status load_more_added(struct tokenizer *t, const json_t *config, struct error *e)
{
    json_t *more = json_object_get(config, "added_tokens_decoder");
    for (void *it = json_object_iter(more); it != NULL; it = json_object_iter_next(more, it)) {
        int64_t id;
        if (!parse_int64(json_object_iter_key(it), &id))
            return error_set(e, GRAFT_E_INVALID, "added_tokens_decoder: \"%.60s\" is no id",
                             json_object_iter_key(it));
        if (id >= 0 && (size_t)id < t->count && (t->tokens[id].flags & TOKEN_ADDED) != 0) continue;
        enum graft_status status = load_added_token(t, json_object_iter_value(it), id, e);
        if (status != GRAFT_OK) return error_place(e, "added_tokens_decoder");
    }
    return GRAFT_OK;
}

static void name_tokens(struct tokenizer *t, const json_t *config)
{
    static const char *const keys[] = {"bos_token", "eos_token"};
    int32_t *const ids[] = {&t->bos, &t->eos};
    for (size_t i = 0; i < 2; i++) {
        const char *text = token_text(config, keys[i]);
        if (text != NULL && *ids[i] < 0) *ids[i] = tokenizer_find(t, text);
    }
}

/* An explicit add_bos_token overrides the post-processor, as in transformers. */
static void apply_add_bos(struct tokenizer *t, const json_t *config)
{
    const json_t *value = json_object_get(config, "add_bos_token");
    if (t->bos < 0 || !json_is_boolean(value) || json_is_true(value) == tokenizer_adds_bos(t))
        return;
    if (json_is_true(value) && t->before_count < MOST_AROUND) {
        memmove(t->before + 1, t->before, t->before_count * sizeof *t->before);
        t->before[0] = t->bos;
        t->before_count++;
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < t->before_count; i++)
        if (t->before[i] != t->bos) t->before[kept++] = t->before[i];
    t->before_count = kept;
}

/* chat_template: a text, or a list of {"name", "template"} of which "default" counts. */
static const char *template_text(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    if (!json_is_array(value)) return json_string_value(value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name != NULL && strcmp(name, "default") == 0)
            return json_string_value(json_object_get(item, "template"));
    }
    return NULL;
}

static enum graft_status keep_template(struct tokenizer *t, const char *text, struct error *e)
{
    if (text == NULL || t->chat_template != NULL) return GRAFT_OK;
    t->chat_template = arena_strdup(&t->arena, text);
    return t->chat_template != NULL ? GRAFT_OK : error_memory(e, "the chat template", strlen(text));
}

static enum graft_status read_template_file(struct tokenizer *t, const char *path, struct error *e)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL && errno == ENOENT) return GRAFT_OK;
    if (file == NULL) return error_errno(e, "cannot open", path);
    char *text = mem_zalloc(TEMPLATE_LIMIT + 1, 1);
    enum graft_status status = GRAFT_OK;
    size_t length = text != NULL ? fread(text, 1, TEMPLATE_LIMIT + 1, file) : 0;
    if (text == NULL)
        status = no_memory(path, e);
    else if (ferror(file))
        status = error_errno(e, "cannot read", path);
    else if (length > TEMPLATE_LIMIT || utf8_check(text, length) != length ||
             strlen(text) != length)
        status = error_set(e, GRAFT_E_INVALID, "%s: not a UTF-8 text of at most %d bytes", path,
                           TEMPLATE_LIMIT);
    else
        status = keep_template(t, text, e);
    mem_free(text);
    fclose(file);
    return status;
}

static enum graft_status load_template_file(struct tokenizer *t, const char *folder,
                                            struct error *e)
{
    char *path = mem_format("%s/chat_template.jinja", folder);
    if (path == NULL) return no_memory("chat_template.jinja", e);
    enum graft_status status = read_template_file(t, path, e);
    mem_free(path);
    return status;
}

static void mark_end(struct tokenizer *t, const json_t *value)
{
    json_int_t id = json_integer_value(value);
    if (json_is_integer(value) && id >= 0 && (size_t)id < t->count)
        t->tokens[id].flags |= TOKEN_ENDS;
}

/* eos_token_id of generation_config.json, or of config.json where that has none. */
static enum graft_status load_ends(struct tokenizer *t, const char *folder, struct error *e)
{
    static const char *const names[] = {"generation_config.json", "config.json"};
    for (size_t i = 0; i < 2; i++) {
        json_t *config;
        enum graft_status status = read_beside(folder, names[i], &config, e);
        if (status != GRAFT_OK) return status;
        const json_t *ids = json_object_get(config, "eos_token_id");
        bool found = ids != NULL && !json_is_null(ids);
        mark_end(t, ids);
        for (size_t k = 0; k < json_array_size(ids); k++) mark_end(t, json_array_get(ids, k));
        json_decref(config);
        if (found) break;
    }
    return GRAFT_OK;
}

static enum graft_status load_configs(struct tokenizer *t, const char *folder, struct error *e)
{
    json_t *config = NULL, *map = NULL;
    enum graft_status status = read_beside(folder, "tokenizer_config.json", &config, e);
    if (status == GRAFT_OK && load_more_added(t, config, e) != GRAFT_OK)
        status = error_place(e, "%s/tokenizer_config.json", folder);
    if (status == GRAFT_OK) status = read_beside(folder, "special_tokens_map.json", &map, e);
    if (status == GRAFT_OK) {
        added_set_sort(&t->added);
        added_set_sort(&t->added_normalized);
        name_tokens(t, config);
        name_tokens(t, map);
        apply_add_bos(t, config);
        status = load_template_file(t, folder, e);
    }
    if (status == GRAFT_OK) status = keep_template(t, template_text(config), e);
    json_decref(config);
    json_decref(map);
    return status;
}

enum graft_status tokenizer_from_folder(const char *folder, struct tokenizer **t, struct error *e)
{
    struct tokenizer *made = tokenizer_create();
    if (made == NULL) return error_memory(e, "a tokenizer", sizeof *made);
    enum graft_status status = load_main(made, folder, e);
    if (status == GRAFT_OK) status = load_configs(made, folder, e);
    if (status == GRAFT_OK) status = load_ends(made, folder, e);
    if (status == GRAFT_OK && tokenizer_complete(made, e) != GRAFT_OK)
        status = error_place(e, "%s/tokenizer.json", folder);
    if (status != GRAFT_OK) {
        tokenizer_destroy(made);
        return status;
    }
    *t = made;
    return GRAFT_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the texts of a record are: the formats of core/data/record.c, but nothing has to be there.
 */
#include "audit/record.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

static enum graft_status add(struct record *r, json_t *value, const char *key, enum text_role role,
                             struct error *e)
{
    if (!array_reserve(&r->texts, &r->text_capacity, r->text_count + 1, sizeof *r->texts))
        return error_memory(e, "a record", sizeof *r->texts);
    r->texts[r->text_count++] = (struct record_text){value, key, role};
    return GRAFT_OK;
}

static void not_a(struct record *r, const char *key, const char *what, const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "text",  "a number",
                                        "a number",  "true",   "false", "null"};
    snprintf(r->detail, sizeof r->detail, "`%s` must be %s, found %s", key, what,
             value == NULL ? "nothing" : names[json_typeof(value)]);
    r->fault = RULE_BAD_RECORD;
}

/* A member that must be text, or may be missing or null. */
static enum graft_status add_member(struct record *r, const json_t *object, const char *key,
                                    enum text_role role, struct error *e)
{
    json_t *value = json_object_get(object, key);
    if (value != NULL && !json_is_string(value) && !json_is_null(value)) {
        not_a(r, key, "text", value);
        return GRAFT_OK;
    }
    bool missing = value == NULL || json_is_null(value);
    if (missing && role == TEXT_EXTRA) return GRAFT_OK;
    return add(r, missing ? NULL : value, key, role, e);
}

static enum text_role role_of(const char *speaker, const char **key)
{
    static const char *const users[] = {"user", "human"};
    static const char *const answers[] = {"assistant", "gpt", "chatgpt", "bing", "bard"};
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        if (strcmp(speaker, users[i]) == 0) {
            *key = "user message";
            return TEXT_QUESTION;
        }
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (strcmp(speaker, answers[i]) == 0) {
            *key = "assistant message";
            return TEXT_ANSWER;
        }
    *key = "message";
    return TEXT_EXTRA;
}

/* The parts [{"type": "text", "text": ...}] of a message. */
static enum graft_status add_parts(struct record *r, const json_t *parts, const char *key,
                                   enum text_role role, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; status == GRAFT_OK && i < json_array_size(parts); i++) {
        json_t *text = json_object_get(json_array_get(parts, i), "text");
        if (json_is_string(text)) status = add(r, text, key, role, e);
    }
    return status;
}

static enum graft_status add_message(struct record *r, const json_t *message, const char *who,
                                     const char *what, struct error *e)
{
    const char *speaker = json_string_value(json_object_get(message, who)), *key;
    json_t *content = json_object_get(message, what);
    if (speaker == NULL) {
        not_a(r, who, "text", json_object_get(message, who));
        return GRAFT_OK;
    }
    enum text_role role = role_of(speaker, &key);
    if (json_is_array(content) && json_array_size(content) != 0)
        return add_parts(r, content, key, role, e);
    if (content != NULL && !json_is_string(content) && !json_is_null(content)) {
        not_a(r, what, "text", content);
        return GRAFT_OK;
    }
    bool calls = json_array_size(json_object_get(message, "tool_calls")) != 0;
    if (!json_is_string(content) && (calls || role == TEXT_EXTRA)) return GRAFT_OK;
    return add(r, json_is_string(content) ? content : NULL, key, role, e);
}

static enum graft_status add_messages(struct record *r, const json_t *list, const char *key,
                                      const char *who, const char *what, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    if (!json_is_array(list)) {
        not_a(r, key, "a list", list);
        return GRAFT_OK;
    }
    for (size_t i = 0; status == GRAFT_OK && i < json_array_size(list); i++)
        status = add_message(r, json_array_get(list, i), who, what, e);
    if (status == GRAFT_OK && json_array_size(list) == 0)
        status = add(r, NULL, key, TEXT_ANSWER, e);
    return status;
}

static enum graft_status add_history(struct record *r, const json_t *history, struct error *e)
{
    enum graft_status status = GRAFT_OK;
    for (size_t i = 0; i < json_array_size(history); i++)
        for (size_t k = 0; status == GRAFT_OK && k < 2; k++) {
            json_t *text = json_array_get(json_array_get(history, i), k);
            if (json_is_string(text)) status = add(r, text, "history", TEXT_EXTRA, e);
        }
    return status;
}

static enum graft_status find_alpaca(struct record *r, struct error *e)
{
    enum graft_status status = add_member(r, r->object, "system", TEXT_EXTRA, e);
    if (status == GRAFT_OK) status = add_history(r, json_object_get(r->object, "history"), e);
    if (status == GRAFT_OK) status = add_member(r, r->object, "instruction", TEXT_QUESTION, e);
    if (status == GRAFT_OK) status = add_member(r, r->object, "input", TEXT_EXTRA, e);
    if (status == GRAFT_OK) status = add_member(r, r->object, "output", TEXT_ANSWER, e);
    return status;
}

static enum graft_status find_side(struct record *r, const char *key, enum text_role role,
                                   struct error *e)
{
    const json_t *side = json_object_get(r->object, key);
    if (json_is_array(side)) return add_messages(r, side, key, "role", "content", e);
    return add_member(r, r->object, key, role, e);
}

static void unknown_keys(struct record *r)
{
    const char *key = NULL;
    json_t *value;
    json_object_foreach(r->object, key, value) break;
    snprintf(r->detail, sizeof r->detail, "keys (%.60s%s) of no known format",
             key == NULL ? "none" : key, json_object_size(r->object) > 1 ? ", ..." : "");
    r->fault = RULE_BAD_RECORD;
}

enum graft_status record_find_texts(struct record *r, struct error *e)
{
    const json_t *object = r->object;
    r->text_count = 0;
    json_t *messages = json_object_get(object, "messages");
    if (messages != NULL) return add_messages(r, messages, "messages", "role", "content", e);
    messages = json_object_get(object, "conversations");
    if (messages != NULL) {
        enum graft_status status = add_member(r, object, "system", TEXT_EXTRA, e);
        if (status != GRAFT_OK || r->fault != RULES) return status;
        return add_messages(r, messages, "conversations", "from", "value", e);
    }
    if (json_object_get(object, "instruction") != NULL || json_object_get(object, "output") != NULL)
        return find_alpaca(r, e);
    if (json_object_get(object, "prompt") != NULL ||
        json_object_get(object, "completion") != NULL) {
        enum graft_status status = find_side(r, "prompt", TEXT_QUESTION, e);
        return status == GRAFT_OK ? find_side(r, "completion", TEXT_ANSWER, e) : status;
    }
    if (json_object_get(object, "text") != NULL)
        return add_member(r, object, "text", TEXT_ANSWER, e);
    unknown_keys(r);
    return GRAFT_OK;
}

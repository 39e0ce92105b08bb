/* SPDX-License-Identifier: Apache-2.0
 *
 * One record to one row: the format is found by its keys, and what the record says is checked
 * here: an answer is there, the turns are in order, nothing that we cannot train is passed over.
 */
#include "data/parts.h"

#include <string.h>

#define FORMATS                                                                                    \
    "known formats: messages | conversations (ShareGPT) | instruction + output (Alpaca) | "        \
    "prompt + completion | text"

static enum graft_status no_memory(struct error *e)
{
    return error_memory(e, "a row of data", sizeof(struct data_row));
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "text",  "a number",
                                        "a number",  "true",   "false", "null"};
    return value == NULL ? "nothing" : names[json_typeof(value)];
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static bool has(const json_t *record, const char *key)
{
    return json_object_get(record, key) != NULL;
}

static bool is_given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value)) return false;
    if (json_is_string(value)) return !is_blank(json_string_value(value));
    return !json_is_array(value) || json_array_size(value) != 0;
}

static enum graft_status check_keys(const json_t *record, struct error *e)
{
    struct str keys = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)record, key, value)
    {
        if (json_is_object(json_array_get(value, 0)))
            return error_set(e, GRAFT_E_INVALID,
                             "the rows seem to stand in a list below `%.40s`: give a file of that "
                             "list alone",
                             key);
    }
    json_object_foreach((json_t *)(uintptr_t)record, key, value)
    {
        if (keys.length > 200) break;
        str_printf(&keys, "%s%.40s", keys.length == 0 ? "" : ", ", key);
    }
    if (keys.failed) {
        str_free(&keys);
        return no_memory(e);
    }
    enum graft_status status = error_set(
        e, GRAFT_E_INVALID,
        "keys (%s) of no known format: rename them (in a CSV, in its first line); " FORMATS,
        keys.length == 0 ? "none" : keys.data);
    str_free(&keys);
    return status;
}

static enum graft_status find_format(const json_t *record, enum data_format *format,
                                     struct error *e)
{
    if (has(record, "chosen") || has(record, "rejected"))
        return error_set(e, GRAFT_E_INVALID,
                         "preference data (chosen, rejected) is not trained on here; give the "
                         "chosen answers as messages or as prompt + completion");
    if (has(record, "messages")) {
        *format = DATA_MESSAGES;
    } else if (has(record, "conversations")) {
        *format = DATA_SHAREGPT;
    } else if (has(record, "instruction")) {
        if (!has(record, "output"))
            return error_set(e, GRAFT_E_INVALID, "no answer: `instruction` without `output`");
        *format = DATA_ALPACA;
    } else if (has(record, "prompt")) {
        if (!has(record, "completion"))
            return error_set(e, GRAFT_E_INVALID, "no answer: `prompt` without `completion`");
        *format = DATA_PROMPT;
    } else if (has(record, "text")) {
        *format = DATA_TEXT;
    } else {
        return check_keys(record, e);
    }
    return GRAFT_OK;
}

/* A text member; absent and null give NULL when `optional`. */
static enum graft_status get_text(const json_t *object, const char *key, bool optional,
                                  const char **text, struct error *e)
{
    const json_t *value = json_object_get(object, key);
    if (optional && (value == NULL || json_is_null(value))) {
        *text = NULL;
        return GRAFT_OK;
    }
    if (!json_is_string(value))
        return error_set(e, GRAFT_E_INVALID, "`%s` must be text, found %s", key, type_name(value));
    *text = json_string_value(value);
    return GRAFT_OK;
}

/* Copies `content`; `role` is a constant. */
static enum graft_status add_message(struct reader *r, const char *role, const char *content,
                                     struct error *e)
{
    char *copy = arena_strdup(&r->rows->arena, content);
    if (copy == NULL || !array_reserve(&r->messages, &r->message_capacity, r->message_count + 1,
                                       sizeof *r->messages))
        return no_memory(e);
    r->messages[r->message_count++] =
        (struct chat_message){.role = role, .content = copy, .length = strlen(copy)};
    return GRAFT_OK;
}

static enum graft_status add_system(struct reader *r, const json_t *record, struct error *e)
{
    const char *system = NULL;
    enum graft_status status = get_text(record, "system", true, &system, e);
    if (status != GRAFT_OK) return status;
    if (system == NULL || *system == '\0') return GRAFT_OK;
    return add_message(r, "system", system, e);
}

/* A [question, answer] pair of Alpaca's history. */
static enum graft_status add_exchange(struct reader *r, const json_t *exchange, struct error *e)
{
    const json_t *question = json_array_get(exchange, 0), *answer = json_array_get(exchange, 1);
    if (json_array_size(exchange) != 2 || !json_is_string(question) || !json_is_string(answer))
        return error_set(e, GRAFT_E_INVALID, "`history` must be a list of [question, answer]");
    enum graft_status status = add_message(r, "user", json_string_value(question), e);
    if (status != GRAFT_OK) return status;
    return add_message(r, "assistant", json_string_value(answer), e);
}

static enum graft_status add_question(struct reader *r, const char *instruction, const char *input,
                                      struct error *e)
{
    bool first = !is_blank(instruction), second = input != NULL && !is_blank(input);
    if (!first && !second) return error_set(e, GRAFT_E_INVALID, "`instruction` is empty");
    if (!first || !second) return add_message(r, "user", first ? instruction : input, e);
    char *joined = mem_format("%s\n%s", instruction, input);
    if (joined == NULL) return no_memory(e);
    enum graft_status status = add_message(r, "user", joined, e);
    mem_free(joined);
    return status;
}

static enum graft_status read_alpaca(struct reader *r, const json_t *record, struct error *e)
{
    const char *instruction = NULL, *input = NULL, *output = NULL;
    const json_t *history = json_object_get(record, "history");
    size_t pairs = json_is_array(history) ? json_array_size(history) : 0;
    if (is_given(record, "history") && !json_is_array(history))
        return error_set(e, GRAFT_E_INVALID, "`history` must be a list, found %s",
                         type_name(history));
    if (json_is_null(json_object_get(record, "output")))
        return error_set(e, GRAFT_E_INVALID, "no answer: `output` is null");
    enum graft_status status = get_text(record, "instruction", false, &instruction, e);
    if (status == GRAFT_OK) status = get_text(record, "input", true, &input, e);
    if (status == GRAFT_OK) status = get_text(record, "output", false, &output, e);
    if (status != GRAFT_OK) return status;
    if (is_blank(output)) return error_set(e, GRAFT_E_INVALID, "no answer: `output` is empty");
    status = add_system(r, record, e);
    for (size_t i = 0; status == GRAFT_OK && i < pairs; i++)
        status = add_exchange(r, json_array_get(history, i), e);
    if (status == GRAFT_OK) status = add_question(r, instruction, input, e);
    return status == GRAFT_OK ? add_message(r, "assistant", output, e) : status;
}

/* Parts [{"type": "text", "text": ...}] joined. */
static enum graft_status join_parts(const json_t *parts, struct str *out, struct error *e)
{
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");
        if (type == NULL || strcmp(type, "text") != 0 || !json_is_string(text))
            return error_set(e, GRAFT_E_INVALID, "a content part of type `%s`: only text is read",
                             type == NULL ? "?" : type);
        str_add(out, json_string_value(text), json_string_length(text));
    }
    str_puts(out, "");
    return out->failed ? no_memory(e) : GRAFT_OK;
}

static enum graft_status refuse_tools(const char *what, struct error *e)
{
    return error_set(e, GRAFT_E_INVALID, "`%s`: tool calls are not trained on; leave such rows out",
                     what);
}

static enum graft_status message_role(const char *given, const char **role, struct error *e)
{
    static const char *const known[][2] = {
        {"system", "system"},     {"developer", "system"}, {"user", "user"},
        {"human", "user"},        {"gpt", "assistant"},    {"assistant", "assistant"},
        {"chatgpt", "assistant"}, {"bing", "assistant"},   {"bard", "assistant"},
    };
    static const char *const tools[] = {"tool", "function", "observation", "function_call"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(given, known[i][0]) == 0) {
            *role = known[i][1];
            return GRAFT_OK;
        }
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (strcmp(given, tools[i]) == 0) return refuse_tools(given, e);
    return error_set(e, GRAFT_E_INVALID, "unknown role `%.40s`; known: system | user | assistant",
                     given);
}

static enum graft_status add_turn(struct reader *r, const json_t *turn, const char *role_key,
                                  const char *text_key, struct error *e)
{
    const char *given = NULL, *role = NULL;
    const json_t *content = json_object_get(turn, text_key), *weight;
    if (!json_is_object(turn))
        return error_set(e, GRAFT_E_INVALID, "a message must be an object, found %s",
                         type_name(turn));
    if (is_given(turn, "tool_calls")) return refuse_tools("tool_calls", e);
    enum graft_status status = get_text(turn, role_key, false, &given, e);
    if (status == GRAFT_OK) status = message_role(given, &role, e);
    if (status != GRAFT_OK) return status;
    weight = json_object_get(turn, "weight");
    if (weight != NULL && json_number_value(weight) != 1.0)
        return error_set(e, GRAFT_E_INVALID,
                         "`weight`: every answer of a row is trained on; leave the key out");
    if (content == NULL || json_is_null(content))
        return error_set(e, GRAFT_E_INVALID, "%s message without `%s`", role, text_key);
    if (json_is_string(content)) return add_message(r, role, json_string_value(content), e);
    if (!json_is_array(content))
        return error_set(e, GRAFT_E_INVALID, "`%s` must be text, found %s", text_key,
                         type_name(content));
    struct str joined = {0};
    status = join_parts(content, &joined, e);
    if (status == GRAFT_OK) status = add_message(r, role, joined.data, e);
    str_free(&joined);
    return status;
}

static enum graft_status add_turns(struct reader *r, const json_t *turns, const char *role_key,
                                   const char *text_key, struct error *e)
{
    for (size_t i = 0; i < json_array_size(turns); i++) {
        enum graft_status status = add_turn(r, json_array_get(turns, i), role_key, text_key, e);
        if (status != GRAFT_OK) {
            error_place(e, "message %zu", i + 1);
            return status;
        }
    }
    return GRAFT_OK;
}

static enum graft_status read_messages(struct reader *r, const json_t *record, struct error *e)
{
    const json_t *turns = json_object_get(record, "messages");
    if (!json_is_array(turns))
        return error_set(e, GRAFT_E_INVALID, "`messages` must be a list, found %s",
                         type_name(turns));
    if (is_given(record, "tools")) return refuse_tools("tools", e);
    return add_turns(r, turns, "role", "content", e);
}

/* Dumps often begin with an answer: it has no question, so it is left out and reported. */
static void skip_leading_answers(struct reader *r, uint32_t line)
{
    size_t first = 0, skip = 0;
    if (first < r->message_count && strcmp(r->messages[0].role, "system") == 0) first = 1;
    while (first + skip < r->message_count &&
           strcmp(r->messages[first + skip].role, "assistant") == 0)
        skip++;
    if (skip == 0) return;
    if (r->skipped_turns == 0) r->skipped_line = line;
    r->skipped_turns += skip;
    memmove(r->messages + first, r->messages + first + skip,
            (r->message_count - first - skip) * sizeof *r->messages);
    r->message_count -= skip;
}

static enum graft_status read_sharegpt(struct reader *r, const json_t *record, uint32_t line,
                                       struct error *e)
{
    const json_t *turns = json_object_get(record, "conversations");
    if (!json_is_array(turns))
        return error_set(e, GRAFT_E_INVALID, "`conversations` must be a list, found %s",
                         type_name(turns));
    if (is_given(record, "tools")) return refuse_tools("tools", e);
    const char *first = json_string_value(json_object_get(json_array_get(turns, 0), "from"));
    bool own_system = first != NULL && strcmp(first, "system") == 0;
    enum graft_status status = own_system ? GRAFT_OK : add_system(r, record, e);
    if (status == GRAFT_OK) status = add_turns(r, turns, "from", "value", e);
    if (status == GRAFT_OK) skip_leading_answers(r, line);
    return status;
}

/* A side of prompt + completion: a text is one message of `role`. */
static enum graft_status add_side(struct reader *r, const json_t *record, const char *key,
                                  const char *role, struct error *e)
{
    const json_t *side = json_object_get(record, key);
    if (json_is_string(side)) return add_message(r, role, json_string_value(side), e);
    if (!json_is_array(side))
        return error_set(e, GRAFT_E_INVALID, "`%s` must be text or a list of messages, found %s",
                         key, type_name(side));
    return add_turns(r, side, "role", "content", e);
}

static enum graft_status read_prompt(struct reader *r, const json_t *record, struct data_row *row,
                                     struct error *e)
{
    enum graft_status status = add_side(r, record, "prompt", "user", e);
    if (status == GRAFT_OK) status = add_side(r, record, "completion", "assistant", e);
    row->pair = json_is_string(json_object_get(record, "prompt")) &&
                json_is_string(json_object_get(record, "completion"));
    return status;
}

static enum graft_status read_text(struct reader *r, const json_t *record, struct data_row *row,
                                   struct error *e)
{
    const char *text = NULL;
    enum graft_status status = get_text(record, "text", false, &text, e);
    if (status != GRAFT_OK) return status;
    if (is_blank(text)) return error_set(e, GRAFT_E_INVALID, "`text` is empty");
    row->text = arena_strdup(&r->rows->arena, text);
    if (row->text == NULL) return no_memory(e);
    row->text_length = strlen(text);
    return GRAFT_OK;
}

/* [system] (user assistant)+ */
static enum graft_status check_turns(const struct chat_message *m, size_t count, struct error *e)
{
    size_t start = count != 0 && strcmp(m[0].role, "system") == 0;
    for (size_t i = start; i < count; i++) {
        const char *wanted = (i - start) % 2 == 0 ? "user" : "assistant";
        if (strcmp(m[i].role, wanted) != 0)
            return error_set(
                e, GRAFT_E_INVALID,
                "message %zu is of the %s where the %s should speak; allowed: a system "
                "message, then user and assistant in turn",
                i + 1, m[i].role, wanted);
        if (strcmp(wanted, "assistant") == 0 && is_blank(m[i].content))
            return error_set(e, GRAFT_E_INVALID, "no answer: message %zu is empty", i + 1);
    }
    if (count == start) return error_set(e, GRAFT_E_INVALID, "no answer: there are no messages");
    if ((count - start) % 2 != 0)
        return error_set(e, GRAFT_E_INVALID, "no answer: the last message is the user's");
    return GRAFT_OK;
}

static enum graft_status append_row(struct reader *r, struct data_row *row, struct error *e)
{
    struct data_rows *rows = r->rows;
    if (row->text == NULL) {
        struct chat_message *copy = arena_alloc(&rows->arena, r->message_count, sizeof *copy);
        if (copy == NULL) return no_memory(e);
        memcpy(copy, r->messages, r->message_count * sizeof *copy);
        row->messages = copy;
        row->message_count = r->message_count;
    }
    if (!array_reserve(&rows->rows, &rows->capacity, rows->count + 1, sizeof *rows->rows))
        return no_memory(e);
    rows->rows[rows->count++] = *row;
    return GRAFT_OK;
}

static enum graft_status check_format(struct reader *r, enum data_format format, struct error *e)
{
    if (r->format != DATA_NONE && r->format != format)
        return error_set(e, GRAFT_E_INVALID,
                         "this row is %s, the rows before it are %s; a file holds one format",
                         data_format_name(format), data_format_name(r->format));
    r->format = format;
    return GRAFT_OK;
}

enum graft_status record_read(struct reader *r, const json_t *record, uint32_t line,
                              struct error *e)
{
    struct data_row row = {.file = r->file, .line = line};
    enum data_format format = DATA_NONE;
    if (!json_is_object(record))
        return error_set(e, GRAFT_E_INVALID, "a row must be an object, found %s",
                         type_name(record));
    enum graft_status status = find_format(record, &format, e);
    if (status == GRAFT_OK) status = check_format(r, format, e);
    if (status != GRAFT_OK) return status;
    r->message_count = 0;
    switch (format) {
    case DATA_ALPACA: status = read_alpaca(r, record, e); break;
    case DATA_MESSAGES: status = read_messages(r, record, e); break;
    case DATA_SHAREGPT: status = read_sharegpt(r, record, line, e); break;
    case DATA_PROMPT: status = read_prompt(r, record, &row, e); break;
    case DATA_TEXT:
    case DATA_NONE: status = read_text(r, record, &row, e); break;
    }
    if (status == GRAFT_OK && row.text == NULL)
        status = check_turns(r->messages, r->message_count, e);
    return status == GRAFT_OK ? append_row(r, &row, e) : status;
}

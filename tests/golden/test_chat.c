/* SPDX-License-Identifier: Apache-2.0
 *
 * Chat templates against transformers' rendering of their Jinja text (data/chat.json): each is
 * recognized, gives the same text or refuses where the template refuses, and the spans hold what
 * follows the generation prompt up to the end of the turn.
 */
#include "unit/test.h"

#include "base/json.h"
#include "text/chat.h"

#include <string.h>

enum { MOST_MESSAGES = 16 };

static size_t read_messages(const json_t *list, struct chat_message *messages)
{
    size_t count = json_array_size(list);
    assert_true(count <= MOST_MESSAGES);
    for (size_t i = 0; i < count; i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        messages[i] =
            (struct chat_message){json_string_value(json_object_get(m, "role")),
                                  json_string_value(content), json_string_length(content)};
    }
    return count;
}

/* Rendering up to the turn with a generation prompt gives the text up to the span, but where a
 * template changes earlier turns for later ones. */
static void check_spans(const struct chat_format *format, const struct chat_message *messages,
                        size_t count, const struct chat_text *text)
{
    size_t span = 0;
    const char *end = chat_end_of_turn(format);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(messages[i].role, "assistant") != 0) continue;
        assert_true(span < text->count);
        struct chat_span s = text->spans[span++];
        assert_memory_equal(text->text.data + s.end - strlen(end), end, strlen(end));
        if (i + 1 != count) continue;
        struct chat_text prompt = {0};
        struct error e = {0};
        assert_ok(chat_render(format, messages, i, true, &prompt, &e), &e);
        if (format->system != CHAT_SYSTEM_LAST_USER) {
            assert_int_equal(prompt.text.length, s.begin);
            assert_memory_equal(prompt.text.data, text->text.data, s.begin);
        }
        chat_text_free(&prompt);
    }
    assert_int_equal(span, text->count);
}

static void check_case(struct chat_format *format, const json_t *value)
{
    struct chat_message messages[MOST_MESSAGES];
    struct chat_text text = {0};
    struct error e = {0};
    size_t count = read_messages(json_object_get(value, "messages"), messages);
    const char *wanted = json_string_value(json_object_get(value, "text"));
    format->no_thinking = json_is_false(json_object_get(value, "enable_thinking"));
    bool prompt = json_is_true(json_object_get(value, "add_generation_prompt"));
    enum graft_status status = chat_render(format, messages, count, prompt, &text, &e);
    if (wanted == NULL) {
        assert_int_equal(status, GRAFT_E_INVALID);
        assert_non_null(strstr(e.text, "message "));
    } else {
        if (status != GRAFT_OK) fail_msg("%s: %s", format->name, e.text);
        assert_string_equal(text.text.data, wanted);
        if (!prompt) check_spans(format, messages, count, &text);
    }
    chat_text_free(&text);
}

static void test_templates(void **state)
{
    struct error e = {0};
    json_t *families = NULL;
    (void)state;
    assert_ok(json_read_file(GRAFT_TEST_DIR "/golden/data/chat.json", 1 << 20, &families, &e), &e);
    assert_true(json_array_size(families) >= 15);
    for (size_t i = 0; i < json_array_size(families); i++) {
        const json_t *family = json_array_get(families, i),
                     *cases = json_object_get(family, "cases");
        struct chat_format format;
        print_message("%s\n", json_string_value(json_object_get(family, "name")));
        assert_ok(chat_from_template(json_string_value(json_object_get(family, "template")),
                                     json_string_value(json_object_get(family, "bos_token")),
                                     json_string_value(json_object_get(family, "eos_token")),
                                     &format, &e),
                  &e);
        assert_true(json_array_size(cases) != 0);
        for (size_t k = 0; k < json_array_size(cases); k++)
            check_case(&format, json_array_get(cases, k));
        chat_format_free(&format);
    }
    json_decref(families);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates),
    };
    return TEST_MAIN(tests);
}

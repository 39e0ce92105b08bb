/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages to the text that the family's template prints, with the spans that the model writes.
 */
#include "text/chat.h"

#include "text/parts.h"

#include <string.h>

struct slice {
    const char *bytes;
    size_t length;
};

struct renderer {
    const struct chat_format *f;
    const struct chat_message *messages;
    size_t count;
    struct chat_text *out;
    struct error *e;
};

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_OTHER };

static enum role role_of(const struct chat_message *m)
{
    static const char *const names[] = {"system", "user", "assistant"};
    for (int i = 0; i < 3; i++)
        if (strcmp(m->role, names[i]) == 0) return (enum role)i;
    return ROLE_OTHER;
}

/* Python's str.strip: White_Space and the four separators of ASCII. */
static bool is_blank(uint32_t code)
{
    return is_white_space(code) || (code >= 0x1C && code <= 0x1F);
}

static struct slice trim_front(struct slice s)
{
    while (s.length != 0) {
        size_t n = utf8_length(s.bytes, s.length);
        if (n == 0 || !is_blank(utf8_decode(s.bytes, n))) break;
        s.bytes += n;
        s.length -= n;
    }
    return s;
}

static struct slice trim_back(struct slice s)
{
    while (s.length != 0) {
        size_t at = s.length - 1;
        while (at > 0 && ((unsigned char)s.bytes[at] & 0xC0) == 0x80) at--;
        if (utf8_length(s.bytes + at, s.length - at) != s.length - at ||
            !is_blank(utf8_decode(s.bytes + at, s.length - at)))
            break;
        s.length = at;
    }
    return s;
}

static struct slice content_of(const struct chat_message *m, bool trimmed)
{
    struct slice s = {m->content, m->length};
    return trimmed ? trim_back(trim_front(s)) : s;
}

static void add(struct renderer *r, struct slice s)
{
    str_add(&r->out->text, s.bytes, s.length);
}

static void puts_text(struct renderer *r, const char *text)
{
    str_puts(&r->out->text, text);
}

static void system_turn(struct renderer *r, const struct chat_message *m, bool first)
{
    const struct chat_format *f = r->f;
    puts_text(r, f->system_before);
    if (first && f->system_fixed != NULL) puts_text(r, f->system_fixed);
    if (m != NULL)
        add(r, content_of(m, (f->trim & CHAT_TRIM_SYSTEM) != 0));
    else if (f->default_system != NULL)
        puts_text(r, f->default_system);
    puts_text(r, f->system_after);
}

static void user_turn(struct renderer *r, size_t index, bool with_system)
{
    const struct chat_format *f = r->f;
    struct slice content = content_of(&r->messages[index], (f->trim & CHAT_TRIM_USER) != 0);
    if ((f->trim & CHAT_TRIM_JOINED) != 0) {
        content = trim_back(content);
        if (!with_system) content = trim_front(content);
    }
    if (f->bos_each_turn) puts_text(r, f->bos);
    puts_text(r, f->user_before);
    if (with_system) {
        struct slice text = content_of(&r->messages[0], (f->trim & CHAT_TRIM_SYSTEM) != 0);
        puts_text(r, f->system_before);
        add(r, text);
        puts_text(r, f->system_after);
    }
    add(r, content);
    puts_text(r, f->user_after);
}

/* ---- Qwen3 ---- */

static struct slice find(struct slice s, const char *part, bool last)
{
    size_t n = strlen(part);
    struct slice found = {NULL, 0};
    for (size_t i = 0; i + n <= s.length; i++) {
        if (memcmp(s.bytes + i, part, n) != 0) continue;
        found = (struct slice){s.bytes + i, n};
        if (!last) break;
    }
    return found;
}

static struct slice strip_lines(struct slice s, bool front, bool back)
{
    while (front && s.length != 0 && *s.bytes == '\n') {
        s.bytes++;
        s.length--;
    }
    while (back && s.length != 0 && s.bytes[s.length - 1] == '\n') s.length--;
    return s;
}

/* What stands in <think> in an answer, and the answer after it. */
static void split_thinking(struct slice whole, struct slice *thinking, struct slice *answer)
{
    struct slice first = find(whole, "</think>", false), last = find(whole, "</think>", true);
    *thinking = (struct slice){"", 0};
    *answer = whole;
    if (first.bytes == NULL) return;
    struct slice before = {whole.bytes, (size_t)(first.bytes - whole.bytes)};
    struct slice open = find(before, "<think>", true);
    if (open.bytes != NULL) {
        const char *begin = open.bytes + open.length;
        before = (struct slice){begin, (size_t)(first.bytes - begin)};
    }
    *thinking = strip_lines(before, true, true);
    const char *rest = last.bytes + last.length;
    *answer =
        strip_lines((struct slice){rest, whole.length - (size_t)(rest - whole.bytes)}, true, false);
}

static size_t last_user(const struct renderer *r)
{
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    for (size_t i = r->count; i-- > 0;) {
        const struct chat_message *m = &r->messages[i];
        bool tool =
            m->length >= sizeof open - 1 && m->length >= sizeof close - 1 &&
            memcmp(m->content, open, sizeof open - 1) == 0 &&
            memcmp(m->content + m->length - (sizeof close - 1), close, sizeof close - 1) == 0;
        if (role_of(m) == ROLE_USER && !tool) return i;
    }
    return r->count - 1;
}

static const char EMPTY_THOUGHT[] = "<think>\n\n</think>\n\n";

/* Returns where what the model writes begins. */
static size_t thinking_answer(struct renderer *r, size_t index)
{
    struct slice thinking, answer;
    size_t begin = r->out->text.length;
    split_thinking(content_of(&r->messages[index], false), &thinking, &answer);
    bool printed = index > last_user(r) && (index + 1 == r->count || thinking.length != 0);
    if (printed) {
        puts_text(r, "<think>\n");
        add(r, thinking);
        puts_text(r, "\n</think>\n\n");
        answer = strip_lines(answer, true, false);
        if (r->f->no_thinking && thinking.length == 0) begin = r->out->text.length;
    }
    add(r, answer);
    return begin;
}

/* ---- assistant ---- */

static bool add_span(struct renderer *r, size_t begin, size_t end)
{
    struct chat_text *out = r->out;
    if (!array_reserve(&out->spans, &out->capacity, out->count + 1, sizeof *out->spans))
        return false;
    out->spans[out->count++] = (struct chat_span){begin, end};
    return true;
}

static bool assistant_turn(struct renderer *r, size_t index)
{
    const struct chat_format *f = r->f;
    puts_text(r, f->assistant_before);
    size_t begin = r->out->text.length;
    puts_text(r, f->assistant_lead);
    if (f->thinks)
        begin = thinking_answer(r, index);
    else
        add(r, content_of(&r->messages[index], (f->trim & CHAT_TRIM_ASSISTANT) != 0));
    puts_text(r, f->assistant_tail);
    size_t end = r->out->text.length + strlen(f->end);
    /* an open turn is ended by the user's mark, which the next turn prints itself */
    bool marked =
        f->open_turns && index + 1 < r->count && role_of(&r->messages[index + 1]) == ROLE_USER;
    if (!marked) puts_text(r, f->end);
    puts_text(r, f->assistant_after);
    return add_span(r, begin, end);
}

/* ---- the whole ---- */

static enum graft_status check_roles(const struct renderer *r)
{
    const struct chat_format *f = r->f;
    size_t first = r->count != 0 && role_of(&r->messages[0]) == ROLE_SYSTEM;
    if (r->count == 0) return error_set(r->e, GRAFT_E_INVALID, "the conversation has no messages");
    for (size_t i = 0; i < r->count; i++) {
        enum role role = role_of(&r->messages[i]);
        if (role == ROLE_OTHER)
            return error_set(r->e, GRAFT_E_INVALID,
                             "message %zu has the role \"%.40s\" (allowed: system, user, "
                             "assistant)",
                             i + 1, r->messages[i].role);
        if (role == ROLE_SYSTEM && (f->system == CHAT_SYSTEM_NONE ||
                                    (i != 0 && (f->system != CHAT_SYSTEM_TURN || f->alternates))))
            return error_set(r->e, GRAFT_E_INVALID,
                             "message %zu is a system message, which chat template %s does not "
                             "take%s: put its text into the first user message",
                             i + 1, f->name, i != 0 ? " after the first message" : "");
        if (f->alternates && i >= first &&
            role != ((i - first) % 2 == 0 ? ROLE_USER : ROLE_ASSISTANT))
            return error_set(r->e, GRAFT_E_INVALID,
                             "message %zu is from \"%s\" where chat template %s takes \"%s\": user "
                             "and assistant must take turns, the user first",
                             i + 1, r->messages[i].role, f->name,
                             role == ROLE_USER ? "assistant" : "user");
    }
    return GRAFT_OK;
}

static bool turns(struct renderer *r)
{
    const struct chat_format *f = r->f;
    bool system = role_of(&r->messages[0]) == ROLE_SYSTEM;
    bool inside = f->system == CHAT_SYSTEM_FIRST_USER || f->system == CHAT_SYSTEM_LAST_USER;
    if (!system && f->system == CHAT_SYSTEM_TURN &&
        (f->default_system != NULL || f->system_fixed != NULL))
        system_turn(r, NULL, true);
    for (size_t i = system && inside ? 1 : 0; i < r->count; i++) {
        bool here = f->system == CHAT_SYSTEM_FIRST_USER ? i == 1 : i + 1 == r->count;
        switch (role_of(&r->messages[i])) {
        case ROLE_SYSTEM: system_turn(r, &r->messages[i], i == 0); break;
        case ROLE_USER: user_turn(r, i, system && inside && here); break;
        case ROLE_ASSISTANT:
            if (!assistant_turn(r, i)) return false;
            break;
        case ROLE_OTHER: break;
        }
    }
    return true;
}

enum graft_status chat_render(const struct chat_format *format, const struct chat_message *messages,
                              size_t count, bool add_generation_prompt, struct chat_text *out,
                              struct error *e)
{
    struct renderer r = {format, messages, count, out, e};
    enum graft_status status = check_roles(&r);
    if (status != GRAFT_OK) return status;
    str_clear(&out->text);
    out->count = 0;
    if (format->prints_bos && !format->bos_each_turn) puts_text(&r, format->bos);
    puts_text(&r, format->opening);
    bool done = turns(&r);
    if (add_generation_prompt) {
        puts_text(&r, format->assistant_before);
        if (format->thinks && format->no_thinking) puts_text(&r, EMPTY_THOUGHT);
    } else {
        puts_text(&r, format->closing);
    }
    if (done && !out->text.failed) return GRAFT_OK;
    return error_memory(e, "a rendered conversation", out->text.length);
}

void chat_text_free(struct chat_text *text)
{
    str_free(&text->text);
    mem_free(text->spans);
    *text = (struct chat_text){0};
}

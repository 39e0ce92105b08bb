/* SPDX-License-Identifier: Apache-2.0
 *
 * Which family a chat template is: the table of families, and their recognition from the Jinja
 * text by what only they print (the order of src/llama-chat.cpp of ggml-org/llama.cpp, sharpened).
 */
#include "text/chat.h"

#include <string.h>

#define ALPACA_SYSTEM                                                                              \
    "Below is an instruction that describes a task. Write a response that appropriately "          \
    "completes the request."
#define VICUNA_SYSTEM                                                                              \
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives " \
    "helpful, detailed, and polite answers to the user's questions."
#define LLAMA3_TURN(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

/* "" in `end` stands for the tokenizer's eos. */
#define CHATML                                                                                     \
    .system_before = "<|im_start|>system\n", .system_after = "<|im_end|>\n",                       \
    .user_before = "<|im_start|>user\n", .user_after = "<|im_end|>\n",                             \
    .assistant_before = "<|im_start|>assistant\n", .end = "<|im_end|>", .assistant_after = "\n"
#define LLAMA3                                                                                     \
    .system_before = LLAMA3_TURN("system"), .system_after = "<|eot_id|>",                          \
    .user_before = LLAMA3_TURN("user"), .user_after = "<|eot_id|>",                                \
    .assistant_before = LLAMA3_TURN("assistant"), .end = "<|eot_id|>", .prints_bos = true,         \
    .trim = CHAT_TRIM_SYSTEM | CHAT_TRIM_USER | CHAT_TRIM_ASSISTANT
#define GEMMA                                                                                      \
    .user_before = "<start_of_turn>user\n", .user_after = "<end_of_turn>\n",                       \
    .assistant_before = "<start_of_turn>model\n", .end = "<end_of_turn>", .assistant_after = "\n", \
    .prints_bos = true, .alternates = true, .trim = CHAT_TRIM_USER | CHAT_TRIM_ASSISTANT
#define MARKED(after)                                                                              \
    .system_before = "<|system|>\n", .system_after = after "\n", .user_before = "<|user|>\n",      \
    .user_after = after "\n", .assistant_before = "<|assistant|>\n", .assistant_after = "\n"

static const struct chat_format FORMATS[] = {
    {.name = "chatml", CHATML},
    {.name = "smollm2",
     CHATML,
     .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    {.name = "qwen2", CHATML, .default_system = "You are a helpful assistant."},
    {.name = "qwen2.5",
     CHATML,
     .default_system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."},
    {.name = "qwen3", CHATML, .thinks = true},
    {.name = "llama3", LLAMA3},
    {.name = "llama3.1",
     LLAMA3,
     .system_fixed = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"},
    {.name = "llama2",
     .system = CHAT_SYSTEM_FIRST_USER,
     .system_before = "<<SYS>>\n",
     .system_after = "\n<</SYS>>\n\n",
     .user_before = "[INST] ",
     .user_after = " [/INST]",
     .assistant_lead = " ",
     .assistant_tail = " ",
     .prints_bos = true,
     .bos_each_turn = true,
     .alternates = true,
     .trim = CHAT_TRIM_JOINED | CHAT_TRIM_ASSISTANT},
    {.name = "mistral",
     .system = CHAT_SYSTEM_NONE,
     .user_before = "[INST] ",
     .user_after = " [/INST]",
     .prints_bos = true,
     .alternates = true},
    {.name = "mistral-v1",
     .system = CHAT_SYSTEM_FIRST_USER,
     .system_after = "\n\n",
     .user_before = " [INST] ",
     .user_after = " [/INST]",
     .assistant_lead = " ",
     .prints_bos = true,
     .alternates = true},
    {.name = "mistral-v3",
     .system = CHAT_SYSTEM_LAST_USER,
     .system_after = "\n\n",
     .user_before = "[INST] ",
     .user_after = "[/INST]",
     .assistant_lead = " ",
     .prints_bos = true,
     .alternates = true,
     .trim = CHAT_TRIM_ASSISTANT},
    {.name = "mistral-v3-tekken",
     .system = CHAT_SYSTEM_LAST_USER,
     .system_after = "\n\n",
     .user_before = "[INST]",
     .user_after = "[/INST]",
     .prints_bos = true,
     .alternates = true},
    {.name = "mistral-v7",
     .system_before = "[SYSTEM_PROMPT] ",
     .system_after = "[/SYSTEM_PROMPT]",
     .user_before = "[INST] ",
     .user_after = "[/INST]",
     .assistant_lead = " ",
     .prints_bos = true},
    {.name = "mistral-v7-tekken",
     .system_before = "[SYSTEM_PROMPT]",
     .system_after = "[/SYSTEM_PROMPT]",
     .user_before = "[INST]",
     .user_after = "[/INST]",
     .prints_bos = true},
    {.name = "gemma", GEMMA, .system = CHAT_SYSTEM_NONE},
    {.name = "gemma3", GEMMA, .system = CHAT_SYSTEM_FIRST_USER, .system_after = "\n\n"},
    {.name = "zephyr", MARKED("\x01")},
    {.name = "phi3", MARKED("<|end|>"), .end = "<|end|>", .closing = "\x01"},
    {.name = "glm4",
     .opening = "[gMASK]<sop>",
     .system_before = "<|system|>\n",
     .user_before = "<|user|>\n",
     .assistant_before = "<|assistant|>",
     .assistant_lead = "\n",
     .end = "<|user|>",
     .open_turns = true},
    {.name = "chatglm3",
     .opening = "[gMASK]sop",
     .system_before = "<|system|>\n ",
     .user_before = "<|user|>\n ",
     .assistant_before = "<|assistant|>",
     .assistant_lead = "\n ",
     .end = "<|user|>",
     .open_turns = true},
    {.name = "vicuna",
     .system = CHAT_SYSTEM_TURN,
     .default_system = VICUNA_SYSTEM,
     .system_after = " ",
     .user_before = "USER: ",
     .user_after = " ",
     .assistant_before = "ASSISTANT:",
     .assistant_lead = " ",
     .alternates = true},
    {.name = "alpaca",
     .system = CHAT_SYSTEM_TURN,
     .default_system = ALPACA_SYSTEM,
     .system_after = "\n\n",
     .user_before = "### Instruction:\n",
     .user_after = "\n\n",
     .assistant_before = "### Response:\n",
     .alternates = true},
};

static const char NAMES[] =
    "chatml, smollm2, qwen2, qwen2.5, qwen3, llama3, llama3.1, llama2, mistral, mistral-v1, "
    "mistral-v3, mistral-v3-tekken, mistral-v7, mistral-v7-tekken, gemma, gemma3, zephyr, phi3, "
    "glm4, chatglm3, vicuna, alpaca";

const char *chat_names(void)
{
    return NAMES;
}

static const struct chat_format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++)
        if (strcmp(FORMATS[i].name, name) == 0) return &FORMATS[i];
    return NULL;
}

/* "\x01" in a text of the table is the tokenizer's eos. */
static const char *with_eos(struct chat_format *f, const char *text)
{
    if (text == NULL) return "";
    const char *mark = strchr(text, '\x01');
    if (mark == NULL) return text;
    return arena_format(&f->arena, "%.*s%s%s", (int)(mark - text), text, f->eos, mark + 1);
}

/* Copies the family and fills in the tokens; on failure nothing is held. */
static enum graft_status make(const struct chat_format *family, const char *bos, const char *eos,
                              struct chat_format *format, struct error *e)
{
    struct chat_format f = *family;
    const char **texts[] = {&f.opening,         &f.system_before,  &f.system_after,
                            &f.user_before,     &f.user_after,     &f.assistant_before,
                            &f.assistant_lead,  &f.assistant_tail, &f.end,
                            &f.assistant_after, &f.closing};
    bool needs_eos = f.end == NULL;
    if (needs_eos && (eos == NULL || *eos == '\0'))
        return error_set(
            e, GRAFT_E_INVALID,
            "chat template %s ends turns with the end-of-text token, but the tokenizer "
            "names none: set eos_token in the model's tokenizer_config.json, or name "
            "another template (data.template: %s)",
            f.name, NAMES);
    f.bos = bos != NULL ? arena_strdup(&f.arena, bos) : "";
    f.eos = eos != NULL ? arena_strdup(&f.arena, eos) : "";
    bool made = f.bos != NULL && f.eos != NULL;
    if (needs_eos) f.end = f.eos;
    for (size_t i = 0; made && i < sizeof texts / sizeof *texts; i++)
        made = (*texts[i] = with_eos(&f, *texts[i])) != NULL;
    if (!made) {
        arena_free(&f.arena);
        return error_memory(e, "a chat template", sizeof f);
    }
    *format = f;
    return GRAFT_OK;
}

enum graft_status chat_from_name(const char *name, const char *bos, const char *eos,
                                 struct chat_format *format, struct error *e)
{
    const struct chat_format *family = find_format(name);
    if (family != NULL) return make(family, bos, eos, format, e);
    const char *known[sizeof FORMATS / sizeof *FORMATS];
    for (size_t i = 0; i < sizeof FORMATS / sizeof *FORMATS; i++) known[i] = FORMATS[i].name;
    const char *nearest = nearest_word(name, known, sizeof known / sizeof *known);
    return error_set(e, GRAFT_E_INVALID, "unknown chat template \"%.60s\"%s%s%s (allowed: %s)",
                     name, nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "?" : "", NAMES);
}

void chat_format_free(struct chat_format *format)
{
    arena_free(&format->arena);
    *format = (struct chat_format){0};
}

const char *chat_end_of_turn(const struct chat_format *format)
{
    return format->end;
}

/* ---- recognition ---- */

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static const char *chatml_name(const char *t)
{
    if (has(t, "<|im_sep|>") || has(t, "<end_of_utterance>") || has(t, "strftime_now")) return NULL;
    if (has(t, "last_query_index") && has(t, "<think>")) return "qwen3";
    return has(t, "<think>") || has(t, "/no_think") ? NULL : "chatml";
}

static const char *inst_name(const char *t)
{
    if (has(t, "default_system_message")) return NULL; /* a long text with the day's date */
    if (has(t, "[SYSTEM_PROMPT]"))
        return has(t, "[SYSTEM_PROMPT] ") ? "mistral-v7" : "mistral-v7-tekken";
    if (has(t, "' [INST] ' + system_message") || has(t, "\" [INST] \" + system_message"))
        return "mistral-v1";
    if (has(t, "[AVAILABLE_TOOLS]")) {
        if (has(t, " [INST]")) return "mistral-v1";
        return has(t, "\"[INST]\"") || has(t, "'[INST]'") ? "mistral-v3-tekken" : "mistral-v3";
    }
    if (has(t, "<<SYS>>")) return "llama2";
    return has(t, "[/INST]") ? "mistral" : NULL;
}

static const char *marked_name(const char *t)
{
    if (has(t, "<|end|>")) return has(t, "<|assistant|>") && has(t, "<|user|>") ? "phi3" : NULL;
    if (has(t, "<think>")) return NULL;
    if (has(t, "[gMASK]<sop>")) return "glm4";
    if (has(t, "[gMASK]sop")) return "chatglm3";
    return has(t, "<|user|>") && has(t, "<|assistant|>") && has(t, "eos_token") ? "zephyr" : NULL;
}

static const char *family_name(const char *t)
{
    if (has(t, "<|im_start|>")) return chatml_name(t);
    if (has(t, "[INST]")) return inst_name(t);
    if (has(t, "<|assistant|>") || has(t, "[gMASK]")) return marked_name(t);
    if (has(t, "<start_of_turn>")) return has(t, "first_user_prefix") ? "gemma3" : "gemma";
    if (has(t, "<|start_header_id|>") && has(t, "<|eot_id|>"))
        return has(t, "Cutting Knowledge Date") ? "llama3.1" : "llama3";
    return has(t, VICUNA_SYSTEM) && has(t, "USER: ") && has(t, "ASSISTANT:") ? "vicuna" : NULL;
}

/* A Jinja string literal from `p` (past its opening quote) to the quote or to `stop`, whichever
 * comes first, unescaped. *closed is where it ended. */
static void read_literal(const char *p, char quote, const char *stop, struct str *out,
                         const char **closed)
{
    size_t stop_length = strlen(stop);
    str_clear(out);
    while (*p != '\0' && *p != quote && (stop_length == 0 || strncmp(p, stop, stop_length) != 0)) {
        if (*p == '\\' && p[1] != '\0') {
            str_putc(out, p[1] == 'n' ? '\n' : p[1] == 't' ? '\t' : p[1]);
            p += 2;
        } else {
            str_putc(out, *p++);
        }
    }
    *closed = p;
}

/* '<|im_start|>system\nTEXT<|im_end|>' or "set system_message = 'TEXT'" in the template. */
static bool default_system(const char *t, struct str *out)
{
    static const char head[] = "<|im_start|>system", set[] = "set system_message = ";
    const char *closed, *p = t;
    while ((p = strstr(p, head)) != NULL) {
        char quote = p == t ? '\'' : p[-1];
        p += sizeof head - 1;
        if (quote != '\'' && quote != '"') continue;
        read_literal(p, quote, "<|im_end|>", out, &closed);
        if (*closed == '<' && out->length > 1 && out->data[0] == '\n') {
            memmove(out->data, out->data + 1, out->length);
            out->length--;
            return true;
        }
    }
    for (p = t; (p = strstr(p, set)) != NULL;) {
        p += sizeof set - 1;
        if (*p != '\'' && *p != '"') continue;
        read_literal(p + 1, *p, "", out, &closed);
        if (out->length != 0) return true;
    }
    return false;
}

/* Two literals of Llama-3.1's template. */
static bool llama31_dates(const char *t, struct str *out)
{
    static const char cut[] = "Cutting Knowledge Date: ";
    const char *p = strstr(t, cut), *day = strstr(t, "date_string = "), *closed;
    struct str text = {0};
    if (p == NULL || day == NULL || (day[14] != '"' && day[14] != '\'')) return false;
    read_literal(p + sizeof cut - 1, '"', "\n", &text, &closed);
    while (text.length != 0 && text.data[text.length - 1] == '\n') text.data[--text.length] = '\0';
    str_printf(out, "%s%s\n", cut, text.data != NULL ? text.data : "");
    read_literal(day + 15, day[14], "", &text, &closed);
    str_printf(out, "Today Date: %s\n\n", text.data != NULL ? text.data : "");
    out->failed = out->failed || text.failed;
    str_free(&text);
    return true;
}

static void set_mistral(struct chat_format *f, const char *t)
{
    f->alternates = has(t, "must alternate");
    if (f->system == CHAT_SYSTEM_LAST_USER || f->system == CHAT_SYSTEM_FIRST_USER)
        f->system = has(t, "loop.first and system_message") ? CHAT_SYSTEM_FIRST_USER
                                                            : CHAT_SYSTEM_LAST_USER;
    bool trims = has(t, "[\"content\"]|trim + eos") || has(t, "['content']|trim + eos") ||
                 has(t, "[\"content\"] | trim + eos") || has(t, "['content'] | trim + eos");
    f->trim = trims ? CHAT_TRIM_ASSISTANT : 0;
    if (strcmp(f->name, "mistral") != 0) return;
    if (has(t, "' ' + message['content'] + eos_token")) f->assistant_lead = " ";
    if (has(t, "eos_token + ' '") || has(t, "eos_token+' '")) f->assistant_after = " ";
}

/* What differs inside a family, read off the template. */
static enum graft_status specialize(struct chat_format *f, const char *t, struct error *e)
{
    struct str text = {0};
    bool found = false;
    if (strcmp(f->name, "chatml") == 0) {
        f->prints_bos = has(t, "bos_token");
        found = default_system(t, &text);
        if (found) f->default_system = arena_strdup(&f->arena, text.data);
        found = found && (text.failed || f->default_system == NULL);
    } else if (strcmp(f->name, "llama3.1") == 0) {
        found = llama31_dates(t, &text);
        if (found && !text.failed) f->system_fixed = arena_strdup(&f->arena, text.data);
        found = found && (text.failed || f->system_fixed == NULL);
    } else if (strncmp(f->name, "mistral", 7) == 0) {
        set_mistral(f, t);
    } else if (strcmp(f->name, "phi3") == 0 || strcmp(f->name, "llama3") == 0) {
        f->prints_bos = has(t, "bos_token");
        if (!has(t, "eos_token")) f->closing = "";
    }
    str_free(&text);
    return found ? error_memory(e, "a chat template", strlen(t)) : GRAFT_OK;
}

enum graft_status chat_from_template(const char *text, const char *bos, const char *eos,
                                     struct chat_format *format, struct error *e)
{
    struct chat_format f;
    const char *name = family_name(text);
    if (name == NULL)
        return error_set(e, GRAFT_E_INVALID,
                         "the model's chat template is none that is known; name the one that it "
                         "was trained with (data.template: %s)",
                         NAMES);
    enum graft_status status = make(find_format(name), bos, eos, &f, e);
    if (status != GRAFT_OK) return status;
    status = specialize(&f, text, e);
    if (status != GRAFT_OK)
        chat_format_free(&f);
    else
        *format = f;
    return status;
}

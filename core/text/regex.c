/* SPDX-License-Identifier: Apache-2.0
 *
 * Regular expressions of tokenizer files through PCRE2. The files are written for Oniguruma: what
 * means something else there is translated (\s) or refused.
 */
#include "text/parts.h"

#include <string.h>

static void *regex_alloc(PCRE2_SIZE size, void *context)
{
    (void)context;
    return mem_alloc(size);
}

static void regex_release(void *p, void *context)
{
    (void)context;
    mem_free(p);
}

#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define LATIN1_NUMBERS "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"

/* Oniguruma's meaning of \s and \w in PCRE2's words: PCRE2's \s takes U+180E as well, its \w no
 * combining marks. Outside of a class Oniguruma looks Latin-1 up in a table, where the superscript
 * digits and the fractions are word characters too. NULL: no such word; "": the same in both. */
static const char *class_text(char letter, bool in_class)
{
    switch (letter) {
    case 's': return "\\p{White_Space}";
    case 'S': return "\\P{White_Space}";
    case 'w': return in_class ? WORD : "[" WORD LATIN1_NUMBERS "]";
    case 'W': return in_class ? NULL : "[^" WORD LATIN1_NUMBERS "]";
    case 'h':
    case 'H': return NULL;
    default: return "";
    }
}

static enum graft_status translate(const char *pattern, size_t length, struct str *out,
                                   struct error *e)
{
    bool in_class = false;
    for (size_t i = 0; i < length; i++) {
        char c = pattern[i], next = i + 1 < length ? pattern[i + 1] : '\0';
        if (c == '&' && next == '&')
            return error_set(e, GRAFT_E_INVALID,
                             "the pattern \"%.*s\" intersects classes with &&, which is not "
                             "supported: write the class out",
                             (int)length, pattern);
        if (c == '[') in_class = true;
        if (c == ']') in_class = false;
        if (c != '\\' || next == '\0') {
            str_putc(out, c);
            continue;
        }
        const char *text = class_text(next, in_class);
        if (text == NULL)
            return error_set(e, GRAFT_E_INVALID,
                             "the pattern \"%.*s\" uses \\%c, which is not supported there: write "
                             "the class out",
                             (int)length, pattern, next);
        if (*text != '\0')
            str_puts(out, text);
        else
            str_add(out, pattern + i, 2);
        i++;
    }
    return GRAFT_OK;
}

static enum graft_status compile(const char *text, size_t length, bool literal, struct regex *regex,
                                 struct error *e)
{
    pcre2_general_context *memory = pcre2_general_context_create(regex_alloc, regex_release, NULL);
    pcre2_compile_context *context = memory != NULL ? pcre2_compile_context_create(memory) : NULL;
    enum graft_status status = GRAFT_OK;
    if (context == NULL) {
        status = error_memory(e, "a pattern", length);
    } else {
        uint32_t options = PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE);
        int code;
        PCRE2_SIZE at;
        regex->code = pcre2_compile((PCRE2_SPTR)text, length, options, &code, &at, context);
        if (regex->code == NULL && code == PCRE2_ERROR_HEAP_FAILED) {
            status = error_memory(e, "a pattern", length);
        } else if (regex->code == NULL) {
            char reason[128] = "";
            pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
            status = error_set(e, GRAFT_E_INVALID, "the pattern \"%.*s\" is not valid: %s",
                               (int)length, text, reason);
        }
    }
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    /* without just-in-time compilation the same matches come, slower */
    if (status == GRAFT_OK) (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    return status;
}

enum graft_status regex_compile(const char *pattern, size_t length, bool literal,
                                struct regex *regex, struct error *e)
{
    struct str text = {0};
    if (literal) return compile(pattern, length, true, regex, e);
    enum graft_status status = translate(pattern, length, &text, e);
    if (status == GRAFT_OK && text.failed) status = error_memory(e, "a pattern", length);
    if (status == GRAFT_OK)
        status = compile(text.data != NULL ? text.data : "", text.length, false, regex, e);
    str_free(&text);
    return status;
}

void regex_free(struct regex *regex)
{
    pcre2_code_free(regex->code);
    regex->code = NULL;
}

pcre2_match_data *regex_match_data_create(void)
{
    pcre2_general_context *memory = pcre2_general_context_create(regex_alloc, regex_release, NULL);
    if (memory == NULL) return NULL;
    pcre2_match_data *match = pcre2_match_data_create(1, memory);
    pcre2_general_context_free(memory);
    return match;
}

enum graft_status regex_next(const struct regex *regex, pcre2_match_data *match,
                             const struct piece *p, size_t from, bool *found, size_t *begin,
                             size_t *end, struct error *e)
{
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int code =
        pcre2_match(regex->code, (PCRE2_SPTR)p->bytes, p->length, from, options, match, NULL);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT)
        code = pcre2_match(regex->code, (PCRE2_SPTR)p->bytes, p->length, from,
                           options | PCRE2_NO_JIT, match, NULL);
    *found = code >= 0;
    if (code == PCRE2_ERROR_NOMEMORY) return error_memory(e, "matching a pattern", p->length);
    if (code < 0 && code != PCRE2_ERROR_NOMATCH) {
        char reason[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        return error_set(e, GRAFT_E_FAILED, "matching a pattern of the tokenizer failed: %s",
                         reason);
    }
    if (code >= 0) {
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match);
        *begin = ends[0];
        *end = ends[1];
    }
    return GRAFT_OK;
}

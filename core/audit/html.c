/* SPDX-License-Identifier: Apache-2.0
 *
 * Tags, comments and entities by their syntax and their names.
 */
#include "audit/html.h"

#include <string.h>
#include <strings.h>

enum { LONGEST_NAME = 15 };

/* What stands at one place of a text. */
enum part { PART_TEXT, PART_INLINE, PART_BREAK, PART_HIDDEN /* script and style: with content */ };

static const char *const breaks[] = {
    "address", "article", "aside",    "blockquote", "body",   "br",      "center", "dd",    "div",
    "dl",      "dt",      "fieldset", "figure",     "footer", "form",    "h1",     "h2",    "h3",
    "h4",      "h5",      "h6",       "head",       "header", "hr",      "html",   "li",    "main",
    "nav",     "ol",      "option",   "p",          "pre",    "section", "table",  "tbody", "td",
    "tfoot",   "th",      "thead",    "title",      "tr",     "ul",
};
static const char *const inlines[] = {
    "a",      "abbr",     "acronym", "audio", "b",     "bdi",    "bdo",    "big",  "button",
    "canvas", "cite",     "code",    "del",   "dfn",   "em",     "font",   "i",    "iframe",
    "img",    "input",    "ins",     "kbd",   "label", "link",   "mark",   "meta", "q",
    "s",      "samp",     "select",  "small", "span",  "strike", "strong", "sub",  "sup",
    "svg",    "textarea", "time",    "tt",    "u",     "var",    "video",  "wbr",
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool among(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(name, list[i]) == 0) return true;
    return false;
}

static enum part part_of(const char *name)
{
    if (strcasecmp(name, "script") == 0 || strcasecmp(name, "style") == 0) return PART_HIDDEN;
    if (among(name, breaks, sizeof breaks / sizeof *breaks)) return PART_BREAK;
    return among(name, inlines, sizeof inlines / sizeof *inlines) ? PART_INLINE : PART_TEXT;
}

/* Behind the `>` of a tag whose attributes begin at p; NULL: it is not closed. */
static const char *tag_end(const char *p, const char *end)
{
    char quote = '\0';
    for (; p < end; p++) {
        if (quote != '\0') {
            if (*p == quote) quote = '\0';
        } else if (*p == '>') {
            return p + 1;
        } else if (*p == '<') {
            return NULL;
        } else if ((*p == '"' || *p == '\'') && p[-1] == '=') {
            quote = *p;
        }
    }
    return NULL;
}

/* Behind the end tag of a script or style; NULL: there is none. */
static const char *content_end(const char *p, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (; (p = memchr(p, '<', (size_t)(end - p))) != NULL; p++) {
        if ((size_t)(end - p) < length + 3) return NULL;
        if (p[1] == '/' && strncasecmp(p + 2, name, length) == 0 && !is_letter(p[2 + length]))
            return tag_end(p + 2 + length, end);
    }
    return NULL;
}

static const char *comment_end(const char *p, const char *end)
{
    for (p += 4; end - p >= 3; p++)
        if (memcmp(p, "-->", 3) == 0) return p + 3;
    return NULL;
}

/* The part that begins with the `<` at p; *stop is behind it. */
static enum part tag_at(const char *p, const char *end, const char **stop)
{
    char name[LONGEST_NAME + 1];
    size_t n = 0;
    if (end - p >= 4 && memcmp(p, "<!--", 4) == 0)
        return (*stop = comment_end(p, end)) != NULL ? PART_INLINE : PART_TEXT;
    if (end - p >= 9 && strncasecmp(p, "<!doctype", 9) == 0)
        return (*stop = tag_end(p + 9, end)) != NULL ? PART_BREAK : PART_TEXT;
    bool closing = end - p > 1 && p[1] == '/';
    const char *at = p + 1 + closing;
    while (at < end && n < LONGEST_NAME && (is_letter(*at) || (n != 0 && is_digit(*at))))
        name[n++] = *at++;
    name[n] = '\0';
    if (at == end || strchr(" \t\r\n/>", *at) == NULL) return PART_TEXT;
    enum part part = n == 0 ? PART_TEXT : part_of(name);
    if (part == PART_TEXT || (*stop = tag_end(at, end)) == NULL) return PART_TEXT;
    if (part == PART_HIDDEN && !closing) {
        const char *content = content_end(*stop, end, name);
        if (content != NULL) *stop = content;
    }
    return part;
}

/* The character of "#65;" or "#x41;"; 0: none. Codes of Windows-1252's controls are left alone. */
static uint32_t number_at(const char *p, const char *end, const char **stop)
{
    bool hex = end - p > 2 && (p[1] == 'x' || p[1] == 'X');
    uint32_t code = 0;
    const char *first = p + 1 + hex, *at = first;
    for (; at < end && at - first < 7; at++) {
        uint32_t digit = is_digit(*at) ? (uint32_t)(*at - '0')
                         : hex && is_letter(*at) && (*at | 32) <= 'f'
                             ? (uint32_t)((*at | 32) - 'a') + 10
                             : 99;
        if (digit == 99) break;
        code = code * (hex ? 16 : 10) + digit;
    }
    if (at == first || at == end || *at != ';') return 0;
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
    *stop = at + 1;
    return code;
}

/* The character of the entity whose `&` is at p; 0: none. */
static uint32_t entity_at(const char *p, const char *end, const char **stop)
{
    char name[LONGEST_NAME + 1];
    size_t n = 0;
    if (end - p > 3 && p[1] == '#') return number_at(p + 1, end, stop);
    for (p++; p < end && n < LONGEST_NAME && (is_letter(*p) || (n != 0 && is_digit(*p)));)
        name[n++] = *p++;
    name[n] = '\0';
    if (n == 0 || p == end || *p != ';') return 0;
    *stop = p + 1;
    return html_entity(name);
}

bool html_find(const char *text, size_t length)
{
    const char *stop, *end = text + length;
    for (const char *p = text; p < end; p++) {
        if (*p == '<' && tag_at(p, end, &stop) != PART_TEXT) return true;
        if (*p == '&' && entity_at(p, end, &stop) != 0) return true;
    }
    return false;
}

void html_strip(const char *text, size_t length, struct str *out)
{
    const char *end = text + length;
    for (const char *p = text; p < end;) {
        const char *stop = p + 1;
        char code[4];
        if (*p == '<') {
            enum part part = tag_at(p, end, &stop);
            if (part == PART_TEXT)
                str_add(out, p, (size_t)((stop = p + 1) - p));
            else if (part == PART_BREAK)
                str_putc(out, '\n');
        } else if (*p == '&') {
            uint32_t c = entity_at(p, end, &stop);
            if (c == 0)
                str_add(out, p, (size_t)((stop = p + 1) - p));
            else
                str_add(out, code, utf8_encode(c == 0xA0 ? ' ' : c, code));
        } else {
            while (stop < end && *stop != '<' && *stop != '&') stop++;
            str_add(out, p, (size_t)(stop - p));
        }
        p = stop;
    }
}

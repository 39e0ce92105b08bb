/* SPDX-License-Identifier: Apache-2.0
 *
 * Quoting for messages. Knows nothing of plugins; it lives here because this is the lowest room
 * that shows a user's text.
 */
#include "plugin/quote.h"

#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

char *quote_text(const char *text, char out[QUOTE_SIZE])
{
    size_t at = 0, length = strlen(text);
    out[at++] = '"';
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length(text + i, length - i);
        unsigned char c = (unsigned char)text[i];
        if (at + 4 > QUOTE_SIZE - 6) { /* room for the mark of the cut, the quote and the NUL */
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (n == 0 || c < 0x20 || c == 0x7F) {
            at += (size_t)snprintf(out + at, 5, "\\x%02x", c);
            i++;
        } else {
            memcpy(out + at, text + i, n);
            at += n;
            i += n;
        }
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

char *number_fault(const char *text, char out[FAULT_SIZE])
{
    char shown[QUOTE_SIZE], character[5] = "";
    const char *begin = text + (*text == '-' || *text == '+');
    const char *end = text + strspn(text, "+-.0123456789eE");
    out[0] = '\0';
    if (!is_digit(begin[*begin == '.']) || *end == '\0') return out;
    if (*end == ',' && is_digit(end[1]))
        return strcpy(out, "; no comma: a number's decimal sign is a point");
    size_t n = utf8_length(end, strlen(end));
    memcpy(character, end, n != 0 ? n : 1);
    snprintf(out, FAULT_SIZE, "; %s does not belong to a number", quote_text(character, shown));
    return out;
}

const char *key_fault(const char *key)
{
    double number;
    return parse_double(key, &number) ? "; a comma begins a new key: a decimal sign is a point"
                                      : "";
}

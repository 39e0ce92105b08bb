/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer is like: its number, its form, its length, its script, its end.
 */
#include "eval/parts.h"

#include "base/json.h"

#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool word(char c)
{
    return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Length of a number like -1,234.5 or .5 at `at`; a minus after a letter or digit is a dash. */
static size_t number_length(const char *text, const char *at)
{
    const char *p = at;
    if (*p == '-' && (p == text || !word(p[-1]))) p++;
    if (*p == '.' && digit(p[1])) return (size_t)(p - at) + 1 + strspn(p + 1, "0123456789");
    if (!digit(*p)) return 0;
    p += strspn(p, "0123456789,");
    if (*p == '.' && digit(p[1])) p += 1 + strspn(p + 1, "0123456789");
    return (size_t)(p - at);
}

static bool number_value(const char *at, size_t length, double *value)
{
    char plain[64];
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (at[i] == ',') continue;
        if (n + 1 == sizeof plain) return false;
        plain[n++] = at[i];
    }
    plain[n] = '\0';
    return parse_double(plain, value);
}

/* The first number after the first "####", as gsm8k marks its result, else the last one. */
static bool find_number(const char *text, double *value)
{
    const char *marker = strstr(text, "####"), *found = NULL;
    size_t length = 0;
    for (const char *at = marker != NULL ? marker + 4 : text; *at != '\0';) {
        size_t n = number_length(text, at);
        if (n == 0) {
            at++;
            continue;
        }
        found = at;
        length = n;
        if (marker != NULL) break;
        at += n;
    }
    return found != NULL && number_value(found, length, value);
}

/* Rows that expect no number do not count. */
METRIC_ROW(row_number)
{
    double answer, expected;
    (void)context;
    if (!find_number(row->expected, &expected)) return true;
    bool right = find_number(row->answer, &answer);
    return row_score(out, right && answer >= expected && answer <= expected);
}

METRIC_ROW(row_json)
{
    json_t *value = NULL;
    (void)context;
    enum graft_status status = json_read_bytes(row->answer, strlen(row->answer), &value, NULL);
    json_decref(value);
    return row_score(out, status == GRAFT_OK);
}

METRIC_ROW(row_length)
{
    (void)context;
    return row_score(out, (double)text_characters(row->answer));
}

METRIC_ROW(row_length_ratio)
{
    (void)context;
    out[0] = (double)text_characters(row->answer);
    out[1] = (double)text_characters(row->expected);
    return true;
}

/* Rows that expect no letter do not count. */
METRIC_ROW(row_script)
{
    enum script expected = script_most(row->expected);
    (void)context;
    return expected == SCRIPT_NONE || row_score(out, script_most(row->answer) == expected);
}

METRIC_ROW(row_cut_off)
{
    (void)context;
    return row_score(out, !row->ended);
}

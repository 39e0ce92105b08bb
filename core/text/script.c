/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges of letters by their script.
 */
#include "text/script.h"

#include <stddef.h>
#include <utf8proc.h>

/* From Unicode's Scripts.txt, for the living scripts in wide use: letters alone count, so a range
 * goes on over what is none. Bopomofo is with Han. */
static const struct {
    uint32_t first, last;
    enum script script;
} ranges[] = {
    /* clang-format off */
    {0x0041, 0x00AA, SCRIPT_LATIN}, {0x00BA, 0x02B8, SCRIPT_LATIN}, {0x02E0, 0x02E4, SCRIPT_LATIN},
    {0x0370, 0x0373, SCRIPT_GREEK}, {0x0376, 0x03E1, SCRIPT_GREEK}, {0x03F0, 0x03FF, SCRIPT_GREEK},
    {0x0400, 0x052F, SCRIPT_CYRILLIC}, {0x0531, 0x0588, SCRIPT_ARMENIAN}, {0x05D0, 0x05F2, SCRIPT_HEBREW},
    {0x0620, 0x063F, SCRIPT_ARABIC}, {0x0641, 0x06FF, SCRIPT_ARABIC}, {0x0750, 0x077F, SCRIPT_ARABIC},
    {0x0870, 0x08C9, SCRIPT_ARABIC}, {0x0904, 0x097F, SCRIPT_DEVANAGARI}, {0x0980, 0x09FC, SCRIPT_BENGALI},
    {0x0A05, 0x0A74, SCRIPT_GURMUKHI}, {0x0A85, 0x0AF9, SCRIPT_GUJARATI}, {0x0B83, 0x0BD0, SCRIPT_TAMIL},
    {0x0C05, 0x0C61, SCRIPT_TELUGU}, {0x0C80, 0x0CF2, SCRIPT_KANNADA}, {0x0D04, 0x0D7F, SCRIPT_MALAYALAM},
    {0x0D85, 0x0DC6, SCRIPT_SINHALA}, {0x0E01, 0x0E46, SCRIPT_THAI}, {0x0E81, 0x0EDF, SCRIPT_LAO},
    {0x0F00, 0x0F8C, SCRIPT_TIBETAN}, {0x1000, 0x108E, SCRIPT_MYANMAR}, {0x10A0, 0x10FF, SCRIPT_GEORGIAN},
    {0x1100, 0x11FF, SCRIPT_HANGUL}, {0x1200, 0x138F, SCRIPT_ETHIOPIC}, {0x1780, 0x17DC, SCRIPT_KHMER},
    {0x1C90, 0x1CBF, SCRIPT_GEORGIAN}, {0x1E00, 0x1EFF, SCRIPT_LATIN}, {0x1F00, 0x1FFC, SCRIPT_GREEK},
    {0x2C60, 0x2C7F, SCRIPT_LATIN}, {0x2D00, 0x2D2D, SCRIPT_GEORGIAN}, {0x2D80, 0x2DDE, SCRIPT_ETHIOPIC},
    {0x3005, 0x3005, SCRIPT_HAN}, {0x303B, 0x303B, SCRIPT_HAN}, {0x3041, 0x30FA, SCRIPT_KANA},
    {0x30FD, 0x30FF, SCRIPT_KANA}, {0x3105, 0x312F, SCRIPT_HAN}, {0x3131, 0x318E, SCRIPT_HANGUL},
    {0x31A0, 0x31BF, SCRIPT_HAN}, {0x31F0, 0x31FF, SCRIPT_KANA}, {0x3400, 0x9FFF, SCRIPT_HAN},
    {0xA640, 0xA69D, SCRIPT_CYRILLIC}, {0xA722, 0xA787, SCRIPT_LATIN}, {0xA78B, 0xA7FF, SCRIPT_LATIN},
    {0xA8F2, 0xA8FE, SCRIPT_DEVANAGARI}, {0xA960, 0xA97C, SCRIPT_HANGUL}, {0xA9E0, 0xA9FE, SCRIPT_MYANMAR},
    {0xAA60, 0xAA7F, SCRIPT_MYANMAR}, {0xAB01, 0xAB2E, SCRIPT_ETHIOPIC}, {0xAB30, 0xAB64, SCRIPT_LATIN},
    {0xAC00, 0xD7FB, SCRIPT_HANGUL}, {0xF900, 0xFAD9, SCRIPT_HAN}, {0xFB00, 0xFB06, SCRIPT_LATIN},
    {0xFB13, 0xFB17, SCRIPT_ARMENIAN}, {0xFB1D, 0xFB4F, SCRIPT_HEBREW}, {0xFB50, 0xFEFC, SCRIPT_ARABIC},
    {0xFF21, 0xFF5A, SCRIPT_LATIN}, {0xFF66, 0xFF6F, SCRIPT_KANA}, {0xFF71, 0xFF9D, SCRIPT_KANA},
    {0xFFA0, 0xFFDC, SCRIPT_HANGUL}, {0x20000, 0x3134A, SCRIPT_HAN},
    /* clang-format on */
};

const char *script_name(enum script script)
{
    static const char *const names[SCRIPTS] = {
        [SCRIPT_NONE] = "none",           [SCRIPT_LATIN] = "Latin",
        [SCRIPT_GREEK] = "Greek",         [SCRIPT_CYRILLIC] = "Cyrillic",
        [SCRIPT_ARMENIAN] = "Armenian",   [SCRIPT_HEBREW] = "Hebrew",
        [SCRIPT_ARABIC] = "Arabic",       [SCRIPT_DEVANAGARI] = "Devanagari",
        [SCRIPT_BENGALI] = "Bengali",     [SCRIPT_GURMUKHI] = "Gurmukhi",
        [SCRIPT_GUJARATI] = "Gujarati",   [SCRIPT_TAMIL] = "Tamil",
        [SCRIPT_TELUGU] = "Telugu",       [SCRIPT_KANNADA] = "Kannada",
        [SCRIPT_MALAYALAM] = "Malayalam", [SCRIPT_SINHALA] = "Sinhala",
        [SCRIPT_THAI] = "Thai",           [SCRIPT_LAO] = "Lao",
        [SCRIPT_TIBETAN] = "Tibetan",     [SCRIPT_MYANMAR] = "Myanmar",
        [SCRIPT_GEORGIAN] = "Georgian",   [SCRIPT_HANGUL] = "Korean",
        [SCRIPT_ETHIOPIC] = "Ethiopic",   [SCRIPT_KHMER] = "Khmer",
        [SCRIPT_KANA] = "Japanese",       [SCRIPT_HAN] = "Chinese",
    };
    return names[script];
}

bool code_is_letter(uint32_t code)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

enum script script_of(uint32_t code)
{
    size_t low = 0, high = sizeof ranges / sizeof ranges[0];
    if (!code_is_letter(code)) return SCRIPT_NONE;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    bool inside = low < sizeof ranges / sizeof ranges[0] && code >= ranges[low].first;
    return inside ? ranges[low].script : SCRIPT_NONE;
}

bool script_unspaced(enum script script)
{
    return script == SCRIPT_HAN || script == SCRIPT_KANA || script == SCRIPT_THAI ||
           script == SCRIPT_LAO || script == SCRIPT_TIBETAN || script == SCRIPT_MYANMAR ||
           script == SCRIPT_KHMER;
}

/* SPDX-License-Identifier: Apache-2.0
 *
 * The writing systems of letters: enough to tell Chinese from English, not English from French.
 */
#ifndef CORE_TEXT_SCRIPT_H
#define CORE_TEXT_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

enum script {
    SCRIPT_NONE,
    SCRIPT_LATIN,
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_ARMENIAN,
    SCRIPT_HEBREW,
    SCRIPT_ARABIC,
    SCRIPT_DEVANAGARI,
    SCRIPT_BENGALI,
    SCRIPT_GURMUKHI,
    SCRIPT_GUJARATI,
    SCRIPT_TAMIL,
    SCRIPT_TELUGU,
    SCRIPT_KANNADA,
    SCRIPT_MALAYALAM,
    SCRIPT_SINHALA,
    SCRIPT_THAI,
    SCRIPT_LAO,
    SCRIPT_TIBETAN,
    SCRIPT_MYANMAR,
    SCRIPT_GEORGIAN,
    SCRIPT_HANGUL,
    SCRIPT_ETHIOPIC,
    SCRIPT_KHMER,
    SCRIPT_KANA,
    SCRIPT_HAN,
    SCRIPTS
};

bool code_is_letter(uint32_t code);   /* Unicode's L* */
enum script script_of(uint32_t code); /* of a letter of the scripts above; else SCRIPT_NONE */
/* "Latin"; for people who look at data: Han is "Chinese", Kana "Japanese", Hangul "Korean". */
const char *script_name(enum script script);
/* Letters of Han, Kana, Thai, Lao, Tibetan, Myanmar and Khmer stand without spaces. */
bool script_unspaced(enum script script);

#endif

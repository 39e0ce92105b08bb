/* SPDX-License-Identifier: Apache-2.0
 *
 * Heuristics about texts, each named for what it is: a hint to look, never a reason to drop.
 */
#ifndef CORE_AUDIT_LANGUAGE_H
#define CORE_AUDIT_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

/* "Writing system of most letters": tells Chinese from English, not English from French. */
enum script {
    SCRIPT_NONE, /* no letters, or too few to tell */
    SCRIPT_LATIN,
    SCRIPT_HAN,
    SCRIPT_KANA, /* Han with some kana is Japanese */
    SCRIPT_HANGUL,
    SCRIPT_CYRILLIC,
    SCRIPT_GREEK,
    SCRIPT_ARABIC,
    SCRIPT_HEBREW,
    SCRIPT_INDIC,
    SCRIPT_THAI,
    SCRIPT_OTHER,
    SCRIPTS
};

const char *script_name(enum script script);
enum script text_script(const char *text, size_t length);

/* "UTF-8 read as Latin-1 or Windows-1252 once too often": Ã© for é, â€™ for ’. */
bool text_is_mojibake(const char *text, size_t length);

enum text_end { END_SHORT, END_SENTENCE, END_OPEN, END_OTHER };

/* How a text ends: END_OPEN in the middle of a sentence (a letter, a comma, an opening bracket) or
 * of a code block (an odd number of ```); END_SHORT: too short to be a sentence. */
enum text_end text_end(const char *text, size_t length);

#endif

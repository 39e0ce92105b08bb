/* SPDX-License-Identifier: Apache-2.0
 *
 * Heuristics about texts, each named for what it is: a hint to look, never a reason to drop.
 */
#ifndef CORE_AUDIT_LANGUAGE_H
#define CORE_AUDIT_LANGUAGE_H

#include "text/script.h"

#include <stdbool.h>
#include <stddef.h>

/* Of most letters, SCRIPT_NONE where there are too few to tell. Han with some Kana is Japanese. */
enum script text_script(const char *text, size_t length);

/* "UTF-8 read as Latin-1 or Windows-1252 once too often": Ã© for é, â€™ for ’. */
bool text_is_mojibake(const char *text, size_t length);

enum text_end { END_SHORT, END_SENTENCE, END_OPEN, END_OTHER };

/* How a text ends: END_OPEN in the middle of a sentence (a letter, a comma, an opening bracket) or
 * of a code block (an odd number of ```); END_SHORT: too short to be a sentence. */
enum text_end text_end(const char *text, size_t length);

#endif

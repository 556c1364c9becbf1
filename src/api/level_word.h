/* SPDX-License-Identifier: Apache-2.0 */
/**
 * level_word.h - Levels of obfuscation as they stand in bodies
 *
 * Two vocabularies are in use, off low medium high extreme and off basic high stealth; both are
 * read everywhere.
 *
 * Threads: none here.
 */
#pragma once

#include "frame/level.h"
#include "http/json.h"

/**
 * level_word_take() - Member "obfuscation_level"
 * @ret_level, @ret_word: The level, and the caller's word for it (static text); unchanged when
 *		it is absent or refused. @ret_word may be NULL
 */
void level_word_take(struct json_reader *r, enum frame_level *ret_level, const char **ret_word);

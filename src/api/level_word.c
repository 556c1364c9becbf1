/* SPDX-License-Identifier: Apache-2.0 */
#include "api/level_word.h"

#include <string.h>

/* All that frame_level_find() knows: a refusal lists them. */
static const char *const words[] = {
	"off", "low", "basic", "medium", "high", "extreme", "stealth",
};

enum { WORDS = sizeof(words) / sizeof(words[0]) };

void level_word_take(struct json_reader *r, enum frame_level *ret_level, const char **ret_word)
{
	size_t word = WORDS;

	json_take_word(r, "obfuscation_level", words, WORDS, &word);
	if (word == WORDS)
		return;
	*ret_level = frame_level_find(words[word], strlen(words[word]));
	if (ret_word)
		*ret_word = words[word];
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <string.h>

enum {
	NAME_MAX_LEN = 40, /* longer words are like no name at all */
	EDITS_MAX = 2,	   /* two slips of the finger */
};

static unsigned int minimum(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int least = a < b ? a : b;

	return least < c ? least : c;
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Edits that turn @a into @b, computed row by row (Levenshtein). */
static unsigned int distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned int row[NAME_MAX_LEN + 1];

	for (unsigned int j = 0; j <= b_len; j++)
		row[j] = j;
	for (unsigned int i = 1; i <= a_len; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int j = 1; j <= b_len; j++) {
			unsigned int above = row[j];
			unsigned int differ = lower(a[i - 1]) != lower(b[j - 1]);

			row[j] = minimum(above + 1, row[j - 1] + 1, diagonal + differ);
			diagonal = above;
		}
	}
	return row[b_len];
}

void nearest_offer(struct nearest *n, const char *word, size_t len, const char *name)
{
	size_t name_len = strlen(name);
	unsigned int edits;

	if (len > NAME_MAX_LEN || name_len > NAME_MAX_LEN)
		return;
	edits = distance(word, len, name, name_len);
	if (edits > EDITS_MAX || 2 * edits > name_len || (n->name && edits >= n->edits))
		return;
	n->name = name;
	n->edits = edits;
}

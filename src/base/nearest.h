/* SPDX-License-Identifier: Apache-2.0 */
/**
 * nearest.h - Which known name somebody may have meant
 *
 * For "did you mean" behind a refusal. Upper and lower case do not matter.
 */
#pragma once

#include <stddef.h>

/**
 * struct nearest - The best name so far. All zeroes: none yet
 */
struct nearest {
	const char *name;
	unsigned int edits;
};

/**
 * nearest_offer() - Let one known name compete
 * @word:	What was written, @len octets; borrowed for the call
 * @name:	Kept in @n when it is the best so far
 *
 * A name that is more than two edits away, or more than half of itself, is no
 * candidate; of two equally near ones the first stays.
 */
void nearest_offer(struct nearest *n, const char *word, size_t len, const char *name);

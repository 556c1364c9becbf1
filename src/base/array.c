/* SPDX-License-Identifier: Apache-2.0 */
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 }; /* elements */

int array_room(void *array, size_t n, size_t size, size_t *capacity)
{
	size_t wanted = *capacity ? *capacity * 2 : FIRST_CAPACITY;
	void *old, *moved;
	size_t octets;

	if (n < *capacity)
		return 0;
	if (__builtin_mul_overflow(wanted, size, &octets))
		return -ENOMEM;
	moved = malloc(octets);
	if (!moved)
		return -ENOMEM;
	memcpy(&old, array, sizeof(old)); /* any object pointer, whatever its type */
	if (old) {
		memcpy(moved, old, n * size);
		explicit_bzero(old, n * size);
		free(old);
	}
	memcpy(array, &moved, sizeof(moved));
	*capacity = wanted;
	return 0;
}

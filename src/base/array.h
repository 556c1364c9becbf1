/* SPDX-License-Identifier: Apache-2.0 */
/**
 * array.h - Room in an array that grows by doubling
 *
 * For arrays whose elements may hold secrets: they are moved by hand and the old
 * place is wiped, which realloc() does not do.
 */
#pragma once

#include <stddef.h>

/**
 * array_room() - See that one more element fits
 * @array:	Address of the pointer, NULL at first; the caller frees it
 * @n:		Elements in use
 * @size:	Octets of one element
 * @capacity:	Elements there is room for, 0 at first
 *
 * Return: 0 or -ENOMEM; then nothing has changed.
 */
int array_room(void *array, size_t n, size_t size, size_t *capacity);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * input.h - The file a command works on, or standard input
 */
#pragma once

#include <stddef.h>

#include "base/text.h"

/**
 * input_read() - Append the whole of a file to @out
 * @path:	NULL or "-" means standard input
 * @max:	Most octets to take
 *
 * Return: 0, -errno, or ERR_LIMIT when there is more than @max. The caller wipes @out
 *	   with text_done() in any case: it may hold keys.
 */
int input_read(const char *path, size_t max, struct text *out);

/** input_name() - What to call @path in a message */
const char *input_name(const char *path);

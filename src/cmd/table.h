/* SPDX-License-Identifier: Apache-2.0 */
/**
 * table.h - Rows and columns for people, on standard output
 */
#pragma once

#include <stddef.h>

#include "base/text.h"

enum { TABLE_COLUMNS_MAX = 8 };

/**
 * table_print() - A line of @heads, then @n_rows lines
 * @fill:	Writes something into each cell of a row; called twice for each, the widths of
 *		the columns first
 *
 * Texts are UTF-8, whatever the caller's locale is.
 */
void table_print(const char *const heads[], size_t n_columns, size_t n_rows,
		 void (*fill)(void *context, size_t row, struct text cells[]), void *context);

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <locale.h>
#include <wchar.h>

/* Columns on a terminal that knows UTF-8; C.UTF-8 is in every C library of ours. */
static size_t width_of(const char *text)
{
	size_t width = 0;
	mbstate_t state = { 0 };

	for (size_t left = strlen(text); left > 0;) {
		wchar_t c = 0;
		size_t n = mbrtowc(&c, text, left, &state);

		if (n == 0 || n > left) /* no such locale after all */
			return width + left;
		width += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
		text += n;
		left -= n;
	}
	return width;
}

/* One cell of a line, filled up to where the next begins. */
static void print_cell(const char *text, size_t width, bool is_last)
{
	printf("%s%*s", text, is_last ? 0 : (int)(width + 2 - width_of(text)), "");
	if (is_last)
		putchar('\n');
}

static const char *text_of(const struct text *cell)
{
	return cell->err == 0 && cell->data ? cell->data : "-";
}

void table_print(const char *const heads[], size_t n_columns, size_t n_rows,
		 void (*fill)(void *context, size_t row, struct text cells[]), void *context)
{
	struct text cells[TABLE_COLUMNS_MAX] = { { .data = NULL } };
	size_t width[TABLE_COLUMNS_MAX];

	assert(n_columns <= TABLE_COLUMNS_MAX);
	setlocale(LC_CTYPE, "C.UTF-8");
	for (size_t c = 0; c < n_columns; c++)
		width[c] = strlen(heads[c]);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t c = 0; pass == 1 && c < n_columns; c++)
			print_cell(heads[c], width[c], c + 1 == n_columns);
		for (size_t row = 0; row < n_rows; row++) {
			for (size_t c = 0; c < n_columns; c++)
				text_clear(&cells[c]);
			fill(context, row, cells);
			for (size_t c = 0; c < n_columns; c++) {
				const char *text = text_of(&cells[c]);

				if (pass == 0 && width_of(text) > width[c])
					width[c] = width_of(text);
				if (pass == 1)
					print_cell(text, width[c], c + 1 == n_columns);
			}
		}
	}
	for (size_t c = 0; c < n_columns; c++)
		text_done(&cells[c]);
}

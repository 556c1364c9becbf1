/* SPDX-License-Identifier: Apache-2.0 */
/**
 * qr_picture.h - QR codes drawn for a terminal or into files, for the commands that draw them
 */
#pragma once

#include <stddef.h>

#include "base/text.h"
#include "conf/qr.h"

/**
 * struct qr_format - How a code is drawn
 * @max_width:	Modules; see qr_make()
 */
struct qr_format {
	const char *name;
	void (*write)(struct text *out, const struct qr *qr);
	unsigned int max_width;
};

extern const struct qr_format qr_ansi;
extern const struct qr_format qr_png;

/** qr_format_find() - By its name, or NULL */
const struct qr_format *qr_format_find(const char *name);
/** qr_format_of() - The one that a file's name asks for: a terminal's for NULL, for a name without
 * an ending and for .txt; NULL for an ending that is no format */
const struct qr_format *qr_format_of(const char *path);

/**
 * qr_draw_on_terminal() - One code in the columns that standard output has
 * @out:	The lines, when it fits
 *
 * Where standard output is no terminal, or does not say its size, everything fits.
 *
 * Return: 0; ERR_RANGE: too wide, with what to do in @d; or what qr_make() refuses.
 */
int qr_draw_on_terminal(const char *text, size_t len, struct text *out, struct diag *d);

/**
 * qr_draw() - One code, drawn and written
 * @name:	What the text is called in complaints
 * @output:	NULL or "-": standard output; a file is its owner's alone
 *
 * Return: an enum command_exit; complaints are on standard error.
 */
int qr_draw(const char *name, const char *text, size_t len, const struct qr_format *format,
	    const char *output);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * qr.h - A text as a QR code: for a terminal, as PNG, as SVG
 *
 * The apps of WireGuard scan the plain text of a .conf file. Such a text holds a private
 * key, so the modules are wiped like the key itself.
 *
 * Source:  ISO/IEC 18004, by libqrencode; PNG by libpng.
 * Bounds:  QR_OCTETS_MAX octets.
 * Threads: none here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

enum {
	QR_OCTETS_MAX = 2953,	/* version 40, level L, octet mode */
	QR_WIDTH_MAX = 177,	/* modules of version 40 */
	QR_QUIET = 4,		/* light modules on each side */
	QR_WIDTH_TERMINAL = 72, /* with the quiet zone 80 columns */
	QR_SCALE_MAX = 32,
};

enum qr_level {
	QR_LEVEL_L, /* 7 % may be lost */
	QR_LEVEL_M, /* 15 % */
	QR_LEVEL_Q, /* 25 % */
	QR_LEVEL_H, /* 30 % */
};

/** struct qr - All zeroes is empty; qr_done() wipes and frees */
struct qr {
	uint8_t *modules; /* row by row, 1 is dark; without the quiet zone */
	unsigned int width;
	enum qr_level level;
};

/**
 * qr_make() - Encode @len octets
 * @max_width:	The highest error correction whose code is at most this wide is taken;
 *		when none is, the lowest, wider
 *
 * Return: 0; ERR_LIMIT: more than QR_OCTETS_MAX; ERR_FORMAT: nothing to encode; -ENOMEM.
 */
int qr_make(const void *data, size_t len, unsigned int max_width, struct qr *ret,
	    struct diag *d);
void qr_done(struct qr *qr);

bool qr_is_dark(const struct qr *qr, unsigned int x, unsigned int y);

/* Two rows of modules per line in half blocks, light on dark whatever the terminal's
 * colours are. UTF-8. */
void qr_write_ansi(struct text *out, const struct qr *qr);
void qr_write_svg(struct text *out, const struct qr *qr);
/* @scale pixels per module, 1..QR_SCALE_MAX. Out of memory shows in @out->err. */
void qr_write_png(struct text *out, const struct qr *qr, unsigned int scale);

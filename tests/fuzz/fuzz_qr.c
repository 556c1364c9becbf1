/* SPDX-License-Identifier: Apache-2.0 */
/* Any octets as a QR code in every form; the PNG is read back and compared with the modules. */
#include <string.h>

#include <png.h>

#include "conf/qr.h"
#include "fuzz.h"

static void check_png(const struct qr *qr)
{
	static uint8_t pixels[(QR_WIDTH_MAX + 2 * QR_QUIET) * (QR_WIDTH_MAX + 2 * QR_QUIET)];
	png_image image = { .version = PNG_IMAGE_VERSION };
	unsigned int side = qr->width + 2 * QR_QUIET;
	struct text out = { 0 };

	qr_write_png(&out, qr, 1);
	HOLDS(out.err == 0);
	HOLDS(png_image_begin_read_from_memory(&image, out.data, out.len));
	HOLDS(image.width == side && image.height == side);
	image.format = PNG_FORMAT_GRAY;
	HOLDS(png_image_finish_read(&image, NULL, pixels, (png_int_32)side, NULL));
	for (unsigned int i = 0; i < side * side; i++)
		HOLDS((pixels[i] == 0) ==
		      qr_is_dark(qr, i % side - QR_QUIET, i / side - QR_QUIET));
	text_done(&out);
}

static void check_texts(const struct qr *qr)
{
	struct text ansi = { 0 }, svg = { 0 };

	qr_write_ansi(&ansi, qr);
	qr_write_svg(&svg, qr);
	HOLDS(ansi.err == 0 && svg.err == 0);
	HOLDS(strlen(ansi.data) == ansi.len && strlen(svg.data) == svg.len);
	text_done(&ansi);
	text_done(&svg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int max_width = size % 2 ? QR_WIDTH_MAX : QR_WIDTH_TERMINAL;
	struct qr qr = { 0 };
	struct diag d = { 0 };
	int err = qr_make(data, size, max_width, &qr, &d);

	if (err) {
		HOLDS(err == (size ? ERR_LIMIT : ERR_FORMAT));
		HOLDS((size == 0 || size > QR_OCTETS_MAX) && d.text[0] && !qr.modules);
		return 0;
	}
	HOLDS(qr.width >= 21 && qr.width <= QR_WIDTH_MAX && qr.width % 4 == 1);
	HOLDS(qr.width <= max_width || qr.level == QR_LEVEL_L);
	check_png(&qr);
	check_texts(&qr);
	qr_done(&qr);
	return 0;
}

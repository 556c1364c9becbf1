/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/qr.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <qrencode.h>

#include "crypto/secret.h"

static_assert(QR_WIDTH_MAX == 4 * QRSPEC_VERSION_MAX + 17, "ISO/IEC 18004, 5.3.1");

/* The library's code of one level, or NULL with errno set. */
static QRcode *encode(const void *data, size_t len, enum qr_level level)
{
	static const QRecLevel levels[] = {
		[QR_LEVEL_L] = QR_ECLEVEL_L,
		[QR_LEVEL_M] = QR_ECLEVEL_M,
		[QR_LEVEL_Q] = QR_ECLEVEL_Q,
		[QR_LEVEL_H] = QR_ECLEVEL_H,
	};

	return QRcode_encodeData((int)len, data, 0, levels[level]);
}

static void free_code(QRcode *code)
{
	if (!code)
		return;
	secret_wipe(code->data, (size_t)code->width * (size_t)code->width);
	QRcode_free(code);
}

/* The highest level that is narrow enough; else the lowest, which is the narrowest. */
static int choose(const void *data, size_t len, unsigned int max_width, QRcode **ret_code,
		  enum qr_level *ret_level)
{
	for (int level = QR_LEVEL_H; level >= QR_LEVEL_L; level--) {
		QRcode *code = encode(data, len, (enum qr_level)level);

		if (!code && errno != ERANGE)
			return -errno;
		if (code && ((unsigned int)code->width <= max_width || level == QR_LEVEL_L)) {
			*ret_code = code;
			*ret_level = (enum qr_level)level;
			return 0;
		}
		free_code(code);
	}
	return ERR_LIMIT;
}

int qr_make(const void *data, size_t len, unsigned int max_width, struct qr *ret,
	    struct diag *d)
{
	struct qr qr = { 0 };
	QRcode *code = NULL;
	int err;

	if (len == 0)
		return diag_set(d, ERR_FORMAT, 0, "there is no text to encode");
	err = len > QR_OCTETS_MAX ? ERR_LIMIT : choose(data, len, max_width, &code, &qr.level);
	if (err == ERR_LIMIT)
		return diag_set(d, err, 0, "a QR code holds %d octets, this text has %zu",
				QR_OCTETS_MAX, len);
	if (!code)
		return diag_set(d, err, 0, "%s", err_text(err));

	qr.width = (unsigned int)code->width;
	qr.modules = malloc((size_t)qr.width * qr.width);
	for (size_t i = 0; qr.modules && i < (size_t)qr.width * qr.width; i++)
		qr.modules[i] = code->data[i] & 1;
	free_code(code);
	if (!qr.modules)
		return diag_set(d, -ENOMEM, 0, "out of memory");
	*ret = qr;
	return 0;
}

void qr_done(struct qr *qr)
{
	if (qr->modules) {
		secret_wipe(qr->modules, (size_t)qr->width * qr->width);
		free(qr->modules);
	}
	*qr = (struct qr){ 0 };
}

bool qr_is_dark(const struct qr *qr, unsigned int x, unsigned int y)
{
	return x < qr->width && y < qr->width && qr->modules[(size_t)y * qr->width + x];
}

/* The same with the quiet zone around it, whose corner is 0,0. */
static bool is_dark_framed(const struct qr *qr, unsigned int x, unsigned int y)
{
	return x >= QR_QUIET && y >= QR_QUIET && qr_is_dark(qr, x - QR_QUIET, y - QR_QUIET);
}

/* Light modules are drawn, dark ones are the background. */
void qr_write_ansi(struct text *out, const struct qr *qr)
{
	static const char *const blocks[2][2] = {
		{ " ", "\u2584" },
		{ "\u2580", "\u2588" },
	};
	unsigned int side = qr->width + 2 * QR_QUIET;

	for (unsigned int y = 0; y < side; y += 2) {
		text_puts(out, "\033[40;37;1m");
		for (unsigned int x = 0; x < side; x++) {
			bool above = !is_dark_framed(qr, x, y);
			bool below = y + 1 < side && !is_dark_framed(qr, x, y + 1);

			text_puts(out, blocks[above][below]);
		}
		text_puts(out, "\033[0m\n");
	}
}

/* One rectangle per run of dark modules: "Mx yhLENv1h-LENz". */
static void put_run(struct text *out, unsigned int x, unsigned int y, unsigned int len)
{
	text_puts(out, "M");
	text_put_u64(out, x + QR_QUIET);
	text_puts(out, " ");
	text_put_u64(out, y + QR_QUIET);
	text_puts(out, "h");
	text_put_u64(out, len);
	text_puts(out, "v1h-");
	text_put_u64(out, len);
	text_puts(out, "z");
}

void qr_write_svg(struct text *out, const struct qr *qr)
{
	unsigned int side = qr->width + 2 * QR_QUIET;

	text_printf(out,
		    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		    "viewBox=\"0 0 %u %u\" shape-rendering=\"crispEdges\">\n"
		    "<rect width=\"%u\" height=\"%u\" fill=\"#fff\"/>\n<path d=\"",
		    4 * side, 4 * side, side, side, side, side);
	for (unsigned int y = 0; y < qr->width; y++) {
		for (unsigned int x = 0, len; x < qr->width; x += len) {
			for (len = 0; qr_is_dark(qr, x + len, y);)
				len++;
			if (len)
				put_run(out, x, y, len);
			len += !len;
		}
	}
	text_puts(out, "\" fill=\"#000\"/>\n</svg>\n");
}

/* The picture as grey octets: white, and black where a module is dark. */
static void paint(const struct qr *qr, unsigned int scale, uint8_t *pixels)
{
	size_t side = (size_t)(qr->width + 2 * QR_QUIET) * scale;

	for (size_t y = 0; y < side; y++) {
		for (size_t x = 0; x < side; x++) {
			bool dark = is_dark_framed(qr, (unsigned int)x / scale,
						   (unsigned int)y / scale);

			pixels[y * side + x] = dark ? 0 : 255;
		}
	}
}

void qr_write_png(struct text *out, const struct qr *qr, unsigned int scale)
{
	png_image image = { .version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_GRAY };
	size_t side = (size_t)(qr->width + 2 * QR_QUIET) * scale;
	uint8_t *pixels = malloc(side * side), *file = NULL;
	png_alloc_size_t len = 0;

	assert(scale >= 1 && scale <= QR_SCALE_MAX);
	image.width = image.height = (png_uint_32)side;
	if (pixels) {
		paint(qr, scale, pixels);
		len = PNG_IMAGE_PNG_SIZE_MAX(image);
		file = malloc(len);
	}
	if (file && png_image_write_to_memory(&image, file, &len, 0, pixels, 0, NULL))
		text_add(out, file, len);
	else
		out->err = out->err ? out->err : -ENOMEM;
	png_image_free(&image);
	if (pixels)
		secret_wipe(pixels, side * side);
	if (file)
		secret_wipe(file, len);
	free(pixels);
	free(file);
}

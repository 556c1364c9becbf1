/* SPDX-License-Identifier: Apache-2.0 */
/* The three pictures are read back into modules; that the modules say the right text is
 * for another program to judge, in the test of the command. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "../test.h"
#include "conf/qr.h"

static char text[QR_OCTETS_MAX + 1];

static struct qr make(size_t len, unsigned int max_width)
{
	struct qr qr = { 0 };
	struct diag d;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26); /* lower case: octet mode for every one */
	CHECK(qr_make(text, len, max_width, &qr, &d) == 0);
	return qr;
}

/* A finder: a dark frame of 7, a light one of 5, a dark square of 3. */
static bool has_finder(const struct qr *qr, unsigned int left, unsigned int top)
{
	for (unsigned int y = 0; y < 7; y++) {
		for (unsigned int x = 0; x < 7; x++) {
			bool frame = x == 0 || x == 6 || y == 0 || y == 6;
			bool core = x >= 2 && x <= 4 && y >= 2 && y <= 4;

			if (qr_is_dark(qr, left + x, top + y) != (frame || core))
				return false;
		}
	}
	return true;
}

static void has_its_finders_in_three_corners(void)
{
	struct qr qr = make(300, QR_WIDTH_MAX);

	CHECK(has_finder(&qr, 0, 0));
	CHECK(has_finder(&qr, qr.width - 7, 0));
	CHECK(has_finder(&qr, 0, qr.width - 7));
	CHECK(!has_finder(&qr, qr.width - 7, qr.width - 7));
	CHECK(!qr_is_dark(&qr, qr.width, 0) && !qr_is_dark(&qr, 0, qr.width));
	qr_done(&qr);
	CHECK(qr.modules == NULL);
}

/* Capacities of version 40 in octet mode, ISO/IEC 18004 table 7. */
static void takes_the_highest_level_that_holds_the_text(void)
{
	static const struct {
		size_t len;
		enum qr_level level;
	} rows[] = {
		{ 1273, QR_LEVEL_H }, { 1274, QR_LEVEL_Q }, { 1663, QR_LEVEL_Q },
		{ 1664, QR_LEVEL_M }, { 2331, QR_LEVEL_M }, { 2332, QR_LEVEL_L },
		{ 2953, QR_LEVEL_L },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct qr qr = make(rows[i].len, QR_WIDTH_MAX);

		CHECK(qr.level == rows[i].level);
		CHECK(qr.width <= QR_WIDTH_MAX);
		qr_done(&qr);
	}
}

static void gives_up_correction_to_fit_a_terminal(void)
{
	struct qr wide = make(300, QR_WIDTH_MAX);
	struct qr narrow = make(300, QR_WIDTH_TERMINAL);
	struct qr wider = make(1000, QR_WIDTH_TERMINAL);

	CHECK(wide.level == QR_LEVEL_H && wide.width > QR_WIDTH_TERMINAL);
	CHECK(narrow.level < QR_LEVEL_H && narrow.width <= QR_WIDTH_TERMINAL);
	CHECK(wider.level == QR_LEVEL_L && wider.width > QR_WIDTH_TERMINAL);
	qr_done(&wide);
	qr_done(&narrow);
	qr_done(&wider);
}

static void refuses_what_no_code_can_hold(void)
{
	struct qr qr = { 0 };
	struct diag d = { 0 };

	CHECK(qr_make(text, QR_OCTETS_MAX + 1, QR_WIDTH_MAX, &qr, &d) == ERR_LIMIT);
	CHECK(strstr(d.text, "2953") && strstr(d.text, "2954"));
	CHECK(qr_make(text, SIZE_MAX, QR_WIDTH_MAX, &qr, &d) == ERR_LIMIT);
	CHECK(qr_make("", 0, QR_WIDTH_MAX, &qr, &d) == ERR_FORMAT);
	CHECK(qr.modules == NULL);
}

static bool skip(const char **at, const char *word)
{
	size_t len = strlen(word);
	bool is_there = strncmp(*at, word, len) == 0;

	*at += is_there ? len : 0;
	return is_there;
}

/* Light halves of one character: 2 the upper, 1 the lower; -1 for anything else. */
static int read_block(const char **at)
{
	if (skip(at, "\xe2\x96\x88"))
		return 3;
	if (skip(at, "\xe2\x96\x80"))
		return 2;
	if (skip(at, "\xe2\x96\x84"))
		return 1;
	return skip(at, " ") ? 0 : -1;
}

static void shows_every_module_on_a_terminal(void)
{
	struct qr qr = make(100, QR_WIDTH_TERMINAL);
	struct text out = { 0 };
	unsigned int side = qr.width + 2 * QR_QUIET;
	const char *at;

	qr_write_ansi(&out, &qr);
	at = out.data;
	for (unsigned int y = 0; y < side; y += 2) {
		CHECK(skip(&at, "\033[40;37;1m"));
		for (unsigned int x = 0; x < side; x++) {
			int light = read_block(&at);

			CHECK((light >> 1) == !qr_is_dark(&qr, x - QR_QUIET, y - QR_QUIET));
			CHECK(y + 1 == side ||
			      (light & 1) == !qr_is_dark(&qr, x - QR_QUIET, y + 1 - QR_QUIET));
		}
		CHECK(skip(&at, "\033[0m\n"));
	}
	CHECK(*at == '\0' && side <= 80);
	text_done(&out);
	qr_done(&qr);
}

static void draws_every_dark_module_once_in_svg(void)
{
	struct qr qr = make(100, QR_WIDTH_MAX);
	struct text out = { 0 };
	static uint8_t seen[QR_WIDTH_MAX][QR_WIDTH_MAX];
	unsigned int x, y, len, back;
	char box[64];
	const char *at;
	int n;

	memset(seen, 0, sizeof(seen));
	qr_write_svg(&out, &qr);
	snprintf(box, sizeof(box), "viewBox=\"0 0 %u %u\"", qr.width + 8, qr.width + 8);
	CHECK(strstr(out.data, box));
	at = strstr(out.data, "<path d=\"") + strlen("<path d=\"");
	while (sscanf(at, "M%u %uh%uv1h-%uz%n", &x, &y, &len, &back, &n) == 4) {
		CHECK(len == back && len > 0 && x >= QR_QUIET && y >= QR_QUIET);
		for (unsigned int i = 0; i < len; i++)
			seen[y - QR_QUIET][x - QR_QUIET + i]++;
		at += n;
	}
	CHECK(strcmp(at, "\" fill=\"#000\"/>\n</svg>\n") == 0);
	for (y = 0; y < qr.width; y++) {
		for (x = 0; x < qr.width; x++)
			CHECK(seen[y][x] == qr_is_dark(&qr, x, y));
	}
	text_done(&out);
	qr_done(&qr);
}

static void paints_every_module_in_png(void)
{
	struct qr qr = make(100, QR_WIDTH_MAX);
	struct text out = { 0 };
	png_image image = { .version = PNG_IMAGE_VERSION };
	unsigned int side = (qr.width + 2 * QR_QUIET) * 3;
	uint8_t *pixels = calloc(side, side);

	qr_write_png(&out, &qr, 3);
	CHECK(out.err == 0 && out.len > 8 && memcmp(out.data, "\x89PNG\r\n\x1a\n", 8) == 0);
	CHECK(png_image_begin_read_from_memory(&image, out.data, out.len));
	CHECK(image.width == side && image.height == side);
	image.format = PNG_FORMAT_GRAY;
	CHECK(pixels && image.width == side &&
	      png_image_finish_read(&image, NULL, pixels, (png_int_32)side, NULL));
	for (unsigned int y = 0; y < side; y++) {
		for (unsigned int x = 0; x < side; x++) {
			bool dark = qr_is_dark(&qr, x / 3 - QR_QUIET, y / 3 - QR_QUIET);

			CHECK(pixels[y * side + x] == (dark ? 0 : 255));
		}
	}
	free(pixels);
	text_done(&out);
	qr_done(&qr);
}

int main(void)
{
	RUN(has_its_finders_in_three_corners);
	RUN(takes_the_highest_level_that_holds_the_text);
	RUN(gives_up_correction_to_fit_a_terminal);
	RUN(refuses_what_no_code_can_hold);
	RUN(shows_every_module_on_a_terminal);
	RUN(draws_every_dark_module_once_in_svg);
	RUN(paints_every_module_in_png);
	return DONE();
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/qr_picture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cmd/command.h"
#include "sys/file.h"

enum { PNG_SCALE = 8 }; /* pixels per module */

static void write_png(struct text *out, const struct qr *qr)
{
	qr_write_png(out, qr, PNG_SCALE);
}

const struct qr_format qr_ansi = { "ansi", qr_write_ansi, QR_WIDTH_TERMINAL };
const struct qr_format qr_png = { "png", write_png, QR_WIDTH_MAX };
static const struct qr_format svg = { "svg", qr_write_svg, QR_WIDTH_MAX };

const struct qr_format *qr_format_find(const char *name)
{
	static const struct qr_format *const formats[] = { &qr_ansi, &qr_png, &svg };

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}

const struct qr_format *qr_format_of(const char *path)
{
	const char *dot = path ? strrchr(path, '.') : NULL;
	const struct qr_format *format = dot ? qr_format_find(dot + 1) : NULL;

	return format ? format : &qr_ansi;
}

/* A regular file is replaced whole; a pipe or a device is written to, never replaced. */
static int write_file(const char *path, const struct text *out)
{
	struct stat st;
	int fd, err;

	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return file_write(AT_FDCWD, path, out->data, out->len, FILE_MODE(0600));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = file_write_all(fd, out->data, out->len);
	close(fd);
	return err;
}

static int deliver(const char *path, const struct text *out)
{
	int err = out->err;

	if (!err && path && strcmp(path, "-") != 0)
		err = write_file(path, out);
	else if (!err)
		fwrite(out->data, 1, out->len, stdout); /* main() looks for its errors */
	if (err)
		fprintf(stderr, "culvert qr: %s: %s\n", path ? path : "standard output",
			err_text(err));
	return err ? EXIT_FAILED : EXIT_DONE;
}

/* A code that is broken into two lines cannot be scanned: say so. */
static void warn_if_too_wide(const struct qr *qr)
{
	unsigned int columns = qr->width + 2 * QR_QUIET;
	struct winsize window;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col &&
	    window.ws_col < columns)
		fprintf(stderr,
			"culvert qr: warning: the code needs %u columns, this terminal has %u; "
			"use a smaller font, or -o FILE.png\n",
			columns, window.ws_col);
}

int qr_draw(const char *name, const char *text, size_t len, const struct qr_format *format,
	    const char *output)
{
	struct text out = { 0 };
	struct qr qr = { 0 };
	struct diag d = { 0 };
	int code;

	if (qr_make(text, len, format->max_width, &qr, &d)) {
		fprintf(stderr, "culvert qr: %s: %s\n", name, d.text);
		return EXIT_REFUSED;
	}
	format->write(&out, &qr);
	if (format == &qr_ansi && !output)
		warn_if_too_wide(&qr);
	code = deliver(output, &out);
	text_done(&out);
	qr_done(&qr);
	return code;
}

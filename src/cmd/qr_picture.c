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
	const char *slash = path ? strrchr(path, '/') : NULL;
	const char *name = slash ? slash + 1 : path;
	const char *dot = name ? strrchr(name, '.') : NULL;

	if (!dot || strcmp(dot, ".txt") == 0 || strcmp(name, "-") == 0)
		return &qr_ansi;
	return qr_format_find(dot + 1);
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

/* Columns of the terminal that standard output is; 0: it is none, or does not say. */
static unsigned int columns(void)
{
	struct winsize window;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 ? window.ws_col : 0;
}

int qr_draw_on_terminal(const char *text, size_t len, struct text *out, struct diag *d)
{
	unsigned int have = columns(), most = qr_ansi.max_width, needs;
	struct qr qr = { 0 };
	int err;

	if (have > 2 * QR_QUIET && have - 2 * QR_QUIET < most)
		most = have - 2 * QR_QUIET;
	err = qr_make(text, len, most, &qr, d);
	if (err)
		return err;
	needs = qr.width + 2 * QR_QUIET;
	if (have && have < needs)
		err = diag_set(
			d, ERR_RANGE, 0,
			"the QR code needs %u columns and this terminal has %u: use a wider "
			"window or a smaller font, or 'culvert qr -o FILE.png'",
			needs, have);
	else
		qr_ansi.write(out, &qr);
	qr_done(&qr);
	return err;
}

static int draw(const char *text, size_t len, const struct qr_format *format, struct text *out,
		struct diag *d)
{
	struct qr qr = { 0 };
	int err = qr_make(text, len, format->max_width, &qr, d);

	if (err)
		return err;
	format->write(out, &qr);
	qr_done(&qr);
	return 0;
}

int qr_draw(const char *name, const char *text, size_t len, const struct qr_format *format,
	    const char *output)
{
	bool to_stdout = !output || strcmp(output, "-") == 0;
	struct text out = { 0 };
	struct diag d = { 0 };
	int code, err;

	if (format == &qr_ansi && to_stdout)
		err = qr_draw_on_terminal(text, len, &out, &d);
	else
		err = draw(text, len, format, &out, &d);
	if (err) {
		fprintf(stderr, "culvert qr: %s: %s\n", name, d.text);
		code = err == ERR_RANGE ? EXIT_FAILED : EXIT_REFUSED;
	} else {
		code = deliver(output, &out);
	}
	text_done(&out);
	return code;
}

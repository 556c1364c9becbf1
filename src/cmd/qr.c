/* SPDX-License-Identifier: Apache-2.0 */
/* culvert qr: a configuration as a QR code. */
#include "conf/qr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <getopt.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/input.h"
#include "sys/file.h"

enum {
	PNG_SCALE = 8,	     /* pixels per module */
	INPUT_MAX = 1 << 20, /* so that the refusal can say how long a text is */
};

static const char usage[] =
	"Usage: culvert qr [--format ansi|png|svg] [-o OUTPUT] [FILE]\n"
	"\n"
	"  -f, --format  ansi: for a terminal; else a picture. Taken from the end of OUTPUT\n"
	"                when not given, else ansi\n"
	"  -o, --output  write to this file, which only you may read; - is standard output\n"
	"\n"
	"FILE is any text, such as the configuration of a client; without it, or with -,\n"
	"standard input. Whoever sees the code has the keys in it.\n";

static void write_png(struct text *out, const struct qr *qr)
{
	qr_write_png(out, qr, PNG_SCALE);
}

static const struct format {
	const char *name;
	void (*write)(struct text *out, const struct qr *qr);
	unsigned int max_width;
} formats[] = {
	{ "ansi", qr_write_ansi, QR_WIDTH_TERMINAL },
	{ "png", write_png, QR_WIDTH_MAX },
	{ "svg", qr_write_svg, QR_WIDTH_MAX },
};

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	}
	return NULL;
}

/* The format a file's name asks for. */
static const struct format *format_of(const char *path)
{
	const char *dot = path ? strrchr(path, '.') : NULL;
	const struct format *format = dot ? find_format(dot + 1) : NULL;

	return format ? format : &formats[0];
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

static int draw(const char *input, const char *output, const struct format *format)
{
	struct text in = { 0 }, out = { 0 };
	struct qr qr = { 0 };
	struct diag d = { 0 };
	int err = input_read(input, INPUT_MAX, &in);
	int code = EXIT_FAILED;

	if (err == ERR_LIMIT)
		diag_set(&d, err, 0, "a QR code holds %d octets, this text has more",
			 QR_OCTETS_MAX);
	else if (err)
		fprintf(stderr, "culvert qr: %s: %s\n", input_name(input), err_text(err));
	else
		err = qr_make(in.data, in.len, format->max_width, &qr, &d);
	if (d.text[0]) {
		fprintf(stderr, "culvert qr: %s: %s\n", input_name(input), d.text);
		code = EXIT_REFUSED;
	}
	if (!err) {
		format->write(&out, &qr);
		if (format == &formats[0] && !output)
			warn_if_too_wide(&qr);
		code = deliver(output, &out);
	}
	text_done(&in);
	text_done(&out);
	qr_done(&qr);
	return code;
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "culvert qr: %s%s\n%s", what, word, usage);
	return EXIT_USAGE;
}

int cmd_qr(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "format", required_argument, NULL, 'f' },
		{ "output", required_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	const struct format *format = NULL;
	const char *output = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "hf:o:", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == 'f') {
			format = find_format(optarg);
			if (!format)
				return complain("unknown format ", optarg);
		} else if (option == 'o') {
			output = optarg;
		} else {
			return EXIT_USAGE;
		}
	}
	if (optind + 1 < argc)
		return complain("one word too many: ", argv[optind + 1]);
	if (!format)
		format = format_of(output);
	if (format == &formats[1] && !output && isatty(STDOUT_FILENO))
		return complain("a PNG picture does not belong on a terminal: use -o FILE", "");
	return draw(argv[optind], output, format);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* culvert qr: a configuration as a QR code. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/input.h"
#include "cmd/qr_link.h"
#include "cmd/qr_picture.h"

enum { INPUT_MAX = 1 << 20 }; /* so that the refusal can say how long a text is */

static const char usage[] =
	"Usage: culvert qr [--format ansi|png|svg] [-o OUTPUT] [FILE]\n"
	"       culvert qr --amnezia [--format ansi|png|svg] [-o OUTPUT] [FILE]\n"
	"       culvert qr --link [FILE]\n"
	"\n"
	"  -f, --format  ansi: for a terminal; else a picture. Taken from the end of OUTPUT\n"
	"                when not given; ansi for .txt, and where OUTPUT has no end\n"
	"  -o, --output  write to this file, which only you may read; - is standard output\n"
	"  -a, --amnezia draw what AmneziaVPN scans: a series of codes, into NAME-1.png and\n"
	"                so on where OUTPUT is NAME.png\n"
	"  -l, --link    write the link (vpn://...) that AmneziaVPN takes\n"
	"\n"
	"FILE is any text, such as the configuration of a client; without it, or with -,\n"
	"standard input. With --amnezia and --link it is such a configuration, or a link.\n"
	"Whoever sees the code or the link has the keys in it.\n";

static int draw(const char *input, const char *output, const struct qr_format *format)
{
	struct text in = { 0 };
	int err = input_read(input, INPUT_MAX, &in);
	int code = EXIT_FAILED;

	if (err == ERR_LIMIT) {
		fprintf(stderr,
			"culvert qr: %s: a QR code holds %d octets, this text has more\n",
			input_name(input), QR_OCTETS_MAX);
		code = EXIT_REFUSED;
	} else if (err) {
		fprintf(stderr, "culvert qr: %s: %s\n", input_name(input), err_text(err));
	} else {
		code = qr_draw(input_name(input), in.data, in.len, format, output);
	}
	text_done(&in);
	return code;
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "culvert qr: %s%s\n%s", what, word, usage);
	return EXIT_USAGE;
}

/**
 * struct job - What the command line asks for
 * @format:	NULL: not said
 */
struct job {
	const struct qr_format *format;
	const char *input;
	const char *output;
	bool amnezia;
	bool link;
	bool help;
};

static int read_options(struct job *job, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "format", required_argument, NULL, 'f' },
		{ "output", required_argument, NULL, 'o' },
		{ "amnezia", no_argument, NULL, 'a' },
		{ "link", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "hf:o:al", options, NULL)) != -1) {
		if (option == 'h')
			job->help = true;
		else if (option == 'f')
			job->format = qr_format_find(optarg);
		else if (option == 'o')
			job->output = optarg;
		else if (option == 'a')
			job->amnezia = true;
		else if (option == 'l')
			job->link = true;
		else
			return EXIT_USAGE;
		if (option == 'f' && !job->format)
			return complain("unknown format ", optarg);
	}
	if (!job->help && optind + 1 < argc)
		return complain("one word too many: ", argv[optind + 1]);
	job->input = argv[optind];
	return EXIT_DONE;
}

/* What goes together, and where a picture goes. */
static int check_options(const struct job *job)
{
	bool to_stdout = !job->output || strcmp(job->output, "-") == 0;

	if (job->link && (job->amnezia || job->format || job->output))
		return complain("--link takes no other option", "");
	if (job->amnezia && to_stdout && job->format != &qr_ansi)
		return complain("a series of pictures needs -o NAME.png or NAME.svg", "");
	if (job->format == &qr_png && !job->output && isatty(STDOUT_FILENO))
		return complain("a PNG picture does not belong on a terminal: use -o FILE", "");
	return EXIT_DONE;
}

int cmd_qr(int argc, char **argv)
{
	struct job job = { 0 };
	int code = read_options(&job, argc, argv);

	if (code != EXIT_DONE)
		return code;
	if (job.help) {
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	if (!job.format && !job.link) {
		job.format = qr_format_of(job.output);
		if (!job.format)
			return complain("no picture of this kind: use NAME.png, NAME.svg or "
					"--format, not ",
					job.output);
	}
	code = check_options(&job);
	if (code != EXIT_DONE)
		return code;
	if (job.link)
		return qr_link_print(job.input);
	if (job.amnezia)
		return qr_link_draw(job.input, job.format, job.output);
	return draw(job.input, job.output, job.format);
}

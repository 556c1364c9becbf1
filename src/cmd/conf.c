/* SPDX-License-Identifier: Apache-2.0 */
/* culvert conf: a wg-quick file judged, stripped or shown. Verbs with options of their own have a
 * file of their own. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>

#include "base/err.h"
#include "base/json_write.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/conf_show.h"
#include "cmd/conf_warn.h"
#include "crypto/suite.h"

static const char usage[] =
	"Usage: culvert conf check [--json] [FILE]\n"
	"       culvert conf strip [FILE]\n"
	"       culvert conf show [--json] [FILE]\n"
	"       culvert conf obfuscate --level LEVEL [--client] [--json] [FILE]\n"
	"       culvert conf apply [--sync] INTERFACE [FILE]\n"
	"       culvert conf export INTERFACE\n"
	"\n"
	"  check      say nothing when the file is good, else the line and the reason\n"
	"  strip      write what 'wg setconf' and 'awg setconf' understand, as 'wg-quick strip'\n"
	"             does\n"
	"  show       write the configuration for a reader, keys hidden\n"
	"  obfuscate  draw parameters of AmneziaWG, or put new ones into a file\n"
	"  apply      set a running interface to what the file says\n"
	"  export     write what a running interface has as a file\n"
	"  --json     write an object\n"
	"\n"
	"FILE is in the format of wg-quick(8), with the keys of AmneziaWG, or a link of AmneziaVPN\n"
	"(vpn://...); without it, or with -, standard input. obfuscate, apply and export answer\n"
	"--help.\n"
	"Exit codes: 0 good, 1 cannot be read, 2 wrong command line, 3 refused.\n";

enum { PATH_MTU = 1500 }; /* Ethernet */

static const char command[] = "culvert conf";

struct job {
	struct conf_file file;
	bool json;
};

/* --- check --- */

/* struct findings - Warnings on their way out */
struct findings {
	const struct job *job;
	struct text json;
};

static void warn(void *context, size_t line, const char *sentence)
{
	struct findings *f = context;
	const char *name = f->job->file.name;

	if (f->job->json) {
		json_put_next(&f->json);
		text_puts(&f->json, "{");
		json_put_number(&f->json, "line", line);
		json_put_text(&f->json, "text", sentence);
		text_puts(&f->json, "}");
	} else if (line) {
		fprintf(stderr, "%s: %s:%zu: warning: %s\n", command, name, line, sentence);
	} else {
		fprintf(stderr, "%s: %s: warning: %s\n", command, name, sentence);
	}
}

/* The line that counts. */
static size_t mtu_line(const struct wgconf *c)
{
	for (size_t i = c->n_lines; i > 0; i--)
		if (c->lines[i - 1].key == WGCONF_MTU)
			return i;
	return 0;
}

/* Over IPv4 on Ethernet: an MTU above that fits almost nowhere. */
static void warn_of_mtu(struct findings *f, const struct wgconf *c)
{
	uint32_t s4 = c->interface.framing.pad[FRAME_MESSAGES - 1];
	uint32_t fits = frame_mtu(PATH_MTU, s4, true);
	char text[160];

	if (!s4 || c->interface.mtu <= fits)
		return;
	snprintf(
		text, sizeof(text),
		"MTU %u is too great for S4 = %u: full packets are cut into fragments; at most "
		"%u",
		c->interface.mtu, s4, fits);
	warn(f, mtu_line(c), text);
}

static int check(struct job *job)
{
	const struct wgconf *c = &job->file.conf;
	struct findings f = { .job = job };
	const struct conf_listener to = { .say = warn, .context = &f };

	text_puts(&f.json, "{\"valid\":true,\"warnings\":[");
	conf_warn_of_keys(c, &to);
	conf_warn_of_framing(c, c->interface.mtu != 0, &to);
	warn_of_mtu(&f, c);
	text_puts(&f.json, "]}\n");
	if (job->json && !f.json.err)
		fwrite(f.json.data, 1, f.json.len, stdout);
	text_done(&f.json);
	return EXIT_DONE;
}

/* Tell why the file was not taken. */
static void report(const struct job *job)
{
	const struct diag *d = &job->file.d;
	struct text out = { 0 };

	conf_file_complain(&job->file, command);
	if (!job->json)
		return;
	text_puts(&out, "{\"valid\":false");
	json_put_number(&out, "line", d->line);
	json_put_text(&out, "reason", d->text);
	text_puts(&out, "}\n");
	if (!out.err)
		fwrite(out.data, 1, out.len, stdout);
	text_done(&out);
}

/* --- strip and show --- */

static int print(struct text *out)
{
	int err = out->err;

	if (err)
		fprintf(stderr, "%s: %s\n", command, err_text(err));
	else
		fwrite(out->data, 1, out->len, stdout);
	text_done(out);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int strip(struct job *job)
{
	struct text out = { 0 };

	wgconf_strip(&out, &job->file.conf);
	return print(&out);
}

static int show(struct job *job)
{
	const struct wgconf *c = &job->file.conf;
	struct secret_key key = c->interface.private_key;
	const uint8_t *known = NULL;
	uint8_t public_key[32];
	struct suite *suite = NULL;
	struct text out = { 0 };

	if (c->interface.has_private_key && suite_new(SUITE_OPENSSL, &suite) == 0) {
		dh_clamp(&key);
		dh_public(suite, public_key, &key);
		known = public_key;
	}
	suite_free(suite);
	secret_key_done(&key);
	if (job->json)
		conf_show_json(&out, c, known);
	else
		conf_show_text(&out, c, known);
	return print(&out);
}

/* --- The command --- */

static const struct {
	const char *word;
	int (*run)(struct job *job);
} verbs[] = { { "check", check }, { "strip", strip }, { "show", show } };

/* Verbs that read their own options: argv[0] is "culvert conf VERB". */
static const struct command commands[] = {
	{ "obfuscate", NULL, cmd_conf_obfuscate },
	{ "apply", NULL, cmd_conf_apply },
	{ "export", NULL, cmd_conf_export },
	{ NULL, NULL, NULL },
};

static int run(int (*verb)(struct job *job), const char *path, bool json)
{
	struct job job = { .json = json };
	int code = conf_file_open(&job.file, path);

	if (code == EXIT_DONE)
		code = verb(&job);
	else if (code == EXIT_REFUSED)
		report(&job);
	else
		conf_file_complain(&job.file, command);
	conf_file_done(&job.file);
	return code;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	static char title[64];

	snprintf(title, sizeof(title), "%s %s", command, c->name);
	argv[0] = title;
	return c->run(argc, argv);
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "%s: %s%s\n%s", command, what, word, usage);
	return EXIT_USAGE;
}

int cmd_conf(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	bool json = false;
	int option;

	for (const struct command *c = commands; argc > 1 && c->name; c++) {
		if (strcmp(argv[1], c->name) == 0)
			return run_command(c, argc - 1, argv + 1);
	}
	while ((option = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'o' && strcmp(optarg, "json") != 0)
			return complain("unknown output form ", optarg);
		json = true; /* -o json is another way to say --json */
	}
	if (optind == argc)
		return complain("say what to do", "");
	if (optind + 2 < argc)
		return complain("one word too many: ", argv[optind + 2]);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[optind], verbs[i].word) == 0)
			return run(verbs[i].run, argv[optind + 1], json);
	}
	return complain("unknown word ", argv[optind]);
}

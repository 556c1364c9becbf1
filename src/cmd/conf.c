/* SPDX-License-Identifier: Apache-2.0 */
/* culvert conf: a wg-quick file judged, stripped or shown. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/conf_show.h"
#include "cmd/input.h"
#include "base/json_write.h"
#include "conf/wgconf.h"
#include "crypto/suite.h"

static const char usage[] =
	"Usage: culvert conf check [--json] [FILE]\n"
	"       culvert conf strip [FILE]\n"
	"       culvert conf show [--json] [FILE]\n"
	"\n"
	"  check   say nothing when the file is good, else the line and the reason\n"
	"  strip   write what 'wg setconf' understands, as 'wg-quick strip' does\n"
	"  show    write the configuration for a reader, keys hidden\n"
	"  --json  write an object\n"
	"\n"
	"FILE is in the format of wg-quick(8); without it, or with -, standard input.\n"
	"Exit codes: 0 good, 1 cannot be read, 2 wrong command line, 3 refused.\n";

/* struct job - One call: @name is the file for messages */
struct job {
	const char *name;
	struct wgconf conf;
	bool json;
};

/* --- check --- */

/* Something a person should know about, and no error. */
static void warn(const struct job *job, struct text *json, size_t line, const char *text)
{
	if (!job->json) {
		fprintf(stderr, "culvert conf: %s:%zu: warning: %s\n", job->name, line, text);
		return;
	}
	json_put_next(json);
	text_puts(json, "{");
	json_put_number(json, "line", line);
	json_put_text(json, "text", text);
	text_puts(json, "}");
}

static void warn_of_unknown_key(const struct job *job, struct text *json, size_t index)
{
	const struct wgconf_line *line = &job->conf.lines[index];
	const char *meant = wgconf_nearest_key(line->section, line->name);
	char text[160], name[41];
	size_t len = line->name.len < sizeof(name) - 1 ? line->name.len : sizeof(name) - 1;

	for (size_t i = 0; i < len; i++)
		name[i] = (char)(line->name.at[i] > ' ' && line->name.at[i] <= '~'
					 ? line->name.at[i]
					 : '?');
	name[len] = '\0';
	snprintf(text, sizeof(text), "unknown key %s%s%s%s", name,
		 meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
	warn(job, json, index + 1, text);
}

static int check(struct job *job)
{
	struct text out = { 0 };

	text_puts(&out, "{\"valid\":true,\"warnings\":[");
	for (size_t i = 0; i < job->conf.n_lines; i++) {
		if (job->conf.lines[i].key == WGCONF_UNKNOWN)
			warn_of_unknown_key(job, &out, i);
	}
	if (!job->conf.interface.has_private_key)
		warn(job, &out, 0, "no PrivateKey in [Interface]");
	text_puts(&out, "]}\n");
	if (job->json && !out.err)
		fwrite(out.data, 1, out.len, stdout);
	text_done(&out);
	return EXIT_DONE;
}

/* Tell why the file was refused; @d says where. */
static int report(const char *name, bool json, const struct diag *d)
{
	struct text out = { 0 };

	if (d->line)
		fprintf(stderr, "culvert conf: %s:%u: %s\n", name, d->line, d->text);
	else
		fprintf(stderr, "culvert conf: %s: %s\n", name, d->text);
	if (json) {
		text_puts(&out, "{\"valid\":false");
		json_put_number(&out, "line", d->line);
		json_put_text(&out, "reason", d->text);
		text_puts(&out, "}\n");
		if (!out.err)
			fwrite(out.data, 1, out.len, stdout);
		text_done(&out);
	}
	return EXIT_REFUSED;
}

/* --- strip and show --- */

static int print(struct text *out)
{
	int err = out->err;

	if (err)
		fprintf(stderr, "culvert conf: %s\n", err_text(err));
	else
		fwrite(out->data, 1, out->len, stdout);
	text_done(out);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int strip(struct job *job)
{
	struct text out = { 0 };

	wgconf_strip(&out, &job->conf);
	return print(&out);
}

static int show(struct job *job)
{
	struct secret_key key = job->conf.interface.private_key;
	const uint8_t *known = NULL;
	uint8_t public_key[32];
	struct suite *suite = NULL;
	struct text out = { 0 };

	if (job->conf.interface.has_private_key && suite_new(SUITE_OPENSSL, &suite) == 0) {
		dh_clamp(&key);
		dh_public(suite, public_key, &key);
		known = public_key;
	}
	suite_free(suite);
	secret_key_done(&key);
	if (job->json)
		conf_show_json(&out, &job->conf, known);
	else
		conf_show_text(&out, &job->conf, known);
	return print(&out);
}

/* --- The command --- */

static const struct {
	const char *word;
	int (*run)(struct job *job);
} verbs[] = { { "check", check }, { "strip", strip }, { "show", show } };

static int run(int (*verb)(struct job *job), const char *path, bool json)
{
	struct job job = { .name = input_name(path), .json = json };
	struct text in = { 0 };
	struct diag d = { 0 };
	int err = input_read(path, WGCONF_SIZE_MAX, &in);
	int code;

	if (err && err != ERR_LIMIT) {
		fprintf(stderr, "culvert conf: %s: %s\n", job.name, err_text(err));
		code = EXIT_FAILED;
	} else {
		if (err)
			diag_set(&d, err, 0, "more than %d octets", WGCONF_SIZE_MAX);
		else
			err = wgconf_parse(in.data ? in.data : "", in.len, &job.conf, &d);
		code = err ? report(job.name, json, &d) : verb(&job);
	}
	text_done(&in);
	wgconf_done(&job.conf);
	return code;
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "culvert conf: %s%s\n%s", what, word, usage);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* culvert conf obfuscate: parameters of AmneziaWG, drawn for a new deployment, a file, a client. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <getopt.h>

#include "base/err.h"
#include "base/json_write.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/output.h"
#include "conf/wgconf_framing.h"
#include "frame/level.h"
#include "sys/random.h"

enum { PATH_MTU = 1500 }; /* Ethernet: what the route has is not asked for */

static const char command[] = "culvert conf obfuscate";

static const char usage[] =
	"Usage: culvert conf obfuscate --level LEVEL [--json]\n"
	"       culvert conf obfuscate --level LEVEL [--json] FILE\n"
	"       culvert conf obfuscate --client [--level LEVEL] [--json] FILE\n"
	"\n"
	"  -l, --level  off, low, medium, high or extreme\n"
	"  -c, --client FILE is the server's: write what one client's [Interface] needs\n"
	"  --json       write an object\n"
	"\n"
	"Without FILE, writes the lines of a new deployment. With it, writes that file, the\n"
	"parameters of AmneziaWG replaced by new ones; - is standard input. Each call draws anew.\n"
	"With --client, what both ends must share is the server's, and the rest is drawn, from\n"
	"the level that the server's parameters are of.\n"
	"docs/obfuscation.md says what each level hides.\n";

/**
 * struct job - One call
 * @level:	FRAME_LEVELS: not said, so that of the file
 * @drawn:	What is written
 * @mtu:	For the tunnel; 0: WireGuard's own will do
 */
struct job {
	enum frame_level level;
	bool is_client;
	bool json;
	const char *path; /* NULL: no file */
	struct conf_file file;
	struct frame_parameters drawn;
	struct frame_range keepalive;
	uint32_t mtu;
};

static int draw(struct job *job)
{
	const struct wgconf *c = &job->file.conf;
	uint8_t seed[GENERATOR_SEED_LEN];
	struct generator g;
	int err;

	random_fill(seed, sizeof(seed));
	generator_init(&g, seed);
	secret_wipe(seed, sizeof(seed));
	if (job->is_client)
		err = frame_level_draw_client(job->level, &c->interface.framing, &g,
					      &job->drawn);
	else
		err = frame_level_draw(job->level, &g, &job->drawn);
	job->keepalive = frame_level_keepalive(job->level, &g);
	generator_done(&g);
	if (job->is_client) /* it may come over IPv6; a server's own endpoints say nothing */
		job->mtu = frame_mtu(PATH_MTU, job->drawn.pad[FRAME_MESSAGES - 1], false);
	else if (job->drawn.pad[FRAME_MESSAGES - 1])
		job->mtu = wgconf_advise_mtu(c, PATH_MTU, &job->drawn);
	return err;
}

/* Both are AmneziaWG 1.0; they differ in how much. */
static bool is_first_version(enum frame_level level)
{
	return level == FRAME_LOW || level == FRAME_MEDIUM;
}

/* What both ends share is of one level: a client cannot be of another. */
static int take_level(struct job *job)
{
	enum frame_level have = frame_level_of(&job->file.conf.interface.framing);

	if (job->level == FRAME_LEVELS)
		job->level = have;
	if (job->level == have || (is_first_version(job->level) && is_first_version(have)))
		return EXIT_DONE;
	fprintf(stderr,
		"%s: %s: its parameters are of level %s, and what both ends share cannot be of "
		"level %s: leave --level out, or give the server parameters of that level first\n",
		command, job->file.name, frame_level_name(have), frame_level_name(job->level));
	return EXIT_REFUSED;
}

static void put_lines(const struct job *job, struct text *out)
{
	if (job->mtu) {
		text_puts(out, "MTU = ");
		text_put_u64(out, job->mtu);
		text_puts(out, "\n");
	}
	wgconf_put_framing(out, &job->drawn, "\n");
	if (job->is_client) {
		text_puts(out, "# in [Peer]: PersistentKeepalive = ");
		frame_range_write(out, job->keepalive);
		text_puts(out, "\n");
	}
}

static void put_parameters(const struct frame_parameters *p, struct text *out)
{
	json_put_name(out, "parameters");
	text_puts(out, "{");
	for (int i = 0; i < FRAME_KEYS; i++) {
		enum frame_key key = (enum frame_key)i;
		struct text value = { 0 };

		if (frame_key_is_default(p, key))
			continue;
		frame_parameters_put(&value, FRAME_CONF, p, key);
		json_put_name(out, frame_key_name(FRAME_CONF, key));
		json_put_string(out, value.data, value.len);
		out->err = out->err ? out->err : value.err;
		text_done(&value);
	}
	text_puts(out, "}");
}

static void put_json(const struct job *job, struct text *out)
{
	struct text file = { 0 };

	text_puts(out, "{");
	json_put_text(out, "level", frame_level_name(job->level));
	put_parameters(&job->drawn, out);
	if (job->mtu)
		json_put_number(out, "mtu", job->mtu);
	if (job->is_client) {
		json_put_name(out, "persistent_keepalive");
		text_puts(out, "\"");
		frame_range_write(out, job->keepalive);
		text_puts(out, "\"");
	} else if (job->path) {
		wgconf_reframe(&file, &job->file.conf, &job->drawn, job->mtu);
		json_put_name(out, "file");
		json_put_string(out, file.data ? file.data : "", file.len);
		out->err = out->err ? out->err : file.err;
		text_done(&file);
	}
	text_puts(out, "}\n");
}

/* A file has its key in it, and header protection is one, too. */
static bool has_secret(const struct job *job)
{
	return (job->path && !job->is_client) ||
	       !frame_key_is_default(&job->drawn, FRAME_HEADER_PROTECTION_KEY);
}

static int write_out(const struct job *job)
{
	struct text out = { 0 };
	int err;

	if (job->json)
		put_json(job, &out);
	else if (job->path && !job->is_client)
		wgconf_reframe(&out, &job->file.conf, &job->drawn, job->mtu);
	else
		put_lines(job, &out);
	err = out.err;
	if (err) {
		fprintf(stderr, "%s: %s\n", command, err_text(err));
	} else if (out.len) {
		if (has_secret(job))
			output_warn_if_readable(command);
		fwrite(out.data, 1, out.len, stdout);
	}
	text_done(&out);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int run(struct job *job)
{
	int code = EXIT_DONE, err;

	if (job->path)
		code = conf_file_open(&job->file, job->path);
	if (code != EXIT_DONE) {
		conf_file_complain(&job->file, command);
		return code;
	}
	if (job->is_client)
		code = take_level(job);
	if (code != EXIT_DONE)
		return code;
	err = draw(job);
	if (err) {
		fprintf(stderr, "%s: %s\n", command, err_text(err));
		return EXIT_FAILED;
	}
	return write_out(job);
}

static int complain(const char *what, const char *word)
{
	fprintf(stderr, "%s: %s%s\n%s", command, what, word, usage);
	return EXIT_USAGE;
}

/* Return: EXIT_DONE, or why not; *@ret_help: there is nothing left to do. */
static int read_options(struct job *job, int argc, char **argv, bool *ret_help)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "level", required_argument, NULL, 'l' },
		{ "client", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "hl:c", options, NULL)) != -1) {
		if (option == 'h')
			*ret_help = true;
		else if (option == 'l')
			job->level = frame_level_find(optarg, strlen(optarg));
		else if (option == 'c')
			job->is_client = true;
		else if (option == 'j')
			job->json = true;
		else
			return EXIT_USAGE;
		if (option == 'l' && job->level == FRAME_LEVELS)
			return complain("no such level: ", optarg);
	}
	job->path = argv[optind];
	if (*ret_help)
		return EXIT_DONE;
	if (job->level == FRAME_LEVELS && !job->is_client)
		return complain("say which --level", "");
	if (optind + 1 < argc)
		return complain("one word too many: ", argv[optind + 1]);
	if (job->is_client && !job->path)
		return complain("--client needs the server's FILE", "");
	return EXIT_DONE;
}

int cmd_conf_obfuscate(int argc, char **argv)
{
	struct job job = { .level = FRAME_LEVELS };
	bool help = false;
	int code = read_options(&job, argc, argv, &help);

	if (help && code == EXIT_DONE) {
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	if (code != EXIT_DONE)
		return code;
	frame_parameters_init(&job.drawn);
	code = run(&job);
	frame_parameters_done(&job.drawn);
	conf_file_done(&job.file);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The table of subcommands, and which of them a call means. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"

static const struct command commands[] = {
	{ "keys", "make private keys, public keys and preshared keys", cmd_keys },
	{ NULL, NULL, NULL }, /* the end */
};

enum { NAME_MAX_LEN = 32 }; /* longer words are like no command at all */

/* wg-quick can name a userspace implementation by one word only, so these names mean
 * a subcommand. */
static const struct {
	const char *program;
	const char *command;
} aliases[] = {
	{ "culvert-device", "device" },
	{ "wireguard-go", "device" },
	{ "amneziawg-go", "device" },
};

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static int minimum(int a, int b, int c)
{
	int least = a < b ? a : b;

	return least < c ? least : c;
}

/* Edits that turn @a into @b, row by row (Levenshtein). Both at most NAME_MAX_LEN long. */
static int distance(const char *a, const char *b)
{
	int row[NAME_MAX_LEN + 1];
	int b_len = (int)strlen(b);

	for (int j = 0; j <= b_len; j++)
		row[j] = j;
	for (int i = 1; a[i - 1]; i++) {
		int diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= b_len; j++) {
			int above = row[j];

			row[j] = minimum(above + 1, row[j - 1] + 1,
					 diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_len];
}

/* The command somebody who wrote @name may have meant, or NULL. */
static const char *nearest(const char *name)
{
	const char *best = NULL;
	int best_distance = 3; /* two slips of the finger, and not half of the word */

	if (strlen(name) > NAME_MAX_LEN)
		return NULL;
	for (const struct command *c = commands; c->name; c++) {
		int d = distance(name, c->name);

		if (d < best_distance && 2 * d <= (int)strlen(c->name)) {
			best = c->name;
			best_distance = d;
		}
	}
	return best;
}

static void print_help(FILE *out)
{
	fputs("Usage: culvert COMMAND [ARGUMENTS]\n"
	      "       culvert --help | --version\n"
	      "\n"
	      "Commands (each answers --help):\n",
	      out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-12s %s\n", c->name, c->summary);
	fputs("\n"
	      "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 refused input, 4 missing\n"
	      "privilege or device.\n",
	      out);
}

static int refuse(const char *name)
{
	const char *meant = nearest(name);

	fprintf(stderr, "culvert: no command '%s'", name);
	if (meant)
		fprintf(stderr, "; did you mean '%s'?", meant);
	fputs("\nculvert --help lists the commands.\n", stderr);
	return EXIT_USAGE;
}

/* The command that the program's own name stands for, or NULL. */
static const char *name_from_program(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *program = slash ? slash + 1 : path;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(program, aliases[i].program) == 0)
			return aliases[i].command;
	}
	return NULL;
}

static int run_word(int argc, char **argv)
{
	static char title[sizeof("culvert ") + NAME_MAX_LEN];
	const char *word = argv[0];
	const struct command *command;

	if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
		puts("culvert " CULVERT_VERSION);
		return EXIT_DONE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
	    strcmp(word, "help") == 0) {
		print_help(stdout);
		return EXIT_DONE;
	}
	command = find(word);
	if (!command)
		return refuse(word);
	snprintf(title, sizeof(title), "culvert %s", command->name);
	argv[0] = title;
	return command->run(argc, argv);
}

/* What was printed may still be in the buffer: a full disk must not look like success. */
static int flush(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (code == EXIT_DONE) {
		perror("culvert: standard output");
		return EXIT_FAILED;
	}
	return code;
}

int main(int argc, char **argv)
{
	const char *implied = argc > 0 ? name_from_program(argv[0]) : NULL;
	const struct command *command = implied ? find(implied) : NULL;

	if (command)
		return flush(command->run(argc, argv));
	if (implied)
		return refuse(implied);
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	return flush(run_word(argc - 1, argv + 1));
}

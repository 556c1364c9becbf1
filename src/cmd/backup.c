/* SPDX-License-Identifier: Apache-2.0 */
/* culvert backup: a gateway's state in one encrypted file, and back. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "cmd/backup_file.h"
#include "cmd/command.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "store/kind.h"
#include "sys/file.h"

enum { KEEP_MAX = 100000, NOTE_FROM = 16 << 20 };

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
	{ "key-file", "FILE", NULL, NULL, "a key, as \"culvert keys psk\" makes it", NULL },
	{ "passphrase-file", "FILE", NULL, NULL, "or a passphrase: the file's first line",
	  NULL },
	{ "keep", "N", NULL, NULL, "create in a directory: leave the newest N", NULL },
	{ "force", NULL, NULL, NULL,
	  "restore: set aside the database that is there; create: write over FILE", NULL },
	{ "work", "DIR", "/dev/shm", NULL, "verify: where the database is looked at", NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
};

static const char usage[] =
	"Usage: culvert backup create FILE|DIR [OPTIONS]\n"
	"       culvert backup verify FILE [OPTIONS]\n"
	"       culvert backup restore FILE [OPTIONS]\n\n"
	"Keeps the keys, the settings and the database of a gateway in one encrypted file.\n"
	"The gateway may go on running for create; it must be stopped for restore.\n";

int backup_complain(int code, const char *format, ...)
{
	va_list ap;

	fputs("culvert backup: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

void backup_note(const char *doing, const char *what, uint64_t octets)
{
	if (octets >= NOTE_FROM && isatty(STDERR_FILENO))
		fprintf(stderr, "%s %s, %" PRIu64 " MiB\n", doing, what, octets >> 20);
}

int backup_code(int err)
{
	switch (err) {
	case 0:
		return EXIT_DONE;
	case -EACCES:
	case -EPERM:
		return EXIT_PRIVILEGE;
	case ERR_AUTH:
	case ERR_FORMAT:
	case ERR_VERSION:
	case ERR_KEY:
	case ERR_RANGE:
	case ERR_CORRUPT:
		return EXIT_REFUSED;
	default:
		return EXIT_FAILED;
	}
}

static int take_secret(const char *path, bool is_passphrase, char *text, size_t len,
		       struct backup_secret *s)
{
	char *newline = memchr(text, '\n', len);

	if (newline)
		len = (size_t)(newline - text);
	if (!is_passphrase)
		return key_from_base64(text, len, s->key.b) == 0
			       ? EXIT_DONE
			       : backup_complain(EXIT_REFUSED,
						 "%s holds no key (32 octets in base64): make "
						 "one with \"culvert keys psk\"",
						 path);
	if (len < BACKUP_PASSPHRASE_MIN || len > BACKUP_PASSPHRASE_MAX)
		return backup_complain(
			EXIT_REFUSED, "%s: a passphrase has %d to %d octets on the first line",
			path, (int)BACKUP_PASSPHRASE_MIN, (int)BACKUP_PASSPHRASE_MAX);
	memcpy(s->passphrase, text, len);
	s->passphrase_len = len;
	return EXIT_DONE;
}

static int read_secret(const char *path, bool is_passphrase, struct backup_secret *s)
{
	char text[2 * BACKUP_PASSPHRASE_MAX];
	struct stat st;
	size_t len = 0;
	int err, code;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		return backup_complain(EXIT_REFUSED, "%s may be used by others: chmod 600 it",
				       path);
	err = file_read_named(path, text, sizeof(text), &len);
	code = err == 0 ? take_secret(path, is_passphrase, text, len, s)
			: backup_complain(backup_code(err), "%s: %s", path, err_text(err));
	secret_wipe(text, sizeof(text));
	return code;
}

static int find_secret(const struct options *o, struct backup_secret *s)
{
	const char *key = options_get(o, "key-file"),
		   *passphrase = options_get(o, "passphrase-file");

	if (!key == !passphrase)
		return backup_complain(EXIT_USAGE,
				       "say one of --key-file and --passphrase-file");
	return read_secret(key ? key : passphrase, !key, s);
}

/* Who is told to end first removes what was unpacked or copied. */
static int run_whole(int (*action)(const struct backup_call *c), const struct backup_call *c)
{
	sigset_t ends, before;
	int code;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, &before);
	code = action(c);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

/* What a backup is made of, or comes back to, is SQLite's file. */
static int refuse_postgres(const struct backup_call *c, bool restores)
{
	if (restores)
		return backup_complain(EXIT_REFUSED,
				       "the gateway of %s has its peers in PostgreSQL: remove "
				       "%s/store first, and it has them in the restored file",
				       c->state, c->state);
	return backup_complain(EXIT_REFUSED,
			       "the gateway of %s has its peers in PostgreSQL: keep those with "
			       "\"pg_dump --schema=culvert\", and server.key, api.key and "
			       "master.key with them",
			       c->state);
}

static int run(const struct local_command *l, struct backup_call *c)
{
	static const struct {
		const char *word;
		int (*run)(const struct backup_call *c);
	} actions[] = {
		{ "create", backup_create },
		{ "verify", backup_verify },
		{ "restore", backup_restore },
	};
	const char *keep = options_get(&l->options, "keep");
	int code;

	if (keep && (decimal_parse(keep, strlen(keep), KEEP_MAX, &c->keep) < 0 || c->keep == 0))
		return backup_complain(EXIT_USAGE, "--keep takes a number from 1 to %d",
				       (int)KEEP_MAX);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (l->n_words != 2 || strcmp(l->words[0], actions[i].word) != 0)
			continue;
		if (actions[i].run != backup_verify && kind_is_postgres(c->state))
			return refuse_postgres(c, actions[i].run == backup_restore);
		code = find_secret(&l->options, &c->secret);
		return code == EXIT_DONE ? run_whole(actions[i].run, c) : code;
	}
	return backup_complain(EXIT_USAGE, "say create, verify or restore, and one file; "
					   "'culvert backup --help' tells more");
}

int role_backup(int argc, char **argv)
{
	struct local_command l = { .options = { .command = "backup",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct backup_call c = { .file = NULL };
	struct diag d = { .text = "" };
	int code;

	if (local_command_read(&l, argc, argv, &d) != 0) {
		code = backup_complain(EXIT_USAGE, "%s", d.text);
	} else if (l.options.wants_help) {
		puts(usage);
		options_print_help(&l.options, stdout);
		code = EXIT_DONE;
	} else {
		c.file = l.n_words > 1 ? l.words[1] : "";
		c.state = options_get(&l.options, "state");
		c.work = options_get(&l.options, "work");
		c.json = options_get(&l.options, "json") && *options_get(&l.options, "json");
		c.force = options_get(&l.options, "force") && *options_get(&l.options, "force");
		code = run(&l, &c);
	}
	secret_wipe(&c.secret, sizeof(c.secret));
	options_done(&l.options);
	return code;
}

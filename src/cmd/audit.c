/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert audit: is the audit trail of a gateway whole? It reads the database itself, so that nobody has
 * to be believed who serves it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "store/audit_verify.h"
#include "store/kind.h"
#include "store/master_key.h"

enum { PATH_LEN = 512 };

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
	{ "database", "CONNINFO", NULL, NULL, "of a gateway with --store postgres", NULL },
	{ "interface", "NAME", "wg0", NULL, "with --database: whose trail", NULL },
	{ "head", "HEX", NULL, NULL,
	  "the newest hash of an earlier run: rows cut off at the end", NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert audit: %s\n", what);
	return code;
}

/* @whose: the interface; NULL: the state directory has but one. */
static void print(const struct audit_report *r, const char *head, const char *whose)
{
	if (whose)
		printf("%s: ", whose);
	printf("%" PRIu64 " rows, %" PRId64 " to %" PRId64, r->rows, r->first, r->last);
	if (r->unchained)
		printf(", %" PRIu64 " before them without a chain", r->unchained);
	if (r->broken)
		printf("\n%" PRIu64 " do not fit, the first is row %" PRId64
		       ": the trail was touched\n",
		       r->broken, r->first_broken);
	else
		printf(": whole\nhead %s\n", head);
}

static void print_json(const struct audit_report *r, const char *head, const char *whose)
{
	json_t *json = json_pack(
		"{s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:s}", "whole", (int)(r->broken == 0),
		"rows", (json_int_t)r->rows, "unchained", (json_int_t)r->unchained, "first",
		(json_int_t)r->first, "last", (json_int_t)r->last, "broken",
		(json_int_t)r->broken, "first_broken",
		r->first_broken ? json_integer(r->first_broken) : json_null(), "head", head);

	if (json && whose)
		json_object_set_new(json, "interface", json_string(whose));
	local_command_print(json);
	json_decref(json);
}

/* Where the trail is: @path, or the database that is named. */
static int find(const struct options *o, char path[PATH_LEN])
{
	const char *state = options_get(o, "state");
	struct diag d = { .text = "" };
	int err;

	if (options_get(o, "database"))
		return EXIT_DONE;
	if (kind_is_postgres(state))
		return complain(
			EXIT_REFUSED,
			"this gateway's audit trail is in PostgreSQL: say --database, as"
			" the gateway has it");
	snprintf(path, PATH_LEN, "%s/culvert.db", state);
	if (access(path, R_OK) != 0) {
		err = -errno;
		diag_set(&d, err, 0, "%s: %s; see --state", path, err_text(err));
		return complain(err == -EACCES ? EXIT_PRIVILEGE : EXIT_FAILED, d.text);
	}
	return EXIT_DONE;
}

static int verify(const struct options *o)
{
	const char *state = options_get(o, "state"), *wanted = options_get(o, "head");
	const char *database = options_get(o, "database");
	const char *whose = database ? options_get(o, "interface") : NULL;
	char path[PATH_LEN], head[2 * SEAL_CHAIN_LEN + 1];
	struct audit_report r;
	struct secret_key master;
	struct diag d = { .text = "" };
	int code = find(o, path), err;

	if (code != EXIT_DONE)
		return code;
	err = master_key_read(state, &master, &d);
	if (err == 0)
		err = database ? audit_verify_postgres(database, whose, &master, &r, &d)
			       : audit_verify(path, &master, &r, &d);
	secret_key_done(&master);
	if (err != 0)
		return complain(EXIT_FAILED, d.text);
	hex_encode(r.head, sizeof(r.head), head);
	if (options_get(o, "json"))
		print_json(&r, head, whose);
	else
		print(&r, head, whose);
	if (wanted && strcmp(wanted, head) != 0 && r.broken == 0)
		return complain(EXIT_FAILED, "the newest row is another than --head says");
	return r.broken == 0 ? EXIT_DONE : EXIT_FAILED;
}

int role_audit(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "audit",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct diag d = { .text = "" };
	int code = EXIT_USAGE;

	if (local_command_read(&c, argc, argv, &d) != 0) {
		complain(EXIT_USAGE, d.text);
	} else if (c.options.wants_help) {
		puts("Usage: culvert audit verify [OPTIONS]\n\n"
		     "Follows the chain of the audit trail. Exit code 0: whole; 1: rows were touched,\n"
		     "put in or taken out.\n");
		options_print_help(&c.options, stdout);
		code = EXIT_DONE;
	} else if (c.n_words == 1 && strcmp(c.words[0], "verify") == 0) {
		code = verify(&c.options);
	} else {
		complain(EXIT_USAGE, "say verify; 'culvert audit --help' tells more");
	}
	options_done(&c.options);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway import: peers of another server into a running gateway, over its local socket. A server's
 * file may be read again and again: what is there already stays as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/framing_json.h"
#include "cmd/import_plan.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "cmd/table.h"
#include "crypto/suite.h"
#include "frame/level.h"

enum { COLUMNS = 4 };

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
	{ "dry-run", NULL, NULL, NULL, "say what would be done, and do nothing", NULL },
	{ "all-or-nothing", NULL, NULL, NULL, "one peer that cannot be keeps out all of them",
	  NULL },
	{ "update", NULL, NULL, NULL, "change peers that are here with other values", NULL },
	{ "level", "LEVEL", NULL, NULL,
	  "whatever the files say: the clients get new files for it", NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
};

/* struct importing - One call */
struct importing {
	const struct options *options;
	struct import_rows rows;
	struct import_plan plan;
	json_t *facts;
	json_t *profiles;
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway import: %s\n", what);
	return code;
}

static int usage(const char *why)
{
	complain(EXIT_USAGE, why);
	fputs("Try 'culvert gateway import --help'.\n", stderr);
	return EXIT_USAGE;
}

/* --- How a server's file frames --- */

/* The level whose clients are understood as those of @file; FRAME_LEVELS: none. */
static enum frame_level find_level(const struct importing *m, const struct wgconf *file)
{
	const json_t *list = json_object_get(m->profiles, "profiles"), *one;
	enum frame_level found = FRAME_LEVELS;

	for (size_t i = 0; i < json_array_size(list) && found == FRAME_LEVELS; i++) {
		const char *word;
		struct frame_parameters p;

		one = json_array_get(list, i);
		word = json_string_value(json_object_get(one, "level"));
		frame_parameters_init(&p);
		if (word && framing_json_read(json_object_get(one, "amneziawg"), &p) &&
		    frame_parameters_match(&p, &file->interface.framing))
			found = frame_level_find(word, strlen(word));
		frame_parameters_done(&p);
	}
	return found;
}

static bool has_other_key(const struct importing *m, const struct wgconf *file)
{
	const char *own = json_string_value(json_object_get(m->facts, "public_key"));
	char text[KEY_BASE64_LEN + 1];
	struct suite *suite = NULL;
	uint8_t key[32];

	if (!file->interface.has_private_key || suite_new(SUITE_OPENSSL, &suite) != 0)
		return false;
	dh_public(suite, key, &file->interface.private_key);
	suite_free(suite);
	key_to_base64(key, text);
	return own && strcmp(own, text) != 0;
}

/* Rows from @first on are those of @file. */
static int heed_server(struct importing *m, const char *path, const struct wgconf *file,
		       size_t first)
{
	enum frame_level level = find_level(m, file);
	char text[512];

	if (has_other_key(m, file)) {
		snprintf(
			text, sizeof(text),
			"%.200s has another server key than this gateway: its clients reach it"
			" with new files only ('peer conf'); 'culvert gateway adopt' takes over the key",
			path);
		complain(0, text);
	}
	if (m->plan.level)
		return EXIT_DONE;
	if (level == FRAME_LEVELS) {
		snprintf(
			text, sizeof(text),
			"%.200s: this gateway accepts no messages framed like that: begin anew with"
			" 'culvert gateway adopt', or say --level and give the clients new files",
			path);
		return complain(EXIT_REFUSED, text);
	}
	for (size_t i = first; i < m->rows.n; i++)
		m->rows.rows[i].level = level;
	return EXIT_DONE;
}

static int read_one(struct importing *m, const char *path)
{
	struct wgconf server = { .text = NULL };
	struct diag d = { .text = "" };
	size_t first = m->rows.n;
	int err = import_rows_read(&m->rows, path, &server, &d);
	int code = EXIT_DONE;

	if (err != 0)
		code = complain(err == ERR_FORMAT || err == ERR_LIMIT ? EXIT_REFUSED
								      : EXIT_FAILED,
				d.text);
	else if (server.text)
		code = heed_server(m, path, &server, first);
	wgconf_done(&server);
	return code;
}

/* --- For people, and for programs --- */

static void fill(void *context, size_t row, struct text cells[])
{
	const struct importing *m = context;
	const struct import_row *r = &m->rows.rows[row];
	const struct import_step *s = &m->plan.steps[row];
	char key[KEY_BASE64_LEN + 1], prefix[ADDR_TEXT_MAX];

	key_to_base64(r->public_key, key);
	text_puts(&cells[0], r->name[0] ? r->name : key);
	for (size_t i = 0; i < r->n_prefixes; i++)
		text_printf(&cells[1], "%s%s", i ? ", " : "",
			    ip_prefix_format(&m->rows.prefixes[r->first_prefix + i], prefix));
	if (r->n_prefixes == 0)
		text_puts(&cells[1], "-");
	text_puts(&cells[2], import_result_word(s->result));
	text_printf(&cells[3], "%s%s%s", s->why, s->why[0] && r->note[0] ? "; " : "", r->note);
}

static void print_rows(struct importing *m)
{
	static const char *const heads[COLUMNS] = { "PEER", "ALLOWED IPS", "RESULT", "WHY" };
	const struct import_plan *p = &m->plan;
	bool is_done = !p->is_dry && !(p->is_whole && p->counts[IMPORT_REFUSED] > 0);

	table_print(heads, COLUMNS, m->rows.n, fill, m);
	printf("%zu new, %zu changed, %zu unchanged, %zu refused%s\n", p->counts[IMPORT_NEW],
	       p->counts[IMPORT_CHANGED], p->counts[IMPORT_UNCHANGED],
	       p->counts[IMPORT_REFUSED], is_done ? "" : "; nothing was done");
}

static json_t *row_json(const struct importing *m, size_t i)
{
	const struct import_row *r = &m->rows.rows[i];
	const struct import_step *s = &m->plan.steps[i];
	char key[KEY_BASE64_LEN + 1], text[ADDR_TEXT_MAX];
	json_t *prefixes = json_array();

	for (size_t n = 0; n < r->n_prefixes; n++)
		json_array_append_new(prefixes,
				      json_string(ip_prefix_format(
					      &m->rows.prefixes[r->first_prefix + n], text)));
	key_to_base64(r->public_key, key);
	return json_pack("{s:s, s:i, s:s?, s:s, s:o, s:s, s:b, s:s?, s:s?}", "file", r->file,
			 "line", (int)r->line, "name", r->name[0] ? r->name : NULL,
			 "public_key", key, "allowed_ips", prefixes, "result",
			 import_result_word(s->result), "done",
			 (int)(s->is_done && !m->plan.is_dry), "why", s->why[0] ? s->why : NULL,
			 "note", r->note[0] ? r->note : NULL);
}

static int print_json(const struct importing *m)
{
	const size_t *counts = m->plan.counts;
	json_t *list = json_array(), *all;
	bool is_well;

	for (size_t i = 0; i < m->rows.n; i++)
		json_array_append_new(list, row_json(m, i));
	all = json_pack("{s:o, s:I, s:I, s:I, s:I, s:b}", "peers", list, "new",
			(json_int_t)counts[IMPORT_NEW], "changed",
			(json_int_t)counts[IMPORT_CHANGED], "unchanged",
			(json_int_t)counts[IMPORT_UNCHANGED], "refused",
			(json_int_t)counts[IMPORT_REFUSED], "dry_run", (int)m->plan.is_dry);
	is_well = all && local_command_print(all);
	json_decref(all);
	return is_well ? EXIT_DONE : complain(EXIT_FAILED, "out of memory");
}

static int report(struct importing *m, int code, const struct diag *d)
{
	bool refuses = m->plan.counts[IMPORT_REFUSED] > 0;
	int printed = EXIT_DONE;

	if (options_get(m->options, "json"))
		printed = print_json(m);
	else
		print_rows(m);
	if (code != EXIT_DONE && d->text[0])
		complain(code, d->text);
	if (code != EXIT_DONE)
		return code;
	return printed != EXIT_DONE ? printed : refuses ? EXIT_REFUSED : EXIT_DONE;
}

/* --- The command --- */

static int ask(const struct importing *m, const char *path, json_t **ret)
{
	struct diag d = { .text = "" };
	int code = local_api_ask(m->plan.state, "GET", path, NULL, ret, &d);

	return code == EXIT_DONE ? code : complain(code, d.text);
}

static int run(struct importing *m, const struct local_command *c)
{
	struct diag d = { .text = "" };
	int code = ask(m, "/api/v1/gateway", &m->facts);

	if (code == EXIT_DONE)
		code = ask(m, "/api/v1/profiles", &m->profiles);
	for (int i = 0; i < c->n_words && code == EXIT_DONE; i++)
		code = read_one(m, c->words[i]);
	if (code != EXIT_DONE)
		return code;
	m->plan.facts = m->facts;
	m->plan.rows = &m->rows;
	code = import_plan_run(&m->plan, &d);
	return m->plan.steps ? report(m, code, &d) : complain(code, d.text);
}

static int start(struct importing *m, const struct local_command *c)
{
	const char *level = options_get(&c->options, "level");

	if (c->n_words == 0)
		return usage("say which FILE: a server's, a panel's wg0.json, or a directory of"
			     " clients' files");
	if (level && frame_level_find(level, strlen(level)) == FRAME_LEVELS)
		return usage("--level is off, low, medium, high or extreme");
	m->options = &c->options;
	m->plan.state = options_get(&c->options, "state");
	m->plan.level = level;
	m->plan.is_dry = options_get(&c->options, "dry-run") != NULL;
	m->plan.is_whole = options_get(&c->options, "all-or-nothing") != NULL;
	m->plan.updates = options_get(&c->options, "update") != NULL;
	return run(m, c);
}

static void print_help(const struct options *o)
{
	fputs("Usage: culvert gateway import FILE... [OPTIONS]\n"
	      "\n"
	      "Peers of another server into the running gateway. FILE is the server's file of wg-quick\n"
	      "or awg-quick (wg0.conf), a panel's wg0.json, or a directory of clients' files. Names are\n"
	      "taken from comments. What is here already stays as it is, so it may be done again.\n"
	      "Clients go on without a new file where key, port and networks are the same: 'culvert\n"
	      "gateway adopt' begins a gateway with those of the server's file.\n"
	      "\n",
	      stdout);
	options_print_help(o, stdout);
}

int role_gateway_import(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "gateway",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct importing m = { .options = NULL };
	struct diag d = { .text = "" };
	int code = EXIT_DONE;

	if (local_command_read(&c, argc, argv, &d) != 0)
		code = usage(d.text);
	else if (c.options.wants_help)
		print_help(&c.options);
	else
		code = start(&m, &c);
	import_plan_done(&m.plan);
	import_rows_done(&m.rows);
	json_decref(m.facts);
	json_decref(m.profiles);
	options_done(&c.options);
	return code;
}

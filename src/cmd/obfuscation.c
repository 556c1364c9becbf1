/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway obfuscation: which parameters each level has, new ones for a level, and the end
 * of former ones. A client of the gateway's own API over its local socket.
 */
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "cmd/table.h"
#include "frame/frame.h"
#include "frame/level.h"

enum {
	COLUMNS = 6,
	KEEP_DAYS_MAX = 3650,
};

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL }, /* state_default() */
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
	{ "keep", "DAYS", "30", NULL,
	  "rotate: how long clients of before are accepted, 0 to 3650", NULL },
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway obfuscation: %s\n", what);
	return code;
}

static int usage(const char *why)
{
	complain(EXIT_USAGE, why);
	fputs("Try 'culvert gateway obfuscation --help'.\n", stderr);
	return EXIT_USAGE;
}

static int ask(const struct options *o, const char *method, const char *path,
	       const json_t *body, json_t **ret)
{
	struct diag d = { .text = "" };
	int code = local_api_ask(options_get(o, "state"), method, path, body, ret, &d);

	return code == EXIT_DONE ? code : complain(code, d.text);
}

/* --- Profiles for people --- */

static void put_text(struct text *cell, const json_t *profile, const char *name,
		     const char *otherwise)
{
	const char *text = json_string_value(json_object_get(profile, name));

	text_puts(cell, text ? text : otherwise);
}

static void put_number(struct text *cell, const json_t *profile, const char *name)
{
	const json_t *n = json_object_get(profile, name);

	if (json_is_integer(n))
		text_put_u64(cell, (uint64_t)json_integer_value(n));
	else
		text_puts(cell, "-");
}

static void fill(void *context, size_t row, struct text cells[])
{
	const json_t *profile = json_array_get(context, row);

	put_text(&cells[0], profile, "name", "?");
	put_text(&cells[1], profile, "level", "?");
	put_number(&cells[2], profile, "peers");
	put_number(&cells[3], profile, "heard");
	put_text(&cells[4], profile, "created", "-");
	put_text(&cells[5], profile, "until", "-");
}

static void print_room(const json_t *answer)
{
	json_int_t room = json_integer_value(json_object_get(answer, "room"));

	printf("Room for %" JSON_INTEGER_FORMAT " more, one for each rotation.\n", room);
}

/* What every client knows is no secret to who may ask; but it is long, and a terminal is seen by
 * others: --json has the parameters. */
static int print(const struct options *o, json_t *answer)
{
	static const char *const heads[COLUMNS] = { "PROFILE", "LEVEL", "PEERS",
						    "HEARD",   "SINCE", "UNTIL" };
	json_t *profiles = json_object_get(answer, "profiles");
	int code = EXIT_DONE;

	if (!options_get(o, "json")) {
		table_print(heads, COLUMNS, json_array_size(profiles), fill, profiles);
		print_room(answer);
	} else if (!local_command_print(answer)) {
		code = complain(EXIT_FAILED, "out of memory");
	}
	json_decref(answer);
	return code;
}

/* --- Verbs --- */

static int show(const struct options *o)
{
	json_t *answer = NULL;
	int code = ask(o, "GET", "/api/v1/profiles", NULL, &answer);

	return code == EXIT_DONE ? print(o, answer) : code;
}

static int rotate(const struct options *o, const char *word)
{
	const char *keep = options_get(o, "keep");
	enum frame_level level = frame_level_find(word, strlen(word));
	json_t *body, *answer = NULL;
	char path[64];
	uint64_t days;
	int code;

	if (level == FRAME_LEVELS)
		return complain(EXIT_USAGE, "a level is low, medium, high or extreme");
	if (decimal_parse(keep, strlen(keep), KEEP_DAYS_MAX, &days) != 0)
		return complain(EXIT_USAGE, "--keep takes whole days, 0 to 3650");
	snprintf(path, sizeof(path), "/api/v1/profiles/%s/rotate", frame_level_name(level));
	body = json_pack("{s:I}", "keep_days", (json_int_t)days);
	code = ask(o, "POST", path, body, &answer);
	json_decref(body);
	return code == EXIT_DONE ? print(o, answer) : code;
}

static int drop(const struct options *o, const char *name)
{
	json_t *answer = NULL;
	char path[64 + FRAME_NAME_MAX];
	int code;

	if (!frame_is_name(name, strlen(name)))
		return complain(EXIT_USAGE,
				"a former profile is named like high.1; 'show' lists them");
	snprintf(path, sizeof(path), "/api/v1/profiles/%s", name);
	code = ask(o, "DELETE", path, NULL, &answer);
	return code == EXIT_DONE ? print(o, answer) : code;
}

static void print_help(const struct options *o)
{
	fputs("Usage: culvert gateway obfuscation show [OPTIONS]\n"
	      "       culvert gateway obfuscation rotate LEVEL [OPTIONS]\n"
	      "       culvert gateway obfuscation drop NAME [OPTIONS]\n"
	      "\n"
	      "show lists what the interface accepts: PEERS of a level, whichever of its profiles\n"
	      "they have; HEARD counts by the profile they last came under. rotate draws new\n"
	      "parameters for a level; clients of before are accepted for --keep days, in which\n"
	      "each needs a new file: see 'culvert gateway peer conf'. drop ends a former profile,\n"
	      "such as high.1, now: clients that still use it are cut off.\n"
	      "\n",
	      stdout);
	options_print_help(o, stdout);
}

static int run(const struct local_command *c)
{
	const struct options *o = &c->options;
	bool rotates = c->n_words > 0 && strcmp(c->words[0], "rotate") == 0;

	if (!rotates && options_is_argument(o, "keep"))
		return usage("--keep is for rotate alone");
	if (c->n_words == 1 && strcmp(c->words[0], "show") == 0)
		return show(o);
	if (rotates)
		return c->n_words == 2 ? rotate(o, c->words[1])
				       : usage("rotate takes one LEVEL");
	if (c->n_words > 0 && strcmp(c->words[0], "drop") == 0)
		return c->n_words == 2 ? drop(o, c->words[1])
				       : usage("drop takes one NAME, such as high.1");
	return usage("say show, rotate LEVEL or drop NAME");
}

int role_gateway_obfuscation(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "gateway",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct diag d = { .text = "" };
	int code = EXIT_DONE;

	if (local_command_read(&c, argc, argv, &d) != 0)
		code = usage(d.text);
	else if (c.options.wants_help)
		print_help(&c.options);
	else
		code = run(&c);
	options_done(&c.options);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway webhook: where events are sent. A client of the gateway's own API over its local
 * socket.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "cmd/table.h"

enum { COLUMNS = 5, PATH_MAX_LEN = 80 };

static const char base[] = "/api/v1/webhooks";

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
	{ "events", "LIST", NULL, NULL, "add: names, such as peer.*,key.created; else all",
	  NULL },
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway webhook: %s\n", what);
	return code;
}

static int ask(const struct local_command *c, const char *method, const char *path,
	       const json_t *body, json_t **ret)
{
	struct diag d = { .text = "" };
	int code =
		local_api_ask(options_get(&c->options, "state"), method, path, body, ret, &d);

	return code == EXIT_DONE ? code : complain(code, d.text);
}

static bool wants_json(const struct local_command *c)
{
	return options_get(&c->options, "json") != NULL;
}

static int print_json(const json_t *value)
{
	return local_command_print(value) ? EXIT_DONE : complain(EXIT_FAILED, "out of memory");
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* --- list --- */

/* What the last try came to: a status, or why there was none. */
static void put_last(struct text *cell, const json_t *delivery)
{
	const json_t *last = json_object_get(delivery, "last");
	const json_t *status = json_object_get(last, "status");

	if (json_is_integer(status))
		text_put_u64(cell, (uint64_t)json_integer_value(status));
	else
		text_puts(cell, json_is_object(last) ? text_of(last, "error") : "-");
}

static void fill(void *context, size_t row, struct text cells[])
{
	const json_t *one = json_array_get(context, row);
	const json_t *delivery = json_object_get(one, "delivery");

	text_puts(&cells[0], text_of(one, "name"));
	text_puts(&cells[1], text_of(delivery, "state"));
	text_put_u64(&cells[2],
		     (uint64_t)json_integer_value(json_object_get(delivery, "pending")));
	put_last(&cells[3], delivery);
	text_puts(&cells[4], text_of(one, "url"));
}

static int list(const struct local_command *c)
{
	static const char *const heads[COLUMNS] = { "NAME", "STATE", "WAITING", "LAST", "URL" };
	json_t *answer = NULL, *all;
	int code = ask(c, "GET", base, NULL, &answer);

	if (code != EXIT_DONE)
		return code;
	all = json_object_get(answer, "webhooks");
	if (wants_json(c))
		code = print_json(answer);
	else
		table_print(heads, COLUMNS, json_array_size(all), fill, all);
	json_decref(answer);
	return code;
}

/* --- add --- */

static json_t *split(const char *words)
{
	json_t *all = json_array();

	for (words += strspn(words, ", "); *words; words += strspn(words, ", ")) {
		size_t len = strcspn(words, ", ");

		json_array_append_new(all, json_stringn(words, len));
		words += len;
	}
	return all;
}

static int add(const struct local_command *c)
{
	const char *events = options_get(&c->options, "events");
	json_t *answer = NULL,
	       *body = json_pack("{s:s, s:s}", "name", c->words[1], "url", c->words[2]);
	int code;

	if (!body)
		return complain(EXIT_REFUSED, "the name or the URL is not UTF-8");
	if (events)
		json_object_set_new(body, "events", split(events));
	code = ask(c, "POST", base, body, &answer);
	json_decref(body);
	if (code != EXIT_DONE)
		return code;
	if (wants_json(c)) {
		code = print_json(answer);
	} else {
		puts(text_of(answer, "secret"));
		fputs("Shown once: the receiver checks webhook-signature with it.\n", stderr);
	}
	json_decref(answer);
	return code;
}

/* --- By name --- */

/* The path of the one with that name, and what is behind it. */
static int find(const struct local_command *c, const char *behind, char path[PATH_MAX_LEN])
{
	json_t *answer = NULL, *one;
	int code = ask(c, "GET", base, NULL, &answer);
	size_t i;

	path[0] = '\0';
	json_array_foreach(json_object_get(answer, "webhooks"), i, one)
	{
		if (strcmp(text_of(one, "name"), c->words[1]) == 0)
			snprintf(path, PATH_MAX_LEN, "%s/%" JSON_INTEGER_FORMAT "%s", base,
				 json_integer_value(json_object_get(one, "id")), behind);
	}
	json_decref(answer);
	if (code == EXIT_DONE && !path[0])
		code = complain(EXIT_REFUSED, "there is no webhook of that name");
	return code;
}

static int do_one(const struct local_command *c, const char *method, const char *behind,
		  const char *done)
{
	char path[PATH_MAX_LEN];
	json_t *answer = NULL;
	int code = find(c, behind, path);

	if (code == EXIT_DONE)
		code = ask(c, method, path, NULL, &answer);
	if (code == EXIT_DONE && wants_json(c))
		code = print_json(answer);
	else if (code == EXIT_DONE)
		printf("%s %s\n", c->words[1], done);
	json_decref(answer);
	return code;
}

static int run(const struct local_command *c)
{
	const char *verb = c->n_words > 0 ? c->words[0] : "";

	if (options_get(&c->options, "events") && strcmp(verb, "add") != 0)
		return complain(EXIT_USAGE, "only add takes --events");
	if (c->n_words == 1 && strcmp(verb, "list") == 0)
		return list(c);
	if (c->n_words == 3 && strcmp(verb, "add") == 0)
		return add(c);
	if (c->n_words == 2 && strcmp(verb, "test") == 0)
		return do_one(
			c, "POST", "/test",
			"gets webhook.test behind what waits: list shows what comes of it");
	if (c->n_words == 2 && strcmp(verb, "remove") == 0)
		return do_one(c, "DELETE", "", "removed");
	return complain(EXIT_USAGE, "say list, add NAME URL, test NAME or remove NAME");
}

static void print_help(const struct options *o)
{
	puts("Usage: culvert gateway webhook list [OPTIONS]\n"
	     "       culvert gateway webhook add NAME URL [OPTIONS]\n"
	     "       culvert gateway webhook test|remove NAME [OPTIONS]\n\n"
	     "Where events are sent, signed. add writes the secret that the receiver needs, once.\n"
	     "test sends webhook.test behind whatever waits; list shows what became of it.\n");
	options_print_help(o, stdout);
}

int role_gateway_webhook(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "gateway",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct diag d = { .text = "" };
	int code = EXIT_DONE;

	if (local_command_read(&c, argc, argv, &d) != 0)
		code = complain(EXIT_USAGE, d.text);
	else if (c.options.wants_help)
		print_help(&c.options);
	else
		code = run(&c);
	options_done(&c.options);
	return code;
}

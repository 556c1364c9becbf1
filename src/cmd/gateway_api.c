/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway api: any request to the gateway's own API, over its local socket; and gateway key:
 * keys for those who call from elsewhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/time_text.h"
#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "cmd/table.h"

enum { KEY_COLUMNS = 5 };

static const struct option_row api_rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
};

static const struct option_row key_rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
	{ "role", "ROLE", "operator", NULL, "of a new key: reader, operator or admin", NULL },
	{ "account", "ID", NULL, NULL, "of a new key: it sees this account's peers only",
	  NULL },
	{ "expires", "TIME", NULL, NULL, "of a new key: 2030-12-31T23:59:59Z", NULL },
};

/* struct asking - Which of the two commands it is */
struct asking {
	const char *name;
	const struct options *options;
};

static int complain(const struct asking *a, int code, const char *what)
{
	fprintf(stderr, "culvert gateway %s: %s\n", a->name, what);
	return code;
}

static int ask(const struct asking *a, const char *method, const char *path, const json_t *body,
	       json_t **ret)
{
	struct diag d = { .text = "" };
	int code = local_api_ask(options_get(a->options, "state"), method, path, body, ret, &d);

	return code == EXIT_DONE ? code : complain(a, code, d.text);
}

static int print(const struct asking *a, json_t *answer)
{
	int code = local_command_print(answer) ? EXIT_DONE
					       : complain(a, EXIT_FAILED, "out of memory");

	json_decref(answer);
	return code;
}

/* --- api --- */

/* What is no JSON, such as /metrics, goes out as it came. */
static int forward(const struct asking *a, const char *method, const char *path,
		   const json_t *body)
{
	struct text answer = { .data = NULL };
	struct diag d = { .text = "" };
	json_t *value = NULL;
	long status = 0;
	int code = local_api_send(options_get(a->options, "state"), method, path, body, &answer,
				  &status, &d);

	if (code == EXIT_DONE)
		code = local_api_judge(&answer, status, &value, &d);
	if (code != EXIT_DONE)
		complain(a, code, d.text);
	else if (value)
		code = print(a, value);
	else if (answer.len > 0)
		fwrite(answer.data, 1, answer.len, stdout);
	text_done(&answer);
	return code;
}

static int run_api(const struct asking *a, const struct local_command *c)
{
	const char *path = c->n_words > 1 ? c->words[1] : "";
	json_t *body = NULL;
	json_error_t why;
	int code;

	if (c->n_words < 2 || c->n_words > 3)
		return complain(a, EXIT_USAGE, "say METHOD PATH [JSON]");
	if (strncmp(path, "/", 1) != 0 || strpbrk(path, " \r\n"))
		return complain(a, EXIT_USAGE, "a path looks like /api/v1/peers");
	if (c->n_words == 3) {
		body = json_loads(c->words[2], JSON_REJECT_DUPLICATES, &why);
		if (!body)
			return complain(a, EXIT_REFUSED, why.text);
	}
	code = forward(a, c->words[0], path, body);
	json_decref(body);
	return code;
}

/* --- key --- */

static void put(struct text *cell, const json_t *value)
{
	if (json_is_string(value))
		text_puts(cell, json_string_value(value));
	else if (json_is_integer(value))
		text_put_u64(cell, (uint64_t)json_integer_value(value));
	else
		text_puts(cell, "-");
}

static void fill(void *context, size_t row, struct text cells[])
{
	static const char *const names[KEY_COLUMNS] = { "name", "role", "account", "expires",
							"created" };

	for (int i = 0; i < KEY_COLUMNS; i++)
		put(&cells[i], json_object_get(json_array_get(context, row), names[i]));
}

static int list_keys(const struct asking *a)
{
	static const char *const heads[KEY_COLUMNS] = { "NAME", "ROLE", "ACCOUNT", "EXPIRES",
							"CREATED" };
	json_t *answer = NULL, *keys;
	int code = ask(a, "GET", "/api/v1/keys", NULL, &answer);

	if (code != EXIT_DONE)
		return code;
	if (options_get(a->options, "json"))
		return print(a, answer);
	keys = json_object_get(answer, "keys");
	table_print(heads, KEY_COLUMNS, json_array_size(keys), fill, keys);
	json_decref(answer);
	return EXIT_DONE;
}

/* A wrong value of an option is a wrong command line, whoever finds out. */
static int check_options(const struct asking *a)
{
	static const char *const roles[] = { "reader", "operator", "admin" };
	const char *role = options_get(a->options, "role");
	const char *expires = options_get(a->options, "expires");
	uint64_t ignored;
	size_t i = 0;

	while (i < 3 && strcmp(role, roles[i]) != 0)
		i++;
	if (i == 3)
		return complain(a, EXIT_USAGE, "--role is reader, operator or admin");
	if (expires && time_text_parse(expires, &ignored) != 0)
		return complain(a, EXIT_USAGE,
				"--expires is a time such as 2030-12-31T23:59:59Z");
	return EXIT_DONE;
}

static int add_key(const struct asking *a, const char *name)
{
	const char *account = options_get(a->options, "account");
	json_t *answer = NULL, *body = json_pack("{s:s, s:s, s:s?}", "name", name, "role",
						 options_get(a->options, "role"), "expires",
						 options_get(a->options, "expires"));
	uint64_t id = 0;
	int code;

	if (account &&
	    (decimal_parse(account, strlen(account), INT64_MAX, &id) != 0 || id == 0)) {
		json_decref(body);
		return complain(a, EXIT_USAGE, "--account is the id of an account, a number");
	}
	if (account)
		json_object_set_new(body, "account", json_integer((json_int_t)id));
	code = ask(a, "POST", "/api/v1/keys", body, &answer);
	json_decref(body);
	if (code != EXIT_DONE)
		return code;
	if (options_get(a->options, "json"))
		return print(a, answer);
	printf("%s\n", json_string_value(json_object_get(answer, "key")));
	fputs("Shown once. Callers send it as: Authorization: Bearer KEY\n", stderr);
	json_decref(answer);
	return EXIT_DONE;
}

static int remove_key(const struct asking *a, const char *name)
{
	json_t *answer = NULL, *key;
	int code = ask(a, "GET", "/api/v1/keys", NULL, &answer);
	char path[64] = "";
	size_t i;

	if (code != EXIT_DONE)
		return code;
	json_array_foreach(json_object_get(answer, "keys"), i, key)
	{
		if (strcmp(json_string_value(json_object_get(key, "name")), name) == 0)
			snprintf(path, sizeof(path), "/api/v1/keys/%" JSON_INTEGER_FORMAT,
				 json_integer_value(json_object_get(key, "id")));
	}
	json_decref(answer);
	if (!path[0])
		return complain(a, EXIT_REFUSED, "there is no key of that name");
	answer = NULL;
	code = ask(a, "DELETE", path, NULL, &answer);
	if (code == EXIT_DONE && options_get(a->options, "json"))
		return print(a, answer);
	if (code == EXIT_DONE)
		printf("%s removed\n", name);
	json_decref(answer);
	return code;
}

static int run_key(const struct asking *a, const struct local_command *c)
{
	const char *verb = c->n_words > 0 ? c->words[0] : "";

	if (c->n_words == 1 && strcmp(verb, "list") == 0)
		return list_keys(a);
	if (c->n_words == 2 && strcmp(verb, "add") == 0)
		return check_options(a) == EXIT_DONE ? add_key(a, c->words[1]) : EXIT_USAGE;
	if (c->n_words == 2 && strcmp(verb, "remove") == 0)
		return remove_key(a, c->words[1]);
	return complain(a, EXIT_USAGE, "say list, add NAME or remove NAME");
}

/* --- Both --- */

static int start(const char *name, const char *help, const struct option_row *rows, size_t n,
		 int argc, char **argv,
		 int (*run)(const struct asking *a, const struct local_command *c))
{
	struct local_command c = { .options = { .command = "gateway", .rows = rows, .n = n } };
	const struct asking a = { name, &c.options };
	struct diag d = { .text = "" };
	int code;

	if (local_command_read(&c, argc, argv, &d) != 0) {
		code = complain(&a, EXIT_USAGE, d.text);
	} else if (c.options.wants_help) {
		puts(help);
		options_print_help(&c.options, stdout);
		code = EXIT_DONE;
	} else {
		code = run(&a, &c);
	}
	options_done(&c.options);
	return code;
}

int role_gateway_api(int argc, char **argv)
{
	return start(
		"api",
		"Usage: culvert gateway api METHOD PATH [JSON] [OPTIONS]\n\n"
		"One request to the running gateway's own API, for which it needs no key:\n"
		"culvert gateway api GET /api/v1/audit\n"
		"culvert gateway api PATCH /api/v1/peers/phone '{\"note\": \"mine\"}'\n",
		api_rows, sizeof(api_rows) / sizeof(api_rows[0]), argc, argv, run_api);
}

int role_gateway_key(int argc, char **argv)
{
	return start(
		"key",
		"Usage: culvert gateway key list [OPTIONS]\n"
		"       culvert gateway key add NAME [OPTIONS]\n"
		"       culvert gateway key remove NAME [OPTIONS]\n\n"
		"Keys for callers of the gateway's own API: a reader sees, an operator changes\n"
		"peers, an admin does everything. A key is shown once, when it is made.\n",
		key_rows, sizeof(key_rows) / sizeof(key_rows[0]), argc, argv, run_key);
}

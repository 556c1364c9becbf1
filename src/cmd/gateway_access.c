/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway access: lists of destinations that peers may reach. A client of the gateway's
 * own API over its local socket.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/access_name.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/role.h"
#include "cmd/table.h"

enum {
	COLUMNS = 5,
	RULE_PARTS = 3, /* network, protocol, ports */
};

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL },
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
	{ "allow", "RULES", NULL, NULL,
	  "add, set: rules with commas: NETWORK [PROTOCOL [PORTS]]", NULL },
	{ "note", "TEXT", NULL, NULL, "add, set: what it is for", NULL },
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway access: %s\n", what);
	return code;
}

static const char *state_of(const struct local_command *c)
{
	return options_get(&c->options, "state");
}

/* --- Rules as people write them --- */

/* The next word of @text up to a blank or comma, moved past. Return: its length. */
static size_t next_word(const char **text, const char **ret)
{
	size_t len;

	*text += strspn(*text, " \t");
	len = strcspn(*text, " \t,");
	*ret = *text;
	*text += len;
	*text += strspn(*text, " \t");
	return len;
}

/* One rule; what is wrong in it the gateway says, but not that there is too much. */
static json_t *read_rule(const char **text)
{
	static const char *const names[RULE_PARTS] = { "to", "protocol", "ports" };
	json_t *rule = json_object();
	const char *word;

	for (int i = 0; i < RULE_PARTS; i++) {
		size_t len = next_word(text, &word);

		if (len > 0)
			json_object_set_new(rule, names[i], json_stringn(word, len));
	}
	if (**text == ',' || !**text)
		return rule;
	json_decref(rule);
	return NULL;
}

/* "10.9.0.0/24 tcp 443, fd09::/16". NULL: no list of rules. */
static json_t *read_rules(const char *text)
{
	json_t *rules = json_array();

	while (*text) {
		json_t *rule = read_rule(&text);

		if (!rule) {
			json_decref(rules);
			return NULL;
		}
		json_array_append_new(rules, rule);
		text += *text == ',';
	}
	return rules;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void print_rules(const json_t *list)
{
	const json_t *rules = json_object_get(list, "rules");

	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *rule = json_array_get(rules, i);
		const char *protocol = text_of(rule, "protocol"),
			   *ports = text_of(rule, "ports");
		bool is_any = strcmp(protocol, "any") == 0;

		printf("%s%s%s%s%s\n", text_of(rule, "to"), is_any ? "" : " ",
		       is_any ? "" : protocol, *ports ? " " : "", ports);
	}
}

/* --- Verbs --- */

static int show_json(const struct local_command *c, const json_t *value)
{
	(void)c;
	return local_command_print(value) ? EXIT_DONE : complain(EXIT_FAILED, "out of memory");
}

static void fill(void *context, size_t row, struct text cells[])
{
	const json_t *list = json_array_get(context, row);

	text_printf(&cells[0], "%" JSON_INTEGER_FORMAT,
		    json_integer_value(json_object_get(list, "id")));
	text_puts(&cells[1], text_of(list, "name"));
	text_printf(&cells[2], "%zu", json_array_size(json_object_get(list, "rules")));
	text_printf(&cells[3], "%" JSON_INTEGER_FORMAT,
		    json_integer_value(json_object_get(list, "peers")));
	text_printf(&cells[4], "%" JSON_INTEGER_FORMAT,
		    json_integer_value(json_object_get(list, "accounts")));
}

static int list_all(const struct local_command *c)
{
	static const char *const heads[COLUMNS] = { "ID", "NAME", "RULES", "PEERS",
						    "ACCOUNTS" };
	struct diag d = { .text = "" };
	json_t *all = NULL;
	int code = access_name_all(state_of(c), &all, &d);

	if (code != EXIT_DONE)
		return complain(code, d.text);
	if (options_get(&c->options, "json"))
		code = show_json(c, all);
	else
		table_print(heads, COLUMNS, json_array_size(all), fill, all);
	json_decref(all);
	return code;
}

static int show(const struct local_command *c)
{
	struct diag d = { .text = "" };
	json_t *list = NULL;
	int code = access_name_find(state_of(c), c->words[1], &list, &d);

	if (code != EXIT_DONE)
		return complain(code, d.text);
	if (options_get(&c->options, "json"))
		code = show_json(c, list);
	else
		print_rules(list);
	json_decref(list);
	return code;
}

/* @path: of the list; NULL: a new one. */
static int put(const struct local_command *c, const char *path)
{
	const char *allow = options_get(&c->options, "allow");
	const char *note = options_get(&c->options, "note");
	json_t *answer = NULL, *body = json_object(), *rules = allow ? read_rules(allow) : NULL;
	struct diag d = { .text = "" };
	int code;

	if (allow && !rules) {
		json_decref(body);
		return complain(EXIT_REFUSED,
				"--allow is a list like '10.9.0.0/24 tcp 443, fd09::/16'");
	}
	if (rules)
		json_object_set_new(body, "rules", rules);
	if (note)
		json_object_set_new(body, "note", json_string(note));
	if (!path)
		json_object_set_new(body, "name", json_string(c->words[1]));
	code = local_api_ask(state_of(c), path ? "PATCH" : "POST",
			     path ? path : "/api/v1/access", body, &answer, &d);
	json_decref(body);
	if (code != EXIT_DONE)
		return complain(code, d.text);
	if (options_get(&c->options, "json"))
		code = show_json(c, answer);
	else
		print_rules(answer);
	json_decref(answer);
	return code;
}

static int add(const struct local_command *c)
{
	if (!options_get(&c->options, "allow"))
		return complain(EXIT_USAGE,
				"say what it allows: --allow '10.9.0.0/24 tcp 443, fd09::/16',"
				" or --allow '' for nothing at all");
	return put(c, NULL);
}

/* Return: EXIT_DONE with the path of the list that is named. */
static int find_path(const struct local_command *c, char out[64])
{
	struct diag d = { .text = "" };
	json_t *list = NULL;
	int code = access_name_find(state_of(c), c->words[1], &list, &d);

	if (code != EXIT_DONE)
		return complain(code, d.text);
	snprintf(out, 64, "/api/v1/access/%" JSON_INTEGER_FORMAT,
		 json_integer_value(json_object_get(list, "id")));
	json_decref(list);
	return code;
}

static int set(const struct local_command *c)
{
	char path[64];
	int code = find_path(c, path);

	return code == EXIT_DONE ? put(c, path) : code;
}

static int drop(const struct local_command *c)
{
	struct diag d = { .text = "" };
	json_t *answer = NULL;
	char path[64];
	int code = find_path(c, path);

	if (code != EXIT_DONE)
		return code;
	code = local_api_ask(state_of(c), "DELETE", path, NULL, &answer, &d);
	json_decref(answer);
	return code == EXIT_DONE ? code : complain(code, d.text);
}

static const struct {
	const char *name;
	int words;
	int (*run)(const struct local_command *c);
} verbs[] = {
	{ "list", 0, list_all }, { "show", 1, show },	{ "add", 1, add },
	{ "set", 1, set },	 { "remove", 1, drop },
};

static int run_verb(const struct local_command *c)
{
	for (size_t i = 0; c->n_words > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(c->words[0], verbs[i].name) == 0 && c->n_words == verbs[i].words + 1)
			return verbs[i].run(c);
	}
	return complain(EXIT_USAGE, "say list, show NAME, add NAME, set NAME or remove NAME");
}

int role_gateway_access(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "gateway",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct diag d = { .text = "" };
	int code;

	if (local_command_read(&c, argc, argv, &d) != 0) {
		code = complain(EXIT_USAGE, d.text);
	} else if (c.options.wants_help) {
		puts("Usage: culvert gateway access list [OPTIONS]\n"
		     "       culvert gateway access show|remove NAME [OPTIONS]\n"
		     "       culvert gateway access add|set NAME --allow RULES [OPTIONS]\n\n"
		     "Lists of destinations. A peer that has one reaches what it allows and nothing\n"
		     "else: culvert gateway access add office --allow '10.9.0.0/24 tcp 80-443, fd09::1'\n"
		     "and culvert gateway peer access phone office.\n");
		options_print_help(&c.options, stdout);
		code = EXIT_DONE;
	} else {
		code = run_verb(&c);
	}
	options_done(&c.options);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway peer: peers from the command line. A client of the gateway's own API over
 * its local socket. What writes a client's file is in peer_client.c.
 */
#include "cmd/peer.h"

#include <stdio.h>
#include <string.h>

#include "cmd/access_name.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/local_command.h"
#include "cmd/options.h"
#include "cmd/peer_print.h"
#include "cmd/role.h"
#include "frame/level.h"
#include "http/json.h"

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL, "the gateway's; a user's own where one runs, else root's",
	  NULL }, /* state_default() */
	{ "json", NULL, NULL, NULL, "write JSON", NULL },
	{ "public-key", "KEY", NULL, NULL, "add: the client has its own key", NULL },
	{ "address", "LIST", NULL, NULL, "add: these addresses instead of the next free",
	  NULL },
	{ "amnezia", NULL, NULL, NULL, "add: a link for AmneziaVPN instead of the file", NULL },
	{ "level", "LEVEL", NULL, NULL, "add, conf: off, low, medium, high or extreme", NULL },
	{ "access", "LIST", NULL, NULL, "add: an access list, by its name", NULL },
	{ "dns", "LIST", NULL, NULL, "add, conf: resolvers for the client, or 'none'", NULL },
	{ "allowed-ips", "LIST", NULL, NULL, "add, conf: what the client sends here; else all",
	  NULL },
	{ "private-key", "FILE", NULL, NULL,
	  "conf, link: with this key, or that of an earlier file", NULL },
	{ "generate", NULL, NULL, NULL, "link: a new key; a device that has one is cut off",
	  NULL },
	{ "ttl", "TIME", NULL, NULL,
	  "link: good so long, such as 30m, 24h, 7d; else a day; enroll: else an hour", NULL },
	{ "uses", "N", NULL, NULL, "link: good so many times; else once", NULL },
};

enum { VERB_OPTIONS_MAX = 8 };

/**
 * struct verb - What can be done
 * @words:	How many follow it: a NAME, and a LEVEL
 * @options:	That it takes beside --state and --json
 */
struct verb {
	const char *name;
	int words;
	int (*run)(const struct peer_request *r);
	const char *options[VERB_OPTIONS_MAX];
};

int peer_complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway peer: %s\n", what);
	return code;
}

/* What was refused about which peer. A name that was refused may hold anything. */
static int refuse_peer(const char *name, const char *why)
{
	fputs("culvert gateway peer: ", stderr);
	for (const char *c = name; *c; c++)
		fputc((*c >= '\0' && *c < ' ') || *c == 0x7f ? '?' : *c, stderr);
	fprintf(stderr, ": %s\n", why);
	return EXIT_REFUSED;
}

/* Ask, and complain about whatever is not a success. */
int peer_ask(const struct peer_request *r, const char *method, const char *path,
	     const json_t *body, json_t **ret)
{
	struct diag d = { .text = "" };
	int code = local_api_ask(options_get(r->options, "state"), method, path, body, ret, &d);

	if (code == EXIT_REFUSED && r->name)
		return refuse_peer(r->name, d.text);
	return code == EXIT_DONE ? code : peer_complain(code, d.text);
}

int peer_print_json(const json_t *value)
{
	return local_command_print(value) ? EXIT_DONE
					  : peer_complain(EXIT_FAILED, "out of memory");
}

/* --- Verbs --- */

int peer_path(const char *name, struct text *out)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"-._~";

	text_puts(out, "/api/v1/peers/");
	for (const char *c = name; *c; c++) {
		if (strchr(plain, *c))
			text_add(out, c, 1);
		else
			text_printf(out, "%%%02X", (unsigned char)*c);
	}
	return out->err;
}

/* One request about one peer. */
static int ask_peer(const struct peer_request *r, const char *method, const json_t *body,
		    json_t **ret)
{
	struct text path = { .data = NULL };
	int code = EXIT_FAILED;

	if (peer_path(r->name, &path) == 0)
		code = peer_ask(r, method, path.data, body, ret);
	if (code == EXIT_REFUSED) /* nothing else in these requests can be refused */
		fputs("'culvert gateway peer list' shows what there is.\n", stderr);
	text_done(&path);
	return code;
}

static int list(const struct peer_request *r)
{
	json_t *all = json_array(), *page = NULL;
	long long after = 0;
	int code = EXIT_DONE;

	while (code == EXIT_DONE && after >= 0) {
		char path[64];

		snprintf(path, sizeof(path), "/api/v1/peers?after=%lld", after);
		code = peer_ask(r, "GET", path, NULL, &page);
		if (code != EXIT_DONE)
			break;
		json_array_extend(all, json_object_get(page, "peers"));

		const json_t *next = json_object_get(page, "next");

		after = json_is_integer(next) ? json_integer_value(next) : -1;
		json_decref(page);
	}
	if (code == EXIT_DONE && r->json)
		code = peer_print_json(all);
	else if (code == EXIT_DONE)
		peer_print_list(all);
	json_decref(all);
	return code;
}

static int show(const struct peer_request *r)
{
	json_t *peer = NULL;
	int code = ask_peer(r, "GET", NULL, &peer);

	if (code == EXIT_DONE && r->json)
		code = peer_print_json(peer);
	else if (code == EXIT_DONE)
		peer_print_one(peer);
	json_decref(peer);
	return code;
}

static int report(const struct peer_request *r, int code, json_t *reply, const char *done)
{
	if (code == EXIT_DONE && r->json)
		code = peer_print_json(reply);
	else if (code == EXIT_DONE)
		printf("%s %s\n", r->name, done);
	json_decref(reply);
	return code;
}

static int switch_to(const struct peer_request *r, bool enabled)
{
	json_t *body = json_pack("{s:b}", "enabled", enabled), *reply = NULL;
	int code = ask_peer(r, "PATCH", body, &reply);

	json_decref(body);
	return report(r, code, reply, enabled ? "enabled" : "disabled");
}

static int enable(const struct peer_request *r)
{
	return switch_to(r, true);
}

static int disable(const struct peer_request *r)
{
	return switch_to(r, false);
}

static int change_level(const struct peer_request *r)
{
	enum frame_level level = frame_level_find(r->level, strlen(r->level));
	json_t *body, *reply = NULL;
	char done[96];
	int code;

	if (level == FRAME_LEVELS)
		return peer_complain(EXIT_USAGE,
				     "a level is off, low, medium, high or extreme");
	snprintf(done, sizeof(done), "has level %s: 'peer conf' writes its new file",
		 frame_level_name(level));
	body = json_pack("{s:s}", "obfuscation_level", frame_level_name(level));
	code = ask_peer(r, "PATCH", body, &reply);
	json_decref(body);
	return report(r, code, reply, done);
}

int peer_set_access(const struct peer_request *r, json_t *body, const char *name)
{
	struct diag d = { .text = "" };
	json_t *list = NULL;
	int code = EXIT_DONE;

	if (strcmp(name, "none") != 0)
		code = access_name_find(options_get(r->options, "state"), name, &list, &d);
	if (code != EXIT_DONE)
		return peer_complain(code, d.text);
	json_object_set_new(body, "access",
			    list ? json_incref(json_object_get(list, "id")) : json_null());
	json_decref(list);
	return code;
}

static int change_access(const struct peer_request *r)
{
	json_t *body = json_object(), *reply = NULL;
	int code = peer_set_access(r, body, r->level);

	if (code == EXIT_DONE)
		code = ask_peer(r, "PATCH", body, &reply);
	json_decref(body);
	return report(r, code, reply,
		      strcmp(r->level, "none") == 0 ? "has no access list of its own"
						    : "reaches what its access list allows");
}

static int drop(const struct peer_request *r)
{
	json_t *reply = NULL;
	int code = ask_peer(r, "DELETE", NULL, &reply);

	return report(r, code, reply, "removed");
}

static const struct verb verbs[] = {
	{ "add",
	  1,
	  peer_add,
	  { "public-key", "address", "amnezia", "level", "access", "dns", "allowed-ips" } },
	{ "conf", 1, peer_conf, { "level", "dns", "allowed-ips", "private-key" } },
	{ "link", 1, peer_link, { "ttl", "uses", "generate", "private-key" } },
	{ "enroll", 1, peer_enroll, { "ttl" } },
	{ "list", 0, list, { NULL } },
	{ "show", 1, show, { NULL } },
	{ "level", 2, change_level, { NULL } },
	{ "access", 2, change_access, { NULL } },
	{ "disable", 1, disable, { NULL } },
	{ "enable", 1, enable, { NULL } },
	{ "remove", 1, drop, { NULL } },
};

/* --- The command line --- */

static void print_help(const struct options *o, FILE *out)
{
	fputs("Usage: culvert gateway peer add NAME [OPTIONS]\n"
	      "       culvert gateway peer conf NAME [OPTIONS]\n"
	      "       culvert gateway peer link NAME [OPTIONS]\n"
	      "       culvert gateway peer enroll NAME [--ttl TIME]\n"
	      "       culvert gateway peer list [OPTIONS]\n"
	      "       culvert gateway peer level NAME LEVEL [OPTIONS]\n"
	      "       culvert gateway peer access NAME LIST|none [OPTIONS]\n"
	      "       culvert gateway peer show|disable|enable|remove NAME [OPTIONS]\n"
	      "\n"
	      "NAME is a peer's name or its public key. add writes the client's configuration to\n"
	      "standard output, and a QR code as well when that is a terminal: the private key\n"
	      "is shown once and kept nowhere. conf writes the rest again, and the key as well\n"
	      "where it is given: after a level was rotated, or for another --level. A peer is\n"
	      "recognised at any of them; level changes which one its file is for. link writes\n"
	      "a URL where a browser finds the file, once. enroll writes a token with which somebody\n"
	      "becomes the user NAME of the users' API, once, with a key pair made over there.\n"
	      "\n",
	      out);
	options_print_help(o, out);
}

static int usage(const char *why)
{
	peer_complain(EXIT_USAGE, why);
	fputs("Try 'culvert gateway peer --help'.\n", stderr);
	return EXIT_USAGE;
}

static bool takes(const struct verb *v, const char *option)
{
	for (int i = 0; i < VERB_OPTIONS_MAX && v->options[i]; i++)
		if (strcmp(v->options[i], option) == 0)
			return true;
	return strcmp(option, "state") == 0 || strcmp(option, "json") == 0;
}

/* An option that says nothing to a verb was meant for something else. */
static int check_options(const struct verb *v, const struct options *o)
{
	char why[64];

	for (size_t i = 0; i < o->n; i++) {
		if (!options_is_argument(o, o->rows[i].name) || takes(v, o->rows[i].name))
			continue;
		snprintf(why, sizeof(why), "%s takes no --%s", v->name, o->rows[i].name);
		return usage(why);
	}
	return EXIT_DONE;
}

static int run_verb(const struct local_command *c)
{
	static const char *const needs[] = { "this takes no NAME", "this takes one NAME",
					     "this takes a NAME and one more word" };
	struct peer_request r = { .options = &c->options,
				  .json = options_get(&c->options, "json") != NULL };
	int n = c->n_words;
	const struct verb *v = NULL;

	for (size_t i = 0; n > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(c->words[0], verbs[i].name) == 0)
			v = &verbs[i];
	if (!v)
		return usage(
			"say add, conf, link, enroll, list, show, level, access, disable, enable or "
			"remove");
	if (n != v->words + 1)
		return usage(needs[v->words]);
	if (check_options(v, &c->options) != EXIT_DONE)
		return EXIT_USAGE;
	r.name = n > 1 ? c->words[1] : NULL;
	r.level = n > 2 ? c->words[2] : NULL;
	return v->run(&r);
}

int role_gateway_peer(int argc, char **argv)
{
	struct local_command c = { .options = { .command = "gateway",
						.rows = rows,
						.n = sizeof(rows) / sizeof(rows[0]) } };
	struct diag d = { .text = "" };
	int code;

	if (local_command_read(&c, argc, argv, &d) != 0) {
		code = usage(d.text);
	} else if (c.options.wants_help) {
		print_help(&c.options, stdout);
		code = EXIT_DONE;
	} else {
		code = run_verb(&c);
	}
	options_done(&c.options);
	return code;
}

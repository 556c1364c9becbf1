/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway peer: peers from the command line. A client of the gateway's own API over
 * its local socket. The private key of a new peer is made here and never leaves this
 * process but to standard output.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/local_api.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "cmd/peer_print.h"
#include "cmd/role.h"
#include "cmd/state_default.h"
#include "conf/qr.h"
#include "conf/wgconf.h"
#include "crypto/suite.h"
#include "http/json.h"
#include "sys/random.h"

enum {
	WORDS_MAX = 4,
	ARGUMENTS_MAX = 64,
	LIST_MAX = 8, /* addresses, prefixes, resolvers of one configuration */
};

static const struct option_row rows[] = {
	{ "state", "DIR", NULL, NULL,
	  "the gateway's; a user's own where one runs, else root's" }, /* state_default() */
	{ "json", NULL, NULL, NULL, "write JSON" },
	{ "public-key", "KEY", NULL, NULL, "add: the client has its own key" },
	{ "address", "LIST", NULL, NULL, "add: these addresses instead of the next free" },
	{ "dns", "LIST", NULL, NULL, "add: resolvers for the client, or 'none'" },
	{ "allowed-ips", "LIST", NULL, NULL, "add: what the client sends here; else all" },
};

/**
 * struct request - What the command line asks for
 * @name:	NULL where the verb takes none
 */
struct request {
	const struct options *options;
	const char *name;
	bool json;
};

struct verb {
	const char *name;
	bool takes_name;
	int (*run)(const struct request *r);
};

static int complain(int code, const char *what)
{
	fprintf(stderr, "culvert gateway peer: %s\n", what);
	return code;
}

/* What was refused about which peer. A name that was refused may hold anything. */
static int complain_of_peer(const char *name, const char *why)
{
	fputs("culvert gateway peer: ", stderr);
	for (const char *c = name; *c; c++)
		fputc((*c >= '\0' && *c < ' ') || *c == 0x7f ? '?' : *c, stderr);
	fprintf(stderr, ": %s\n", why);
	return EXIT_REFUSED;
}

/* Ask, and complain about whatever is not a success. */
static int ask(const struct request *r, const char *method, const char *path,
	       const json_t *body, json_t **ret)
{
	struct diag d = { .text = "" };
	int code = local_api_ask(options_get(r->options, "state"), method, path, body, ret, &d);

	if (code == EXIT_REFUSED && r->name)
		return complain_of_peer(r->name, d.text);
	return code == EXIT_DONE ? code : complain(code, d.text);
}

static int print_json(const json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) != 0)
		return complain(EXIT_FAILED, "out of memory");
	putchar('\n');
	return EXIT_DONE;
}

/* --- add --- */

/* A new client, between the gateway's answer and the file. */
struct client {
	struct secret_key private_key;
	bool has_private_key;
	char public_key[KEY_BASE64_LEN + 1];
	json_t *reply;
	struct text conf;
};

static int make_key(struct client *c, const char *given)
{
	struct suite *suite = NULL;
	uint8_t public_key[32];

	if (given) {
		if (key_from_base64(given, strlen(given), public_key) != 0)
			return complain(
				EXIT_REFUSED,
				"--public-key is a WireGuard key: 44 characters of base64");
		memcpy(c->public_key, given, KEY_BASE64_LEN + 1);
		return EXIT_DONE;
	}
	if (suite_new(SUITE_OPENSSL, &suite) != 0)
		return complain(EXIT_FAILED, "the cryptographic library cannot be used");
	random_fill(c->private_key.b, sizeof(c->private_key.b));
	dh_clamp(&c->private_key);
	c->has_private_key = true;
	dh_public(suite, public_key, &c->private_key);
	suite_free(suite);
	key_to_base64(public_key, c->public_key);
	return EXIT_DONE;
}

/* "a, b" as a JSON list of texts. */
static json_t *split(const char *list)
{
	json_t *array = json_array();

	while (*list) {
		list += strspn(list, ", ");

		size_t len = strcspn(list, ", ");

		if (len > 0)
			json_array_append_new(array, json_stringn(list, len));
		list += len;
	}
	return array;
}

static json_t *add_body(const struct request *r, const struct client *c)
{
	json_t *body = json_pack("{s:s, s:s}", "name", r->name, "public_key", c->public_key);
	const char *addresses = options_get(r->options, "address");

	if (body && addresses)
		json_object_set_new(body, "addresses", split(addresses));
	return body;
}

/* What the file is made of; texts point into the reply. */
struct parts {
	struct wgconf_address addresses[LIST_MAX];
	struct ip_prefix allowed_ips[LIST_MAX];
	const char *dns[LIST_MAX];
	struct wgconf_client client;
};

static bool read_prefixes(const json_t *list, struct ip_prefix out[LIST_MAX], size_t *ret_n)
{
	if (json_array_size(list) > LIST_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || ip_prefix_parse(text, false, &out[i]) != 0)
			return false;
	}
	*ret_n = json_array_size(list);
	return true;
}

static bool read_addresses(const json_t *list, struct parts *p)
{
	struct ip_prefix prefixes[LIST_MAX];

	if (!read_prefixes(list, prefixes, &p->client.n_addresses))
		return false;
	for (size_t i = 0; i < p->client.n_addresses; i++)
		p->addresses[i] = (struct wgconf_address){ prefixes[i].ip, prefixes[i].bits };
	return true;
}

static void read_resolvers(const json_t *list, struct parts *p)
{
	for (size_t i = 0; i < json_array_size(list) && i < LIST_MAX; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (text && strcmp(text, "none") != 0)
			p->dns[p->client.n_dns++] = text;
	}
}

/* @values is the gateway's answer, with what the command line says instead laid over it. */
static int write_conf(const struct request *r, struct client *c, const json_t *values)
{
	const char *server_key =
		json_string_value(json_object_get(values, "server_public_key"));
	struct parts p = { .client = { .name = r->name } };
	struct wgconf_client *w = &p.client;
	uint16_t seconds;

	w->private_key = c->has_private_key ? &c->private_key : NULL;
	w->addresses = p.addresses;
	w->allowed_ips = p.allowed_ips;
	w->dns = p.dns;
	w->endpoint = json_string_value(json_object_get(values, "endpoint"));
	if (w->endpoint && !w->endpoint[0])
		w->endpoint = NULL;
	w->mtu = (uint16_t)json_integer_value(json_object_get(values, "mtu"));
	seconds = (uint16_t)json_integer_value(json_object_get(values, "persistent_keepalive"));
	w->keepalive = (struct frame_range){ seconds, seconds };
	read_resolvers(json_object_get(values, "dns"), &p);
	if (!server_key ||
	    key_from_base64(server_key, strlen(server_key), w->server_key) != 0 ||
	    !read_addresses(json_object_get(c->reply, "addresses"), &p))
		return complain(EXIT_FAILED, "the gateway's answer is not understood");
	if (!read_prefixes(json_object_get(values, "allowed_ips"), p.allowed_ips,
			   &w->n_allowed_ips))
		return complain(EXIT_REFUSED,
				"--allowed-ips is a list such as 10.0.0.0/8, ::/0");
	wgconf_client_text(&c->conf, w);
	return c->conf.err == 0 ? EXIT_DONE : complain(EXIT_REFUSED, err_text(c->conf.err));
}

static int make_conf(const struct request *r, struct client *c)
{
	const char *dns = options_get(r->options, "dns");
	const char *allowed = options_get(r->options, "allowed-ips");
	json_t *values = json_copy(json_object_get(c->reply, "client"));
	int code;

	if (values && dns)
		json_object_set_new(values, "dns", split(dns));
	if (values && allowed)
		json_object_set_new(values, "allowed_ips", split(allowed));
	code = write_conf(r, c, values);
	json_decref(values);
	return code;
}

static void print_qr(const struct text *conf)
{
	struct text code = { .data = NULL };
	struct diag d = { .text = "" };
	struct qr qr = { .modules = NULL };

	if (qr_make(conf->data, conf->len, QR_WIDTH_TERMINAL, &qr, &d) != 0) {
		complain(0, d.text);
		return;
	}
	qr_write_ansi(&code, &qr);
	if (code.err == 0)
		fwrite(code.data, 1, code.len, stdout);
	text_done(&code);
	qr_done(&qr);
}

static int print_client_json(const struct request *r, const struct client *c)
{
	char text[KEY_BASE64_LEN + 1] = "";
	json_t *value;
	int code;

	if (c->has_private_key)
		key_to_base64(c->private_key.b, text);
	value = json_pack("{s:s, s:s, s:o, s:O, s:s}", "name", r->name, "public_key",
			  c->public_key, "private_key",
			  c->has_private_key ? json_string(text) : json_null(), "addresses",
			  json_object_get(c->reply, "addresses"), "configuration",
			  c->conf.data);
	secret_wipe(text, sizeof(text));
	code = print_json(value);
	json_decref(value);
	return code;
}

static int print_client(const struct request *r, const struct client *c)
{
	const char *endpoint = json_string_value(
		json_object_get(json_object_get(c->reply, "client"), "endpoint"));

	if (endpoint && !endpoint[0])
		complain(
			0,
			"the gateway does not know its own address: add a line Endpoint, or start it"
			" with --endpoint HOST");
	if (c->has_private_key)
		output_warn_if_readable("culvert gateway peer");
	if (r->json)
		return print_client_json(r, c);
	fwrite(c->conf.data, 1, c->conf.len, stdout);
	/* A code of a file without its private key would not connect. */
	if (c->has_private_key && isatty(STDOUT_FILENO))
		print_qr(&c->conf);
	return EXIT_DONE;
}

static int add(const struct request *r)
{
	struct client c = { .has_private_key = false };
	int code = make_key(&c, options_get(r->options, "public-key"));
	json_t *body;

	if (code == EXIT_DONE) {
		body = add_body(r, &c);
		code = body ? ask(r, "POST", "/api/v1/peers", body, &c.reply)
			    : complain(EXIT_REFUSED, "the name is not UTF-8");
		json_decref(body);
	}
	if (code == EXIT_DONE)
		code = make_conf(r, &c);
	if (code == EXIT_DONE)
		code = print_client(r, &c);
	json_decref(c.reply);
	text_done(&c.conf);
	secret_key_done(&c.private_key);
	return code;
}

/* --- The others --- */

static int peer_path(const char *name, struct text *out)
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
static int ask_peer(const struct request *r, const char *method, const json_t *body,
		    json_t **ret)
{
	struct text path = { .data = NULL };
	int code = EXIT_FAILED;

	if (peer_path(r->name, &path) == 0)
		code = ask(r, method, path.data, body, ret);
	if (code == EXIT_REFUSED) /* nothing else in these requests can be refused */
		fputs("'culvert gateway peer list' shows what there is.\n", stderr);
	text_done(&path);
	return code;
}

static int list(const struct request *r)
{
	json_t *all = json_array(), *page = NULL;
	long long after = 0;
	int code = EXIT_DONE;

	while (code == EXIT_DONE && after >= 0) {
		char path[64];

		snprintf(path, sizeof(path), "/api/v1/peers?after=%lld", after);
		code = ask(r, "GET", path, NULL, &page);
		if (code != EXIT_DONE)
			break;
		json_array_extend(all, json_object_get(page, "peers"));

		const json_t *next = json_object_get(page, "next");

		after = json_is_integer(next) ? json_integer_value(next) : -1;
		json_decref(page);
	}
	if (code == EXIT_DONE && r->json)
		code = print_json(all);
	else if (code == EXIT_DONE)
		peer_print_list(all);
	json_decref(all);
	return code;
}

static int show(const struct request *r)
{
	json_t *peer = NULL;
	int code = ask_peer(r, "GET", NULL, &peer);

	if (code == EXIT_DONE && r->json)
		code = print_json(peer);
	else if (code == EXIT_DONE)
		peer_print_one(peer);
	json_decref(peer);
	return code;
}

static int report(const struct request *r, int code, json_t *reply, const char *done)
{
	if (code == EXIT_DONE && r->json)
		code = print_json(reply);
	else if (code == EXIT_DONE)
		printf("%s %s\n", r->name, done);
	json_decref(reply);
	return code;
}

static int switch_to(const struct request *r, bool enabled)
{
	json_t *body = json_pack("{s:b}", "enabled", enabled), *reply = NULL;
	int code = ask_peer(r, "PATCH", body, &reply);

	json_decref(body);
	return report(r, code, reply, enabled ? "enabled" : "disabled");
}

static int enable(const struct request *r)
{
	return switch_to(r, true);
}

static int disable(const struct request *r)
{
	return switch_to(r, false);
}

static int drop(const struct request *r)
{
	json_t *reply = NULL;
	int code = ask_peer(r, "DELETE", NULL, &reply);

	return report(r, code, reply, "removed");
}

static const struct verb verbs[] = {
	{ "add", true, add },	      { "list", false, list },	  { "show", true, show },
	{ "disable", true, disable }, { "enable", true, enable }, { "remove", true, drop },
};

/* --- The command line --- */

static void print_help(const struct options *o, FILE *out)
{
	fputs("Usage: culvert gateway peer add NAME [OPTIONS]\n"
	      "       culvert gateway peer list [OPTIONS]\n"
	      "       culvert gateway peer show|disable|enable|remove NAME [OPTIONS]\n"
	      "\n"
	      "NAME is a peer's name or its public key. add writes the client's configuration to\n"
	      "standard output, and a QR code as well when that is a terminal: the private key\n"
	      "is shown once and kept nowhere.\n"
	      "\n",
	      out);
	options_print_help(o, out);
}

static const struct option_row *find_row(const char *word)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(word, rows[i].name) == 0)
			return &rows[i];
	return NULL;
}

/* Words may stand anywhere among the options: part them. Return: how many words. */
static int part(int argc, char **argv, const char *words[WORDS_MAX],
		char *others[ARGUMENTS_MAX], int *ret_others)
{
	int n_words = 0, n = 0;

	others[n++] = argv[0];
	for (int i = 1; i < argc && n < ARGUMENTS_MAX - 2 && n_words < WORDS_MAX; i++) {
		if (strncmp(argv[i], "-", 1) != 0) {
			words[n_words++] = argv[i];
			continue;
		}
		others[n++] = argv[i];

		const struct option_row *row =
			strncmp(argv[i], "--", 2) == 0 ? find_row(argv[i] + 2) : NULL;

		if (row && row->argument && i + 1 < argc)
			others[n++] = argv[++i];
	}
	others[n] = NULL;
	*ret_others = n;
	return n_words;
}

static int usage(const char *why)
{
	complain(EXIT_USAGE, why);
	fputs("Try 'culvert gateway peer --help'.\n", stderr);
	return EXIT_USAGE;
}

static int run_verb(const struct options *o, const char *const words[WORDS_MAX], int n)
{
	struct request r = { .options = o, .json = options_get(o, "json") != NULL };
	const struct verb *v = NULL;

	for (size_t i = 0; n > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(words[0], verbs[i].name) == 0)
			v = &verbs[i];
	if (!v)
		return usage("say add, list, show, disable, enable or remove");
	if (n != (v->takes_name ? 2 : 1))
		return usage(v->takes_name ? "this takes one NAME" : "this takes no NAME");
	r.name = n > 1 ? words[1] : NULL;
	return v->run(&r);
}

/* A user's own gateway, where there is one; else root's. */
static const char *find_state(char out[STATE_DEFAULT_MAX])
{
	char socket_path[STATE_DEFAULT_MAX + 16];

	snprintf(socket_path, sizeof(socket_path), "%s/gateway.sock",
		 state_default(geteuid(), out));
	return access(socket_path, F_OK) == 0 ? out : state_default(0, out);
}

int role_gateway_peer(int argc, char **argv)
{
	struct options o = { .command = "gateway",
			     .rows = rows,
			     .n = sizeof(rows) / sizeof(rows[0]) };
	const char *words[WORDS_MAX];
	char *others[ARGUMENTS_MAX];
	struct diag d = { .text = "" };
	int n_others = 0, n_words = part(argc, argv, words, others, &n_others);
	char state[STATE_DEFAULT_MAX];
	int code;

	options_set_default(&o, "state", find_state(state));

	json_set_alloc_funcs(malloc, local_api_wipe_and_free);
	if (options_read_arguments(&o, n_others, others, &d) != 0) {
		code = usage(d.text);
	} else if (o.wants_help) {
		print_help(&o, stdout);
		code = EXIT_DONE;
	} else {
		code = run_verb(&o, words, n_words);
	}
	options_done(&o);
	return code;
}

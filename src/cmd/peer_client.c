/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway peer add: a new client and its file. Its private key is made here and never
 * leaves this process but to standard output.
 */
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/output.h"
#include "cmd/peer.h"
#include "conf/qr.h"
#include "conf/wgconf.h"
#include "crypto/suite.h"
#include "sys/random.h"

enum {
	LIST_MAX = 8, /* addresses, prefixes, resolvers of one configuration */
};

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
			return peer_complain(
				EXIT_REFUSED,
				"--public-key is a WireGuard key: 44 characters of base64");
		memcpy(c->public_key, given, KEY_BASE64_LEN + 1);
		return EXIT_DONE;
	}
	if (suite_new(SUITE_OPENSSL, &suite) != 0)
		return peer_complain(EXIT_FAILED, "the cryptographic library cannot be used");
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

static json_t *add_body(const struct peer_request *r, const struct client *c)
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
static int write_conf(const struct peer_request *r, struct client *c, const json_t *values)
{
	const char *server_key =
		json_string_value(json_object_get(values, "server_public_key"));
	struct parts p = { .client = { .name = r->name } };
	struct wgconf_client *w = &p.client;

	w->private_key = c->has_private_key ? &c->private_key : NULL;
	w->addresses = p.addresses;
	w->allowed_ips = p.allowed_ips;
	w->dns = p.dns;
	w->endpoint = json_string_value(json_object_get(values, "endpoint"));
	if (w->endpoint && !w->endpoint[0])
		w->endpoint = NULL;
	w->mtu = (uint16_t)json_integer_value(json_object_get(values, "mtu"));
	w->keepalive_s =
		(uint16_t)json_integer_value(json_object_get(values, "persistent_keepalive"));
	read_resolvers(json_object_get(values, "dns"), &p);
	if (!server_key ||
	    key_from_base64(server_key, strlen(server_key), w->server_key) != 0 ||
	    !read_addresses(json_object_get(c->reply, "addresses"), &p))
		return peer_complain(EXIT_FAILED, "the gateway's answer is not understood");
	if (!read_prefixes(json_object_get(values, "allowed_ips"), p.allowed_ips,
			   &w->n_allowed_ips))
		return peer_complain(EXIT_REFUSED,
				     "--allowed-ips is a list such as 10.0.0.0/8, ::/0");
	wgconf_client_text(&c->conf, w);
	return c->conf.err == 0 ? EXIT_DONE
				: peer_complain(EXIT_REFUSED, err_text(c->conf.err));
}

static int make_conf(const struct peer_request *r, struct client *c)
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
		peer_complain(0, d.text);
		return;
	}
	qr_write_ansi(&code, &qr);
	if (code.err == 0)
		fwrite(code.data, 1, code.len, stdout);
	text_done(&code);
	qr_done(&qr);
}

static int print_client_json(const struct peer_request *r, const struct client *c)
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
	code = peer_print_json(value);
	json_decref(value);
	return code;
}

static int print_client(const struct peer_request *r, const struct client *c)
{
	const char *endpoint = json_string_value(
		json_object_get(json_object_get(c->reply, "client"), "endpoint"));

	if (endpoint && !endpoint[0])
		peer_complain(
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

int peer_add(const struct peer_request *r)
{
	struct client c = { .has_private_key = false };
	int code = make_key(&c, options_get(r->options, "public-key"));
	json_t *body;

	if (code == EXIT_DONE) {
		body = add_body(r, &c);
		code = body ? peer_ask(r, "POST", "/api/v1/peers", body, &c.reply)
			    : peer_complain(EXIT_REFUSED, "the name is not UTF-8");
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

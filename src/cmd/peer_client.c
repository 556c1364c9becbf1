/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culvert gateway peer add, conf: a client's file. The private key, a new one or the one of before,
 * never leaves this process but to standard output.
 */
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "base/codec.h"
#include "cmd/command.h"
#include "cmd/framing_json.h"
#include "cmd/input.h"
#include "cmd/output.h"
#include "cmd/peer.h"
#include "cmd/peer_key.h"
#include "cmd/qr_link.h"
#include "cmd/qr_picture.h"
#include "conf/link.h"
#include "conf/wgconf.h"
#include "frame/level.h"

enum {
	LIST_MAX = 8, /* addresses, prefixes, resolvers of one configuration */
	LABEL_MAX = 63,
	DOMAIN_MAX = 253,
};

/* A new client, between the gateway's answer and the file. */
struct client {
	struct secret_key private_key;
	bool has_private_key;
	char public_key[KEY_BASE64_LEN + 1];
	json_t *reply;
	struct text conf;
	struct text link; /* where --amnezia asks for one */
};

static int make_key(struct client *c, const char *given)
{
	uint8_t public_key[32];
	int code;

	if (given) {
		if (key_from_base64(given, strlen(given), public_key) != 0)
			return peer_complain(
				EXIT_USAGE,
				"--public-key is a WireGuard key: 44 characters of base64");
		memcpy(c->public_key, given, KEY_BASE64_LEN + 1);
		return EXIT_DONE;
	}
	code = peer_key_make(&c->private_key, c->public_key);
	c->has_private_key = code == EXIT_DONE;
	return code;
}

/* The key that a file is to have again; without one the client puts it in. */
static int read_key(struct client *c, const char *path)
{
	int code = path ? peer_key_read(path, &c->private_key, c->public_key) : EXIT_DONE;

	c->has_private_key = path && code == EXIT_DONE;
	return code;
}

/* A file with somebody else's key would connect nobody. */
static int take_public_key(struct client *c, const struct peer_request *r)
{
	const char *key = json_string_value(json_object_get(c->reply, "public_key"));

	if (c->has_private_key && (!key || strcmp(key, c->public_key) != 0)) {
		fprintf(stderr, "culvert gateway peer: %s: not the private key of this peer\n",
			input_name(options_get(r->options, "private-key")));
		return EXIT_REFUSED;
	}
	snprintf(c->public_key, sizeof(c->public_key), "%s", key ? key : "");
	return EXIT_DONE;
}

static const char wrong_allowed_ips[] = "--allowed-ips is a list such as 10.0.0.0/8, ::/0";

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
	const char *level = options_get(r->options, "level");

	if (body && addresses)
		json_object_set_new(body, "addresses", split(addresses));
	if (body && level)
		json_object_set_new(body, "obfuscation_level", json_string(level));
	return body;
}

/* What the file is made of; texts point into the reply. */
struct parts {
	struct wgconf_address addresses[LIST_MAX];
	struct ip_prefix allowed_ips[LIST_MAX];
	const char *dns[LIST_MAX];
	struct frame_parameters framing;
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

/* An integer, or "15-24". */
static bool read_keepalive(const json_t *value, struct frame_range *ret)
{
	const char *text = json_string_value(value);
	json_int_t seconds = json_integer_value(value);

	if (text)
		return frame_range_parse(text, strlen(text), UINT16_MAX, ret) == 0;
	*ret = (struct frame_range){ (uint32_t)seconds, (uint32_t)seconds };
	return json_is_integer(value) && seconds >= 0 && seconds <= UINT16_MAX;
}

static bool read_values(const json_t *values, const json_t *addresses, struct parts *p)
{
	const char *server_key =
		json_string_value(json_object_get(values, "server_public_key"));
	struct wgconf_client *w = &p->client;

	w->endpoint = json_string_value(json_object_get(values, "endpoint"));
	if (w->endpoint && !w->endpoint[0])
		w->endpoint = NULL;
	w->mtu = (uint16_t)json_integer_value(json_object_get(values, "mtu"));
	read_resolvers(json_object_get(values, "dns"), p);
	return server_key &&
	       key_from_base64(server_key, strlen(server_key), w->server_key) == 0 &&
	       read_addresses(addresses, p) &&
	       read_keepalive(json_object_get(values, "persistent_keepalive"), &w->keepalive) &&
	       framing_json_read(json_object_get(values, "amneziawg"), &p->framing);
}

/* @values is the gateway's answer, with what the command line says instead laid over it. */
static int write_conf(const struct peer_request *r, struct client *c, const json_t *values)
{
	struct parts p = { .client = { .name = r->name } };
	struct wgconf_client *w = &p.client;
	int code = EXIT_DONE;

	frame_parameters_init(&p.framing);
	w->private_key = c->has_private_key ? &c->private_key : NULL;
	w->addresses = p.addresses;
	w->allowed_ips = p.allowed_ips;
	w->dns = p.dns;
	w->framing = &p.framing;
	if (!read_values(values, json_object_get(c->reply, "addresses"), &p))
		code = peer_complain(EXIT_FAILED, "the gateway's answer is not understood");
	else if (!read_prefixes(json_object_get(values, "allowed_ips"), p.allowed_ips,
				&w->n_allowed_ips))
		code = peer_complain(EXIT_USAGE, wrong_allowed_ips);
	else
		wgconf_client_text(&c->conf, w);
	frame_parameters_done(&p.framing);
	if (c->conf.err != 0)
		return peer_complain(EXIT_REFUSED, err_text(c->conf.err));
	return code;
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

	if (qr_draw_on_terminal(conf->data, conf->len, &code, &d) != 0)
		peer_complain(0, d.text);
	else if (code.err == 0)
		fwrite(code.data, 1, code.len, stdout);
	text_done(&code);
}

/* The file as one text that AmneziaVPN takes. */
static int make_link(const struct peer_request *r, struct client *c)
{
	struct wgconf file = { .text = NULL };
	struct diag d = { .text = "" };
	int err = wgconf_parse(c->conf.data, c->conf.len, &file, &d);

	if (err == 0)
		err = link_make(&file, r->name, &c->link, &d);
	wgconf_done(&file);
	if (err == 0)
		return EXIT_DONE;
	text_clear(&c->link);
	/* The key is shown once: what there is must be shown. */
	fprintf(stderr, "culvert gateway peer: the configuration instead of a link: %s\n",
		d.text[0] ? d.text : err_text(err));
	return EXIT_FAILED;
}

/* On a terminal also the series of codes that the app scans. */
static int print_link(const struct client *c)
{
	fwrite(c->link.data, 1, c->link.len, stdout);
	putchar('\n');
	if (isatty(STDOUT_FILENO)) /* where it cannot be drawn, why is said, and here is the link */
		(void)qr_link_draw(c->link.data, &qr_ansi, NULL);
	return EXIT_DONE;
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
	if (c->link.len)
		json_object_set_new(value, "link", json_string(c->link.data));
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
	if (c->link.len)
		return print_link(c);
	fwrite(c->conf.data, 1, c->conf.len, stdout);
	/* A code of a file without its private key would not connect. */
	if (c->has_private_key && isatty(STDOUT_FILENO))
		print_qr(&c->conf);
	return EXIT_DONE;
}

/* The gateway would refuse it too; a path must not be made of just any word. */
static int check_level(const struct peer_request *r)
{
	const char *level = options_get(r->options, "level");

	if (!level || frame_level_find(level, strlen(level)) < FRAME_LEVELS)
		return EXIT_DONE;
	return peer_complain(EXIT_USAGE, "--level is off, low, medium, high or extreme");
}

/* Labels of 1 to 63 letters, digits and hyphens, also behind the last dot. */
static bool is_domain(const char *text)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-_";

	for (;; text++) {
		size_t len = strspn(text, letters);

		if (len == 0 || len > LABEL_MAX || text[0] == '-' || text[len - 1] == '-')
			return false;
		text += len;
		if (*text != '.')
			return !*text;
	}
}

/* What wg-quick takes: an address, or a domain to search in, which has a dot. */
static bool is_dns(const char *word, size_t len)
{
	char text[DOMAIN_MAX + 1];
	struct ip_addr a;

	if (len >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)len, word);
	if (ip_addr_parse(text, &a) == 0)
		return true;
	return strchr(text, '.') && strspn(text, ".0123456789") != len && is_domain(text);
}

static int check_dns(const struct peer_request *r)
{
	const char *list = options_get(r->options, "dns");

	if (!list || strcmp(list, "none") == 0)
		return EXIT_DONE;
	for (list += strspn(list, ", "); *list; list += strspn(list, ", ")) {
		size_t len = strcspn(list, ", ");

		if (!is_dns(list, len))
			return peer_complain(
				EXIT_USAGE,
				"--dns is a list of addresses and search domains such as"
				" 10.0.1.1, lan.example; or none");
		list += len;
	}
	return EXIT_DONE;
}

static int check_allowed_ips(const struct peer_request *r)
{
	const char *text = options_get(r->options, "allowed-ips");
	json_t *list = text ? split(text) : NULL;
	struct ip_prefix prefixes[LIST_MAX];
	size_t n;
	bool is_well = !text || read_prefixes(list, prefixes, &n);

	json_decref(list);
	return is_well ? EXIT_DONE : peer_complain(EXIT_USAGE, wrong_allowed_ips);
}

static int check_values(const struct peer_request *r)
{
	int code = check_level(r);

	if (code == EXIT_DONE)
		code = check_dns(r);
	return code == EXIT_DONE ? check_allowed_ips(r) : code;
}

/* Before a peer is made for it. */
static int check_amnezia(const struct peer_request *r)
{
	if (!options_get(r->options, "amnezia") || !options_get(r->options, "public-key"))
		return EXIT_DONE;
	return peer_complain(
		EXIT_USAGE, "--amnezia: a link holds the private key, which stays with whoever"
			    " has --public-key; 'culvert qr --link' makes one of a whole file");
}

static void client_done(struct client *c)
{
	text_done(&c->link);
	json_decref(c->reply);
	text_done(&c->conf);
	secret_key_done(&c->private_key);
}

int peer_add(const struct peer_request *r)
{
	struct client c = { .has_private_key = false };
	int code = check_values(r), link_code = EXIT_DONE;
	json_t *body;

	if (code == EXIT_DONE)
		code = check_amnezia(r);
	if (code == EXIT_DONE)
		code = make_key(&c, options_get(r->options, "public-key"));
	if (code == EXIT_DONE) {
		body = add_body(r, &c);
		if (!body)
			code = peer_complain(EXIT_REFUSED, "the name is not UTF-8");
		else if (options_get(r->options, "access"))
			code = peer_set_access(r, body, options_get(r->options, "access"));
		if (code == EXIT_DONE)
			code = peer_ask(r, "POST", "/api/v1/peers", body, &c.reply);
		json_decref(body);
	}
	if (code == EXIT_DONE)
		code = make_conf(r, &c);
	if (code == EXIT_DONE && options_get(r->options, "amnezia"))
		link_code = make_link(r, &c);
	if (code == EXIT_DONE)
		code = print_client(r, &c);
	client_done(&c);
	return code == EXIT_DONE ? link_code : code;
}

/* The file once more, without the private key that only the client has. */
int peer_conf(const struct peer_request *r)
{
	const char *level = options_get(r->options, "level");
	struct client c = { .has_private_key = false };
	struct text path = { .data = NULL };
	int code = check_values(r);

	if (code == EXIT_DONE)
		code = read_key(&c, options_get(r->options, "private-key"));
	peer_path(r->name, &path);
	text_puts(&path, "/configuration");
	if (level)
		text_printf(&path, "?obfuscation_level=%s", level);
	if (code == EXIT_DONE)
		code = path.err == 0 ? peer_ask(r, "GET", path.data, NULL, &c.reply)
				     : EXIT_FAILED;
	if (code == EXIT_DONE)
		code = take_public_key(&c, r);
	if (code == EXIT_DONE)
		code = make_conf(r, &c);
	if (code == EXIT_DONE)
		code = print_client(r, &c);
	text_done(&path);
	client_done(&c);
	return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* culvert hub add-spoke, remove-spoke, rotate-spoke, show, health: the hub's file as the list of
 * its spokes. Lines that are not about the spoke stay as they are. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>

#include "base/codec.h"
#include "base/json_write.h"
#include "cmd/command.h"
#include "cmd/conf_file.h"
#include "cmd/hub.h"
#include "cmd/running.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { ALIVE_S = 180 }; /* a session's life: after that it has a new handshake, or none */

/** struct roll - The hub's file, read */
struct roll {
	struct conf_file file;
	char path[HUB_PATH_MAX];
};

static int open_roll(const struct hub_request *r, struct roll *roll)
{
	int code;

	hub_path(r, NULL, 0, HUB_FILE_CONF, roll->path);
	code = conf_file_open(&roll->file, roll->path);
	if (code != EXIT_DONE) {
		conf_file_complain(&roll->file, "culvert hub");
		fputs("'culvert hub init' makes the hub's file.\n", stderr);
	}
	return code;
}

static bool is_named(const struct wgconf_peer *peer, const char *name)
{
	return peer->name.len == strlen(name) &&
	       memcmp(peer->name.at, name, peer->name.len) == 0;
}

static const struct wgconf_peer *find_name(const struct wgconf *c, const char *name)
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (is_named(&c->peers[i], name))
			return &c->peers[i];
	return NULL;
}

static const struct wgconf_peer *find_key(const struct wgconf *c, const uint8_t key[32])
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (memcmp(c->peers[i].public_key, key, 32) == 0) /* public */
			return &c->peers[i];
	return NULL;
}

static const struct ip_addr *address_of(const struct wgconf *c, const struct wgconf_peer *peer)
{
	static const struct ip_addr none;

	return peer && peer->n_allowed_ips ? &c->allowed_ips[peer->first_allowed_ip].ip : &none;
}

static bool is_taken(const struct wgconf *c, const struct ip_addr *address)
{
	for (size_t i = 0; i < c->n_allowed_ips; i++)
		if (ip_prefix_contains(&c->allowed_ips[i], address))
			return true;
	return false;
}

/* --- Checks --- */

int hub_check_address(const struct hub_request *r, const struct ip_addr *address)
{
	unsigned int n = hub_host_number(r, address);
	unsigned int last = (1U << (32 - r->network.bits)) - 2;

	if (n > HUB_FIRST_SPOKE && n <= last)
		return EXIT_DONE;
	return hub_complain(EXIT_REFUSED, "spokes have hosts %d to %u of the overlay's network",
			    HUB_FIRST_SPOKE + 1, last);
}

static int read_public_key(const struct hub_request *r, uint8_t ret[32])
{
	if (!r->public_key)
		return hub_complain(EXIT_USAGE,
				    "say --public-key KEY, as 'culvert hub join' printed it");
	if (key_from_base64(r->public_key, strlen(r->public_key), ret) < 0)
		return hub_complain(EXIT_REFUSED,
				    "--public-key is no key of 44 base64 characters");
	return EXIT_DONE;
}

/* The address that was asked for, that of the name, or the lowest free. */
static int choose_address(const struct hub_request *r, const struct wgconf *c,
			  struct ip_addr *ret)
{
	unsigned int number = hub_name_number(r->name);
	char text[ADDR_TEXT_MAX];
	int code;

	*ret = r->address;
	if (!ret->family && number)
		*ret = hub_host(r, HUB_FIRST_SPOKE + number);
	for (number = 1; !ret->family || (!r->address.family && is_taken(c, ret)); number++) {
		if (number > HUB_SPOKES_MAX)
			return hub_complain(EXIT_FAILED, "no address is free");
		*ret = hub_host(r, HUB_FIRST_SPOKE + number);
	}
	code = hub_check_address(r, ret);
	if (code == EXIT_DONE && is_taken(c, ret))
		code = hub_complain(EXIT_REFUSED, "another spoke has %s",
				    ip_addr_format(ret, text));
	return code;
}

/* --- Changing the file --- */

static bool is_head(const struct wgconf_line *line)
{
	struct wgconf_span s = line->whole;

	while (s.len && (*s.at == ' ' || *s.at == '\t')) {
		s.at++;
		s.len--;
	}
	return s.len && *s.at == '[';
}

/* Every line but those of @peer's section; with @key, its PublicKey replaced instead. */
static void copy_except(struct text *out, const struct wgconf *c,
			const struct wgconf_peer *peer, const char *key)
{
	bool inside = false;

	for (size_t i = 0; i < c->n_lines; i++) {
		const struct wgconf_line *line = &c->lines[i];

		if (i + 1 == peer->line)
			inside = true;
		else if (is_head(line))
			inside = false;
		if (!inside || (key && line->key != WGCONF_PUBLIC_KEY))
			text_add(out, line->whole.at, line->whole.len);
		else if (key)
			text_printf(out, "PublicKey = %s\n", key);
	}
}

/* Nothing is written that could not be read again. */
static int save(const struct hub_request *r, const struct roll *roll, const struct text *text)
{
	struct wgconf c = { 0 };
	struct diag d = { 0 };
	int err = text->err ? text->err : wgconf_parse(text->data, text->len, &c, &d);
	int code = EXIT_DONE;

	if (err)
		code = hub_complain(EXIT_REFUSED, "%s: line %u: %s", roll->path, d.line,
				    d.text[0] ? d.text : err_text(err));
	wgconf_done(&c);
	return code == EXIT_DONE ? hub_write(r, roll->path, text, true) : code;
}

static void report(const struct hub_request *r, const char *done, const struct ip_addr *address)
{
	char text[ADDR_TEXT_MAX] = "";
	char path[HUB_PATH_MAX];
	struct text out = { 0 };

	hub_path(r, NULL, 0, HUB_FILE_CONF, path);
	if (address)
		ip_addr_format(address, text);
	if (r->json) {
		text_puts(&out, "{");
		json_put_text(&out, "spoke", r->name);
		json_put_text(&out, "result", done);
		json_put_text(&out, "address", text);
		json_put_bool(&out, "dry_run", r->dry_run);
		text_puts(&out, "}\n");
	} else {
		text_printf(&out,
			    "%s: %s%s%s\nto a running interface: culvert conf apply %s %s\n",
			    r->name, done, address ? ", " : "", text, r->interface, path);
	}
	if (!out.err)
		fputs(out.data, stdout);
	text_done(&out);
}

/* --- The verbs --- */

/* Remember the public key beside the others, for people. */
static int keep_public_key(const struct hub_request *r, const struct ip_addr *address)
{
	char path[HUB_PATH_MAX];
	struct text out = { 0 };
	int code;

	hub_path(r, r->name, hub_host_number(r, address) - HUB_FIRST_SPOKE, HUB_FILE_PUBLIC_KEY,
		 path);
	text_printf(&out, "%s\n", r->public_key);
	code = hub_write(r, path, &out, false);
	text_done(&out);
	return code;
}

static int append(const struct hub_request *r, const struct roll *roll, const uint8_t key[32])
{
	const struct wgconf *c = &roll->file.conf;
	struct text out = { .max = HUB_FILE_MAX };
	struct ip_addr address;
	int code = choose_address(r, c, &address);

	if (code == EXIT_DONE) {
		wgconf_write(&out, c);
		if (out.len && out.data[out.len - 1] != '\n')
			text_puts(&out, "\n");
		hub_text_peer(&out, r->name, key, &address);
		code = save(r, roll, &out);
	}
	text_done(&out);
	if (code == EXIT_DONE)
		code = keep_public_key(r, &address);
	if (code == EXIT_DONE)
		report(r, "added", &address);
	return code;
}

/* A spoke that is there with this key and address is what was asked for. */
static int judge_present(const struct hub_request *r, const struct wgconf *c,
			 const struct wgconf_peer *named, const struct wgconf_peer *keyed)
{
	const struct ip_addr *has = address_of(c, named ? named : keyed);

	if (named != keyed && keyed)
		return hub_complain(EXIT_REFUSED, "another spoke has this public key");
	if (named != keyed)
		return hub_complain(EXIT_REFUSED,
				    "%s is there with another key; 'culvert hub rotate-spoke' "
				    "replaces it",
				    r->name);
	if (r->address.family && !ip_addr_equal(&r->address, has))
		return hub_complain(EXIT_REFUSED, "%s is there with another address", r->name);
	report(r, "unchanged", has);
	return EXIT_DONE;
}

int hub_add_spoke(const struct hub_request *r)
{
	struct roll roll = { 0 };
	uint8_t key[32];
	int code = read_public_key(r, key);

	if (code != EXIT_DONE)
		return code;
	code = open_roll(r, &roll);
	if (code == EXIT_DONE) {
		const struct wgconf *c = &roll.file.conf;
		const struct wgconf_peer *named = find_name(c, r->name);
		const struct wgconf_peer *keyed = find_key(c, key);

		if (named || keyed)
			code = judge_present(r, c, named, keyed);
		else if (c->n_peers >= HUB_SPOKES_MAX)
			code = hub_complain(EXIT_REFUSED, "more than %d spokes",
					    HUB_SPOKES_MAX);
		else
			code = append(r, &roll, key);
	}
	conf_file_done(&roll.file);
	return code;
}

/* With @key the spoke keeps its place and gets a new key, without it goes. */
static int change(const struct hub_request *r, const struct roll *roll, const uint8_t *key)
{
	const struct wgconf *c = &roll->file.conf;
	const struct wgconf_peer *peer = find_name(c, r->name);
	struct text out = { .max = HUB_FILE_MAX };
	int code;

	if (!peer && !key) {
		report(r, "not there", NULL);
		return EXIT_DONE;
	}
	if (!peer)
		return hub_complain(EXIT_REFUSED, "there is no spoke %s", r->name);
	if (key && find_key(c, key) && find_key(c, key) != peer)
		return hub_complain(EXIT_REFUSED, "another spoke has this public key");
	copy_except(&out, c, peer, key ? r->public_key : NULL);
	code = save(r, roll, &out);
	text_done(&out);
	if (code == EXIT_DONE && key)
		code = keep_public_key(r, address_of(c, peer));
	if (code == EXIT_DONE)
		report(r, key ? "rotated" : "removed", address_of(c, peer));
	return code;
}

int hub_rotate_spoke(const struct hub_request *r)
{
	struct roll roll = { 0 };
	uint8_t key[32];
	int code = read_public_key(r, key);

	if (code != EXIT_DONE)
		return code;
	code = open_roll(r, &roll);
	if (code == EXIT_DONE)
		code = change(r, &roll, key);
	conf_file_done(&roll.file);
	return code;
}

int hub_remove_spoke(const struct hub_request *r)
{
	struct roll roll = { 0 };
	int code = open_roll(r, &roll);

	if (code == EXIT_DONE)
		code = change(r, &roll, NULL);
	conf_file_done(&roll.file);
	return code;
}

/* --- What there is --- */

/* Seconds since the last handshake of the running interface; UINT64_MAX: none. */
static uint64_t age_of(const struct iface_snapshot *s, const uint8_t key[32])
{
	const struct uapi_get_peer *peer = iface_snapshot_find(s, key);
	uint64_t now = clock_wall_ns();

	if (!peer || !peer->last_handshake_ns)
		return UINT64_MAX;
	return now > peer->last_handshake_ns ? (now - peer->last_handshake_ns) / 1000000000 : 0;
}

static void put_spoke(struct text *out, const struct hub_request *r, const struct wgconf *c,
		      const struct wgconf_peer *peer, uint64_t age_s)
{
	char key[KEY_BASE64_LEN + 1], address[ADDR_TEXT_MAX], name[HUB_NAME_MAX + 1];

	key_to_base64(peer->public_key, key);
	ip_addr_format(address_of(c, peer), address);
	snprintf(name, sizeof(name), "%.*s", (int)peer->name.len, peer->name.at);
	if (r->json) {
		json_put_next(out);
		text_puts(out, "{");
		json_put_text(out, "name", name);
		json_put_text(out, "address", address);
		json_put_text(out, "public_key", key);
		if (age_s != UINT64_MAX)
			json_put_number(out, "last_handshake_sec", age_s);
		text_puts(out, "}");
	} else if (age_s != UINT64_MAX) {
		text_printf(out, "%-12s %-15s %s  %" PRIu64 " s ago\n", name, address, key,
			    age_s);
	} else {
		text_printf(out, "%-12s %-15s %s  not heard\n", name, address, key);
	}
}

/**
 * struct survey - The spokes of the file, and of the interface if it runs
 * @n_alive:	Heard within a session's life
 */
struct survey {
	struct text spokes;
	size_t n;
	size_t n_alive;
	bool is_running;
};

static void take_survey(const struct hub_request *r, const struct wgconf *c, struct survey *v)
{
	struct iface_snapshot s = { 0 };
	struct iface *iface = NULL;
	struct diag d = { 0 };

	v->is_running = running_open(r->interface, &iface, &d) == 0 &&
			iface_snapshot_take(iface, &s, &d) == 0;
	if (r->json)
		text_puts(&v->spokes, "[");
	for (size_t i = 0; i < c->n_peers; i++) {
		uint64_t age = age_of(&s, c->peers[i].public_key);

		v->n_alive += age <= ALIVE_S;
		put_spoke(&v->spokes, r, c, &c->peers[i], age);
	}
	v->n = c->n_peers;
	if (r->json)
		text_puts(&v->spokes, "]");
	iface_snapshot_done(&s);
	iface_free(iface);
}

static void print_survey(const struct hub_request *r, const struct survey *v,
			 const char *status)
{
	if (v->spokes.err)
		return;
	if (r->json)
		printf("{\"interface\":\"%s\",\"running\":%s,\"status\":\"%s\",\"alive\":%zu,"
		       "\"spokes\":%s}\n",
		       r->interface, v->is_running ? "true" : "false", status, v->n_alive,
		       v->spokes.data);
	else
		printf("%s: %s, %s, %zu spokes, %zu alive\n%s", r->interface,
		       v->is_running ? "running" : "not running", status, v->n, v->n_alive,
		       v->spokes.data ? v->spokes.data : "");
}

static int survey(const struct hub_request *r, bool judge)
{
	struct roll roll = { 0 };
	struct survey v = { 0 };
	int code = open_roll(r, &roll);

	if (code == EXIT_DONE) {
		take_survey(r, &roll.file.conf, &v);
		print_survey(r, &v, v.n_alive ? "healthy" : "degraded");
		code = judge && !v.n_alive ? EXIT_FAILED : EXIT_DONE;
	}
	text_done(&v.spokes);
	conf_file_done(&roll.file);
	return code;
}

int hub_show(const struct hub_request *r)
{
	return survey(r, false);
}

int hub_health(const struct hub_request *r)
{
	return survey(r, true);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/conf_show.h"

#include <string.h>

#include "base/codec.h"
#include "base/json_write.h"

static const char hidden[] = "(hidden)";

/* Values that are shown as text: hooks, AmneziaWG's keys and what we do not know. */
static bool is_plain(const struct wgconf_line *line)
{
	switch (line->key) {
	case WGCONF_UNKNOWN:
	case WGCONF_AMNEZIA:
	case WGCONF_AWG_1_5:
	case WGCONF_ADVANCED:
	case WGCONF_PROFILE:
	case WGCONF_PRE_UP:
	case WGCONF_POST_UP:
	case WGCONF_PRE_DOWN:
	case WGCONF_POST_DOWN:
		return true;
	case WGCONF_NO_KEY:
	case WGCONF_PRIVATE_KEY:
	case WGCONF_LISTEN_PORT:
	case WGCONF_FWMARK:
	case WGCONF_ADDRESS:
	case WGCONF_DNS:
	case WGCONF_MTU:
	case WGCONF_TABLE:
	case WGCONF_SAVE_CONFIG:
	case WGCONF_PUBLIC_KEY:
	case WGCONF_PRESHARED_KEY:
	case WGCONF_ALLOWED_IPS:
	case WGCONF_ENDPOINT:
	case WGCONF_KEEPALIVE:
		return false;
	}
	return false;
}

/* Base64 or hex that would make 32 octets, in whatever key it stands. */
static bool looks_secret(struct wgconf_span value)
{
	uint8_t octets[SECRET_KEY_LEN];
	bool is_key =
		base64_decode(value.at, value.len, octets, sizeof(octets)) == SECRET_KEY_LEN ||
		hex_decode(value.at, value.len, octets, sizeof(octets)) == SECRET_KEY_LEN;

	secret_wipe(octets, sizeof(octets));
	return is_key;
}

/* What stands in a line to be shown, without the secrets in it. A profile has one key among
 * its words. */
static void put_value(struct text *out, const struct wgconf_line *line)
{
	static const char name[] = "header_protection_key=";
	struct wgconf_span rest = line->value;
	const char *at;

	if (looks_secret(rest)) {
		text_puts(out, hidden);
		return;
	}
	while (line->key == WGCONF_PROFILE &&
	       (at = memmem(rest.at, rest.len, name, sizeof(name) - 1)) != NULL) {
		size_t before = (size_t)(at - rest.at) + sizeof(name) - 1;

		text_add(out, rest.at, before);
		text_puts(out, hidden);
		rest = (struct wgconf_span){ rest.at + before, rest.len - before };
		while (rest.len && rest.at[0] != ' ' && rest.at[0] != '\t')
			rest = (struct wgconf_span){ rest.at + 1, rest.len - 1 };
	}
	text_add(out, rest.at, rest.len);
}

/* The lines of one section: from @from up to the next head. Heads have no key and begin with '['. */
static bool is_head(const struct wgconf_line *line)
{
	size_t i = 0;

	while (i < line->whole.len && strchr(" \t\r\v\f", line->whole.at[i]))
		i++;
	return line->key == WGCONF_NO_KEY && i < line->whole.len && line->whole.at[i] == '[';
}

/* --- For a person --- */

/* A foreign string must not move the cursor or forge a line. */
static void put_printable(struct text *out, struct wgconf_span s)
{
	for (size_t i = 0; i < s.len; i++) {
		bool control = (unsigned char)s.at[i] < ' ' || s.at[i] == '\x7f';

		text_add(out, control ? "?" : s.at + i, 1);
	}
}

static void put_row(struct text *out, const char *name, const char *value)
{
	text_printf(out, "  %s: %s\n", name, value);
}

static void put_key_row(struct text *out, const char *name, const uint8_t key[32])
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	put_row(out, name, text);
}

static void put_span_row(struct text *out, const char *name, struct wgconf_span s)
{
	text_printf(out, "  %s: ", name);
	put_printable(out, s);
	text_puts(out, "\n");
}

static void put_plain_row(struct text *out, const struct wgconf_line *line)
{
	struct text value = { 0 };

	put_value(&value, line);
	text_puts(out, "  ");
	put_printable(out, line->name);
	text_puts(out, ": ");
	put_printable(out, (struct wgconf_span){ value.data, value.len });
	text_puts(out, "\n");
	out->err = out->err ? out->err : value.err;
	text_done(&value);
}

static void put_address_row(struct text *out, const struct wgconf *c)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < c->n_addresses; i++) {
		text_puts(out, i ? ", " : "  addresses: ");
		text_puts(out, ip_addr_format(&c->addresses[i].ip, text));
		text_printf(out, "/%u", c->addresses[i].bits);
	}
	text_puts(out, c->n_addresses ? "\n" : "");
}

static void put_dns_row(struct text *out, const struct wgconf *c)
{
	for (size_t i = 0; i < c->n_dns; i++) {
		text_puts(out, i ? ", " : "  dns: ");
		put_printable(out, c->dns[i]);
	}
	text_puts(out, c->n_dns ? "\n" : "");
}

static void show_interface(struct text *out, const struct wgconf *c, const uint8_t *public_key)
{
	const struct wgconf_interface *i = &c->interface;

	text_puts(out, "interface\n");
	if (public_key)
		put_key_row(out, "public key", public_key);
	put_row(out, "private key", i->has_private_key ? hidden : "(none)");
	if (i->has_listen_port)
		text_printf(out, "  listening port: %u\n", i->listen_port);
	if (i->fwmark)
		text_printf(out, "  fwmark: 0x%x\n", i->fwmark);
	put_address_row(out, c);
	put_dns_row(out, c);
	if (i->mtu)
		text_printf(out, "  mtu: %u\n", i->mtu);
	if (i->table.len)
		put_span_row(out, "table", i->table);
	if (i->save_config)
		put_row(out, "save config", "true");
	for (size_t n = 0; n < c->n_lines; n++) {
		if (c->lines[n].section == WGCONF_INTERFACE && is_plain(&c->lines[n]))
			put_plain_row(out, &c->lines[n]);
	}
}

static void show_peer(struct text *out, const struct wgconf *c, const struct wgconf_peer *peer)
{
	char text[ADDR_TEXT_MAX];

	key_to_base64(peer->public_key, text);
	text_printf(out, "\npeer: %s\n", text);
	if (peer->name.len)
		put_span_row(out, "name", peer->name);
	if (peer->has_preshared_key)
		put_row(out, "preshared key", hidden);
	if (peer->endpoint_host.len) {
		bool v6 = memchr(peer->endpoint_host.at, ':', peer->endpoint_host.len);

		text_puts(out, v6 ? "  endpoint: [" : "  endpoint: ");
		put_printable(out, peer->endpoint_host);
		text_printf(out, v6 ? "]:%u\n" : ":%u\n", peer->endpoint_port);
	}
	for (size_t i = 0; i < peer->n_allowed_ips; i++) {
		text_puts(out, i ? ", " : "  allowed ips: ");
		text_puts(out,
			  ip_prefix_format(&c->allowed_ips[peer->first_allowed_ip + i], text));
	}
	text_puts(out, peer->n_allowed_ips ? "\n" : "  allowed ips: (none)\n");
	if (!frame_range_is_zero(peer->keepalive)) {
		text_puts(out, "  persistent keepalive: every ");
		frame_range_write(out, peer->keepalive);
		text_puts(out, " seconds\n");
	}
	for (size_t n = peer->line; n < c->n_lines && !is_head(&c->lines[n]); n++) {
		if (is_plain(&c->lines[n]))
			put_plain_row(out, &c->lines[n]);
	}
}

void conf_show_text(struct text *out, const struct wgconf *c, const uint8_t *public_key)
{
	show_interface(out, c, public_key);
	for (size_t i = 0; i < c->n_peers; i++)
		show_peer(out, c, &c->peers[i]);
}

/* --- For a script --- */

static void put_key_member(struct text *out, const char *name, const uint8_t *key)
{
	char text[KEY_BASE64_LEN + 1];

	if (!key)
		return;
	key_to_base64(key, text);
	json_put_text(out, name, text);
}

static void put_span_member(struct text *out, const char *name, struct wgconf_span s)
{
	json_put_name(out, name);
	json_put_string(out, s.at, s.len);
}

static void put_other_member(struct text *out, const struct wgconf_line *line)
{
	struct text value = { 0 };

	put_value(&value, line);
	json_put_next(out);
	text_puts(out, "{");
	put_span_member(out, "key", line->name);
	put_span_member(out, "value", (struct wgconf_span){ value.data, value.len });
	text_puts(out, "}");
	out->err = out->err ? out->err : value.err;
	text_done(&value);
}

/* "other":[{"key":…,"value":…},…], in the order of the file: keys may come twice. */
static void put_other(struct text *out, const struct wgconf *c, size_t from,
		      bool whole_interface)
{
	json_put_name(out, "other");
	text_puts(out, "[");
	for (size_t n = from; n < c->n_lines; n++) {
		const struct wgconf_line *line = &c->lines[n];

		if (!whole_interface && is_head(line))
			break;
		if (!is_plain(line) || (whole_interface && line->section != WGCONF_INTERFACE))
			continue;
		put_other_member(out, line);
	}
	text_puts(out, "]");
}

static void put_addresses(struct text *out, const struct wgconf *c)
{
	char text[ADDR_TEXT_MAX];

	json_put_name(out, "addresses");
	text_puts(out, "[");
	for (size_t i = 0; i < c->n_addresses; i++) {
		json_put_next(out);
		text_printf(out, "\"%s/%u\"", ip_addr_format(&c->addresses[i].ip, text),
			    c->addresses[i].bits);
	}
	text_puts(out, "]");
	json_put_name(out, "dns");
	text_puts(out, "[");
	for (size_t i = 0; i < c->n_dns; i++) {
		json_put_next(out);
		json_put_string(out, c->dns[i].at, c->dns[i].len);
	}
	text_puts(out, "]");
}

static void put_interface(struct text *out, const struct wgconf *c, const uint8_t *public_key)
{
	const struct wgconf_interface *i = &c->interface;

	json_put_name(out, "interface");
	text_puts(out, "{");
	put_key_member(out, "public_key", public_key);
	json_put_bool(out, "has_private_key", i->has_private_key);
	if (i->has_listen_port)
		json_put_number(out, "listen_port", i->listen_port);
	if (i->has_fwmark)
		json_put_number(out, "fwmark", i->fwmark);
	put_addresses(out, c);
	if (i->mtu)
		json_put_number(out, "mtu", i->mtu);
	if (i->table.len)
		put_span_member(out, "table", i->table);
	json_put_bool(out, "save_config", i->save_config);
	put_other(out, c, 0, true);
	text_puts(out, "}");
}

/* A number where it is one, else the range as text. */
static void put_keepalive(struct text *out, struct frame_range seconds)
{
	json_put_name(out, "persistent_keepalive");
	if (seconds.lo != seconds.hi)
		text_puts(out, "\"");
	frame_range_write(out, seconds);
	if (seconds.lo != seconds.hi)
		text_puts(out, "\"");
}

static void put_peer(struct text *out, const struct wgconf *c, const struct wgconf_peer *peer)
{
	char text[ADDR_TEXT_MAX];

	json_put_next(out);
	text_puts(out, "{");
	put_key_member(out, "public_key", peer->public_key);
	if (peer->name.len)
		put_span_member(out, "name", peer->name);
	json_put_bool(out, "has_preshared_key", peer->has_preshared_key);
	if (peer->endpoint_host.len) {
		put_span_member(out, "endpoint_host", peer->endpoint_host);
		json_put_number(out, "endpoint_port", peer->endpoint_port);
	}
	json_put_name(out, "allowed_ips");
	text_puts(out, "[");
	for (size_t i = 0; i < peer->n_allowed_ips; i++) {
		json_put_next(out);
		text_printf(
			out, "\"%s\"",
			ip_prefix_format(&c->allowed_ips[peer->first_allowed_ip + i], text));
	}
	text_puts(out, "]");
	put_keepalive(out, peer->keepalive);
	put_other(out, c, peer->line, false);
	text_puts(out, "}");
}

void conf_show_json(struct text *out, const struct wgconf *c, const uint8_t *public_key)
{
	text_puts(out, "{");
	put_interface(out, c, public_key);
	json_put_name(out, "peers");
	text_puts(out, "[");
	for (size_t i = 0; i < c->n_peers; i++)
		put_peer(out, c, &c->peers[i]);
	text_puts(out, "]}\n");
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation, what AmneziaVPN looks at. "containers" lists ways to reach one server;
 * the name of a container says which protocol it is, and under the protocol's name stand port
 * and parameters. What the tunnel is built from is "last_config", the text of one more object:
 * "config", the whole file, and the same values one by one, numbers mostly as texts. Parameters
 * of AmneziaWG have the names that they have in files. "isThirdPartyConfig" says that the app
 * did not install the server and must not offer to manage it.
 */
#include "conf/link_json.h"

#include <errno.h>
#include <string.h>

#include "base/codec.h"
#include "base/json_slice.h"
#include "base/json_write.h"
#include "conf/wgconf_values.h"

/* --- Writing --- */

/* struct version - How the app calls a version of AmneziaWG, and what container it is for it */
struct version {
	const char *container;
	const char *protocol;
	const char *number; /* NULL: not said */
};

static const struct version plain = { "amnezia-wireguard", "wireguard", NULL };
static const struct version awg_1_0 = { "amnezia-awg", "awg", NULL };
static const struct version awg_1_5 = { "amnezia-awg", "awg", "1.5" };
static const struct version awg_2_0 = { "amnezia-awg2", "awg", "2" };
static const struct version awg_3_1 = { "amnezia-awg2", "awg", "3.1" };

static bool has_any(const struct frame_parameters *p, enum frame_key first, enum frame_key last)
{
	for (enum frame_key key = first; key <= last; key++)
		if (!frame_key_is_default(p, key))
			return true;
	return false;
}

static bool has_ranges(const struct frame_parameters *p)
{
	for (size_t i = 0; i < FRAME_MESSAGES; i++)
		if (p->header[i].lo != p->header[i].hi)
			return true;
	return false;
}

/* The lowest version that knows all of @p. */
static const struct version *find_version(const struct frame_parameters *p)
{
	if (has_any(p, FRAME_HEADER_PROTECTION_KEY, FRAME_DISABLE_COOKIES))
		return &awg_3_1;
	if (has_any(p, FRAME_S3, FRAME_S4) || has_ranges(p))
		return &awg_2_0;
	if (has_any(p, FRAME_I1, FRAME_I5))
		return &awg_1_5;
	return frame_parameters_are_plain(p) ? &plain : &awg_1_0;
}

/* The app expects these whatever their value is, S3 and S4 from 2.0 on. */
static bool is_expected(const struct version *version, enum frame_key key)
{
	if (key == FRAME_S3 || key == FRAME_S4)
		return version != &awg_1_0 && version != &awg_1_5;
	return key <= FRAME_H4;
}

/* A member whose text is what @len octets of @value say. */
static void put_text_member(struct text *out, const char *name, const char *value, size_t len)
{
	json_put_name(out, name);
	json_put_string(out, value, len);
}

static void put_span_member(struct text *out, const char *name, struct wgconf_span s)
{
	put_text_member(out, name, s.at, s.len);
}

static void put_number_text(struct text *out, const char *name, uint64_t value)
{
	json_put_name(out, name);
	text_puts(out, "\"");
	text_put_u64(out, value);
	text_puts(out, "\"");
}

static void put_key_member(struct text *out, const char *name, const uint8_t key[32])
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	json_put_text(out, name, text);
	secret_wipe(text, sizeof(text));
}

static void put_parameters(struct text *out, const struct version *version,
			   const struct frame_parameters *p)
{
	for (int i = 0; i < FRAME_KEYS && version != &plain; i++) {
		enum frame_key key = (enum frame_key)i;
		struct text value = { 0 };

		if (frame_key_is_default(p, key) && !is_expected(version, key))
			continue;
		frame_parameters_put(&value, FRAME_CONF, p, key);
		put_text_member(out, frame_key_name(FRAME_CONF, key), value.data, value.len);
		out->err = out->err ? out->err : value.err;
		text_done(&value);
	}
}

static void put_addresses(struct text *out, const struct wgconf *c)
{
	char text[ADDR_TEXT_MAX];

	json_put_name(out, "client_ip");
	text_puts(out, "\"");
	for (size_t i = 0; i < c->n_addresses; i++) {
		text_puts(out, i ? ", " : "");
		text_puts(out, ip_addr_format(&c->addresses[i].ip, text));
		text_puts(out, "/");
		text_put_u64(out, c->addresses[i].bits);
	}
	text_puts(out, "\"");
}

static void put_allowed_ips(struct text *out, const struct wgconf *c)
{
	char text[ADDR_TEXT_MAX];

	json_put_name(out, "allowed_ips");
	text_puts(out, "[");
	for (size_t i = 0; i < c->n_allowed_ips; i++) {
		ip_prefix_format(&c->allowed_ips[i], text);
		json_put_next(out);
		json_put_string(out, text, strlen(text));
	}
	text_puts(out, "]");
}

static void put_keepalive(struct text *out, struct frame_range seconds)
{
	if (frame_range_is_zero(seconds))
		return;
	json_put_name(out, "persistent_keep_alive");
	text_puts(out, "\"");
	frame_range_write(out, seconds);
	text_puts(out, "\"");
}

static void put_last_config(struct text *out, const struct wgconf *c,
			    const struct version *version)
{
	const struct wgconf_peer *peer = &c->peers[0];

	text_puts(out, "{");
	put_parameters(out, version, &c->interface.framing);
	put_text_member(out, "config", c->text, c->text_len);
	put_span_member(out, "hostName", peer->endpoint_host);
	json_put_number(out, "port", peer->endpoint_port);
	put_key_member(out, "client_priv_key", c->interface.private_key.b);
	put_addresses(out, c);
	put_key_member(out, "server_pub_key", peer->public_key);
	if (peer->has_preshared_key)
		put_key_member(out, "psk_key", peer->preshared_key.b);
	if (c->interface.mtu)
		put_number_text(out, "mtu", c->interface.mtu);
	put_keepalive(out, peer->keepalive);
	put_allowed_ips(out, c);
	text_puts(out, "}");
}

static void put_protocol(struct text *out, const struct wgconf *c,
			 const struct version *version)
{
	struct text last = { .max = out->max };

	put_last_config(&last, c, version);
	json_put_name(out, version->protocol);
	text_puts(out, "{");
	put_parameters(out, version, &c->interface.framing);
	put_text_member(out, "last_config", last.data, last.len);
	put_number_text(out, "port", c->peers[0].endpoint_port);
	json_put_text(out, "transport_proto", "udp");
	if (version->number)
		json_put_text(out, "protocol_version", version->number);
	json_put_bool(out, "isThirdPartyConfig", true);
	text_puts(out, "}");
	out->err = out->err ? out->err : last.err;
	text_done(&last);
}

/* The app has room for two resolvers, and takes IPv4 addresses only. */
static void put_resolvers(struct text *out, const struct wgconf *c)
{
	static const char *const names[] = { "dns1", "dns2" };
	size_t n = 0;

	for (size_t i = 0; i < c->n_dns && n < 2; i++) {
		char text[ADDR_TEXT_MAX] = "";
		struct ip_addr a;

		if (c->dns[i].len < sizeof(text))
			memcpy(text, c->dns[i].at, c->dns[i].len);
		if (ip_addr_parse(text, &a) == 0 && a.family == ADDR_V4)
			json_put_text(out, names[n++], text);
	}
}

static int check_client(const struct wgconf *c, struct diag *d)
{
	const char *why = NULL;

	if (!c->interface.has_private_key)
		why = "a link needs a PrivateKey in [Interface]";
	else if (!c->n_addresses)
		why = "a link needs an Address in [Interface]";
	else if (c->n_peers != 1)
		why = "a link is for a client's file, which has one [Peer]";
	else if (!c->peers[0].endpoint_host.len)
		why = "a link needs an Endpoint in [Peer]";
	return why ? diag_set(d, ERR_FORMAT, 0, "%s", why) : 0;
}

int link_json_put(const struct wgconf *c, const char *description, struct text *out,
		  struct diag *d)
{
	const struct version *version = find_version(&c->interface.framing);
	int err = check_client(c, d);

	if (err)
		return err;
	text_puts(out, "{\"containers\":[{");
	json_put_text(out, "container", version->container);
	put_protocol(out, c, version);
	text_puts(out, "}]");
	json_put_text(out, "defaultContainer", version->container);
	if (description)
		json_put_text(out, "description", description);
	else
		put_span_member(out, "description", c->peers[0].endpoint_host);
	put_resolvers(out, c);
	put_span_member(out, "hostName", c->peers[0].endpoint_host);
	text_puts(out, "}");
	return out->err;
}

/* --- Reading --- */

static const char *const protocols[] = { "awg", "wireguard" };

/* The object with last_config in it, if the container is one of ours. */
static bool find_protocol(struct json_slice container, struct json_slice *ret)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (json_slice_member(container, protocols[i], ret))
			return true;
	return false;
}

/* Of the default container, or the first that we know. */
static bool find_default(struct json_slice json, struct json_slice *ret)
{
	struct json_slice list, container, name, wanted = { NULL, 0 }, protocol;
	const char *at = NULL;
	bool found = false;

	(void)json_slice_member(json, "defaultContainer", &wanted);
	if (!json_slice_member(json, "containers", &list))
		return false;
	while (json_slice_next(list, &at, &container)) {
		bool is_default = json_slice_member(container, "container", &name) &&
				  name.len == wanted.len &&
				  memcmp(name.at, wanted.at, name.len) == 0;

		if ((found && !is_default) || !find_protocol(container, &protocol))
			continue;
		*ret = protocol;
		found = true;
		if (is_default)
			break;
	}
	return found;
}

/* Append the value of a member that is a text. */
static bool take_text(struct json_slice object, const char *name, struct text *out)
{
	struct json_slice value;

	return json_slice_member(object, name, &value) && json_slice_string(value, out);
}

/* Files that the app made for itself have these words where it puts its resolvers. */
static const struct {
	const char *word;
	const char *member;
} placeholders[] = { { "$PRIMARY_DNS", "dns1" }, { "$SECONDARY_DNS", "dns2" } };

enum { PLACEHOLDERS = sizeof(placeholders) / sizeof(placeholders[0]) };

/* Addresses and nothing else: what is put into a file must not begin a line of it. */
static void take_resolvers(struct json_slice json, struct text values[PLACEHOLDERS])
{
	struct ip_addr a;

	for (size_t i = 0; i < PLACEHOLDERS; i++) {
		values[i].max = ADDR_TEXT_MAX;
		if (!take_text(json, placeholders[i].member, &values[i]) || !values[i].data ||
		    ip_addr_parse(values[i].data, &a))
			text_clear(&values[i]);
	}
}

/* Which placeholder stands at the '$' in front; PLACEHOLDERS: none. */
static size_t find_placeholder(struct wgconf_span s)
{
	size_t i = 0;

	while (i < PLACEHOLDERS &&
	       (s.len < strlen(placeholders[i].word) ||
		memcmp(s.at, placeholders[i].word, strlen(placeholders[i].word)) != 0))
		i++;
	return i;
}

static int fill_in(struct json_slice json, const struct text *file, struct text *out,
		   struct diag *d)
{
	struct wgconf_span rest = { file->data, file->len };
	struct text values[PLACEHOLDERS] = { 0 };
	int err = 0;

	take_resolvers(json, values);
	while (rest.len && !err) {
		struct wgconf_span before = wgconf_before(rest, '$');
		size_t i;

		text_add(out, before.at, before.len);
		rest = wgconf_after(rest, before.len);
		i = find_placeholder(rest);
		if (i == PLACEHOLDERS) {
			text_add(out, rest.at, rest.len > 0);
			rest = wgconf_after(rest, rest.len > 0);
		} else if (values[i].len) {
			text_add(out, values[i].data, values[i].len);
			rest = wgconf_after(rest, strlen(placeholders[i].word));
		} else {
			err = diag_set(d, ERR_FORMAT, 0,
				       "the link's file wants a resolver, and the link has no "
				       "address as %s",
				       placeholders[i].member);
		}
	}
	for (size_t i = 0; i < PLACEHOLDERS; i++)
		text_done(&values[i]);
	return err;
}

static int take_file(struct json_slice json, struct text *last, struct text *file,
		     struct diag *d)
{
	struct json_slice protocol, config;

	if (!find_default(json, &protocol))
		return diag_set(
			d, ERR_FORMAT, 0,
			"the link is for another protocol: it has neither WireGuard nor "
			"AmneziaWG in it");
	if (!take_text(protocol, "last_config", last) || !last->len)
		return diag_set(d, ERR_FORMAT, 0,
				"the link is for managing a server: it has no client's "
				"configuration in it");
	if (json_slice_open(last->data, last->len, &config) ||
	    !take_text(config, "config", file) || !file->len)
		return diag_set(d, ERR_FORMAT, 0, "the link has no wg-quick file in it");
	return last->err ? last->err : file->err;
}

int link_json_take(const char *text, size_t len, struct text *out, struct diag *d)
{
	struct text last = { 0 }, file = { 0 };
	struct json_slice json;
	int err = json_slice_open(text, len, &json);

	if (err)
		return diag_set(d, err, 0, "what the link holds is not the JSON it should be");
	err = take_file(json, &last, &file, d);
	if (!err)
		err = fill_in(json, &file, out, d);
	text_done(&last);
	text_done(&file);
	return err ? err : out->err;
}

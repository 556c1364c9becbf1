/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/wgconf_values.h"

#include <errno.h>
#include <string.h>

#include <strings.h>

#include "base/array.h"
#include "base/codec.h"
#include "base/nearest.h"

enum {
	SHOWN_MAX = 60, /* characters of a value that a reason repeats */
	HOST_MAX = 253, /* RFC 1035, 2.3.4, without the final dot */
	ZONE_MAX = 15,	/* IFNAMSIZ - 1 */
	MTU_MIN = 68,	/* RFC 791: what every link carries */
};

/* --- Pieces of text --- */

bool wgconf_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct wgconf_span wgconf_trim(struct wgconf_span s)
{
	while (s.len && wgconf_is_space(s.at[0]))
		s = wgconf_after(s, 1);
	while (s.len && wgconf_is_space(s.at[s.len - 1]))
		s.len--;
	return s;
}

struct wgconf_span wgconf_before(struct wgconf_span s, char c)
{
	const char *found = s.len ? memchr(s.at, c, s.len) : NULL;

	if (found)
		s.len = (size_t)(found - s.at);
	return s;
}

struct wgconf_span wgconf_after(struct wgconf_span s, size_t n)
{
	return (struct wgconf_span){ .at = s.at + n, .len = s.len - n };
}

bool wgconf_span_is(struct wgconf_span s, const char *word)
{
	return strlen(word) == s.len && strncasecmp(word, s.at, s.len) == 0;
}

/* Cut the next item off a list; empty items are passed over. false: there is none. */
static bool next_item(struct wgconf_span *list, bool (*separates)(char),
		      struct wgconf_span *ret)
{
	while (list->len && separates(list->at[0]))
		*list = wgconf_after(*list, 1);
	*ret = *list;
	while (list->len && !separates(list->at[0]))
		*list = wgconf_after(*list, 1);
	ret->len -= list->len;
	return ret->len > 0;
}

static bool is_comma_or_space(char c)
{
	return c == ',' || wgconf_is_space(c);
}

static bool is_comma(char c)
{
	return c == ',';
}

/* Copy into a string for the parsers of base/addr.h. */
static bool copy_span(struct wgconf_span s, char out[ADDR_TEXT_MAX])
{
	if (s.len >= ADDR_TEXT_MAX)
		return false;
	memcpy(out, s.at, s.len);
	out[s.len] = '\0';
	return true;
}

/* --- Refusals --- */

/* "KEY: 'value' is not WANTED", for keys whose value is no secret. */
static int refuse(const struct wgconf_reading *r, struct wgconf_span value, const char *wanted)
{
	char shown[SHOWN_MAX + 1];
	size_t len = value.len < SHOWN_MAX ? value.len : SHOWN_MAX;

	for (size_t i = 0; i < len; i++)
		shown[i] = (char)(value.at[i] >= ' ' && value.at[i] <= '~' ? value.at[i] : '?');
	shown[len] = '\0';
	return diag_set(r->d, ERR_FORMAT, r->number, "%s: '%s' is not %s",
			wgconf_line_key(&r->line), shown, wanted);
}

static int out_of_memory(const struct wgconf_reading *r)
{
	return diag_set(r->d, -ENOMEM, r->number, "out of memory");
}

static int read_number(const struct wgconf_reading *r, uint64_t min, uint64_t max,
		       const char *wanted, uint64_t *ret)
{
	uint64_t value;

	if (decimal_parse(r->line.value.at, r->line.value.len, max, &value) || value < min)
		return refuse(r, r->line.value, wanted);
	*ret = value;
	return 0;
}

static int read_key(const struct wgconf_reading *r, uint8_t key[32], bool *ret_has)
{
	if (key_from_base64(r->line.value.at, r->line.value.len, key))
		return diag_set(
			r->d, ERR_FORMAT, r->number,
			"%s: the value is not a key: 44 base64 characters, ending with =",
			wgconf_line_key(&r->line));
	*ret_has = true;
	return 0;
}

/* --- [Interface] --- */

static int read_private_key(struct wgconf_reading *r)
{
	return read_key(r, r->c->interface.private_key.b, &r->c->interface.has_private_key);
}

static int read_listen_port(struct wgconf_reading *r)
{
	uint64_t port = 0;
	int err = read_number(r, 0, UINT16_MAX, "a port, a number from 0 to 65535", &port);

	if (err)
		return err;
	r->c->interface.listen_port = (uint16_t)port;
	r->c->interface.has_listen_port = true;
	return 0;
}

/* "0x" and one to eight digits. */
static bool parse_hex(struct wgconf_span v, uint64_t *ret)
{
	char digits[8] = { '0', '0', '0', '0', '0', '0', '0', '0' };
	uint8_t octets[4];

	if (v.len <= 2 || v.len > 2 + sizeof(digits) || v.at[0] != '0' || (v.at[1] | 32) != 'x')
		return false;
	memcpy(digits + sizeof(digits) - (v.len - 2), v.at + 2, v.len - 2);
	if (hex_decode(digits, sizeof(digits), octets, sizeof(octets)) < 0)
		return false;
	*ret = (uint64_t)octets[0] << 24 | (uint64_t)octets[1] << 16 |
	       (uint64_t)octets[2] << 8 | octets[3];
	return true;
}

static int read_fwmark(struct wgconf_reading *r)
{
	struct wgconf_span v = r->line.value;
	uint64_t mark = 0;

	if (!wgconf_span_is(v, "off") && !parse_hex(v, &mark) &&
	    decimal_parse(v.at, v.len, UINT32_MAX, &mark))
		return refuse(r, v, "a mark, such as 51820, 0xca6c or off");
	r->c->interface.fwmark = (uint32_t)mark;
	r->c->interface.has_fwmark = true;
	return 0;
}

static int read_mtu(struct wgconf_reading *r)
{
	uint64_t mtu = 0;
	int err =
		read_number(r, MTU_MIN, UINT16_MAX, "an MTU, a number from 68 to 65535", &mtu);

	if (err)
		return err;
	r->c->interface.mtu = (uint16_t)mtu;
	return 0;
}

static int read_table(struct wgconf_reading *r)
{
	struct wgconf_span rest = r->line.value, word;

	if (!next_item(&rest, wgconf_is_space, &word) || rest.len)
		return refuse(r, r->line.value,
			      "a routing table: a number, a name, auto or off");
	r->c->interface.table = word;
	return 0;
}

static int read_save_config(struct wgconf_reading *r)
{
	bool yes = wgconf_span_is(r->line.value, "true");

	if (!yes && !wgconf_span_is(r->line.value, "false"))
		return refuse(r, r->line.value, "true or false");
	r->c->interface.save_config = yes;
	return 0;
}

/* ip_prefix_parse() judges the whole; the address before the slash keeps its host bits. */
static bool parse_interface_address(struct wgconf_span item, struct wgconf_address *ret)
{
	char text[ADDR_TEXT_MAX];
	struct ip_prefix prefix;

	if (!copy_span(item, text) || ip_prefix_parse(text, false, &prefix))
		return false;
	text[strcspn(text, "/")] = '\0';
	if (ip_addr_parse(text, &ret->ip) || ret->ip.family != prefix.ip.family)
		return false;
	ret->bits = prefix.bits;
	return true;
}

static int read_addresses(struct wgconf_reading *r)
{
	struct wgconf_span rest = r->line.value, item;
	struct wgconf *c = r->c;

	while (next_item(&rest, is_comma_or_space, &item)) {
		struct wgconf_address address;

		if (!parse_interface_address(item, &address))
			return refuse(r, item, "an address, such as 10.0.0.2/24 or fd00::2/64");
		if (array_room(&c->addresses, c->n_addresses, sizeof(address),
			       &c->addresses_capacity))
			return out_of_memory(r);
		c->addresses[c->n_addresses++] = address;
	}
	return 0;
}

static int read_dns(struct wgconf_reading *r)
{
	struct wgconf_span rest = r->line.value, item;
	struct wgconf *c = r->c;

	while (next_item(&rest, is_comma_or_space, &item)) {
		if (array_room(&c->dns, c->n_dns, sizeof(item), &c->dns_capacity))
			return out_of_memory(r);
		c->dns[c->n_dns++] = item;
	}
	return 0;
}

/* --- [Peer]. There is one: its head was read before. --- */

static struct wgconf_peer *last_peer(const struct wgconf_reading *r)
{
	return &r->c->peers[r->c->n_peers - 1];
}

static int read_public_key(struct wgconf_reading *r)
{
	return read_key(r, last_peer(r)->public_key, &last_peer(r)->has_public_key);
}

static int read_preshared_key(struct wgconf_reading *r)
{
	return read_key(r, last_peer(r)->preshared_key.b, &last_peer(r)->has_preshared_key);
}

static int read_allowed_ips(struct wgconf_reading *r)
{
	struct wgconf_span rest = r->line.value, item;
	struct wgconf *c = r->c;

	while (next_item(&rest, is_comma, &item)) {
		struct ip_prefix prefix;
		char text[ADDR_TEXT_MAX];

		item = wgconf_trim(item);
		if (!copy_span(item, text) || ip_prefix_parse(text, false, &prefix))
			return refuse(r, item, "a prefix, such as 10.0.0.0/24 or fd00::/64");
		if (array_room(&c->allowed_ips, c->n_allowed_ips, sizeof(prefix),
			       &c->allowed_ips_capacity))
			return out_of_memory(r);
		c->allowed_ips[c->n_allowed_ips++] = prefix;
		last_peer(r)->n_allowed_ips++;
	}
	return 0;
}

/* What stands between brackets: an IPv6 address, perhaps with the name of a zone. */
static bool is_scoped_v6(struct wgconf_span host)
{
	struct wgconf_span ip = wgconf_before(host, '%');
	char text[ADDR_TEXT_MAX];
	struct ip_addr address;

	if (ip.len < host.len &&
	    (host.len - ip.len - 1 < 1 || host.len - ip.len - 1 > ZONE_MAX))
		return false;
	return memchr(ip.at, ':', ip.len) && copy_span(ip, text) &&
	       ip_addr_parse(text, &address) == 0;
}

/* A name as resolvers take it, or an IPv4 address. */
static bool is_host_name(struct wgconf_span host)
{
	for (size_t i = 0; i < host.len; i++) {
		char c = host.at[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
			return false;
	}
	return host.len > 0 && host.len <= HOST_MAX;
}

static int read_endpoint(struct wgconf_reading *r)
{
	static const char wanted[] =
		"an endpoint, such as vpn.example.com:51820, 192.0.2.1:51820 or [2001:db8::1]:51820";
	struct wgconf_span v = r->line.value, host, port;
	bool is_good;
	uint64_t number;

	if (v.len && v.at[0] == '[') {
		host = wgconf_before(wgconf_after(v, 1), ']');
		port = wgconf_after(v, host.len + 1);
		is_good = port.len > 1 && port.at[1] == ':' && is_scoped_v6(host);
		port = is_good ? wgconf_after(port, 2) : port;
	} else {
		host = wgconf_before(v, ':');
		is_good = host.len < v.len && is_host_name(host);
		port = is_good ? wgconf_after(v, host.len + 1) : v;
	}
	if (!is_good || decimal_parse(port.at, port.len, UINT16_MAX, &number))
		return refuse(r, v, wanted);
	last_peer(r)->endpoint_host = host;
	last_peer(r)->endpoint_port = (uint16_t)number;
	return 0;
}

static int read_keepalive(struct wgconf_reading *r)
{
	struct frame_range seconds = { 0 };
	struct wgconf_span v = r->line.value;

	if (!wgconf_span_is(v, "off") &&
	    frame_range_parse(v.at, v.len, UINT16_MAX, &seconds) < 0)
		return refuse(r, v,
			      "seconds, a number from 0 to 65535, a range as in 22-30, or off");
	last_peer(r)->keepalive = seconds;
	return 0;
}

/* --- Parameters of AmneziaWG --- */

static int read_parameter(struct wgconf_reading *r)
{
	struct wgconf_interface *i = &r->c->interface;
	struct diag why = { 0 };
	int err = frame_parameters_set(&i->framing, FRAME_CONF, r->line.parameter,
				       r->line.value.at, r->line.value.len, &why);

	if (err == -ENOMEM)
		return out_of_memory(r);
	if (err)
		return diag_set(r->d, ERR_FORMAT, r->number, "%s", why.text);
	i->framing_given |= UINT32_C(1) << r->line.parameter;
	return 0;
}

/* What the reason of uapi_profile_parse() says, under the name that a file has for it. */
static int refuse_profile(const struct wgconf_reading *r, const struct diag *why)
{
	static const char uapi[] = "culvert_profile: ";
	size_t skip = strncmp(why->text, uapi, sizeof(uapi) - 1) == 0 ? sizeof(uapi) - 1 : 0;

	return diag_set(r->d, ERR_FORMAT, r->number, "CulvertProfile: %s", why->text + skip);
}

static bool has_profile(const struct wgconf *c, const char *name)
{
	for (size_t i = 0; i < c->n_profiles; i++)
		if (strcmp(c->profiles[i].name, name) == 0)
			return true;
	return false;
}

static int add_profile(struct wgconf_reading *r, const struct uapi_profile *profile)
{
	struct wgconf *c = r->c;
	struct diag why = { 0 };

	if (profile->remove)
		diag_set(&why, 0, 0, "'remove' has no place in a file: leave the line out");
	else if (has_profile(c, profile->name))
		diag_set(&why, 0, 0, "a second profile of the name %s", profile->name);
	else if (c->n_profiles == WGCONF_PROFILES_MAX)
		diag_set(&why, 0, 0, "more than %d profiles", WGCONF_PROFILES_MAX);
	if (why.text[0])
		return refuse_profile(r, &why);
	if (array_room(&c->profiles, c->n_profiles, sizeof(*profile), &c->profiles_capacity))
		return out_of_memory(r);
	c->profiles[c->n_profiles++] = *profile;
	return 0;
}

static int read_profile(struct wgconf_reading *r)
{
	struct uapi_profile profile = { 0 };
	struct diag why = { 0 };
	int err = uapi_profile_parse(r->line.value.at, r->line.value.len, &profile, &why);

	if (err == -ENOMEM)
		return out_of_memory(r);
	if (err)
		return refuse_profile(r, &why);
	err = add_profile(r, &profile);
	if (err)
		frame_parameters_done(&profile.parameters);
	secret_key_done(&profile.parameters.protection_key);
	return err;
}

/* --- The table --- */

static const struct wgconf_key_row rows[] = {
	{ "PublicKey", WGCONF_PUBLIC_KEY, WGCONF_PEER, read_public_key },
	{ "AllowedIPs", WGCONF_ALLOWED_IPS, WGCONF_PEER, read_allowed_ips },
	{ "PresharedKey", WGCONF_PRESHARED_KEY, WGCONF_PEER, read_preshared_key },
	{ "Endpoint", WGCONF_ENDPOINT, WGCONF_PEER, read_endpoint },
	{ "PersistentKeepalive", WGCONF_KEEPALIVE, WGCONF_PEER, read_keepalive },
	{ "PrivateKey", WGCONF_PRIVATE_KEY, WGCONF_INTERFACE, read_private_key },
	{ "ListenPort", WGCONF_LISTEN_PORT, WGCONF_INTERFACE, read_listen_port },
	{ "FwMark", WGCONF_FWMARK, WGCONF_INTERFACE, read_fwmark },
	{ "Address", WGCONF_ADDRESS, WGCONF_INTERFACE, read_addresses },
	{ "DNS", WGCONF_DNS, WGCONF_INTERFACE, read_dns },
	{ "MTU", WGCONF_MTU, WGCONF_INTERFACE, read_mtu },
	{ "Table", WGCONF_TABLE, WGCONF_INTERFACE, read_table },
	{ "PreUp", WGCONF_PRE_UP, WGCONF_INTERFACE, NULL },
	{ "PostUp", WGCONF_POST_UP, WGCONF_INTERFACE, NULL },
	{ "PreDown", WGCONF_PRE_DOWN, WGCONF_INTERFACE, NULL },
	{ "PostDown", WGCONF_POST_DOWN, WGCONF_INTERFACE, NULL },
	{ "SaveConfig", WGCONF_SAVE_CONFIG, WGCONF_INTERFACE, read_save_config },
	{ "AdvancedSecurity", WGCONF_ADVANCED, WGCONF_PEER, NULL },
	{ "CulvertProfile", WGCONF_PROFILE, WGCONF_INTERFACE, read_profile },
	{ "J1", WGCONF_AWG_1_5, WGCONF_INTERFACE, NULL },
	{ "J2", WGCONF_AWG_1_5, WGCONF_INTERFACE, NULL },
	{ "J3", WGCONF_AWG_1_5, WGCONF_INTERFACE, NULL },
	{ "Itime", WGCONF_AWG_1_5, WGCONF_INTERFACE, NULL },
};

/* Every name of frame/parameters.h. */
static const struct wgconf_key_row parameter = { "", WGCONF_AMNEZIA, WGCONF_INTERFACE,
						 read_parameter };

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

const struct wgconf_key_row *wgconf_key_find(struct wgconf_line *line)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (!wgconf_span_is(line->name, rows[i].name))
			continue;
		line->key = rows[i].key;
		return &rows[i];
	}
	line->parameter = frame_key_find(FRAME_CONF, line->name.at, line->name.len);
	line->key = line->parameter == FRAME_KEYS ? WGCONF_UNKNOWN : WGCONF_AMNEZIA;
	return line->parameter == FRAME_KEYS ? NULL : &parameter;
}

const char *wgconf_line_key(const struct wgconf_line *line)
{
	if (line->key == WGCONF_AMNEZIA)
		return frame_key_name(FRAME_CONF, line->parameter);
	for (size_t i = 0; i < ROWS; i++) {
		if (wgconf_span_is(line->name, rows[i].name))
			return rows[i].name;
	}
	return "";
}

const char *wgconf_nearest_key(enum wgconf_section section, struct wgconf_span name)
{
	struct nearest nearest = { 0 };

	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].section == section)
			nearest_offer(&nearest, name.at, name.len, rows[i].name);
	}
	for (int key = 0; key < FRAME_KEYS && section == WGCONF_INTERFACE; key++)
		nearest_offer(&nearest, name.at, name.len,
			      frame_key_name(FRAME_CONF, (enum frame_key)key));
	return nearest.name;
}

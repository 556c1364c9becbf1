/* SPDX-License-Identifier: Apache-2.0 */
#include "client/ephem_conf.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/codec.h"
#include "client/ephem_state.h"
#include "conf/wgconf.h"

static bool is_command(enum wgconf_key key)
{
	return key == WGCONF_PRE_UP || key == WGCONF_POST_UP || key == WGCONF_PRE_DOWN ||
	       key == WGCONF_POST_DOWN || key == WGCONF_SAVE_CONFIG;
}

static int judge(const struct wgconf *c, struct diag *d)
{
	for (size_t i = 0; i < c->n_lines; i++) {
		if (is_command(c->lines[i].key))
			return diag_set(d, ERR_RANGE, (unsigned int)i + 1,
					"the gateway's configuration has a line %s, which "
					"would run programs here: it is not saved",
					wgconf_line_key(&c->lines[i]));
	}
	if (!c->interface.has_private_key || c->n_peers == 0)
		return diag_set(d, ERR_FORMAT, 0,
				"the gateway's configuration has no private key or no peer");
	return 0;
}

int ephem_conf_check(const char *text, size_t len, struct diag *d)
{
	struct wgconf c = { .text = NULL };
	struct diag why = { .text = "" };
	int err;

	if (len > EPHEM_CONF_MAX || memchr(text, '\0', len))
		return diag_set(d, ERR_LIMIT, 0,
				"the gateway's configuration is too long, or no text");
	err = wgconf_parse(text, len, &c, &why);
	if (err)
		diag_set(d, err, why.line, "the gateway's configuration, line %u: %.180s",
			 why.line, why.text);
	else
		err = judge(&c, d);
	wgconf_done(&c);
	return err;
}

/* --- Making one --- */

enum { DNS_MAX = 8, ALLOWED_MAX = 64, KEEPALIVE_MAX = 65535, NAME_MAX_LEN = EPHEM_ID_MAX + 64 };

/* struct parts - What the values mean; texts are borrowed from them */
struct parts {
	struct wgconf_address address;
	const char *dns[DNS_MAX];
	struct ip_prefix allowed_ips[ALLOWED_MAX];
	struct wgconf_client client;
};

static const char *text_of(const json_t *values, const char *name)
{
	const char *text = json_string_value(json_object_get(values, name));

	return text ? text : "";
}

/* "10.0.0.110/24": the host's bits count. */
static bool read_address(const char *text, struct wgconf_address *ret)
{
	struct ip_prefix network;
	char ip[ADDR_TEXT_MAX];
	size_t len = strcspn(text, "/");

	if (len >= sizeof(ip) || ip_prefix_parse(text, true, &network) != 0)
		return false;
	memcpy(ip, text, len);
	ip[len] = '\0';
	ret->bits = network.bits;
	return ip_addr_parse(ip, &ret->ip) == 0;
}

static bool read_dns(const json_t *list, struct parts *p)
{
	struct ip_addr ignored;
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && i < DNS_MAX; i++) {
		p->dns[i] = json_string_value(json_array_get(list, i));
		if (!p->dns[i] || ip_addr_parse(p->dns[i], &ignored) != 0)
			return false;
	}
	p->client.n_dns = n;
	return n <= DNS_MAX;
}

static bool read_allowed_ips(const json_t *list, struct parts *p)
{
	size_t n = json_array_size(list);

	for (size_t i = 0; i < n && i < ALLOWED_MAX; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || ip_prefix_parse(text, false, &p->allowed_ips[i]) != 0)
			return false;
	}
	p->client.n_allowed_ips = n;
	return n > 0 && n <= ALLOWED_MAX;
}

/* A name or an address, and a port: nothing that would be another value or line. */
static bool is_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	return colon && colon > text && strlen(text) < 300 &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			    "0123456789.-:[]") == strlen(text) &&
	       decimal_parse(colon + 1, strlen(colon + 1), 65535, &port) == 0 && port > 0;
}

/* Return: NULL, or the name of what is wrong. */
static const char *read_parts(const json_t *values, struct parts *p)
{
	const char *key = text_of(values, "server_public_key");
	json_int_t keepalive =
		json_integer_value(json_object_get(values, "persistent_keepalive"));

	if (!read_address(text_of(values, "address"), &p->address))
		return "address";
	if (!read_dns(json_object_get(values, "dns"), p))
		return "dns";
	if (!read_allowed_ips(json_object_get(values, "allowed_ips"), p))
		return "allowed_ips";
	if (key_from_base64(key, strlen(key), p->client.server_key) != 0)
		return "server_public_key";
	p->client.endpoint = text_of(values, "endpoint");
	if (!is_endpoint(p->client.endpoint))
		return "endpoint";
	if (keepalive < 0 || keepalive > KEEPALIVE_MAX)
		return "persistent_keepalive";
	p->client.keepalive = (struct frame_range){ (uint32_t)keepalive, (uint32_t)keepalive };
	return NULL;
}

int ephem_conf_make(const char *id, const json_t *values, const struct secret_key *key,
		    struct text *out, struct diag *d)
{
	struct parts p = { .client.n_addresses = 1 };
	const char *wrong = read_parts(values, &p);
	char name[NAME_MAX_LEN];

	if (wrong)
		return diag_set(d, ERR_FORMAT, 0,
				"the gateway's answer is not understood: \"%s\"", wrong);
	snprintf(name, sizeof(name), "WireGuard VPN Client Configuration for %s", id);
	p.client.name = name;
	p.client.private_key = key;
	p.client.addresses = &p.address;
	p.client.dns = p.dns;
	p.client.allowed_ips = p.allowed_ips;
	wgconf_client_text(out, &p.client);
	return out->err ? diag_set(d, out->err, 0, "%s", err_text(out->err)) : 0;
}

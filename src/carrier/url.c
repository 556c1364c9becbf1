/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/url.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/codec.h"
#include "crypto/secret.h"

static const struct {
	const char *scheme;
	enum carrier_kind kind;
	uint16_t port; /* 0: must be said */
} schemes[] = {
	[CARRIER_TCP] = { "tcp://", CARRIER_TCP, 0 },
	[CARRIER_HTTPS] = { "https://", CARRIER_HTTPS, 443 },
	[CARRIER_HTTP] = { "http://", CARRIER_HTTP, 80 },
};

enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

const char *carrier_kind_name(enum carrier_kind kind)
{
	static const char *const names[] = {
		[CARRIER_TCP] = "tcp", [CARRIER_HTTPS] = "https", [CARRIER_HTTP] = "http"
	};

	return names[kind];
}

static bool is_name(const char *host)
{
	for (; *host; host++) {
		bool is_right = (*host >= 'a' && *host <= 'z') ||
				(*host >= 'A' && *host <= 'Z') ||
				(*host >= '0' && *host <= '9') || *host == '-' ||
				*host == '.' || *host == '_';

		if (!is_right)
			return false;
	}
	return true;
}

/* The host of "host", "host:port", "[v6]:port", and what stands behind it. */
static const char *cut_host(const char *text, size_t len, char host[CONNECT_UDP_HOST_MAX])
{
	const char *from = text, *end;
	bool is_v6 = len > 0 && text[0] == '[';
	struct ip_addr ip;
	size_t n;

	from += is_v6;
	end = memchr(from, is_v6 ? ']' : ':', len - is_v6);
	if (!end && is_v6)
		return NULL;
	if (!end)
		end = text + len;
	n = (size_t)(end - from);
	if (n == 0 || n >= CONNECT_UDP_HOST_MAX)
		return NULL;
	memcpy(host, from, n);
	host[n] = '\0';
	if (is_v6 ? ip_addr_parse(host, &ip) != 0 || !strchr(host, ':') : !is_name(host))
		return NULL;
	return end + is_v6;
}

/* Host and port of @len octets. Return: false: they are none. */
static bool read_authority(const char *text, size_t len, uint16_t default_port, char *host,
			   uint16_t *ret_port)
{
	const char *rest = cut_host(text, len, host);
	size_t left = rest ? (size_t)(text + len - rest) : 0;
	uint64_t port = default_port;

	if (!rest || (left > 0 && rest[0] != ':'))
		return false;
	if (left > 0 && decimal_parse(rest + 1, left - 1, UINT16_MAX, &port) != 0)
		return false;
	*ret_port = (uint16_t)port;
	return port != 0;
}

int carrier_host_port(const char *text, struct connect_udp_target *ret, struct diag *d)
{
	struct connect_udp_target t;

	if (!read_authority(text, strlen(text), 0, t.host, &t.port))
		return diag_set(d, ERR_FORMAT, 0, "'%.100s' is not HOST:PORT", text);
	*ret = t;
	return 0;
}

static int read_path(struct carrier_url *u, const char *text, struct diag *d)
{
	if (u->kind != CARRIER_TCP)
		return connect_udp_template_read(strcmp(text, "") == 0 || strcmp(text, "/") == 0
							 ? CONNECT_UDP_DEFAULT_PATH
							 : text,
						 &u->path, d);
	return text[0] == '\0' ? 0 : diag_set(d, ERR_FORMAT, 0, "tcp://HOST:PORT has no path");
}

int carrier_url_read(const char *text, struct carrier_url *ret, struct diag *d)
{
	struct carrier_url u = { .port = 0 };
	size_t i = 0, len;

	while (i < SCHEMES && strncmp(text, schemes[i].scheme, strlen(schemes[i].scheme)) != 0)
		i++;
	if (i == SCHEMES)
		return diag_set(d, ERR_FORMAT, 0,
				"'%.100s' begins with none of tcp://, https://, http://", text);
	u.kind = schemes[i].kind;
	text += strlen(schemes[i].scheme);
	len = strcspn(text, "/?#");
	if (!read_authority(text, len, schemes[i].port, u.host, &u.port) ||
	    len >= sizeof(u.authority))
		return diag_set(d, ERR_FORMAT, 0, "'%.100s' names no host and port", text);
	memcpy(u.authority, text, len);
	if (read_path(&u, text + len, d) != 0)
		return ERR_FORMAT;
	*ret = u;
	return 0;
}

int carrier_via_read(const char *text, struct carrier_via *ret, struct diag *d)
{
	struct carrier_via v = { .port = 0 };
	const char *at, *colon;
	size_t len;
	int err = ERR_FORMAT;

	if (strncmp(text, "http://", 7) != 0)
		return diag_set(d, ERR_FORMAT, 0, "a proxy is http://[USER:KEY@]HOST:PORT");
	text += 7;
	len = strlen(text);
	if (len > 0 && text[len - 1] == '/')
		len--;
	at = memrchr(text, '@', len);
	colon = at ? memchr(text, ':', (size_t)(at - text)) : NULL;
	if (at && !colon)
		return diag_set(d, ERR_FORMAT, 0, "in front of the proxy's @ stands USER:KEY");
	if (at && (size_t)(colon - text) < sizeof(v.user) &&
	    (size_t)(at - colon) <= sizeof(v.key)) {
		memcpy(v.user, text, (size_t)(colon - text));
		memcpy(v.key, colon + 1, (size_t)(at - colon) - 1);
	}
	if (at) {
		len -= (size_t)(at + 1 - text);
		text = at + 1;
	}
	if ((!at || v.key[0]) && read_authority(text, len, 0, v.host, &v.port)) {
		*ret = v;
		err = 0;
	}
	secret_wipe(v.key, sizeof(v.key));
	return err == 0 ? 0
			: diag_set(d, err, 0,
				   "a proxy is http://[USER:KEY@]HOST:PORT, its port included");
}

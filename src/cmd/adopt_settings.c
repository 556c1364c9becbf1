/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "cmd/adopt.h"
#include "crypto/suite.h"
#include "ipam/pool.h"

enum {
	GUESS_V4_BITS = 24,
	GUESS_V6_BITS = 64,
	HOSTS_BITS = 24, /* POOL_HOSTS_MAX */
};

/* --- Networks --- */

static unsigned int bits_max(enum addr_family family)
{
	return family == ADDR_V4 ? POOL_V4_BITS_MAX : POOL_V6_BITS_MAX;
}

static struct ip_prefix network_of(const struct ip_addr *a, unsigned int bits)
{
	struct ip_prefix p = { *a, (uint8_t)bits };

	ip_prefix_mask(&p);
	return p;
}

static bool is_first_host(const struct ip_prefix *network, const struct ip_addr *a)
{
	struct ip_addr first = network->ip;

	first.b[ip_addr_bits(a) / 8 - 1] |= 1;
	return ip_addr_equal(&first, a);
}

/* Is it one of the hosts that a pool of @network gives? IPv6 networks are used in part. */
static bool is_in_pool(const struct ip_prefix *network, const struct ip_addr *a)
{
	struct ip_prefix used = *network;

	if (ip_addr_bits(a) - used.bits > HOSTS_BITS)
		used.bits = (uint8_t)(ip_addr_bits(a) - HOSTS_BITS);
	return ip_prefix_contains(&used, a);
}

/* Every host that is a peer's and lies in @within is one of @network. */
static bool holds_peers(const struct ip_prefix *network, const struct ip_prefix *within,
			const struct import_rows *rows)
{
	for (size_t i = 0; i < rows->n_prefixes; i++) {
		const struct ip_prefix *p = &rows->prefixes[i];

		if (p->ip.family == network->ip.family && p->bits == ip_addr_bits(&p->ip) &&
		    ip_prefix_contains(within, &p->ip) && !is_in_pool(network, &p->ip))
			return false;
	}
	return true;
}

/* The widest part of the server's network that begins with its address. */
static bool find_part(const struct wgconf_address *a, const struct import_rows *rows,
		      struct ip_prefix *ret)
{
	struct ip_prefix within = network_of(&a->ip, a->bits);

	for (unsigned int bits = a->bits; bits <= bits_max((enum addr_family)a->ip.family);
	     bits++) {
		*ret = network_of(&a->ip, bits);
		if (is_first_host(ret, &a->ip) && holds_peers(ret, &within, rows))
			return true;
	}
	return false;
}

/* What is mostly meant by a single host, if all peers are in it. */
static bool guess(const struct wgconf_address *a, const struct import_rows *rows,
		  struct ip_prefix *ret)
{
	struct ip_prefix everything = network_of(&a->ip, 0);

	*ret = network_of(&a->ip, a->ip.family == ADDR_V4 ? GUESS_V4_BITS : GUESS_V6_BITS);
	return is_first_host(ret, &a->ip) && holds_peers(ret, &everything, rows);
}

static const struct wgconf_address *find_address(const struct wgconf *file,
						 enum addr_family family)
{
	for (size_t i = 0; i < file->n_addresses; i++)
		if (file->addresses[i].ip.family == family)
			return &file->addresses[i];
	return NULL;
}

/* @def: of a family that the file does not have. */
static int choose_network(const struct wgconf *file, const struct import_rows *rows,
			  enum addr_family family, const char *def, struct ip_prefix *ret,
			  struct diag *d)
{
	const struct wgconf_address *a = find_address(file, family);
	char text[ADDR_TEXT_MAX];

	if (!a)
		return ip_prefix_parse(def, true, ret);
	if (a->bits > bits_max(family)) {
		if (guess(a, rows, ret))
			return 0;
		return diag_set(
			d, ERR_RANGE, 0,
			"Address %s/%u is a single host: say which network the peers are of"
			" with --subnet%u",
			ip_addr_format(&a->ip, text), a->bits, family);
	}
	if (!find_part(a, rows, ret))
		*ret = network_of(&a->ip, a->bits);
	return 0;
}

static int read_wish(const char *wish, enum addr_family family, struct ip_prefix *ret,
		     struct diag *d)
{
	if (ip_prefix_parse(wish, true, ret) == 0 && ret->ip.family == family)
		return 0;
	return diag_set(d, ERR_RANGE, 0, "--subnet%u is a network such as %s", family,
			family == ADDR_V4 ? "10.0.1.0/24" : "fd42:4242:1::/64");
}

static bool moves(const struct wgconf *file, const struct ip_prefix *network)
{
	const struct wgconf_address *a =
		find_address(file, (enum addr_family)network->ip.family);

	return a && !is_first_host(network, &a->ip);
}

static int read_networks(const struct wgconf *file, const struct import_rows *rows,
			 const struct adopt_wishes *w, struct adopt_settings *s, struct diag *d)
{
	int err;

	if (w->subnet4)
		err = read_wish(w->subnet4, ADDR_V4, &s->subnet4, d);
	else
		err = choose_network(file, rows, ADDR_V4, "10.0.1.0/24", &s->subnet4, d);
	if (err != 0)
		return err;
	if (w->subnet6)
		err = read_wish(w->subnet6, ADDR_V6, &s->subnet6, d);
	else
		err = choose_network(file, rows, ADDR_V6, "fd42:4242:1::/64", &s->subnet6, d);
	s->moves4 = moves(file, &s->subnet4);
	s->moves6 = moves(file, &s->subnet6);
	return err;
}

/* --- Interface, port, key, level --- */

/* "wg0" of "/etc/wireguard/wg0.conf", where that is a name an interface may have. */
static int read_interface(const char *path, const char *wish, char out[16], struct diag *d)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const char *dot = strrchr(base, '.');
	size_t len = dot ? (size_t)(dot - base) : strlen(base);

	if (wish) {
		base = wish;
		len = strlen(wish);
	} else if (strcmp(path, "-") == 0 || len == 0 || len > 15 ||
		   strcspn(base, " /:") < len) {
		base = "wg0";
		len = 3;
	}
	if (len == 0 || len > 15 || strcspn(base, " /:") < len)
		return diag_set(d, ERR_RANGE, 0, "--interface has 1 to 15 characters");
	snprintf(out, 16, "%.*s", (int)len, base);
	return 0;
}

static int read_port(const struct wgconf *file, const char *wish, uint16_t *ret, struct diag *d)
{
	uint64_t port = file->interface.listen_port;

	if (wish && (decimal_parse(wish, strlen(wish), 65535, &port) != 0 || port == 0))
		return diag_set(d, ERR_RANGE, 0, "--port is a port from 1 to 65535");
	if (port == 0)
		return diag_set(
			d, ERR_RANGE, 0,
			"the file has no ListenPort: say with --port where clients call");
	*ret = (uint16_t)port;
	return 0;
}

static int read_key(const struct wgconf *file, uint8_t public_key[32], struct diag *d)
{
	struct suite *suite = NULL;
	int err;

	if (!file->interface.has_private_key)
		return diag_set(d, ERR_FORMAT, 0,
				"the file has no PrivateKey: clients know the server by it");
	err = suite_new(SUITE_OPENSSL, &suite);
	if (err == 0)
		dh_public(suite, public_key, &file->interface.private_key);
	suite_free(suite);
	return err;
}

/* Level off is spoken in any case, so what the file says must be told from it. */
static int read_level(const struct wgconf *file, enum frame_level *ret, struct diag *d)
{
	const struct frame_parameters *p = &file->interface.framing;
	struct frame_parameters plain;
	bool is_plain, clashes;

	frame_parameters_init(&plain);
	is_plain = frame_parameters_match(p, &plain);
	clashes = !is_plain && frame_parameters_clash(p, &plain);
	frame_parameters_done(&plain);
	if (clashes)
		return diag_set(
			d, ERR_RANGE, 0,
			"its initiations look like those of plain WireGuard and what follows"
			" does not: a gateway, which speaks both, cannot tell them apart. S1,"
			" H1 or HeaderProtectionKey would have to differ");
	*ret = is_plain ? FRAME_OFF : frame_level_of(p);
	if (!is_plain && *ret == FRAME_OFF)
		*ret = FRAME_LOW;
	return 0;
}

int adopt_settings_read(const char *path, const struct wgconf *file,
			const struct import_rows *rows, const struct adopt_wishes *wishes,
			struct adopt_settings *ret, struct diag *d)
{
	int err = read_key(file, ret->public_key, d);

	if (err == 0)
		err = read_interface(path, wishes->interface, ret->interface, d);
	if (err == 0)
		err = read_port(file, wishes->port, &ret->port, d);
	if (err == 0)
		err = read_networks(file, rows, wishes, ret, d);
	return err == 0 ? read_level(file, &ret->level, d) : err;
}

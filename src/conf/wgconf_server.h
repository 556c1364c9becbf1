/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wgconf_server.h - Making the file of a server, for wg-quick or awg-quick
 *
 * A peer that is not served is written all the same, with "#[disabled] " before each of its lines: the
 * programs pass over it, and whoever reads the file for peers knows it again.
 *
 * Threads: none here.
 */
#pragma once

#include "conf/wgconf.h"

/**
 * struct wgconf_server - The [Interface]
 * @about:	Comments above it, one to a line; NULL: none
 * @private_key: NULL: a comment says that it is left out
 * @mtu:	0: the line is left out
 * @framing:	NULL or plain: no key of AmneziaWG is written
 */
struct wgconf_server {
	const char *about;
	const struct secret_key *private_key;
	const struct wgconf_address *addresses;
	size_t n_addresses;
	const struct frame_parameters *framing;
	uint16_t port;
	uint16_t mtu;
};

/**
 * struct wgconf_server_peer - One [Peer]
 * @name:	"": none
 * @preshared_key: NULL: none
 * @keepalive_s: 0: none
 */
struct wgconf_server_peer {
	const char *name;
	uint8_t public_key[32];
	const struct secret_key *preshared_key;
	const struct ip_prefix *allowed_ips;
	size_t n_allowed_ips;
	uint16_t keepalive_s;
	bool is_disabled;
};

/* Text that would break out of its line sets @out->err to ERR_FORMAT. */
void wgconf_server_begin(struct text *out, const struct wgconf_server *server);
void wgconf_server_add(struct text *out, const struct wgconf_server_peer *peer);

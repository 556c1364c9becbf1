/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/wgconf_server.h"

#include <string.h>

#include "conf/wgconf_framing.h"
#include "conf/wgconf_put.h"

static void put_comments(struct text *out, const char *about)
{
	while (about && *about) {
		size_t len = strcspn(about, "\n");

		text_puts(out, "# ");
		text_add(out, about, len);
		text_puts(out, "\n");
		about += len + (about[len] == '\n');
	}
}

void wgconf_server_begin(struct text *out, const struct wgconf_server *server)
{
	put_comments(out, server->about);
	text_puts(out, "[Interface]\n");
	wgconf_put_addresses(out, server->addresses, server->n_addresses);
	wgconf_put_number(out, "ListenPort", server->port);
	if (server->private_key)
		wgconf_put_key(out, "PrivateKey", server->private_key->b);
	else
		text_puts(out, "# PrivateKey = is left out here\n");
	wgconf_put_number(out, "MTU", server->mtu);
	if (server->framing)
		wgconf_put_framing(out, server->framing, "\n");
}

static void put_peer(struct text *out, const struct wgconf_server_peer *peer)
{
	text_puts(out, "[Peer]\n");
	if (peer->name[0]) {
		text_puts(out, "# friendly_name = ");
		wgconf_put_word(out, peer->name);
		text_puts(out, "\n");
	}
	wgconf_put_key(out, "PublicKey", peer->public_key);
	if (peer->preshared_key)
		wgconf_put_key(out, "PresharedKey", peer->preshared_key->b);
	wgconf_put_allowed_ips(out, peer->allowed_ips, peer->n_allowed_ips);
	wgconf_put_number(out, "PersistentKeepalive", peer->keepalive_s);
}

/* @lines, each with the mark before it. */
static void put_disabled(struct text *out, const struct text *lines)
{
	const char *at = lines->data ? lines->data : "";

	while (*at) {
		size_t len = strcspn(at, "\n") + 1; /* each line of put_peer() ends with one */

		text_puts(out, "#[disabled] ");
		text_add(out, at, len);
		at += len;
	}
}

void wgconf_server_add(struct text *out, const struct wgconf_server_peer *peer)
{
	struct text lines = { .data = NULL };

	text_puts(out, "\n");
	if (!peer->is_disabled) {
		put_peer(out, peer);
		return;
	}
	put_peer(&lines, peer);
	if (lines.err == 0)
		put_disabled(out, &lines);
	else if (out->err == 0)
		out->err = lines.err;
	text_done(&lines);
}

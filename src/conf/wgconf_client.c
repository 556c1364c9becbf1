/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/wgconf.h"
#include "conf/wgconf_framing.h"
#include "conf/wgconf_put.h"

static void put_dns(struct text *out, const struct wgconf_client *client)
{
	for (size_t i = 0; i < client->n_dns; i++) {
		text_puts(out, i ? ", " : "DNS = ");
		wgconf_put_word(out, client->dns[i]);
	}
	if (client->n_dns)
		text_puts(out, "\n");
}

static void put_keepalive(struct text *out, struct frame_range seconds)
{
	if (frame_range_is_zero(seconds))
		return;
	text_puts(out, "PersistentKeepalive = ");
	frame_range_write(out, seconds);
	text_puts(out, "\n");
}

static void put_interface(struct text *out, const struct wgconf_client *client)
{
	text_puts(out, "[Interface]\n");
	if (client->private_key)
		wgconf_put_key(out, "PrivateKey", client->private_key->b);
	else
		text_puts(
			out,
			"# PrivateKey = your own private key; the gateway does not have it\n");
	wgconf_put_addresses(out, client->addresses, client->n_addresses);
	put_dns(out, client);
	wgconf_put_number(out, "MTU", client->mtu);
	if (client->framing)
		wgconf_put_framing(out, client->framing, "\n");
}

static void put_peer(struct text *out, const struct wgconf_client *client)
{
	text_puts(out, "\n[Peer]\n");
	wgconf_put_key(out, "PublicKey", client->server_key);
	if (client->preshared_key)
		wgconf_put_key(out, "PresharedKey", client->preshared_key->b);
	if (client->endpoint) {
		text_puts(out, "Endpoint = ");
		wgconf_put_word(out, client->endpoint);
		text_puts(out, "\n");
	}
	wgconf_put_allowed_ips(out, client->allowed_ips, client->n_allowed_ips);
	put_keepalive(out, client->keepalive);
}

void wgconf_client_text(struct text *out, const struct wgconf_client *client)
{
	if (client->name) {
		text_puts(out, "# ");
		wgconf_put_word(out, client->name);
		text_puts(out, "\n");
	}
	put_interface(out, client);
	put_peer(out, client);
}

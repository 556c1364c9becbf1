/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "base/codec.h"
#include "conf/wgconf.h"

/* A word from outside, which must not begin a line of its own. */
static void put_word(struct text *out, const char *word)
{
	for (const char *c = word; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == '\x7f') {
			out->err = out->err ? out->err : ERR_FORMAT;
			return;
		}
	}
	text_puts(out, word);
}

static void put_key(struct text *out, const char *before, const uint8_t key[32])
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	text_puts(out, before);
	text_puts(out, text);
	text_puts(out, "\n");
	secret_wipe(text, sizeof(text));
}

static void put_number(struct text *out, const char *before, unsigned int value)
{
	if (!value)
		return;
	text_puts(out, before);
	text_put_u64(out, value);
	text_puts(out, "\n");
}

static void put_addresses(struct text *out, const struct wgconf_client *client)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < client->n_addresses; i++) {
		text_puts(out, i ? ", " : "Address = ");
		text_puts(out, ip_addr_format(&client->addresses[i].ip, text));
		text_puts(out, "/");
		text_put_u64(out, client->addresses[i].bits);
	}
	if (client->n_addresses)
		text_puts(out, "\n");
}

static void put_dns(struct text *out, const struct wgconf_client *client)
{
	for (size_t i = 0; i < client->n_dns; i++) {
		text_puts(out, i ? ", " : "DNS = ");
		put_word(out, client->dns[i]);
	}
	if (client->n_dns)
		text_puts(out, "\n");
}

static void put_allowed_ips(struct text *out, const struct wgconf_client *client)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < client->n_allowed_ips; i++) {
		text_puts(out, i ? ", " : "AllowedIPs = ");
		text_puts(out, ip_prefix_format(&client->allowed_ips[i], text));
	}
	if (client->n_allowed_ips)
		text_puts(out, "\n");
}

static void put_framing(struct text *out, const struct frame_parameters *p)
{
	for (enum frame_key key = 0; p && key < FRAME_KEYS; key++) {
		if (frame_key_is_default(p, key))
			continue;
		text_puts(out, frame_key_name(FRAME_CONF, key));
		text_puts(out, " = ");
		frame_parameters_put(out, FRAME_CONF, p, key);
		text_puts(out, "\n");
	}
}

static void put_interface(struct text *out, const struct wgconf_client *client)
{
	text_puts(out, "[Interface]\n");
	if (client->private_key)
		put_key(out, "PrivateKey = ", client->private_key->b);
	else
		text_puts(
			out,
			"# PrivateKey = your own private key; the gateway does not have it\n");
	put_addresses(out, client);
	put_dns(out, client);
	put_number(out, "MTU = ", client->mtu);
	put_framing(out, client->framing);
}

static void put_peer(struct text *out, const struct wgconf_client *client)
{
	text_puts(out, "\n[Peer]\n");
	put_key(out, "PublicKey = ", client->server_key);
	if (client->preshared_key)
		put_key(out, "PresharedKey = ", client->preshared_key->b);
	if (client->endpoint) {
		text_puts(out, "Endpoint = ");
		put_word(out, client->endpoint);
		text_puts(out, "\n");
	}
	put_allowed_ips(out, client);
	if (!frame_range_is_zero(client->keepalive)) {
		text_puts(out, "PersistentKeepalive = ");
		frame_range_write(out, client->keepalive);
		text_puts(out, "\n");
	}
}

void wgconf_client_text(struct text *out, const struct wgconf_client *client)
{
	if (client->name) {
		text_puts(out, "# ");
		put_word(out, client->name);
		text_puts(out, "\n");
	}
	put_interface(out, client);
	put_peer(out, client);
}

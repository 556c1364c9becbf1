/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/wgconf_put.h"

#include "base/codec.h"

void wgconf_put_word(struct text *out, const char *word)
{
	for (const char *c = word; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == '\x7f') {
			out->err = out->err ? out->err : ERR_FORMAT;
			return;
		}
	}
	text_puts(out, word);
}

void wgconf_put_key(struct text *out, const char *name, const uint8_t key[32])
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(key, text);
	text_puts(out, name);
	text_puts(out, " = ");
	text_puts(out, text);
	text_puts(out, "\n");
	secret_wipe(text, sizeof(text));
}

void wgconf_put_number(struct text *out, const char *name, unsigned int value)
{
	if (!value)
		return;
	text_puts(out, name);
	text_puts(out, " = ");
	text_put_u64(out, value);
	text_puts(out, "\n");
}

void wgconf_put_addresses(struct text *out, const struct wgconf_address *addresses, size_t n)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		text_puts(out, i ? ", " : "Address = ");
		text_puts(out, ip_addr_format(&addresses[i].ip, text));
		text_puts(out, "/");
		text_put_u64(out, addresses[i].bits);
	}
	if (n)
		text_puts(out, "\n");
}

void wgconf_put_allowed_ips(struct text *out, const struct ip_prefix *prefixes, size_t n)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		text_puts(out, i ? ", " : "AllowedIPs = ");
		text_puts(out, ip_prefix_format(&prefixes[i], text));
	}
	if (n)
		text_puts(out, "\n");
}

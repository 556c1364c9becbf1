/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/user_text.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/codec.h"
#include "base/err.h"
#include "crypto/secret.h"

bool user_id_ok(const char *id)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t len = strlen(id);

	return len >= 1 && len <= USER_ID_MAX && id[0] != '.' &&
	       id[strspn(id, allowed)] == '\0';
}

/* Not for security: every client computes the same. */
unsigned int user_octet(const char *id)
{
	uint8_t digest[16];
	uint64_t n = 0;

	if (EVP_Digest(id, strlen(id), digest, NULL, EVP_md5(), NULL) != 1)
		abort(); /* a library without MD5 gives addresses nobody expects */
	for (int i = 0; i < 8; i++)
		n = n << 8 | digest[i];
	return (unsigned int)(n % 254) + 2;
}

int user_key_read(const char *text, size_t len, uint8_t ret[32])
{
	char once[KEY_BASE64_LEN];
	long n = base64_decode(text, len, once, sizeof(once));
	int err = ERR_FORMAT;

	if (n == 32) {
		memcpy(ret, once, 32);
		err = 0;
	} else if (n == KEY_BASE64_LEN) {
		err = key_from_base64(once, sizeof(once), ret);
	}
	secret_wipe(once, sizeof(once));
	return err;
}

void user_config_write(const struct user_config *c, struct text *out)
{
	text_printf(out,
		    "# WireGuard VPN Client Configuration for %s\n"
		    "# Save this as %s.conf and use with: wg-quick up %s.conf\n\n",
		    c->id, c->id, c->id);
	text_printf(out,
		    "[Interface]\nPrivateKey = %s\nAddress = %s\nDNS = " USER_DNS_1
		    ", " USER_DNS_2 "\n\n",
		    c->private_key, c->address);
	text_printf(out,
		    "[Peer]\nPublicKey = %s\nEndpoint = %s\nAllowedIPs = 0.0.0.0/0\n"
		    "PersistentKeepalive = 25\n\n",
		    c->server_key, c->endpoint);
	text_printf(out,
		    "# To connect:\n"
		    "# 1. Install WireGuard: https://www.wireguard.com/install/\n"
		    "# 2. Save this config as %s.conf\n"
		    "# 3. Run: wg-quick up %s.conf\n"
		    "# 4. To disconnect: wg-quick down %s.conf\n",
		    c->id, c->id, c->id);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/webhook_sign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "sys/random.h"

enum { MADE_LEN = 32, MAC_LEN = 32 };

static const char prefix[] = "whsec_", version[] = "v1,";

void webhook_secret_make(struct webhook_secret *ret)
{
	*ret = (struct webhook_secret){ .len = MADE_LEN };
	random_fill(ret->b, MADE_LEN);
}

void webhook_secret_done(struct webhook_secret *s)
{
	secret_wipe(s, sizeof(*s));
}

int webhook_secret_parse(const char *text, struct webhook_secret *ret)
{
	struct webhook_secret s = { .len = 0 };
	size_t skip = sizeof(prefix) - 1;
	int err = 0;
	long len;

	if (strncmp(text, prefix, skip) != 0)
		return ERR_FORMAT;
	len = base64_decode(text + skip, strlen(text + skip), s.b, sizeof(s.b));
	if (len == ERR_LIMIT || (len >= 0 && len < WEBHOOK_SECRET_MIN))
		err = ERR_RANGE;
	else if (len < 0)
		err = ERR_FORMAT;
	s.len = err == 0 ? (size_t)len : 0;
	if (err == 0)
		*ret = s;
	webhook_secret_done(&s);
	return err;
}

void webhook_secret_format(const struct webhook_secret *s, char out[WEBHOOK_SECRET_TEXT_MAX])
{
	memcpy(out, prefix, sizeof(prefix));
	base64_encode(s->b, s->len, out + sizeof(prefix) - 1);
}

void webhook_sign(const struct webhook_secret *s, const char *id, uint64_t time_s,
		  const char *body, size_t len, char out[WEBHOOK_SIGNATURE_MAX])
{
	struct text message = { .data = NULL };
	uint8_t mac[MAC_LEN];

	text_printf(&message, "%s.%" PRIu64 ".", id, time_s);
	text_add(&message, body, len);
	/* For want of memory only; a signature that was not computed must not be sent. */
	if (message.err != 0 || !HMAC(EVP_sha256(), s->b, (int)s->len,
				      (const uint8_t *)message.data, message.len, mac, NULL))
		abort();
	text_done(&message);
	memcpy(out, version, sizeof(version));
	base64_encode(mac, sizeof(mac), out + sizeof(version) - 1);
}

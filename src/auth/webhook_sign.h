/* SPDX-License-Identifier: Apache-2.0 */
/**
 * webhook_sign.h - How a receiver knows that a message is ours and nobody has changed it
 *
 * HMAC-SHA256 over "ID.TIMESTAMP.BODY". Secrets are written "whsec_" and base64, signatures "v1,"
 * and base64; a header may have several, with blanks between them, while a secret is exchanged.
 *
 * Source:  Standard Webhooks, specification 1.0.0.
 * Threads: none here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	WEBHOOK_SECRET_MIN = 24, /* octets */
	WEBHOOK_SECRET_MAX = 64,
	WEBHOOK_SECRET_TEXT_MAX = 6 + 88 + 1, /* with its NUL */
	WEBHOOK_SIGNATURE_MAX = 3 + 44 + 1,
};

/* struct webhook_secret - @len 0: none */
struct webhook_secret {
	uint8_t b[WEBHOOK_SECRET_MAX];
	size_t len;
};

void webhook_secret_make(struct webhook_secret *ret); /* of 32 random octets */
void webhook_secret_done(struct webhook_secret *s);

/** webhook_secret_parse() - Return: 0; ERR_FORMAT; ERR_RANGE (too short, too long) */
int webhook_secret_parse(const char *text, struct webhook_secret *ret);
void webhook_secret_format(const struct webhook_secret *s, char out[WEBHOOK_SECRET_TEXT_MAX]);

/** webhook_sign() - The signature of one message; @time_s is that of the attempt */
void webhook_sign(const struct webhook_secret *s, const char *id, uint64_t time_s,
		  const char *body, size_t len, char out[WEBHOOK_SIGNATURE_MAX]);

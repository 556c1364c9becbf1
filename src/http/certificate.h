/* SPDX-License-Identifier: Apache-2.0 */
/**
 * certificate.h - The certificate and key that HTTPS is served with
 *
 * Whoever has none gets one: self-signed, P-256, for ten years. Its fingerprint is what a client
 * without a common authority compares.
 *
 * Threads: none here.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

enum {
	CERTIFICATE_PEM_MAX = 65536,
	CERTIFICATE_FINGERPRINT_LEN = 64, /* hex digits of SHA-256 */
};

/**
 * struct certificate - Two PEM texts, NUL behind; owned
 * @fingerprint: Of the first certificate
 */
struct certificate {
	char *cert;
	char *key;
	char fingerprint[CERTIFICATE_FINGERPRINT_LEN + 1];
};

/**
 * certificate_read() - Read both files
 * @may_make:	Where neither exists, make both
 * @name:	Host name or address that a made one is for
 *
 * Return: 0; -EPERM: others may read the key; ERR_FORMAT: no certificate, no key, or not a pair;
 *	   -errno; with the reason in @d.
 */
int certificate_read(const char *cert_path, const char *key_path, bool may_make,
		     const char *name, struct certificate *ret, struct diag *d);

void certificate_done(struct certificate *c); /* wipes the key */

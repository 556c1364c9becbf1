/* SPDX-License-Identifier: Apache-2.0 */
/**
 * tls.h - The two kinds of TLS a carrier has: that of a web server, and that of its client
 *
 * TLS 1.2 and newer, ALPN "http/1.1" only. Threads: any, once made.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

struct ssl_st;
struct ssl_ctx_st;

/**
 * tls_server() - From two PEM texts: a chain, whose first is ours, and its key
 *
 * Return: 0; ERR_FORMAT with the reason in @d; -ENOMEM.
 */
int tls_server(const char *cert, const char *key, struct ssl_ctx_st **ret, struct diag *d);

enum { TLS_PIN_LEN = 32 };

/**
 * tls_client() - That trusts the system's authorities, those of a file, or one certificate
 * @ca_path:	PEM; NULL: the system's
 * @pin:	SHA-256 of the certificate itself, TLS_PIN_LEN octets; then nothing else of it
 *		counts. NULL: none
 */
int tls_client(const char *ca_path, const uint8_t *pin, struct ssl_ctx_st **ret,
	       struct diag *d);
struct ssl_ctx_st *tls_free(struct ssl_ctx_st *context); /* takes NULL, returns NULL */

/** tls_check_pin() - After the handshake. Return: 0; ERR_AUTH: it is another certificate */
int tls_check_pin(struct ssl_st *tls, const uint8_t *pin, struct diag *d);

/* SPDX-License-Identifier: Apache-2.0 */
/**
 * dial.h - From an address to a stream over which datagrams may go
 *
 * In order: the name, TCP, an HTTP proxy in the way (CONNECT), TLS, and the proof of the key. It
 * waits, up to DIAL_PATIENCE_NS, and gives up at once when @stop_fd becomes readable (but for the
 * resolver, which nobody can interrupt).
 *
 * Threads: any.
 */
#pragma once

#include <stdint.h>

#include "carrier/framing.h"
#include "carrier/http_head.h"
#include "carrier/stream.h"
#include "carrier/url.h"

#define DIAL_PATIENCE_NS (UINT64_C(15) * 1000000000)

enum { DIAL_UNANSWERED_MS = 15000 };

/**
 * struct dial_to - All borrowed
 * @via:	NULL: no proxy in the way
 * @key:	The user's key as text
 * @target:	What the server is asked for (connect-udp only)
 * @tls:	Of tls_client(); may be NULL unless @url is https
 * @pin:	As for tls_client()
 * @mark:	SO_MARK; 0: none
 * @device:	SO_BINDTODEVICE; NULL: none
 */
struct dial_to {
	const struct carrier_url *url;
	const struct carrier_via *via;
	const char *key;
	const struct connect_udp_target *target;
	struct ssl_ctx_st *tls;
	const uint8_t *pin;
	uint32_t mark;
	const char *device;
	int stop_fd;
};

/**
 * struct dialed - What has come of it
 * @early, @early_len: Octets of the stream that came with the answer
 */
struct dialed {
	struct stream stream;
	enum framing_kind framing;
	uint8_t early[HTTP_HEAD_MAX];
	size_t early_len;
};

/**
 * carrier_dial() - Return: 0; ERR_AUTH: the key, or who the server is, was not accepted; ERR_UNKNOWN: no
 *	    such name; -ETIMEDOUT; -ECANCELED; ERR_FORMAT: no carrier there; -errno; with the reason
 *	    in @d.
 */
int carrier_dial(const struct dial_to *to, struct dialed *ret, struct diag *d);

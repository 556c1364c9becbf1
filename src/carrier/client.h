/* SPDX-License-Identifier: Apache-2.0 */
/**
 * client.h - A client's end of a carrier: a port on loopback that leads to a gateway
 *
 * WireGuard has that port as the endpoint of its peer. The stream to the gateway is made when it
 * is missing, again and again, less often the longer it fails; datagrams that come meanwhile are
 * dropped, as on any path that is down. The tunnel knows nothing of all this: to move it to a
 * carrier, and back, is a change of its peer's endpoint.
 *
 * Threads: carrier_client_run() blocks; any thread may call carrier_client_state() and _hold().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "carrier/url.h"

/**
 * struct carrier_client_config - Copied
 * @listen:	Port 0: any
 * @key:	The user's key as text
 * @ca_path, @pin: As for tls_client(); @pin counts if @has_pin
 * @device:	Empty: none
 */
struct carrier_client_config {
	struct carrier_url url;
	struct carrier_via via;
	char key[CARRIER_SECRET_MAX];
	struct connect_udp_target target;
	struct endpoint listen;
	const char *ca_path; /* used by carrier_client_new() only */
	uint8_t pin[32];
	bool has_pin;
	uint32_t mark;
	char device[16];
};

/**
 * struct carrier_client_state - How it is
 * @connects:	How often the stream was made
 * @err:	What came of the last try; 0: it was made
 * @text:	The same for people
 */
struct carrier_client_state {
	bool is_up;
	unsigned int connects;
	int err;
	char text[DIAG_TEXT_MAX];
	uint64_t in_datagrams;
	uint64_t out_datagrams;
	uint64_t dropped;
};

struct carrier_client;

/** carrier_client_new() - Opens the port. Return: 0; ERR_FORMAT, -errno with the reason in @d */
int carrier_client_new(const struct carrier_client_config *config, struct carrier_client **ret,
		       struct diag *d);
struct carrier_client *carrier_client_free(struct carrier_client *c); /* takes NULL; wipes */

uint16_t carrier_client_port(const struct carrier_client *c);

/** carrier_client_run() - Until @stop_fd becomes readable. Return: 0 or -errno */
int carrier_client_run(struct carrier_client *c, int stop_fd);

/** carrier_client_hold() - Whether what the gateway sends is dropped, so that the tunnel does not roam */
void carrier_client_hold(struct carrier_client *c, bool is_held);

/** carrier_client_hear_only() - The port that WireGuard sends from; 0: not known. Any thread */
void carrier_client_hear_only(struct carrier_client *c, uint16_t port);

/** carrier_client_forget() - What came of tries before; not while it runs */
void carrier_client_forget(struct carrier_client *c);

void carrier_client_state(struct carrier_client *c, struct carrier_client_state *ret);

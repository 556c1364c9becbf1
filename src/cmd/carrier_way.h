/* SPDX-License-Identifier: Apache-2.0 */
/**
 * carrier_way.h - A client's end of one carrier, that can be started and stopped
 *
 * Its port is open from carrier_way_open() on; a thread of its own relays while it runs.
 *
 * Threads: one calls.
 */
#pragma once

#include <stdbool.h>

#include <pthread.h>

#include "carrier/client.h"

/* struct carrier_way - All zeroes but @url is none */
struct carrier_way {
	struct carrier_url url;
	struct carrier_client *client;
	uint16_t port;
	bool runs;
	pthread_t thread;
	int stop_fd;
};

int carrier_way_open(struct carrier_way *w, const struct carrier_client_config *config,
		     struct diag *d);
void carrier_way_close(struct carrier_way *w);

int carrier_way_start(struct carrier_way *w); /* 0, also when it runs already, or -errno */
void carrier_way_stop(struct carrier_way *w);

/** carrier_way_hold() - Whether what comes in is kept away from the tunnel */
void carrier_way_hold(struct carrier_way *w, bool is_held);

/** carrier_way_has_failed() - Did the last try come to nothing, with no connection there? */
bool carrier_way_has_failed(struct carrier_way *w);
